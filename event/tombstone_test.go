package event_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
)

func TestTombstones(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 6, 7, 8, 9, 123_000_000, time.UTC)
	record := func(key []byte, kind event.TimestampType) *event.Record {
		r := &event.Record{Key: key, Timestamp: at, TimestampType: kind}
		r.Cluster, r.Topic, r.TopicID, r.Partition, r.Offset = "c", "orders", "t", 2, 7
		return r
	}
	var e event.Event
	r := record([]byte("o-1"), event.TimestampCreate)
	require.NoError(t, event.Tombstones().Decode(r, &e))
	require.Equal(t, event.Event{Type: "evenkeel.tombstone:orders", Key: "o-1", OccurredAt: at, Record: r}, e)
	source, id := e.Identity()
	require.Equal(t, [2]string{"", "@c/t/2/7"}, [2]string{source, id}, "its identity are its coordinates")

	for name, bad := range map[string]*event.Record{
		"record key: expected the entity's key, found none":                              record(nil, event.TimestampCreate),
		"record key: expected UTF-8 text":                                                record([]byte{0xff}, event.TimestampCreate),
		"time: expected a time in the event or a timestamp on its record, found neither": record([]byte("o-1"), event.TimestampNone),
	} {
		require.ErrorContains(t, event.Tombstones().Decode(bad, &event.Event{}), name)
	}

	topic, ok := event.TombstoneTopic(event.TombstoneType("orders"))
	require.True(t, ok)
	require.Equal(t, "orders", topic)
	_, ok = event.TombstoneTopic("order.deleted")
	require.False(t, ok)
}
