package confluent

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/seam"
)

// Who is inside is waited for, and who comes later is turned away.
func TestGate(t *testing.T) {
	t.Parallel()
	var g gate
	require.NoError(t, g.enter())
	shut := make(chan struct{})
	go func() { g.shut(); close(shut) }()
	require.Eventually(t, func() bool {
		err := g.enter()
		if err == nil {
			g.leave()
		}
		return err != nil
	}, 5*time.Second, time.Millisecond)
	select {
	case <-shut:
		t.Fatal("shut while somebody was inside")
	default:
	}
	g.leave()
	<-shut
	require.ErrorIs(t, g.enter(), errClosed)
}

// A call on a client that is closed is an error. In librdkafka it would be the end of the
// process: an AdminClient made from a client does not notice that the client was freed.
func TestCallsAfterCloseAreErrors(t *testing.T) {
	t.Parallel()
	spawn := &seam.Group{}
	quiet := func(int, string, string, string) {}
	settings := Settings{Brokers: "127.0.0.1:1", Group: "g", Protocol: "classic"}
	c, err := NewConsumer(settings, seam.System(), spawn, quiet)
	require.NoError(t, err)
	require.NoError(t, c.Close(10*time.Second))
	p := broker.Partition{Topic: "t"}
	_, err = c.Describe(t.Context(), "t")
	require.ErrorIs(t, err, errClosed)
	_, err = c.Find(t.Context(), p)
	require.ErrorIs(t, err, errClosed)
	require.ErrorIs(t, c.Start(p, 0), errClosed)
	require.ErrorIs(t, c.Pause(p), errClosed)
	require.ErrorIs(t, c.Resume(p), errClosed)
	require.EqualValues(t, -1, c.LogEnd(p))

	out, err := NewProducer(settings, seam.System(), spawn, quiet)
	require.NoError(t, err)
	require.NoError(t, out.Close(10*time.Second))
	_, err = out.Describe(t.Context(), "t")
	require.ErrorIs(t, err, errClosed)
	_, err = out.CleanupPolicy(t.Context(), "t")
	require.ErrorIs(t, err, errClosed)
}
