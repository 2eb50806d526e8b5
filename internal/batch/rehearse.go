package batch

import (
	"fmt"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// hold is what keeps a unit waiting, kept for whoever asks why.
type hold struct {
	id     string      // of what stands before it
	cause  store.Cause // of that, empty for a letter
	number int64       // that has not come
	detail string
}

// WaitsFor says what the unit waited for when it was judged last, empty if for nothing that
// is known.
func (u *Unit) WaitsFor() string {
	switch h := &u.held; {
	case h.detail != "":
		return h.detail
	case h.number > 0:
		return fmt.Sprintf("number %d of its stream has not come", h.number)
	case h.id == "":
		return ""
	case h.cause == "":
		return fmt.Sprintf("letter %s stands before it and is not resolved: replay it, too, or discard it", h.id)
	case h.cause == store.CauseReplay:
		return fmt.Sprintf("letter %s stands before it", h.id)
	default:
		return fmt.Sprintf("event %s stands before it, which is parked (%s)", h.id, h.cause)
	}
}

// holder is what heldBelow found.
func (sw *streamWork) holder(n int64) hold {
	if sw.state.Rebuilding {
		return hold{detail: rebuilding}
	}
	for _, e := range sw.letters {
		if e.Place < n && !sw.state.Covered(e.Place) {
			return hold{id: e.ID}
		}
	}
	for _, x := range sw.waits {
		if x.Place < n && !sw.state.Covered(x.Place) {
			return hold{id: x.ID, cause: x.Cause}
		}
	}
	return hold{number: sw.state.Next}
}

const rebuilding = "its rows are being rebuilt"

// Entities are the keys of all rows that judging the record may look at, whatever their
// tables, and some more: two records that have none in common don't meet.
func (it *Item) Entities() []string {
	var keys []string
	if it.Event != nil && it.Event.Key != "" { // that of its streams
		keys = append(keys, it.Event.Key)
	}
	for _, u := range it.Units {
		if u.Key != "" {
			keys = append(keys, u.Key)
		}
	}
	return keys
}
