package framework

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/broker/confluent"
)

// TestDiagnoseTopicACLs: what a client must be allowed depends on what the topic is there for.
func TestDiagnoseTopicACLs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		topic        string
		may          []string
		check, lacks string
		acls         string
	}{
		{topic: "orders", may: []string{"write"}, check: "topic", lacks: "read or describe", acls: "READ, DESCRIBE"},
		{topic: "orders.dlq", may: []string{"read", "describe"}, check: "dead-letter topic", lacks: "write", acls: "WRITE"},
		{topic: "children", may: []string{"read", "describe"}, check: "emitted topic", lacks: "write", acls: "WRITE"},
		{topic: "children", may: []string{"write", "describe"}, check: "emitted topic"},
		{topic: "both", may: []string{"describe"}, check: "topic", lacks: "read or write", acls: "READ, WRITE"},
		{topic: "children", check: "emitted topic"}, // the broker doesn't tell
	} {
		d := &diagnosis{cfg: Config{Topics: []string{"orders", "both"}, DeadLetterTopic: "orders.dlq"}, emits: []string{"both", "children"}}
		d.topic(&confluent.ExaminedTopic{Name: c.topic, May: c.may, Partitions: 1, Replicas: 3})
		f := d.findings[0]
		require.Equal(t, c.check, f.Check)
		if c.lacks == "" {
			require.Equal(t, HealthOK, f.Health, "%+v", f)
			continue
		}
		require.Equal(t, Finding{c.check, c.topic, HealthFail, "this client may not " + c.lacks + " it", "add ACLs for " + c.acls + " on the topic"}, f)
	}
}
