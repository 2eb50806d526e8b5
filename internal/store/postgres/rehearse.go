package postgres

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// Rehearse is store.Rehearsals'.
func (s *Store) Rehearse(ctx context.Context) (store.Rehearsal, error) {
	return s.Plain.Rehearse(ctx, tables.Rehearsing{Load: s.rehearse, Settled: settled})
}

// rehearse is Lock inside a transaction that is open already.
func (s *Store) rehearse(ctx context.Context, conn *sql.Conn, want *store.Want) (*store.Loaded, error) {
	l := &locked{s: s, conn: conn}
	err := raw(conn, func(c *pgx.Conn) error {
		p := newPipe(c)
		var err error
		if l.loaded, err = s.load(ctx, p, want, true); err != nil {
			return err
		}
		_, err = p.run(ctx)
		return err
	})
	if err != nil {
		if stale(err) {
			tables.Discard(conn)
		}
		return nil, classify(err)
	}
	l.loaded.Tx = l
	return l.loaded, nil
}

// settled asks the constraints that are deferred to COMMIT. They stay as the transaction
// has set them: going back to a savepoint undoes that, too.
func settled(ctx context.Context, conn *sql.Conn, _ *store.Batch) error {
	return classify(raw(conn, func(c *pgx.Conn) error {
		const look = "SAVEPOINT evenkeel_settled; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO SAVEPOINT evenkeel_settled; RELEASE SAVEPOINT evenkeel_settled"
		_, err := c.PgConn().Exec(ctx, look).ReadAll()
		return err
	}))
}
