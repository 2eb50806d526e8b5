package batch

import (
	"math"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/sequence"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Numbers is a stream of numbers, and with which it begins.
type Numbers struct {
	Name string
	From int64
}

// GatherRebuild says what Blank and Whole must load of a model's entities.
func GatherRebuild(group string, m *handlers.Model, keys []string, layouts Layouts, streams []Numbers) *store.Want {
	w := &store.Want{Group: group, Rows: []store.WantRows{{Model: m, Layout: layouts[m], Keys: keys}}}
	for _, key := range keys {
		for _, n := range streams {
			w.Memos = append(w.Memos, store.MemoOf(store.StreamKey{Stream: n.Name, Entity: key}))
		}
	}
	return w
}

// StreamsOf are the streams of numbers that change a model's rows.
func StreamsOf(w *handlers.Wiring, m *handlers.Model, topics []string) []Numbers {
	var streams []Numbers
	for _, h := range w.All() {
		if h.Stream == nil || h.Model != m {
			continue
		}
		for _, topic := range topics {
			if n := (Numbers{Name: h.Stream.NameOn(topic), From: h.Stream.From}); !slices.Contains(streams, n) {
				streams = append(streams, n)
			}
		}
	}
	return streams
}

// ScopesOf are the scopes of the ids that a model's entities keep under Once.
func ScopesOf(w *handlers.Wiring, m *handlers.Model) []string {
	var scopes []string
	for _, h := range w.All() {
		if _, ok := h.Memory(); ok && h.Model == m {
			scopes = append(scopes, onceScope(h))
		}
	}
	return scopes
}

// Blank makes a model's rows forget what they have seen of the log, and marks them (R20):
// their columns that handlers own are zeroed, clocks are at "never", ids are dropped, streams
// begin anew. A row that no event has written stays as it is. It returns how many rows there
// were.
func (j *Judge) Blank(m *handlers.Model, keys []string, layouts Layouts, loaded *store.Loaded, streams []Numbers, now time.Time) (*store.Batch, int, error) {
	b := &store.Batch{Group: j.Group, Now: now}
	scopes := ScopesOf(j.Wiring, m)
	for _, key := range keys {
		row := loaded.Rows[m.Table][key]
		if row == nil || row.Rev == 0 {
			continue
		}
		blank(row, layouts[m])
		if err := project(&rowWork{model: m, key: key, row: row}); err != nil {
			return nil, 0, err
		}
		b.Update = append(b.Update, row)
		for _, scope := range scopes {
			b.Unremember = append(b.Unremember, store.IDScope{Scope: scope, Entity: key})
		}
		for _, n := range streams {
			k := store.StreamKey{Stream: n.Name, Entity: key}
			err := restream(b, loaded, k, func(s *sequence.State) sequence.State {
				if s.Rebuilding {
					return *s // with another model's row
				}
				return s.Again(n.From)
			})
			if err != nil {
				return nil, 0, err
			}
		}
	}
	return b, len(b.Update), nil
}

func blank(row *store.Row, layout *clocks.Layout) {
	m := row.Model
	for _, c := range m.Columns {
		if c.Owner != nil {
			c.Value(row.Entity).SetZero()
		}
		row.Clocks.Stamps[c.Index] = event.Stamp{}
	}
	row.Clocks.Stamps[layout.Exists] = event.Stamp{}
	if layout.Other != "" {
		clear(row.Clocks.Stamps) // also of columns that this release does not know: none of it is comparable
	}
	switch {
	case row.State == guards.Foreign: // nobody has to create it
	case m.Existence == nil:
		row.State = guards.Alive
	default:
		row.State = guards.Placeholder
	}
	if m.Existence != nil && m.SoftDelete != nil {
		m.SoftDelete.Value(row.Entity).SetZero()
	}
	row.Rebuilding = true
}

// restream changes a stream that has begun.
func restream(b *store.Batch, loaded *store.Loaded, k store.StreamKey, change func(*sequence.State) sequence.State) error {
	memo := loaded.Memos[store.MemoOf(k)]
	if memo == nil {
		return nil
	}
	s, err := sequence.Parse(memo.Body)
	if err != nil {
		return err
	}
	s = change(&s)
	b.Memos = append(b.Memos, &store.Memo{MemoKey: memo.MemoKey, Rev: memo.Rev, Body: s.String()})
	return nil
}

// Whole ends what Blank began, and wakes what has waited for it.
func (j *Judge) Whole(m *handlers.Model, keys []string, loaded *store.Loaded, streams []Numbers, now time.Time) (*store.Batch, int, error) {
	b := &store.Batch{Group: j.Group, Now: now}
	for _, key := range keys {
		row := loaded.Rows[m.Table][key]
		if row == nil || !row.Rebuilding {
			continue
		}
		row.Rebuilding = false
		b.Update = append(b.Update, row)
		b.Wake = append(b.Wake, store.QueueKey{Table: m.Table, Entity: key})
		for _, n := range streams {
			k := store.StreamKey{Stream: n.Name, Entity: key}
			err := restream(b, loaded, k, (*sequence.State).Whole)
			if err != nil {
				return nil, 0, err
			}
			b.WakeStreams = append(b.WakeStreams, store.WakeStream{StreamKey: k, Next: math.MaxInt64})
		}
	}
	return b, len(b.Update), nil
}
