//go:build unix

package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// TestEarly holds what is no matter of time: the process does not grow with what waits, no
// query reads what waits as a whole, and the sweeper leaves nothing.
func TestEarly(t *testing.T) { //nolint:paralleltest // it measures the process's heap
	for name, tt := range map[string]struct { //nolint:paralleltest // as above
		mode     Mode
		n        int
		postgres bool
	}{
		"placeholders, PostgreSQL": {placeholders, 21_000, true},
		"gaps, PostgreSQL":         {gaps, 6000, true},
		"placeholders, SQLite":     {placeholders, 6000, false},
		"gaps, SQLite":             {gaps, 3000, false},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			r := &run{n: tt.n, first: tt.n / 6, mode: tt.mode, partitions: 2, out: &out, interval: 20 * time.Millisecond}
			r.brokers = testutil.Kafka(t, testutil.KafkaEmbedded()).Brokers
			dsn := ""
			if tt.postgres {
				dsn = testutil.PostgresDSN(t)
				r.db = openPostgres(t, dsn)
			} else {
				r.db = testutil.SQLite(t)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			err := r.do(ctx)
			t.Log("\n" + out.String())
			require.NoError(t, err)

			require.Len(t, r.points, 6)
			first, last := r.points[0], r.points[5]
			require.Equal(t, tt.n, last.Events)
			require.Less(t, last.Heap, first.Heap+4*mib, "what waits must not be in memory")
			require.Equal(t, int64(tt.n), r.swept)
			r.compare()
			left, err := r.waiting(ctx)
			require.NoError(t, err)
			require.Zero(t, left)
			if tt.postgres {
				requireIndexes(t, r, dsn)
			}
		})
	}
}

// TestEarlyGoesOn: a run on a database that an interrupted one has left makes what is missing,
// and sweeps what is left.
func TestEarlyGoesOn(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{placeholders, gaps} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			db, brokers := testutil.SQLite(t), testutil.Kafka(t, testutil.KafkaEmbedded()).Brokers
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			next := func(n int) (*run, *bytes.Buffer) {
				out := &bytes.Buffer{}
				return &run{n: n, first: 100, mode: mode, partitions: 2, out: out, interval: 20 * time.Millisecond, db: db, brokers: brokers}, out
			}
			growing, _ := next(300)
			require.NoError(t, growing.prepare(ctx))
			require.NoError(t, growing.with(ctx, age, func(c *framework.Consumer) error { return growing.grow(ctx, c, 0) }))
			growing.client.Close()

			more, out := next(500)
			interrupted, stop := context.WithCancel(ctx)
			more.out = writer(func(b []byte) (int, error) {
				if bytes.HasPrefix(b, []byte("time passes")) {
					stop()
				}
				return out.Write(b)
			})
			require.ErrorIs(t, more.do(interrupted), context.Canceled)
			require.Equal(t, 200, more.points[len(more.points)-1].Events-300)
			require.Contains(t, out.String(), "300 are there already, of which 300 still wait")
			// As if the sweep had come that far.
			require.NoError(t, db.Exec("DELETE FROM evenkeel_parked WHERE id IN (SELECT id FROM evenkeel_parked LIMIT 120)").Error)
			require.NoError(t, db.Exec("DELETE FROM "+more.table.Name+" WHERE id IN (SELECT id FROM "+more.table.Name+" LIMIT 120)").Error)

			last, out := next(500)
			require.NoError(t, last.do(ctx))
			require.Contains(t, out.String(), "500 are there already, of which 380 still wait")
			require.EqualValues(t, 380, last.swept)
			left, err := last.waiting(ctx)
			require.NoError(t, err)
			require.Zero(t, left)
			last.compare()
			require.NotContains(t, out.String(), "they came at")
		})
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func openPostgres(t *testing.T, dsn string) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	require.NoError(t, err)
	return db
}

// requireIndexes asks the server how many rows it has read without an index. A table that is
// read whole each time would come to many times what it holds.
func requireIndexes(t *testing.T, r *run, dsn string) {
	t.Helper()
	// A session's numbers are known for certain when it has ended.
	pool, err := r.db.DB()
	require.NoError(t, err)
	require.NoError(t, pool.Close())
	db := openPostgres(t, dsn)
	defer func() {
		pool, err := db.DB()
		require.NoError(t, err)
		require.NoError(t, pool.Close())
	}()
	require.Eventually(t, func() bool {
		var sessions int64
		require.NoError(t, db.Raw("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'").Scan(&sessions).Error)
		return sessions == 0
	}, time.Minute, 10*time.Millisecond)
	var tables []struct {
		Relname    string
		SeqTupRead int64
		IdxScan    int64
	}
	require.NoError(t, db.Raw("SELECT relname, seq_tup_read, COALESCE(idx_scan, 0) AS idx_scan FROM pg_stat_user_tables").Scan(&tables).Error)
	looked := int64(0)
	for _, table := range tables {
		looked += table.IdxScan
		// A few times do no harm: the statement that lets time pass, and the first plans for rows
		// that are a good part of a small table.
		require.LessOrEqual(t, table.SeqTupRead, 10*int64(r.n), "%s is read whole again and again", table.Relname)
	}
	require.Greater(t, looked, int64(r.n))
}
