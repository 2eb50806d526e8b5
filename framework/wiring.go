package framework

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/runtime"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

var placeholderPolicies = map[PlaceholderPolicy]runtime.PlaceholderPolicy{ //nolint:gochecknoglobals // a constant
	PlaceholderKeep:       runtime.PlaceholderKeep,
	PlaceholderDelete:     runtime.PlaceholderDelete,
	PlaceholderDeadLetter: runtime.PlaceholderDeadLetter,
}

// checkWiring finds where configuration and handlers don't fit.
func (c *Config) checkWiring(w *handlers.Wiring) error {
	if w == nil {
		return nil
	}
	var errs []error
	for _, t := range w.TombstoneTopics() {
		if !slices.Contains(c.Topics, t) {
			errs = append(errs, &FieldError{
				Field: "Handlers", Found: fmt.Sprintf("a handler for the tombstones of the topic %q", t), Expected: "a topic that this consumer reads",
				Mend: "name one of Config.Topics in event.TombstoneType",
			})
		}
	}
	for _, g := range w.Admission {
		b, ok := g.(interface{ Bound() time.Duration })
		if ok && c.PurgeDeletedAfter > 0 && c.PurgeDeletedAfter <= b.Bound() {
			errs = append(errs, &FieldError{
				Field: "PurgeDeletedAfter", Found: c.PurgeDeletedAfter.String(), Expected: fmt.Sprintf("more than %s(%s)", g.Name(), b.Bound()),
				Mend: "events that are late within that bound would find no tombstone any more",
			})
		}
	}
	if w.TopicStream != nil {
		named := ""
		for _, h := range w.All() {
			if h.Stream == nil || h.Stream.Stream == named || !slices.Contains(c.Topics, h.Stream.Stream) {
				continue
			}
			named = h.Stream.Stream
			errs = append(errs, &FieldError{
				Field: "Handlers", Found: fmt.Sprintf("the stream %q of handler %s, which is also what the numbers of the topic of this name are counted under", named, h.Name),
				Expected: "streams of different names",
				Mend:     "give guards.Stream a name that is none of Config.Topics, or leave it out for all handlers of the topic",
			})
		}
	}
	emits := w.Emits()
	for _, t := range emits {
		errs = append(errs, c.checkEmits(t))
	}
	for _, t := range slices.Sorted(maps.Keys(c.Codecs)) {
		if !slices.Contains(c.Topics, t) && !slices.Contains(emits, t) {
			errs = append(errs, &FieldError{
				Field: fmt.Sprintf("Codecs[%q]", t), Found: fmt.Sprintf("%q", t),
				Expected: "one of Config.Topics, or a topic that a handler emits to", Mend: "correct its name, or leave it out",
			})
		}
	}
	return errors.Join(errs...)
}

// upkeepNotes are remarks for the start-up log about tables that have no index for what is
// looked for in them again and again, and about tombstones that can't be purged.
func (c *Config) upkeepNotes(ctx context.Context, st store.Store, models []*handlers.Model) (notes []string, err error) {
	tables, err := st.Tables(ctx, c.Group)
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		at := slices.IndexFunc(tables, func(t store.Table) bool { return t.Name == m.Table })
		if at < 0 || m.Existence == nil {
			continue
		}
		type look struct {
			state guards.Existence
			what  string
		}
		looks := []look{{guards.Placeholder, "placeholders"}}
		if c.PurgeDeletedAfter > 0 {
			if runtime.Purges(m) {
				looks = append(looks, look{guards.Deleted, "tombstones"})
			} else {
				notes = append(notes, fmt.Sprintf("tombstones of %s are not purged: that takes a model whose existence belongs to Set handlers under guards.Timestamp()", m.Name))
			}
		}
		for _, l := range looks {
			create, err := st.MissingIndex(ctx, tables[at], l.state)
			if err != nil {
				return nil, err
			}
			if create != "" {
				notes = append(notes, fmt.Sprintf("table %s is read whole to find its %s, so they are looked for seldom; once it is large, run: %s", m.Table, l.what, create))
			}
		}
	}
	return notes, nil
}
