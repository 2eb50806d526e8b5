package storetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func streamCases() []testCase {
	return []testCase{
		{"streams show what waits, in the order of the numbers", streams},
		{"as many rows of a stream as one batch can take come whole", streamRows},
		{"waking a stream makes due what its next number lets go", wakeStreams},
		{"what waits in a stream does not count for its entity's order", streamsBesideQueues},
	}
}

func (b *bench) waits(id, stream, entity string, number int64, cause store.Cause) *store.Parked {
	p := b.parked(id, entity, number)
	p.Stream, p.Cause, p.Error = stream, cause, "it failed"
	return p
}

func (b *bench) streams(keys ...store.StreamKey) map[store.StreamKey]*store.Stream {
	b.t.Helper()
	l := b.memory(&store.Want{Streams: keys})
	return l.Streams
}

func streams(b *bench) {
	t := b.t
	k := store.StreamKey{Stream: "s", Entity: "a"}
	ahead, behind, retry := b.waits("ahead", "s", "a", 12, store.CauseGap), b.waits("behind", "s", "a", 7, store.CauseBehind), b.waits("retry", "s", "a", 5, store.CauseRetry)
	hold, late, done, old := b.letter("hold"), b.letter("late"), b.letter("done"), b.letter("old")
	for _, l := range []*dlq.Letter{hold, late, done} {
		l.Stream, l.Place = "s", 6
	}
	late.Blocking, done.State = false, "resolved"
	require.NoError(t, b.commit(t, &store.Batch{
		Park: []*store.Parked{
			ahead, behind, retry,
			b.waits("t", "t", "a", 1, store.CauseGap), b.waits("b", "s", "b", 1, store.CauseGap), b.parked("none", "a", 1),
		},
		Letters: []*dlq.Letter{hold, late, done, old},
	}))
	got := b.streams(k, store.StreamKey{Stream: "s", Entity: "none"}, store.StreamKey{Stream: "", Entity: "a"})
	require.Len(t, got, 1)
	entry := func(p *store.Parked) store.QueueEntry {
		return store.QueueEntry{ID: p.ID, Handler: "h", Cause: p.Cause, Place: p.Place, Due: p.Due, Stream: "s"}
	}
	require.Equal(t, []store.QueueEntry{entry(retry), entry(behind), entry(ahead)}, got[k].Parked)
	require.Equal(t, []store.QueueEntry{{ID: "hold", Handler: "h", Place: 6, Stream: "s"}}, got[k].Letters)
	require.Equal(t, []*store.Parked{behind, ahead}, got[k].Rows, "what failed has its own time")
}

func streamRows(b *bench) {
	t := b.t
	var all []*store.Parked
	for i := range int64(store.StreamRows) + 5 {
		all = append(all, b.waits(fmt.Sprint("p", i), "s", "a", 1000-i, store.CauseGap))
	}
	all[3].Record.Key, all[3].FirstFailed = nil, time.Time{}
	require.NoError(t, b.commit(t, &store.Batch{Park: all}))
	got := b.streams(store.StreamKey{Stream: "s", Entity: "a"})[store.StreamKey{Stream: "s", Entity: "a"}]
	require.Len(t, got.Parked, len(all))
	require.Len(t, got.Rows, store.StreamRows)
	require.Equal(t, all[len(all)-1], got.Rows[0], "the lowest number first")
	require.Equal(t, all[5], got.Rows[store.StreamRows-1])
}

func wakeStreams(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Park: []*store.Parked{
		b.waits("p3", "s", "a", 3, store.CauseGap), b.waits("p4", "s", "a", 4, store.CauseBehind), b.waits("p5", "s", "a", 5, store.CauseRetry),
		b.waits("p6", "s", "a", 6, store.CauseGap), b.waits("other", "s", "b", 3, store.CauseGap), b.waits("t", "t", "a", 3, store.CauseGap),
	}}))
	require.NoError(t, b.commit(t, &store.Batch{WakeStreams: []store.WakeStream{{StreamKey: store.StreamKey{Stream: "s", Entity: "a"}, Next: 6}}}))
	var due []string
	rows, err := b.s.Due(t.Context(), &store.DueQuery{Group: group, Now: start, Lease: time.Minute, Limit: 10, PerKey: 10})
	require.NoError(t, err)
	for _, p := range rows {
		if !p.Due.After(start) {
			due = append(due, p.ID)
			require.EqualValues(t, 2, p.Rev)
		}
	}
	require.Equal(t, []string{"p3", "p4"}, due)
}

func streamsBesideQueues(b *bench) {
	t := b.t
	l := b.letter("numbered")
	l.Stream, l.Place = "s", 900
	require.NoError(t, b.commit(t, &store.Batch{
		Park: []*store.Parked{b.waits("far", "s", "a", 800, store.CauseGap), b.parked("plain", "a", 3)}, Letters: []*dlq.Letter{l},
	}))
	got, err := b.s.Load(t.Context(), b.want("orders", true, "a"))
	require.NoError(t, err)
	q := got.Queues["orders"]["a"]
	require.EqualValues(t, 3, q.LastPlace)
	require.Empty(t, q.Letters)
	require.Len(t, q.Parked, 2, "whoever waits for the row to be made is seen")
	require.Equal(t, []string{"", "s"}, []string{q.Parked[0].Stream, q.Parked[1].Stream})
}
