package testutil_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/testutil"
)

func record(topic string, partition int32, key, value string) event.Record {
	return event.Record{
		Coordinates: event.Coordinates{Topic: topic, Partition: partition},
		Key:         []byte(key), Value: []byte(value),
	}
}

func TestKafkaKeepsRecordsAsTheyAre(t *testing.T) {
	t.Parallel()
	b := testutil.Kafka(t)
	topic := b.Topic(t, "records", 3)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)

	sent := record(topic, 2, "k", "v")
	sent.Timestamp = at
	sent.Headers = []event.Header{{Key: "a", Value: []byte("1")}, {Key: "a"}, {Key: "b", Value: []byte{}}}
	null := record(topic, 2, "", "")
	null.Key, null.Value = nil, nil
	written := b.Produce(t, sent, record(topic, 0, "other", "w"), null)
	require.Equal(t, []int64{0, 0, 1}, []int64{written[0].Offset, written[1].Offset, written[2].Offset})

	got := b.Consume(t, topic)
	require.Len(t, got, 3)
	require.Equal(t, int32(0), got[0].Partition)
	first := got[1]
	require.Equal(t, event.Coordinates{
		Cluster: b.ClusterID(t), Topic: topic, TopicID: b.TopicID(t, topic), Partition: 2, LeaderEpoch: first.LeaderEpoch,
	}, first.Coordinates)
	require.Equal(t, sent.Key, first.Key)
	require.Equal(t, sent.Value, first.Value)
	require.Equal(t, sent.Headers, first.Headers)
	require.Equal(t, at, first.Timestamp)
	require.Equal(t, event.TimestampCreate, first.TimestampType)
	require.Nil(t, got[2].Key)
	require.Nil(t, got[2].Value)
	require.WithinDuration(t, time.Now(), got[2].Timestamp, time.Minute)
}

func TestKafkaLeavesHolesAfterTransactions(t *testing.T) {
	t.Parallel()
	b := testutil.Kafka(t)
	topic := b.Topic(t, "holes", 1)
	b.Produce(t, record(topic, 0, "k", "0"))
	b.ProduceAborted(t, record(topic, 0, "k", "1"), record(topic, 0, "k", "2"))
	b.ProduceCommitted(t, record(topic, 0, "k", "4"))

	got := b.Consume(t, topic)
	require.Len(t, got, 2)
	require.Equal(t, []int64{0, 4}, []int64{got[0].Offset, got[1].Offset})
	start, end := b.Span(t, topic, 0)
	require.Equal(t, []int64{0, 6}, []int64{start, end})
}

func TestKafkaTopicLifecycle(t *testing.T) {
	t.Parallel()
	b := testutil.Kafka(t)
	topic := b.Topic(t, "life", 1)
	id := b.TopicID(t, topic)
	b.AddPartitions(t, topic, 3)
	require.Equal(t, id, b.TopicID(t, topic))
	b.Produce(t, record(topic, 2, "k", "v"), record(topic, 2, "k", "w"))
	b.DeleteRecords(t, topic, 2, 1)
	require.Len(t, b.Consume(t, topic), 1)

	b.DeleteTopic(t, topic)
	require.Empty(t, b.TopicID(t, topic))
	b.CreateTopic(t, topic, 1)
	require.NotEqual(t, id, b.TopicID(t, topic))
	require.Empty(t, b.Consume(t, topic))
}

func TestKafkaLogAppendTime(t *testing.T) {
	t.Parallel()
	b := testutil.Kafka(t)
	if !b.Real {
		t.Skip("kfake takes the setting message.timestamp.type and does nothing about it")
	}
	topic := b.Group("append")
	b.CreateTopic(t, topic, 1, "message.timestamp.type", "LogAppendTime")
	old := record(topic, 0, "k", "v")
	old.Timestamp = time.Unix(1, 0)
	b.Produce(t, old)
	got := b.Consume(t, topic)
	require.Equal(t, event.TimestampLogAppend, got[0].TimestampType)
	require.WithinDuration(t, time.Now(), got[0].Timestamp, time.Minute)
}

func TestKafkaOffsets(t *testing.T) {
	t.Parallel()
	b := testutil.Kafka(t)
	topic, group := b.Topic(t, "offsets", 1), b.Group("group")
	offset, metadata := b.Committed(t, group, topic, 0)
	require.Equal(t, int64(-1), offset)
	require.Empty(t, metadata)
	b.ResetOffset(t, group, topic, 0, 7)
	offset, metadata = b.Committed(t, group, topic, 0)
	require.Equal(t, int64(7), offset)
	require.Empty(t, metadata)
}
