package batch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/guards"
)

// Nobody handles the type: a verdict, or a letter where that was asked for.
func TestUnhandledEvents(t *testing.T) {
	t.Parallel()
	for letters, want := range map[bool]guards.Action{false: guards.Discard, true: guards.DeadLetter} {
		m := newMemory(t, setRegistry())
		m.judge.DeadLetterUnhandled = letters
		out := m.run(m.log(ev{typ: "nobody.knows", key: "o-1", at: 1, id: "1"}))
		require.Len(t, out.Verdicts, 1)
		require.Equal(t, want, out.Verdicts[0].Verdict.Action)
		require.Equal(t, guards.Unhandled, out.Verdicts[0].Verdict.Reason)
		require.Len(t, out.Batch.Verdicts, 1, "it is in the journal")
		require.Equal(t, letters, len(m.letters) == 1)
	}
}

// TestUnhandledEventsFromTheFuture: nobody reads them, but what they were compared with is
// recorded, and they don't move W (R6).
func TestUnhandledEventsFromTheFuture(t *testing.T) {
	t.Parallel()
	m := newMemory(t, setRegistry())
	out := m.run(m.log(ev{typ: "nobody.knows", key: "o-1", at: 1_000_000, id: "1"}))
	require.Equal(t, []string{"discard/unhandled"}, m.reasons())
	require.Equal(t, base.Add(1_000_000*time.Second).UnixMicro(), out.Verdicts[0].Verdict.Numbers.Event)
	require.False(t, m.led.HasWatermark)
}
