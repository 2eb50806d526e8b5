package batch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

var errBusy = errors.New("busy")

// TestTombstone: a null value without headers is an event of its topic's tombstone type
// where that has a handler, also when it has to be tried again (R13).
func TestTombstone(t *testing.T) {
	t.Parallel()
	reg := tickets()
	busy := 2 // the quick second try fails, too
	handlers.Set(reg, event.TombstoneType("orders"), func(_ context.Context, d *handlers.Delivery[struct{}, ticket]) error {
		if busy--; busy >= 0 {
			return errBusy
		}
		d.Delete()
		return nil
	}, handlers.Writes())
	m := newMemory(t, reg)
	marker := func(key string, at int) *event.Record {
		r := m.record("")
		r.Key, r.Value, r.Timestamp = []byte(key), nil, base.Add(time.Duration(at)*time.Second)
		return r
	}
	m.run(m.log(opened(1, "a"), assigned(12, "bob")))
	m.run([]*event.Record{marker("t1", 10)})
	require.Equal(t, []string{"apply/applied", "apply/applied", "park/retry"}, m.reasons())
	m.now = m.now.Add(time.Minute)
	m.sweep()
	row := m.rows["tickets"]["t1"]
	require.Equal(t, guards.Deleted, row.State)
	require.Empty(t, row.Entity.Interface().(*ticket).Title)
	require.Equal(t, "bob", row.Entity.Interface().(*ticket).Owner, "said after the tombstone")
	require.Equal(t, base.Add(10*time.Second), row.Entity.Interface().(*ticket).DeletedAt.Time)

	m.run(m.log(opened(5, "b")))
	require.Equal(t, guards.Deleted, m.rows["tickets"]["t1"].State, "an older creation")
	elsewhere := marker("t1", 20)
	elsewhere.Topic = "payments"
	m.reasons()
	m.run([]*event.Record{elsewhere, marker("", 20)})
	require.Equal(t, []string{"discard/compaction-marker", "dead-letter/poison"}, m.reasons())
}
