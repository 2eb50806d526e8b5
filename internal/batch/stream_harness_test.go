package batch_test

import (
	"cmp"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/sequence"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// loadStreams does what a store does for Want.Streams.
func (m *memory) loadStreams(l *store.Loaded) {
	l.IDs, l.Memos, l.Streams = m.ids, m.memos, map[store.StreamKey]*store.Stream{}
	stream := func(name, entity string) *store.Stream {
		k := store.StreamKey{Stream: name, Entity: entity}
		if l.Streams[k] == nil {
			l.Streams[k] = &store.Stream{}
		}
		return l.Streams[k]
	}
	for _, p := range m.inPlaces() {
		if p.Stream == "" {
			continue
		}
		st := stream(p.Stream, p.Entity)
		st.Parked = append(st.Parked, store.QueueEntry{ID: p.ID, Handler: p.Handler, Cause: p.Cause, Place: p.Place, Due: p.Due, Stream: p.Stream})
		if (p.Cause == store.CauseGap || p.Cause == store.CauseBehind) && len(st.Rows) < m.chunk() {
			row := *p
			st.Rows = append(st.Rows, &row)
		}
	}
	for _, x := range m.letters {
		if x.Stream != "" && x.Blocking && x.State.Unresolved() {
			st := stream(x.Stream, x.Entity)
			st.Letters = append(st.Letters, store.QueueEntry{ID: x.ID, Handler: x.Handler, Place: x.Place, Stream: x.Stream})
		}
	}
}

// emptied is the same service on an empty database.
func (m *memory) emptied() *memory {
	e := &memory{
		t: m.t, judge: m.judge, prepare: m.prepare, layouts: m.layouts, events: m.events, now: m.now,
		rows: map[string]map[string]*store.Row{}, parked: map[string]*store.Parked{}, letters: map[string]*dlq.Letter{},
		ids: map[store.IDKey]*store.ID{}, memos: map[store.MemoKey]*store.Memo{},
	}
	for table := range m.rows {
		e.rows[table] = map[string]*store.Row{}
	}
	e.events.events = nil
	return e
}

func (m *memory) chunk() int {
	if m.rowsAtOnce > 0 {
		return m.rowsAtOnce
	}
	return store.StreamRows
}

// inPlaces lists what is parked in the order of its places.
func (m *memory) inPlaces() []*store.Parked {
	var ps []*store.Parked
	for _, p := range m.parked {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, func(a, b *store.Parked) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.ID, b.ID))
	})
	return ps
}

// commitStreams writes memos and ids as a store does, and refuses what it would refuse.
func (m *memory) commitStreams(out *batch.Outcome) {
	b := out.Batch
	m.gaps = append(m.gaps, out.Gaps...)
	for _, i := range b.IDs {
		require.Equal(m.t, i.Known, m.ids[i.IDKey] != nil, "the id %v is there already, or is not", i.IDKey)
		m.ids[i.IDKey] = i
	}
	for _, memo := range b.Memos {
		var rev int64
		if have := m.memos[memo.MemoKey]; have != nil {
			rev = have.Rev
		}
		require.Equal(m.t, rev, memo.Rev)
		next := *memo
		next.Rev++
		m.memos[memo.MemoKey] = &next
	}
	for _, k := range b.WakeStreams {
		for _, p := range m.parked {
			if p.Stream == k.Stream && p.Entity == k.Entity && p.Place < k.Next && (p.Cause == store.CauseGap || p.Cause == store.CauseBehind) {
				p.Due = m.now
			}
		}
	}
	m.woken += len(b.WakeStreams)
}

// stream is the state of an entity's stream.
func (m *memory) stream(key string) sequence.State {
	memo := m.memos[store.MemoKey{Kind: store.KindSequence, Scope: "orders", Entity: key}]
	if memo == nil {
		return sequence.State{}
	}
	s, err := sequence.Parse(memo.Body)
	require.NoError(m.t, err)
	return s
}

// waiting lists what is parked as "id cause".
func (m *memory) waiting() []string {
	var out []string
	for _, p := range m.inPlaces() {
		out = append(out, p.EventID+" "+string(p.Cause))
	}
	return out
}
