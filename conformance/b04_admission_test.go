package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// odd is a record whose every part would be mangled by something that takes it for text.
func (w *world) odd(partition int32, key []byte, value string, at time.Time) event.Record {
	r := w.record(partition, "", value)
	r.Key, r.Timestamp = key, at
	r.Headers = []event.Header{
		{Key: "trace", Value: []byte{0x00, 0xff, 0x80}},
		{Key: "empty", Value: []byte{}},
		{Key: "trace", Value: []byte("again")},
		{Key: "null"},
		{Key: "", Value: []byte("no name")},
	}
	return r
}

// headersOf returns the headers under a prefix, as text; those of Kafka's own set must not
// repeat.
func headersOf(t *testing.T, r *event.Record, prefix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, h := range r.Headers {
		if len(h.Key) > len(prefix) && h.Key[:len(prefix)] == prefix {
			require.NotContains(t, found, h.Key)
			found[h.Key[len(prefix):]] = string(h.Value)
		}
	}
	return found
}

func TestB04LateAndFutureBecomeLettersAndARewindRepeatsNothing(t *testing.T) {
	t.Parallel()
	each(t, "B04", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 2)
		now := time.Now().Truncate(time.Microsecond)
		newest := now.Add(-time.Hour)
		record := func(partition int32, key string, id string, when time.Time, note string) event.Record {
			value := "  " + said{id: id, source: "shop", typ: "order.noted", key: key, at: when, data: fmt.Sprintf(`{"note":%q}`, note)}.value() + "\n"
			return w.odd(partition, []byte{0xfe, 0x00, byte(len(key))}, value, now.Add(-30*time.Minute).Truncate(time.Millisecond))
		}
		const p = 1
		sent := w.broker.Produce(t,
			record(p, "good", "e-0", newest, "kept"),
			record(p, "late", "e-1", newest.Add(-maxLateness-time.Microsecond), "too old by a microsecond"),
			record(p, "edge", "e-2", newest.Add(-maxLateness), "just old enough"),
			record(p, "future", "e-3", now.Add(time.Hour), "tomorrow"),
			// Late if the one from the future had moved the watermark.
			record(p, "good", "e-4", newest.Add(-maxLateness+time.Minute), "old, not late"),
			// The event that was applied is a duplicate, however old it is.
			record(p, "edge", "e-2", newest.Add(-maxLateness), "just old enough"),
			record(p, "soon", "e-5", now.Add(2*time.Minute), "within the allowance"),
			record(p, "edge", "e-2", newest.Add(-maxLateness), "just old enough"), // late, were it not a duplicate
		)
		m := w.start()
		w.drain(2)

		rows := all(w, func(o *Order) string { return o.ID })
		require.Len(t, rows, 3)
		require.Equal(t, "kept", *rows["good"].Note)
		require.Equal(t, "just old enough", *rows["edge"].Note)
		require.Equal(t, "within the allowance", *rows["soon"].Note)
		require.Equal(t, map[string]int{"superseded": 1}, w.judgements("e-4"))
		require.Equal(t, map[string]int{"duplicate": 2}, w.judgements("e-2"))
		for _, part := range m.consumer.Stats().Partitions {
			if part.Partition == p {
				require.Equal(t, now.Add(2*time.Minute).UTC(), part.Watermark)
			}
		}

		// The table has the reason and the numbers that were compared.
		letters := w.letters()
		require.Len(t, letters, 2)
		late, future := letters[0], letters[1]
		require.Equal(t, guards.Late, late.Verdict.Reason)
		require.Equal(t, guards.Comparison{
			What: "watermark", Event: newest.Add(-maxLateness).UnixMicro() - 1, Against: newest.UnixMicro(), Bound: maxLateness.Microseconds(),
		}, late.Verdict.Numbers)
		require.Equal(t, guards.Future, future.Verdict.Reason)
		require.Equal(t, "now", future.Verdict.Numbers.What)
		require.Equal(t, now.Add(time.Hour).UnixMicro(), future.Verdict.Numbers.Event)
		require.Equal(t, maxFuture.Microseconds(), future.Verdict.Numbers.Bound)
		require.WithinRange(t, time.UnixMicro(future.Verdict.Numbers.Against), w.began, time.Now())

		// So has the topic, with the original byte for byte.
		copies, decoded := w.copies(2)
		for i, l := range decoded {
			want, source := letters[i], sent[letters[i].Record.Offset]
			require.Equal(t, want.ID, l.ID)
			require.Equal(t, want.Verdict, l.Verdict)
			for _, r := range []*event.Record{want.Record, l.Record, &copies[i]} {
				require.Equal(t, source.Key, r.Key)
				require.Equal(t, source.Value, r.Value)
				require.Equal(t, source.Headers, r.Headers[:len(source.Headers)])
				require.True(t, source.Timestamp.Equal(r.Timestamp), "%s, not %s", r.Timestamp, source.Timestamp)
			}
			require.Len(t, l.Record.Headers, len(source.Headers))
			require.Equal(t, w.broker.TopicID(t, w.topic), l.Record.TopicID)
			require.Equal(t, w.broker.ClusterID(t), l.Record.Cluster)
			require.EqualValues(t, p, copies[i].Partition, "the source's partition")
			require.Equal(t, map[string]string{
				"topic": w.topic, "partition": fmt.Sprint(p), "offset": fmt.Sprint(source.Offset),
				"group": w.group, "delivery.count": "1", "message": want.Verdict.String(),
			}, headersOf(t, &copies[i], dlq.StandardPrefix))
		}

		// An operator rewinds: nothing has an effect a second time, and what was
		// refused does not have one either.
		m.stop()
		letters = w.letters() // by now they are known to be published
		require.NotZero(t, letters[0].PublishedAt)
		w.broker.ResetOffset(t, w.group, w.topic, p, 0)
		again := w.start()
		w.drain(2)
		w.eventually(func() bool { return again.consumer.Stats().Records == int64(len(sent)) }, func() string {
			return fmt.Sprintf("read %d of %d again", again.consumer.Stats().Records, len(sent))
		})
		s := again.final()
		require.EqualValues(t, 1, s.Alarms["offset-rewound"])
		require.Zero(t, s.Verdicts["apply/applied"])
		require.EqualValues(t, 2, s.Verdicts["discard/redelivered"], "the late one and the one from the future")
		require.Empty(t, s.Letters)
		require.Equal(t, rows, all(w, func(o *Order) string { return o.ID }), "no row, and no revision")
		require.Equal(t, letters, w.letters())
		w.copies(2)
	})
}

// TestB04OneFromTheFutureSpoilsNothing: a partition that begins with an event from the year
// 9999 is as good as any other.
func TestB04TheWatermarkIgnoresTheFuture(t *testing.T) {
	t.Parallel()
	each(t, "B04", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		facts := story(20, time.Now().Add(-2*time.Hour), newRand(4))
		w.tell(0, said{id: "far", source: "shop", typ: "order.noted", key: "o-1", at: event.MaxTime, data: `{"note":"far"}`})
		for _, f := range facts {
			w.broker.Produce(t, w.record(0, f.key, f.value()))
		}
		// An event that nobody handles moves nothing either, and is no letter.
		w.tell(0, said{id: "unknown", source: "shop", typ: "nobody.cares", key: "o-1", at: time.Now().Add(240 * time.Hour)})
		w.tell(0, said{id: "after", source: "shop", typ: "order.noted", key: "o-2", at: time.Now(), data: `{"note":"after"}`})
		w.start()
		w.drain(1)
		r := w.check()
		require.Equal(t, 20, r.Right)
		letters := w.letters()
		require.Len(t, letters, 1)
		require.Equal(t, guards.Future, letters[0].Verdict.Reason)
		require.Equal(t, map[string]int{"unhandled": 1}, w.judgements("unknown"))
	})
}
