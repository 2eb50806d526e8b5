package guards

import (
	"fmt"
	"strconv"
	"time"
)

// Action is what becomes of a unit: an event under one handler for one entity.
type Action uint8

// The actions. The numbers are stored.
const (
	Apply      Action = 1
	Discard    Action = 2
	Park       Action = 3
	DeadLetter Action = 4
)

// String returns the word that tables, logs and letters use.
func (a Action) String() string {
	switch a {
	case Apply:
		return "apply"
	case Discard:
		return "discard"
	case Park:
		return "park"
	case DeadLetter:
		return "dead-letter"
	}
	return "action-" + strconv.Itoa(int(a))
}

// Reason says why, in a word that machines can rely on.
type Reason string

// The reasons of each action. The words are stored and travel in letter headers.
const (
	// Applied: the event had its effect; with Verdict.Masked, not on those columns.
	Applied Reason = "applied"

	// Duplicate: the row has absorbed this very event, or another record of it holds its
	// id.
	Duplicate Reason = "duplicate"
	// Superseded: newer events wrote everything that this one would write.
	Superseded Reason = "superseded"
	// Redelivered: the record was judged before, and its outcome stands.
	Redelivered Reason = "redelivered"
	// Unhandled: no handler is registered for the event's type. As a letter: such events
	// were asked to become letters.
	Unhandled Reason = "unhandled"
	// NoEntity: the handler's Keys named none.
	NoEntity Reason = "no-entity"
	// CompactionMarker: a null value without headers, and nobody asked for those.
	CompactionMarker Reason = "compaction-marker"
	// Refused: the handler said handlers.Discard.
	Refused Reason = "refused"

	// Retry: the handler failed and is tried again at the due time.
	Retry Reason = "retry"
	// Behind: an earlier event of the same entity waits, and order counts. As a
	// letter: too many wait already.
	Behind Reason = "behind"
	// Gap: the numbers before this one have not come yet. As a letter: they did not come
	// within the bounds, or the stream went on without this one.
	Gap Reason = "gap"
	// MissingRow: the entity's row is not there, and the handler said what then.
	MissingRow Reason = "missing"

	// Late: older than the stream's newest event by more than MaxLateness allows, or as
	// old as what Once has forgotten.
	Late Reason = "late"
	// Future: newer than the clock by more than MaxFuture allows.
	Future Reason = "future"
	// Poison: the bytes can't be taken for an event, or for the handler's payload.
	Poison Reason = "poison"
	// Rejected: the handler, or a guard of the user's, said dead letter.
	Rejected Reason = "rejected"
	// Exhausted: tried as often as the schedule allows.
	Exhausted Reason = "exhausted"
	// Constraint: the database refused the row.
	Constraint Reason = "constraint"
	// Conflict: it contradicts another event that counts already, and the order can't
	// tell which of them should: another version that neither has seen, or the same number
	// of a stream with another source or id.
	Conflict Reason = "conflict"
	// Orphaned: the placeholder that it wrote was not completed in time and was removed.
	// As a discard: its effect is gone by the policy to delete such placeholders.
	Orphaned Reason = "orphaned"
)

// Comparison holds the numbers that a guard compared, so that a person can check it.
type Comparison struct {
	// What names them, e.g. "timestamp", "version", "sequence", "watermark", "horizon",
	// "memory" (of ids); "vector" are the sums of two vector clocks.
	What string
	// Event is the event's number, Against the one that it was compared with, Bound
	// what was allowed between them. Times are microseconds since 1970 and bounds
	// microseconds, unless What is "version", "sequence", "lamport" or "vector".
	Event, Against, Bound int64
	// EventTie and AgainstTie are set where the numbers were equal and the tie decided.
	EventTie, AgainstTie string
}

// IsZero reports whether nothing was compared.
func (c Comparison) IsZero() bool { return c.What == "" }

// String writes the comparison for people: times as RFC 3339, bounds as durations.
func (c Comparison) String() string {
	if c.IsZero() {
		return ""
	}
	show := func(n int64) string {
		if c.What == "version" || c.What == "sequence" || c.What == "lamport" || c.What == "vector" {
			return strconv.FormatInt(n, 10)
		}
		return time.UnixMicro(n).UTC().Format("2006-01-02T15:04:05.999999Z")
	}
	s := fmt.Sprintf("%s: event %s, against %s", c.What, show(c.Event), show(c.Against))
	if c.Bound != 0 {
		s += fmt.Sprintf(", allowed %s", time.Duration(c.Bound)*time.Microsecond)
	}
	if c.EventTie != "" || c.AgainstTie != "" {
		s += ", equal, so that source and id decided"
	}
	return s
}

// Verdict is what becomes of a unit, why, and what was compared.
type Verdict struct {
	Action  Action
	Reason  Reason
	Numbers Comparison
	// Detail is a sentence for people; may be empty.
	Detail string
	// Masked names the columns of an applied event that newer events had written.
	Masked []string
}

// Pass is the verdict of a guard that has no objection.
func Pass() Verdict { return Verdict{Action: Apply, Reason: Applied} }

// Passed reports whether the guard had no objection.
func (v Verdict) Passed() bool { return v.Action == Apply }

// String is one line for logs: action, reason, numbers, detail.
func (v Verdict) String() string {
	s := v.Action.String() + " (" + string(v.Reason) + ")"
	if n := v.Numbers.String(); n != "" {
		s += ": " + n
	}
	if v.Detail != "" {
		s += ": " + v.Detail
	}
	return s
}
