package main

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/testutil"
)

// TestWalk runs the script: on its own broker and SQLite, or where the environment names a
// broker, on that and PostgreSQL. The script checks each step itself.
func TestWalk(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	walk := exec.CommandContext(ctx, "bash", "walk.sh")
	walk.Cancel = func() error { return walk.Process.Signal(os.Interrupt) } // it ends what it has started
	walk.WaitDelay = time.Minute
	walk.Env = os.Environ()
	if os.Getenv(testutil.KafkaEnv) != "" {
		broker := testutil.Kafka(t)
		topic := broker.Group("shop")
		t.Cleanup(func() {
			broker.DeleteTopic(t, topic)
			broker.DeleteTopic(t, topic+".dlq")
		})
		walk.Env = append(walk.Env, "SHOP_BROKERS="+broker.Brokers, "SHOP_TOPIC="+topic, "EVENKEEL_DSN="+testutil.PostgresDSN(t))
	}
	out, err := walk.CombinedOutput()
	t.Logf("%s", out)
	require.NoError(t, err)
}
