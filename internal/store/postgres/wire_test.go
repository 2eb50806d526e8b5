package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	gormpg "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/storetest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// wire watches the bytes between a store and its server, and cuts them when told to.
type wire struct {
	mu         sync.Mutex
	statements int // executed, however they were sent
	trips      int // times that the client waited for an answer
	// cutRequest fails the next write that holds this; cutAnswer lets it through and
	// fails the read of what comes back.
	cutRequest, cutAnswer []byte
}

var errCut = errors.New("the wire was cut")

type watched struct {
	net.Conn
	w      *wire
	buf    []byte
	inside bool // past the startup message, which has no type
	answer bool // the next answer is cut
}

func (c *watched) Write(b []byte) (int, error) {
	c.w.mu.Lock()
	if len(c.w.cutRequest) > 0 && bytes.Contains(b, c.w.cutRequest) {
		c.w.cutRequest = nil
		c.w.mu.Unlock()
		return 0, errors.Join(errCut, c.Close())
	}
	if len(c.w.cutAnswer) > 0 && bytes.Contains(b, c.w.cutAnswer) {
		c.w.cutAnswer = nil
		c.answer = true
	}
	c.buf = append(c.buf, b...)
	for {
		lead := 1
		if !c.inside {
			lead = 0
		}
		if len(c.buf) < lead+4 {
			break
		}
		n := lead + int(binary.BigEndian.Uint32(c.buf[lead:]))
		if len(c.buf) < n {
			break
		}
		if c.inside {
			switch c.buf[0] {
			case 'E':
				c.w.statements++
			case 'Q':
				// pgx asks a connection that was idle for a second whether it is there.
				if !bytes.HasPrefix(c.buf[lead+4:], []byte("-- ping")) {
					c.w.statements++
					c.w.trips++
				}
			case 'S':
				c.w.trips++
			}
		}
		c.inside = true
		c.buf = c.buf[n:]
	}
	c.w.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *watched) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.answer && n > 0 {
		// The server sends nothing before it has done all, COMMIT included.
		return 0, errors.Join(errCut, c.Close())
	}
	return n, err
}

func (w *wire) reset() { w.statements, w.trips = 0, 0 }

func (w *wire) open(tb testing.TB, change func(*pgx.ConnConfig)) *gorm.DB {
	tb.Helper()
	config, err := pgx.ParseConfig(testutil.PostgresDSN(tb))
	require.NoError(tb, err)
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &watched{Conn: c, w: w}, nil
	}
	if change != nil {
		change(config)
	}
	pool := stdlib.OpenDB(*config)
	tb.Cleanup(func() { require.NoError(tb, pool.Close()) })
	db, err := gorm.Open(gormpg.New(gormpg.Config{Conn: pool}), &gorm.Config{Logger: logger.Discard})
	require.NoError(tb, err)
	return db
}

func TestStatementsDoNotGrowWithTheBatch(t *testing.T) {
	t.Parallel()
	w := &wire{}
	l := newLane(t, w.open(t, nil))
	for _, size := range []int{1, 10, 1000} {
		var rows []*store.Row
		var keys []string
		b := &store.Batch{}
		want := l.want(nil)
		for i := range size {
			keys = append(keys, fmt.Sprintf("%d-%d", size, i))
			rows = append(rows, l.row(keys[i], 1))
			if i%2 == 0 {
				b.Verdicts = append(b.Verdicts, store.Verdict{EventID: keys[i]})
				b.Letters = append(b.Letters, &dlq.Letter{ID: keys[i], Rev: 1, State: dlq.Open, Group: "g", Record: &event.Record{}})
				b.Marks = append(b.Marks, store.Mark{ID: keys[i], Rev: 1})
				b.Outbox = append(b.Outbox, &store.Outbound{ID: keys[i], Group: "g"})
				b.Sent = append(b.Sent, keys[i])
				b.Park = append(b.Park, &store.Parked{ID: keys[i], Group: "g", Table: "accounts", Entity: keys[i], Stream: "s", Cause: store.CauseGap, Rev: 1, Record: &event.Record{}})
			}
			want.IDs = append(want.IDs, store.IDKey{Scope: "s", Entity: keys[i], ID: "1"})
			want.Memos = append(want.Memos, store.MemoKey{Kind: "sequence", Scope: "s", Entity: keys[i]})
			want.Streams = append(want.Streams, store.StreamKey{Stream: "s", Entity: keys[i]})
		}
		l.commit(t, &store.Batch{Insert: rows[:(size+1)/2]})
		want.Memos = append(want.Memos, store.HorizonOf("s"))
		for range 2 { // the first time a connection learns the statements
			want.Rows = l.want(keys).Rows
			want.Rows[0].Parked = true
			w.reset()
			loaded, err := l.s.Load(t.Context(), want)
			require.NoError(t, err)
			b.Insert, b.Update, b.Memos, b.IDs, b.Release = nil, nil, nil, nil, nil
			for _, k := range want.Memos {
				if k.Kind == store.KindHorizon {
					continue // read, and no batch's to write
				}
				memo := &store.Memo{MemoKey: k}
				if have := loaded.Memos[k]; have != nil {
					memo.Rev = have.Rev
				}
				b.Memos = append(b.Memos, memo)
			}
			for _, k := range want.IDs {
				b.IDs = append(b.IDs, &store.ID{IDKey: k, Known: loaded.IDs[k] != nil})
			}
			for _, st := range loaded.Streams {
				for _, p := range st.Rows {
					b.Release = append(b.Release, store.Mark{ID: p.ID, Rev: p.Rev})
				}
			}
			for i, k := range keys {
				if r := loaded.Rows["accounts"][k]; r != nil {
					b.Update = append(b.Update, r)
				} else {
					b.Insert = append(b.Insert, rows[i])
				}
			}
			l.commit(t, b)
			t.Logf("%d events, %d rows made, %d changed: %d statements in %d round trips", size, len(b.Insert), len(b.Update), w.statements, w.trips)
			require.LessOrEqual(t, w.statements, 14)
		}
		// One to load, one to write, and one more where the connection learns a statement.
		require.LessOrEqual(t, w.trips, 3)
	}
}

func TestLostCommit(t *testing.T) {
	t.Parallel()
	const marker = "the batch that is cut off"
	for _, c := range []struct {
		name      string
		committed bool
	}{{"before it arrives", false}, {"before its answer arrives", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := &wire{}
			l := newLane(t, w.open(t, nil))
			l.commit(t, &store.Batch{Insert: []*store.Row{l.row("warm", 1)}}) // so that all goes in one trip
			r := l.row("a", 1)
			r.Entity.Interface().(*account).Owner = marker
			if c.committed {
				w.cutAnswer = []byte(marker)
			} else {
				w.cutRequest = []byte(marker)
			}
			err := l.s.Commit(t.Context(), l.batch(&store.Batch{Insert: []*store.Row{r}}))
			var unknown *store.UnknownError
			require.ErrorAs(t, err, &unknown)
			state, err := l.s.Settle(t.Context(), l.ledger.Key)
			require.NoError(t, err)
			loaded, err := l.s.Load(t.Context(), l.want([]string{"a"}))
			require.NoError(t, err)
			if c.committed {
				require.Equal(t, l.ledger.Rev+1, state.Rev)
				require.Len(t, loaded.Rows["accounts"], 1)
				return
			}
			require.Equal(t, l.ledger.Rev, state.Rev)
			require.Empty(t, loaded.Rows["accounts"])
		})
	}
}

func TestCutLoadIsTransient(t *testing.T) {
	t.Parallel()
	w := &wire{}
	l := newLane(t, w.open(t, nil))
	_, err := l.s.Load(t.Context(), l.want([]string{"warm"}))
	require.NoError(t, err)
	w.cutAnswer = []byte("evenkeel_")
	var transient *store.TransientError
	_, err = l.s.Load(t.Context(), l.want([]string{"a"}))
	require.ErrorAs(t, err, &transient)
	require.True(t, transient.Away)
	_, err = l.s.Load(t.Context(), l.want([]string{"a"}))
	require.NoError(t, err)
}

// TestPoolers runs the whole suite as behind a pooler that gives each transaction another
// session, where no statement can be prepared.
func TestPoolers(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) *gorm.DB {
		t.Helper()
		return (&wire{}).open(t, func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = pgx.QueryExecModeExec })
	})
}

func TestEndedContextIsNotUnknown(t *testing.T) {
	t.Parallel()
	l := newLane(t, testutil.Postgres(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := l.s.Commit(ctx, l.batch(&store.Batch{Insert: []*store.Row{l.row("a", 1)}}))
	var transient *store.TransientError
	require.ErrorAs(t, err, &transient)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, transient.Away)
}

// TestChangedTable: what a connection has prepared before a column changed must not fail
// for ever.
func TestChangedTable(t *testing.T) {
	t.Parallel()
	l := newLane(t, testutil.Postgres(t))
	pool, err := l.db.DB()
	require.NoError(t, err)
	pool.SetMaxOpenConns(1)
	l.commit(t, &store.Batch{Insert: []*store.Row{l.row("a", 1)}})
	load := func() error {
		_, err := l.s.Load(t.Context(), l.want([]string{"a"}))
		return err
	}
	require.NoError(t, load())
	require.NoError(t, l.db.Exec("ALTER TABLE accounts ALTER COLUMN owner TYPE varchar(50), ADD COLUMN more text").Error)
	_ = load() // the server refuses its cached plan once
	require.NoError(t, load())
	_, err = l.s.Claim(t.Context(), "g", []*handlers.Model{l.m}, false)
	require.NoError(t, err)
	require.NoError(t, load())
}

func TestKeyInTwoForms(t *testing.T) {
	t.Parallel()
	db := testutil.Postgres(t)
	require.NoError(t, db.Exec("CREATE TABLE accounts (id uuid PRIMARY KEY)").Error)
	l := newLane(t, db)
	const lower, upper = "0197f3c2-0000-7000-8000-0000000000ab", "0197F3C2-0000-7000-8000-0000000000AB"
	l.commit(t, &store.Batch{Insert: []*store.Row{l.row(upper, 1)}})
	for _, form := range []string{upper, lower} {
		loaded, err := l.s.Load(t.Context(), l.want([]string{form}))
		require.NoError(t, err)
		r := loaded.Rows["accounts"][form]
		require.NotNil(t, r, "found under the text that was asked for")
		l.commit(t, &store.Batch{Update: []*store.Row{r}})
	}
	var data *store.DataError
	_, err := l.s.Load(t.Context(), l.want([]string{upper, lower}))
	require.ErrorAs(t, err, &data)
	require.ErrorContains(t, err, "two entity keys")
	_, err = l.s.Load(t.Context(), l.want([]string{"no uuid"}))
	require.ErrorAs(t, err, &data)
	require.Equal(t, "22P02", data.State)
}
