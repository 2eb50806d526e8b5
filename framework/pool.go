package framework

import (
	"database/sql"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/runtime"
)

const (
	// poolEvery is how often the database's pool is looked at, and poolClosed how many
	// connections it may have closed since, because there was no room for them among the idle.
	poolEvery  = time.Minute
	poolClosed = 60
)

// watchPool says once that connections come and go all the time. database/sql keeps two idle
// ones unless SetMaxIdleConns says more, lanes and the sweeper use several at once, and at
// PostgreSQL a login costs more than a batch. The pool is its owner's, so nothing is changed.
func (c *Consumer) watchPool(pool *sql.DB, stop <-chan struct{}) {
	before := pool.Stats().MaxIdleClosed
	c.every(poolEvery, stop, func() bool {
		closed := pool.Stats().MaxIdleClosed - before
		before += closed
		if closed <= poolClosed {
			return true
		}
		c.log(runtime.Warn, "the database's pool closes connections only to open others, as it keeps too few idle; call SetMaxIdleConns on the handle's *sql.DB with as many as are in use at busy times",
			"closed", closed, "in", poolEvery, "open", pool.Stats().OpenConnections)
		return false
	})
}
