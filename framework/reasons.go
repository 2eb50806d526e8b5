package framework

import (
	"fmt"
	"strconv"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// reason is what a word of package guards means to who has not written the handlers.
type reason struct {
	// means is a sentence's end after "It ", without a period.
	means string
	// next is what to do about a dead letter; empty for reasons that make none.
	next string
}

// reasons has an explanation of each reason; a test holds it to package guards.
var reasons = map[guards.Reason]reason{ //nolint:gochecknoglobals // a table
	guards.Applied:          {means: "had its effect"},
	guards.Duplicate:        {means: "had come before: the row has absorbed this very event, or an earlier record of it holds its id"},
	guards.Superseded:       {means: "came after newer events, which had written all that it would write"},
	guards.Redelivered:      {means: "was delivered again, after its outcome was decided, and that outcome stands"},
	guards.NoEntity:         {means: "names no entity: the handler's Keys returned none"},
	guards.CompactionMarker: {means: "is a null value without headers, as compaction uses them, and no handler asks for those"},
	guards.Refused:          {means: "was refused by its handler, which returned handlers.Discard"},
	guards.Retry:            {means: "failed in its handler and is tried again"},
	guards.Unhandled: {
		means: "has a type for which no handler is registered",
		next:  "register a handler for the type and replay the letter, or discard it",
	},
	guards.Behind: {
		means: "stands behind an earlier event of its entity that waits, and too many may wait only up to a bound",
		next:  "mend what the first of those waits for (`evenkeel parked`), then replay the letter",
	},
	guards.Gap: {
		means: "is ahead of an event that should come before it and has not come within the bounds, or its stream went on without it",
		next:  "let the source send what is missing, then replay the letter; or replay it at once to go on without",
	},
	guards.MissingRow: {
		means: "needs its entity's row, which is not there",
		next:  "see whether the creating event is a dead letter itself; replay this letter once the row is there",
	},
	guards.Late: {
		means: "is older than what its partition had come to by more than guards.MaxLateness allows, or as old as what has been forgotten",
		next:  "replay it if it should count all the same: a replay is not judged late again, and newer events keep their fields",
	},
	guards.Future: {
		means: "says that it occurs later than the clock by more than guards.MaxFuture allows, and would make everything after it look old",
		next:  "mend the producer's clock; replay the letter once its time has come, or discard it",
	},
	guards.Poison: {
		means: "can't be read: its bytes are no event, or not the payload that its handler takes",
		next:  "mend the codec or the payload's type and replay the letter, or discard it and let the producer send it anew",
	},
	guards.Rejected: {
		means: "was given up by its handler, or by a guard of yours, in so many words",
		next:  "see the error; mend what it says and replay the letter, or discard it",
	},
	guards.Exhausted: {
		means: "failed in its handler as often as the retry schedule allows",
		next:  "mend what the error says, then replay the letter",
	},
	guards.Constraint: {
		means: "makes a row that the database refuses",
		next:  "mend the data, the handler or the constraint, then replay the letter",
	},
	guards.Conflict: {
		means: "contradicts another event that counts already, and no order says which of the two is right",
		next:  "find out which is right: replay the letter to let this one count as well, or discard it",
	},
	guards.Orphaned: {
		means: "wrote a placeholder that nothing completed in time, and which was removed",
		next:  "find the creating event; replay the letter once it has come, or discard it",
	},
	dlq.Foreign: {
		means: "was written by another library, and no handler of this one ever had it",
		next:  "send its record to a topic that is consumed here, then discard the letter",
	},
}

// reasonOf explains a reason, also one of a user's own guard.
func reasonOf(r guards.Reason) reason {
	if known, ok := reasons[r]; ok {
		return known
	}
	return reason{
		means: fmt.Sprintf("was judged %q by a guard of your own", r),
		next:  "see the detail; then replay the letter, or discard it",
	}
}

// compared tells a comparison in a sentence without a period; "" where nothing was compared.
func compared(n guards.Comparison) string {
	at, against, bound := time.UnixMicro(n.Event).UTC(), time.UnixMicro(n.Against).UTC(), time.Duration(n.Bound)*time.Microsecond
	switch n.What {
	case "":
		return ""
	case "watermark":
		return fmt.Sprintf("it is of %s and its partition had come to %s: it is %s late, and %s is allowed", moment(at), moment(against), length(against.Sub(at)), length(bound))
	case "now":
		return fmt.Sprintf("it is of %s and the clock stood at %s: it is %s ahead, and %s is allowed", moment(at), moment(against), length(at.Sub(against)), length(bound))
	case "horizon":
		return fmt.Sprintf("it is of %s, and tombstones up to %s have been purged", moment(at), moment(against))
	case "memory":
		if n.Against == 0 {
			return fmt.Sprintf("it is of %s, which is older than the memory of ids", moment(at))
		}
		return fmt.Sprintf("it is of %s, and ids up to %s are forgotten", moment(at), moment(against))
	case "born":
		return fmt.Sprintf("the placeholder was made at %s and removed at %s, as it may stay for %s", moment(at), moment(against), length(bound))
	case "sequence":
		return fmt.Sprintf("its number is %d, where the stream stood at %d", n.Event, n.Against)
	}
	mine, other := strconv.FormatInt(n.Event, 10), strconv.FormatInt(n.Against, 10)
	how := fmt.Sprintf("which is newer by %d", n.Against-n.Event)
	if n.What == "timestamp" {
		mine, other, how = moment(at), moment(against), "which is newer by "+length(against.Sub(at))
	}
	if n.Event == n.Against {
		how = "which is the same"
		if n.EventTie != "" || n.AgainstTie != "" {
			source, id := event.Stamp{Tie: n.AgainstTie}.Identity()
			how = fmt.Sprintf("which is the same, so that source and id decide, and those of event %s of %s stand after", id, source)
		}
	}
	return fmt.Sprintf("its %s is %s, and it met %s, %s", n.What, mine, other, how)
}

// moment is a time as sentences have it.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999Z") }

// length is a duration as people say it.
func length(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "-" + length(-d)
	case d >= 2*day:
		text := strconv.Itoa(int(d/day)) + "d"
		if rest := d % day / time.Hour; rest > 0 {
			text += strconv.Itoa(int(rest)) + "h"
		}
		return text
	case d >= time.Minute:
		text := d.Truncate(time.Second).String()
		for _, zero := range []string{"m0s", "h0m"} {
			if n := len(text) - len(zero); n > 0 && text[n:] == zero {
				text = text[:n+1]
			}
		}
		return text
	case d >= time.Second:
		return d.Truncate(time.Millisecond).String()
	}
	return d.String()
}
