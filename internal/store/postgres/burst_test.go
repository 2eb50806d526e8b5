package postgres_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// burst is a database whose statistics are older than most of its rows, as they are when
// early events come in a burst.
type burst struct {
	*lane
	t *testing.T
}

const burstRows = 20_000

func newBurst(t *testing.T, analyzed bool) *burst {
	t.Helper()
	b := &burst{newLane(t, testutil.Postgres(t)), t}
	index, err := b.s.MissingIndex(t.Context(), b.table(), guards.Placeholder)
	require.NoError(t, err)
	b.exec(index)
	// One session, which can be asked what it has read.
	pool, err := b.db.DB()
	require.NoError(t, err)
	pool.SetMaxOpenConns(1)
	placeholder := b.row("seed", 1)
	placeholder.State = guards.Placeholder
	b.commit(t, &store.Batch{
		Insert:  []*store.Row{placeholder},
		Park:    []*store.Parked{parkedIn("seed", "seed", "", store.CauseRetry)},
		Memos:   []*store.Memo{{MemoKey: store.MemoKey{Kind: "sequence", Scope: "s", Entity: "seed"}, Body: "{}"}},
		IDs:     []*store.ID{{IDKey: store.IDKey{Scope: "s", Entity: "seed", ID: "1"}}},
		Origins: []*store.Origin{{OriginKey: store.OriginKey{Table: "accounts", Born: 1, Entity: "seed"}, Group: "g", ID: "seed", Record: &event.Record{}}},
	})
	for table, columns := range map[string]string{
		"accounts":         "'id', 'key-' || n, 'ek_born', n",
		"evenkeel_parked":  "'id', 'key-' || n, 'entity', 'key-' || n, 'due', n",
		"evenkeel_memos":   "'entity', 'key-' || n",
		"evenkeel_ids":     "'entity', 'key-' || n",
		"evenkeel_origins": "'id', 'key-' || n, 'entity', 'key-' || n, 'born', n",
	} {
		b.exec("ALTER TABLE " + table + " SET (autovacuum_enabled = false)")
		if analyzed {
			b.exec("ANALYZE " + table)
		}
		b.exec(fmt.Sprintf("INSERT INTO %[1]s SELECT (jsonb_populate_record(s, jsonb_build_object(%[2]s))).* FROM %[1]s s, generate_series(2, %[3]d) n", table, columns, burstRows))
	}
	return b
}

func (b *burst) exec(text string) {
	b.t.Helper()
	require.NoError(b.t, b.db.Exec(text).Error)
}

// load reads rows by their keys.
func (b *burst) load(keys []string) []*store.Row {
	b.t.Helper()
	loaded, err := b.s.Load(b.t.Context(), b.want(keys))
	require.NoError(b.t, err)
	return slices.Collect(maps.Values(loaded.Rows["accounts"]))
}

// removeOrphans sweeps rows and says how many went.
func (b *burst) removeOrphans(group string, keys []string) (n int, err error) {
	r := &store.OrphanRemoval{Group: group, Model: b.m, Now: now}
	for _, k := range keys {
		r.Orphans = append(r.Orphans, store.Orphan{Key: k, Rev: now.UnixMicro()})
	}
	gone, err := b.s.RemoveOrphans(b.t.Context(), r)
	for _, g := range gone {
		if g {
			n++
		}
	}
	return n, err
}

func (b *burst) table() store.Table { return store.Table{Name: "accounts", Key: "id"} }

// read is how many rows and index entries of a table have been read.
func (b *burst) read(table string) (n int64) {
	b.t.Helper()
	b.exec("SELECT pg_stat_force_next_flush()")
	err := b.db.Session(&gorm.Session{NewDB: true}).Raw("SELECT seq_tup_read + (SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes i WHERE i.relid = t.relid) FROM pg_stat_user_tables t WHERE relname = ?", table).Scan(&n).Error
	require.NoError(b.t, err)
	return n
}

// TestLooksAtABurstGoByIndex: what wants few of many rows reads few, although the planner
// has not heard of most of them.
func TestLooksAtABurstGoByIndex(t *testing.T) {
	t.Parallel()
	for name, analyzed := range map[string]bool{"statistics of one row": true, "no statistics": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			looksGoByIndex(t, newBurst(t, analyzed))
		})
	}
}

func looksGoByIndex(t *testing.T, b *burst) {
	t.Helper()
	const few = 100
	keys := make([]string, few)
	memos, ids := make([]store.MemoKey, few), make([]store.IDKey, few)
	first := 1
	next := func() { // what was written has left dead versions
		first++
		for i := range keys {
			keys[i] = fmt.Sprint("key-", first+i*burstRows/few)
			memos[i] = store.MemoKey{Kind: "sequence", Scope: "s", Entity: keys[i]}
			ids[i] = store.IDKey{Scope: "s", Entity: keys[i], ID: "1"}
		}
	}
	next()
	long := now.Add(1000 * time.Hour)
	for _, tt := range []struct {
		name, table string
		look        func() (int, error)
	}{
		{"a page of placeholders", "accounts", func() (int, error) {
			page, err := b.s.Aged(t.Context(), store.AgedQuery{Table: b.table(), State: guards.Placeholder, Before: long, Limit: few})
			return len(page), err
		}},
		{"a page of origins", "evenkeel_origins", func() (int, error) {
			page, err := b.s.Origins(t.Context(), "g", "accounts", long, store.OriginKey{}, few)
			return len(page), err
		}},
		{"a batch's rows", "accounts", func() (int, error) {
			loaded, err := b.s.Load(t.Context(), b.want(keys))
			require.NoError(t, err)
			return len(loaded.Rows["accounts"]), err
		}},
		{"a batch's memos", "evenkeel_memos", func() (int, error) {
			loaded, err := b.s.Load(t.Context(), &store.Want{Group: "g", Memos: memos})
			require.NoError(t, err)
			return len(loaded.Memos), err
		}},
		{"a batch's ids", "evenkeel_ids", func() (int, error) {
			loaded, err := b.s.Load(t.Context(), &store.Want{Group: "g", IDs: ids})
			require.NoError(t, err)
			return len(loaded.IDs), err
		}},
		{"rows that a batch changes", "accounts", func() (int, error) {
			rows := b.load(keys)
			next()
			b.commit(t, &store.Batch{Update: rows})
			return len(rows), nil
		}},
		{"rows that a sweep removes", "accounts", func() (int, error) {
			next()
			return b.removeOrphans("h", keys) // of another group nothing is parked
		}},
		{"what waits for rows that a sweep would remove", "evenkeel_parked", func() (int, error) {
			next()
			gone, err := b.removeOrphans("g", keys)
			return few - gone, err
		}},
		{"rows that a purge removes", "accounts", func() (int, error) {
			next()
			rows := b.load(keys)
			return len(rows), b.s.Commit(t.Context(), &store.Batch{Group: "g", Now: now, Delete: rows})
		}},
		{"what a batch releases", "evenkeel_parked", func() (int, error) {
			marks := make([]store.Mark, few)
			for i := range marks {
				marks[i] = store.Mark{ID: keys[i], Rev: 1}
			}
			next()
			return few, b.s.Commit(t.Context(), &store.Batch{Group: "g", Now: now, Release: marks})
		}},
		{"what is due", "evenkeel_parked", func() (int, error) {
			rows, err := b.s.Due(t.Context(), &store.DueQuery{Group: "g", Now: time.UnixMicro(burstRows / 2), Lease: time.Hour, Limit: few, PerKey: 10})
			return len(rows), err
		}},
		{"memos that a batch changes", "evenkeel_memos", func() (int, error) {
			loaded, err := b.s.Load(t.Context(), &store.Want{Group: "g", Memos: memos})
			require.NoError(t, err)
			next()
			b.commit(t, &store.Batch{Memos: slices.Collect(maps.Values(loaded.Memos))})
			return len(loaded.Memos), nil
		}},
		{"origins that a sweep forgets", "evenkeel_origins", func() (int, error) {
			forget := make([]store.OriginKey, few)
			for i := range forget {
				var born int64
				_, err := fmt.Sscanf(keys[i], "key-%d", &born)
				require.NoError(t, err)
				forget[i] = store.OriginKey{Table: "accounts", Born: born, Entity: keys[i]}
			}
			next()
			return few, b.s.Commit(t.Context(), &store.Batch{Group: "g", Now: now, Forget: forget})
		}},
		{"what a batch wakes", "evenkeel_parked", func() (int, error) {
			wake, streams := make([]store.QueueKey, few), make([]store.WakeStream, few)
			for i := range wake {
				wake[i] = store.QueueKey{Table: "accounts", Entity: keys[i]}
				streams[i] = store.WakeStream{StreamKey: store.StreamKey{Stream: "s", Entity: keys[i]}, Next: 1}
			}
			next()
			return few, b.s.Commit(t.Context(), &store.Batch{Group: "g", Now: now, Wake: wake, WakeStreams: streams})
		}},
	} {
		for range 7 { // the server keeps a plan after five
			before := b.read(tt.table)
			n, err := tt.look()
			require.NoError(t, err)
			require.Equal(t, few, n, tt.name)
			if !assert.LessOrEqual(t, b.read(tt.table)-before, int64(10*few), tt.name) {
				break
			}
		}
	}
}
