package framework

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
)

// EventQuery names an event that is to be explained.
type EventQuery struct {
	// ID is the event's. Source is needed where events of several sources have the id.
	ID, Source string
	// Group is the consumer group that is asked about. Defaults to all.
	Group string
	// Entity is the key of an entity that the event is about. Nothing but the entity's row
	// tells of an event that was applied, since a plain apply leaves no line; without it the
	// rows of all tables are looked through when nothing else tells of the event.
	Entity string
	// LookFor bounds that look. Defaults to 10 seconds.
	LookFor time.Duration
	// Hide is given each text that a handler or a guard has said, which may quote the event,
	// and says what is told of it. Defaults to telling all.
	Hide func(text string) string
}

const defaultLook = 10 * time.Second

// Explanation is what became of an event, and why.
type Explanation struct {
	ID, Source, EventType string
	OccurredAt            time.Time // zero where it is not known
	// Found says that there is any trace of the event.
	Found bool
	// Steps are what happened to it, in the order in which it did.
	Steps []ExplainedStep
	// Units are how it stands under each handler and entity that is known to have had it.
	Units []ExplainedUnit
	// Positions are where the partitions stand that its records came from; where there is
	// no trace of it, all of the group's.
	Positions []PartitionPosition
	// Unknown says what the database can't tell, and why.
	Unknown []string
	// Conclusion is the answer in one line.
	Conclusion string
}

// ExplainedStep is one thing that happened to an event.
type ExplainedStep struct {
	At time.Time // zero where it is not known
	// Group, Handler, Table and Entity are empty where the step is not about one.
	Group, Handler, Table, Entity string
	Text                          string
}

// Standing is how an event stands under a handler for an entity.
type Standing string

// The standings, those that need somebody first.
const (
	StandsAsLetter Standing = "letter"   // an unresolved dead letter
	StandsParked   Standing = "parked"   // it waits
	StandsEnded    Standing = "ended"    // without effect
	StandsMasked   Standing = "masked"   // it had its effect, and newer events have written what it wrote
	StandsApplied  Standing = "applied"  // it had its effect
	StandsRepeated Standing = "repeated" // an earlier record of it counts
	StandsFollowed Standing = "followed" // not it, but what was derived from it, had the effect
)

// ExplainedUnit is an event under one handler for one entity.
type ExplainedUnit struct {
	Group, Handler, Table, Entity string
	Standing                      Standing
	// Text says so in a sentence, with the numbers.
	Text string
	// Letter is the id of its dead letter, empty for none.
	Letter string
}

// PartitionPosition is where a group stands in a partition.
type PartitionPosition struct {
	Group, Topic string
	Partition    int32
	// Next is the offset that it comes to next, -1 where it has finished nothing.
	Next int64
	// Newest is the newest event time in what it has finished, Moved when it has moved last;
	// zero where there is none.
	Newest, Moved time.Time
	// Skipped are ranges of offsets that somebody has made it pass over; the second is not
	// in the range.
	Skipped [][2]int64
}

// String tells it in a sentence.
func (p *PartitionPosition) String() string {
	s := fmt.Sprintf("group %s stands at offset %d of %s/%d", p.Group, p.Next, p.Topic, p.Partition)
	if p.Next < 0 {
		s = fmt.Sprintf("group %s has finished nothing of %s/%d", p.Group, p.Topic, p.Partition)
	}
	if !p.Newest.IsZero() {
		s += ", where the newest event is of " + moment(p.Newest)
	}
	if !p.Moved.IsZero() {
		s += ", and moved last at " + moment(p.Moved)
	}
	for _, r := range p.Skipped {
		s += fmt.Sprintf("; offsets %d to %d were skipped by an operator", r[0], r[1]-1)
	}
	return s
}

// AmbiguousEventError says that events of several sources have an id.
type AmbiguousEventError struct {
	ID      string
	Sources []string
}

// Error names the sources.
func (e *AmbiguousEventError) Error() string {
	quoted := make([]string, len(e.Sources))
	for i, s := range e.Sources {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("events of %d sources have the id %q: %s", len(e.Sources), e.ID, strings.Join(quoted, ", "))
}

// Explain tells why an event had no effect, or which it had: what happened to it, what it was
// compared with, what beat it. It needs neither handlers nor Kafka, and reads what a consumer
// leaves behind: the journal of verdicts, dead letters and their audit, what waits, what is to
// be sent, the memory of ids, positions, and the clocks of rows. Errors are an
// [*AmbiguousEventError] and the driver's; an event without a trace is none.
func Explain(ctx context.Context, db *gorm.DB, q EventQuery) (*Explanation, error) {
	t := &traces{db: db, query: q, explained: &Explanation{ID: q.ID, Source: q.Source}}
	if t.query.LookFor <= 0 {
		t.query.LookFor = defaultLook
	}
	if err := t.read(ctx); err != nil {
		return nil, err
	}
	if q.Hide != nil {
		t.hide(q.Hide)
	}
	t.tell()
	return t.explained, nil
}

// hide changes what was said of the event by whoever saw its bytes. What replays came to is
// in the audit as the reason.
func (t *traces) hide(text func(string) string) {
	for i := range t.verdicts {
		t.verdicts[i].Verdict.Detail = text(t.verdicts[i].Verdict.Detail)
	}
	for _, l := range t.letters {
		l.Error, l.Stack, l.Verdict.Detail = text(l.Error), text(l.Stack), text(l.Verdict.Detail)
	}
	for i := range t.parked {
		t.parked[i].Error = text(t.parked[i].Error)
	}
	for _, lines := range t.audit {
		for i := range lines {
			if lines[i].ByReplay() {
				lines[i].Reason = text(lines[i].Reason)
			}
		}
	}
}

// traces are what a database has of an event.
type traces struct {
	db        *gorm.DB
	query     EventQuery
	explained *Explanation

	verdicts []EventVerdict // oldest first
	letters  []*dlq.Letter
	parked   []ParkedEvent
	audit    map[string][]dlq.AuditEntry // by letter, newest first
	entities []*EntityState              // with their rows alone
	ids      []rememberedID
	unsent   []unsentEvent
	emitted  []unsentEvent
	// journal is when the oldest line of the journal was written, zero without any.
	journal time.Time
	// looked is what was looked through for the event's stamp, and gaveUp what could not be.
	looked, gaveUp []string
	capped         bool
}

// rememberedID is an event's id in the memory of a handler.
type rememberedID struct {
	Group, Handler, Entity string
	At                     time.Time
	Held                   bool
}

// unsentEvent is a row of the outbox.
type unsentEvent struct {
	ID, Group, EventType, Topic string
	CreatedAt                   time.Time
	Origin                      event.Coordinates
}

// unitKey names a unit of the event.
type unitKey struct{ group, handler, table, entity string }

func (t *traces) found() bool {
	return len(t.verdicts)+len(t.letters)+len(t.parked)+len(t.ids)+len(t.unsent) > 0
}

// coordinates are those of all its records that are known, with the group that saw them.
func (t *traces) coordinates() []groupCoordinates {
	var all []groupCoordinates
	add := func(group string, c event.Coordinates) {
		c.LeaderEpoch = 0
		if g := (groupCoordinates{group, c}); c.TopicID != "" && !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	for i := range t.verdicts {
		add(t.verdicts[i].Group, t.verdicts[i].Coordinates)
	}
	for _, l := range t.letters {
		add(l.Group, l.Record.Coordinates)
	}
	return all
}

type groupCoordinates struct {
	group string
	event.Coordinates
}

// sources are the different sources of what was found.
func (t *traces) sources() []string {
	var all []string
	add := func(source string) {
		if !slices.Contains(all, source) {
			all = append(all, source)
		}
	}
	for i := range t.verdicts {
		add(t.verdicts[i].Source)
	}
	for _, l := range t.letters {
		add(l.Source)
	}
	for i := range t.parked {
		add(t.parked[i].Source)
	}
	for _, s := range t.entities {
		for _, k := range s.clocks() {
			// A hash stands for a long source, which only the others tell.
			if (t.isOwn(k.Stamp) || t.follows(k.Stamp)) && !strings.HasPrefix(k.Source, "sha256:") {
				add(k.Source)
			}
		}
	}
	slices.Sort(all)
	return all
}
