//go:build unix

package testutil_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/testutil"
)

func TestKafkaClusterSurvivesTheLossOfABroker(t *testing.T) {
	t.Parallel()
	c := testutil.KafkaCluster(t, 3)
	topic, group := c.Topic(t, "survivor", 1), c.Group("operator")
	c.Produce(t, record(topic, 0, "k", "before"))
	c.Kill(t, 2)
	c.Produce(t, record(topic, 0, "k", "without"))
	c.Start(t, 2)
	c.Stop(t, 1)
	c.Produce(t, record(topic, 0, "k", "after"))
	c.Start(t, 1)
	require.Len(t, c.Consume(t, topic), 3)

	c.Tool(t, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
		"--bootstrap-server", c.Brokers, "--group", group, "--topic", topic, "--reset-offsets", "--to-offset", "2", "--execute")
	offset, metadata := c.Committed(t, group, topic, 0)
	require.Equal(t, int64(2), offset)
	require.Empty(t, metadata)
}
