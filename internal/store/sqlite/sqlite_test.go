package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	gormlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
	"github.com/evenkeel-go/evenkeel/internal/store/sqlite"
	"github.com/evenkeel-go/evenkeel/internal/store/storetest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) *gorm.DB { t.Helper(); return testutil.SQLite(t) })
}

// TestTwoProcesses: two pools on one file, as two processes have, and opened as a user may
// who did not read how; each reads, adds one and writes under the revision that it read.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	dsn := "file:" + filepath.Join(t.TempDir(), "shared.db") + "?_journal_mode=WAL&_busy_timeout=10000"
	ctx := t.Context()
	var g errgroup.Group
	const rounds = 25
	ready := make(chan struct{})
	for i := range 2 {
		pool, err := gorm.Open(gormlite.Open(dsn), &gorm.Config{Logger: logger.Discard})
		require.NoError(t, err)
		db, err := pool.DB()
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		if i == 0 {
			require.NoError(t, migrations.Up(ctx, pool))
			require.NoError(t, pool.AutoMigrate(&counter{}))
			require.NoError(t, pool.Create(&counter{ID: "a"}).Error)
		}
		reg := handlers.NewRegistry()
		handlers.Set(reg, "count", func(context.Context, *handlers.Delivery[struct{}, counter]) error { return nil })
		w, err := reg.Wire(pool.NamingStrategy)
		require.NoError(t, err)
		s, err := sqlite.New(pool)
		require.NoError(t, err)
		layouts, err := s.Claim(ctx, "g", w.Models, false)
		require.NoError(t, err)
		want := &store.Want{Group: "g", Rows: []store.WantRows{{Model: w.Models[0], Layout: layouts[0], Keys: []string{"a"}}}}
		g.Go(func() error {
			<-ready
			for round := 0; round < rounds; {
				l, err := s.Load(ctx, want)
				if err != nil {
					return err
				}
				r := l.Rows["counters"]["a"]
				r.Entity.Interface().(*counter).N++
				switch err := s.Commit(ctx, &store.Batch{Group: "g", Now: time.UnixMicro(1), Update: []*store.Row{r}}); {
				case err == nil:
					round++
				case !errors.Is(err, store.ErrConflict):
					return err
				}
			}
			return nil
		})
		if i == 1 {
			close(ready)
			require.NoError(t, g.Wait())
			var c counter
			require.NoError(t, pool.Take(&c).Error)
			require.Equal(t, int64(2*rounds), c.N)
		}
	}
}

type counter struct {
	ID string `gorm:"primaryKey"`
	N  int64
	guards.Guarded
}
