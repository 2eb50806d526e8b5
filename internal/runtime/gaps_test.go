package runtime

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// TestGapsWaitForTheBacklog: since a member has begun to read, each gap has its whole time.
func TestGapsWaitForTheBacklog(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "on", func(context.Context, *handlers.Delivery[nothing, lamp]) error { return nil },
		guards.Sequence(guards.GapTimeout(time.Minute)), handlers.Writes("On"))
	w, err := reg.Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	began := instant{}.Now()
	m := New(Options{Judge: &batch.Judge{Wiring: w}, Clock: instant{}})
	m.reading.Store(&began)
	s := &sweeper{m: m}
	for _, c := range []struct {
		name          string
		cause         store.Cause
		expires, want time.Duration // after the member began
	}{
		{"it had waited before", store.CauseGap, -time.Hour, time.Minute},
		{"it has waited since", store.CauseGap, 2 * time.Minute, 2 * time.Minute},
		{"it waits for its row", store.CauseMissing, -time.Hour, -time.Hour},
	} {
		p := &store.Parked{Handler: "on→lamp", EventType: "on", Cause: c.cause, Expires: began.Add(c.expires)}
		require.Equal(t, c.want, s.patient(p).Expires.Sub(began), c.name)
		require.Equal(t, c.expires, p.Expires.Sub(began), "what was claimed stays as it is")
	}
}
