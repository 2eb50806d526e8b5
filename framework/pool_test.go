package framework

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// handed is a clock whose time passes when somebody takes it along.
type handed struct {
	seam.Clock
	asked chan bool
	ticks chan time.Time
}

func (h handed) After(time.Duration) (<-chan time.Time, func()) {
	h.asked <- true
	return h.ticks, func() {}
}

// told is a logger that hands its lines on.
type told chan string

func (l told) Log(_ Level, text string, _ ...any) { l <- text }

// A pool that closes what it opens is told of, once; one that keeps its connections is not.
func TestPoolWithoutRoom(t *testing.T) {
	t.Parallel()
	db := testutil.SQLite(t)
	pool, err := db.DB()
	require.NoError(t, err)
	lines := make(told, 10)
	asked, ticks := make(chan bool), make(chan time.Time)
	c := &Consumer{cfg: Config{Logger: lines}, clock: handed{seam.System(), asked, ticks}}
	pool.SetMaxIdleConns(2)
	use := func(at, times int) {
		<-asked
		defer func() { ticks <- time.Time{} }()
		for range times {
			conns := make([]*sql.Conn, at)
			for i := range conns {
				conns[i], err = pool.Conn(t.Context())
				require.NoError(t, err)
			}
			for _, conn := range conns {
				require.NoError(t, conn.Close())
			}
		}
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); c.watchPool(pool, stop) }()
	use(4, poolClosed/2) // two of each four are closed
	use(4, poolClosed/2)
	pool.SetMaxIdleConns(4)
	use(4, poolClosed)
	require.Empty(t, lines)
	pool.SetMaxIdleConns(2)
	use(4, poolClosed/2+1)
	<-ended
	require.Contains(t, <-lines, "SetMaxIdleConns")
	require.Empty(t, lines)

	go func() { c.watchPool(pool, stop); close(lines) }()
	<-asked
	close(stop)
	_, more := <-lines
	require.False(t, more)
}
