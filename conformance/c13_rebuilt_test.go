package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
)

// The table of letters is lost; the dead-letter topic brings it back, and the letters mean
// what they meant: a rewind finds them and repeats nothing.
func TestC13TheTopicRebuildsTheTable(t *testing.T) {
	each(t, "C13", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 2)
		now := time.Now().Truncate(time.Microsecond)
		record := func(partition int32, id string, when time.Time) event.Record {
			value := said{id: id, source: "shop", typ: "order.noted", key: id, at: when, data: `{"note":"n"}`}.value()
			return w.odd(partition, []byte{0xfe, 0x00}, value, now.Add(-30*time.Minute).Truncate(time.Millisecond))
		}
		poison := w.odd(0, nil, "\x00\xff not an event", now.Truncate(time.Millisecond))
		sent := w.broker.Produce(t,
			record(0, "e-0", now.Add(-time.Hour)),
			record(0, "e-1", now.Add(-time.Hour-maxLateness-time.Second)),
			poison,
			record(1, "e-2", now.Add(time.Hour)),
		)
		m := w.start()
		w.drain(2)
		w.copies(3)
		m.stop()
		letters := w.letters()
		require.Len(t, letters, 3)
		// What else may lie on such a topic: a transaction that was taken back, another
		// library's letter, and what is no letter.
		junk := event.Record{Coordinates: event.Coordinates{Topic: w.dlq, Partition: 0}, Value: []byte("junk")}
		spring := event.Record{
			Coordinates: event.Coordinates{Topic: w.dlq, Partition: 1}, Key: []byte("k"),
			Headers: []event.Header{{Key: "kafka_dlt-original-topic", Value: []byte("elsewhere")}},
		}
		w.broker.Produce(t, junk, spring)
		w.broker.ProduceAborted(t, junk)

		require.NoError(t, w.db.Exec("DELETE FROM evenkeel_dead_letters WHERE grp = ?", w.group).Error)
		rebuild := func() (dlq.Imported, []error) {
			var refused []error
			records := framework.ReadTopic(t.Context(), w.broker.Brokers, w.dlq, nil)
			done, err := dlq.Import(t.Context(), w.db, dlq.FromRecords(records, time.Now()), func(err error) error {
				refused = append(refused, err)
				return nil
			})
			require.NoError(t, err)
			return done, refused
		}
		done, refused := rebuild()
		require.Equal(t, dlq.Imported{New: 4, Refused: 1}, done)
		require.ErrorIs(t, refused[0], dlq.ErrNoDialect)
		rebuilt := w.letters()
		require.Len(t, rebuilt, 3)
		for i, l := range rebuilt {
			require.NotZero(t, l.PublishedAt)
			l.PublishedAt = letters[i].PublishedAt
		}
		require.Equal(t, letters, rebuilt)
		foreign, err := dlq.List(t.Context(), w.db, dlq.Filter{Reason: dlq.Foreign, Topic: "elsewhere"})
		require.NoError(t, err)
		require.Len(t, foreign, 1)
		require.EqualValues(t, dlq.Unknown, foreign[0].Record.Offset)

		// A file does the same, to the byte.
		var file, again bytes.Buffer
		_, err = dlq.Export(t.Context(), w.db, &file, dlq.Filter{})
		require.NoError(t, err)
		require.NoError(t, w.db.Exec("DELETE FROM evenkeel_dead_letters").Error)
		done, err = dlq.Import(t.Context(), w.db, dlq.NewLineReader(bytes.NewReader(file.Bytes())).Letters(), nil)
		require.NoError(t, err)
		require.Equal(t, dlq.Imported{New: 4}, done)
		_, err = dlq.Export(t.Context(), w.db, &again, dlq.Filter{})
		require.NoError(t, err)
		require.Equal(t, file.String(), again.String())

		// The letters hold their units, and a second import finds them all.
		for _, p := range []int32{0, 1} {
			w.broker.ResetOffset(t, w.group, w.topic, p, 0)
		}
		rewound := w.start()
		w.drain(2)
		w.eventually(func() bool { return rewound.consumer.Stats().Records == int64(len(sent)) }, func() string {
			return fmt.Sprintf("read %d of %d again", rewound.consumer.Stats().Records, len(sent))
		})
		require.Empty(t, rewound.final().Letters)
		done, _ = rebuild()
		require.Equal(t, dlq.Imported{Present: 4, Refused: 1}, done)
		require.Equal(t, []guards.Reason{guards.Late, guards.Poison, guards.Future}, reasons(w.letters()))
	})
}

func reasons(letters []*dlq.Letter) []guards.Reason {
	var rs []guards.Reason
	for _, l := range letters {
		rs = append(rs, l.Verdict.Reason)
	}
	return slices.Clip(rs)
}
