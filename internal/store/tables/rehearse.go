package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Rehearsing is what a store adds to rehearsals that all dialects share.
type Rehearsing struct {
	// Load reads and locks inside the transaction on the connection, and returns it with
	// its Tx.
	Load func(ctx context.Context, conn *sql.Conn, want *store.Want) (*store.Loaded, error)
	// Settled looks at what COMMIT would look at after the batch.
	Settled func(ctx context.Context, conn *sql.Conn, b *store.Batch) error
}

// rehearsal is store.Rehearsal.
type rehearsal struct {
	p    *Plain
	how  Rehearsing
	conn *sql.Conn
	lost bool
}

// Rehearse is store.Rehearsals'.
func (p *Plain) Rehearse(ctx context.Context, how Rehearsing) (store.Rehearsal, error) {
	conn, err := p.Pool.Conn(ctx)
	if err != nil {
		return nil, p.Dialect.Classify(err)
	}
	r := &rehearsal{p: p, how: how, conn: conn}
	for _, text := range [...]string{p.Dialect.Begin, p.Dialect.Brief} {
		if text == "" {
			continue
		}
		if _, err := conn.ExecContext(ctx, text); err != nil {
			r.lost = true
			r.End() //nolint:contextcheck // has to happen when ctx has ended, too
			return nil, p.Dialect.Classify(err)
		}
	}
	return r, nil
}

// End is store.Rehearsal's.
func (r *rehearsal) End() {
	if r.conn == nil {
		return
	}
	conn := r.conn
	r.conn = nil
	Rollback(context.Background(), conn)
	if r.lost {
		Discard(conn)
	}
	_ = conn.Close() // returns the connection to the pool
}

var errRehearsed = errors.New("evenkeel: the rehearsal has ended")

const rehearsed = "evenkeel_rehearsal"

// begin opens the savepoint that one call ends.
func (r *rehearsal) begin(ctx context.Context) error {
	if r.conn == nil || r.lost {
		return errRehearsed
	}
	return r.exec(ctx, "SAVEPOINT "+rehearsed)
}

func (r *rehearsal) keep(ctx context.Context) error {
	return r.exec(ctx, "RELEASE SAVEPOINT "+rehearsed)
}

// undo goes back to the savepoint, also when ctx has ended.
func (r *rehearsal) undo(ctx context.Context) {
	if r.conn == nil || r.lost {
		return
	}
	ctx = context.WithoutCancel(ctx)
	if r.exec(ctx, "ROLLBACK TO SAVEPOINT "+rehearsed) == nil {
		_ = r.keep(ctx) // the next call fails, too
	}
}

func (r *rehearsal) exec(ctx context.Context, text string) error {
	_, err := r.conn.ExecContext(ctx, text)
	if err != nil {
		r.lost = true
	}
	return r.p.Dialect.Classify(err)
}

// Replay is store.Rehearsal's.
func (r *rehearsal) Replay(ctx context.Context, m *store.LetterMove) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	untold := func(context.Context, Querier, *dlq.AuditEntry) error { return nil }
	if err := r.p.move(ctx, r.conn, m, false, untold); err != nil {
		r.undo(ctx)
		return ours(r.p.Dialect.Classify(err))
	}
	return r.keep(ctx)
}

// Parked is store.Rehearsal's.
func (r *rehearsal) Parked(ctx context.Context, id string) (row *store.Parked, err error) {
	if r.conn == nil || r.lost {
		return nil, errRehearsed
	}
	fields := Parkeds()
	err = r.p.query(ctx, r.conn, "SELECT "+Names(fields)+" FROM evenkeel_parked WHERE id = $1", []any{id}, func(rows *sql.Rows) error {
		row, err = Scan(rows, fields)
		return err
	})
	return row, r.p.Dialect.Classify(err)
}

// Due is store.Rehearsal's.
func (r *rehearsal) Due(ctx context.Context, group, entity string, now time.Time) (ids []string, err error) {
	if r.conn == nil || r.lost {
		return nil, errRehearsed
	}
	const due = `SELECT p.id FROM evenkeel_models m JOIN evenkeel_parked p ON p.grp = m.grp AND p.tbl = m.tbl
WHERE m.grp = $1 AND p.entity = $2 AND p.due <= $3 AND p.cause <> 'replay' ORDER BY p.place, p.id`
	err = r.p.query(ctx, r.conn, due, []any{group, entity, now.UnixMicro()}, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, r.p.Dialect.Classify(err)
}

// Lock is store.Rehearsal's.
func (r *rehearsal) Lock(ctx context.Context, want *store.Want) (store.Locked, error) {
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	loaded, err := r.how.Load(ctx, r.conn, want)
	if err != nil {
		r.undo(ctx)
		return nil, err
	}
	return &rehearsedBatch{r: r, loaded: loaded}, nil
}

// rehearsedBatch is the store.Locked of a rehearsal.
type rehearsedBatch struct {
	r      *rehearsal
	loaded *store.Loaded
	ended  bool
}

// Loaded is store.Locked's.
func (b *rehearsedBatch) Loaded() *store.Loaded { return b.loaded }

// Rollback is store.Locked's.
func (b *rehearsedBatch) Rollback() {
	if !b.ended {
		b.ended = true
		b.r.undo(context.Background())
	}
}

// Commit is store.Locked's.
func (b *rehearsedBatch) Commit(ctx context.Context, batch *store.Batch) error {
	if b.ended || b.r.conn == nil {
		return errRehearsed
	}
	err := b.loaded.Tx.Flush(ctx, batch.Quiet())
	if err == nil {
		err = b.r.resolve(ctx, batch)
	}
	if err == nil {
		err = b.r.how.Settled(ctx, b.r.conn, batch)
	}
	if err != nil {
		b.Rollback() //nolint:contextcheck // has to happen when ctx has ended, too
		return err
	}
	b.ended = true
	return b.r.keep(ctx)
}

// resolve is what a batch does to the letters whose replay it ends, as far as others look
// at it.
func (r *rehearsal) resolve(ctx context.Context, b *store.Batch) error {
	for _, end := range b.Resolve {
		state := dlq.Resolved
		if end.Outcome == "" {
			state = dlq.Open
		}
		n, err := r.p.exec(ctx, r.conn, "UPDATE evenkeel_dead_letters SET state = $2, outcome = $3, rev = rev + 1 WHERE id = $1 AND state = 'replaying'", end.ID, string(state), string(end.Outcome))
		if err != nil {
			return r.p.Dialect.Classify(err)
		}
		if n != 1 {
			return fmt.Errorf("%w (letter %s)", store.ErrConflict, end.ID)
		}
	}
	return nil
}
