package conformance

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// inHandler is the phase of a child that dies while a handler runs, before its step commits.
const inHandler = "handler"

// rebuild is a process that rebuilds the mendable models and dies at the nth step of a phase,
// or at the nth run of a handler.
func (spec childSpec) rebuild(ctx context.Context) error {
	dialector := sqlite.Open(spec.DSN)
	if spec.Store == storePostgres {
		dialector = postgres.Open(spec.DSN)
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return err
	}
	if _, err := pooled(db); err != nil {
		return err
	}
	die := func(n int64) {
		if n == spec.Nth {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	var runs, steps atomic.Int64
	w := &world{
		at: combination{store: spec.Store, protocol: spec.Protocol}, db: db,
		broker: &testutil.KafkaBroker{Brokers: spec.Brokers},
		topic:  spec.Topic, dlq: spec.DLQ, group: spec.Group,
		registry: func() *handlers.Registry {
			return mendable(false, func(string) error {
				if spec.Rebuild == inHandler {
					die(runs.Add(1))
				}
				return nil
			})
		},
	}
	cfg := w.config()
	cfg.Logger, cfg.BatchSize = printer{}, 20
	_, err = framework.Rebuild(ctx, db, cfg, framework.RebuildOptions{
		Models: []string{"Bill", "Last", "Total", "Chain"}, TakeOver: true,
		Progress: func(s framework.RebuildStatus) {
			fmt.Println("step", s.Phase)
			if s.Phase == spec.Rebuild {
				die(steps.Add(1))
			}
		},
	})
	return err
}

// TestC12Killed: a rebuild is killed in each phase, after a commit and before one, while a
// consumer receives events; the one after it goes on, and the last one ends it.
func TestC12Killed(t *testing.T) {
	each(t, "C12 killed", func(t *testing.T, at combination) {
		w, sends := newMendWorld(t, at, 6*mendRound)
		live := w.start()
		for _, spec := range []struct {
			phase string
			nth   int64
		}{{"clearing", 2}, {"clearing", 3}, {"replaying", 1}, {inHandler, 30}, {"replaying", 2}, {inHandler, 1}, {"replaying", 3}, {"ending", 1}, {"ending", 2}} {
			p := w.spawn(func(s *childSpec) { s.Rebuild, s.Nth = spec.phase, spec.nth })
			p.died()
			sends.send(mendRound)
			open, err := framework.OpenRebuild(t.Context(), w.db, w.group)
			require.NoError(t, err)
			require.NotNil(t, open, "after a death in %s", spec.phase)
		}
		o := framework.RebuildOptions{Models: []string{"Chain", "Total", "Last", "Bill"}}
		_, err := w.rebuild(o)
		var open *framework.RebuildOpenError
		require.ErrorAs(t, err, &open, "nobody knows yet that the process is gone")
		require.True(t, open.Alive)
		o.TakeOver = true
		_, err = w.rebuild(o)
		require.NoError(t, err)
		w.drain(mendPartitions)
		live.stop()
		w.wholeAgain()
		require.Empty(t, w.letters())
		require.Equal(t, w.fresh(), contentOf(t, w.db))
	})
}
