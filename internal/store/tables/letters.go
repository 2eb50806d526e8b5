package tables

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Unpublished is store.Store's.
func (p *Plain) Unpublished(ctx context.Context, key ledger.Key) (letters []*dlq.Letter, err error) {
	fields := Letters()
	err = p.Conn(ctx, func(conn *sql.Conn) error {
		letters, err = p.letters(ctx, conn, fields, "SELECT "+Names(fields)+" FROM evenkeel_dead_letters WHERE published_at IS NULL AND NOT swept AND grp = $1 AND topic_id = $2 AND partition = $3 AND cluster = $4 ORDER BY log_offset, id",
			key.Group, key.TopicID, key.Partition, key.Cluster)
		return p.Dialect.Classify(err)
	})
	return letters, err
}

// Leftovers is store.Store's.
func (p *Plain) Leftovers(ctx context.Context, group string, now, before time.Time, d time.Duration, limit int) (letters []*dlq.Letter, err error) {
	fields := Letters()
	err = p.Tx(ctx, func(q Querier) error {
		letters, err = p.letters(ctx, q, fields, "SELECT "+Names(fields)+" FROM evenkeel_dead_letters WHERE published_at IS NULL AND grp = $1 AND created_at < $2 AND claimed_until <= $3 ORDER BY topic_id, partition, log_offset, id LIMIT $4"+p.Dialect.SkipLocked,
			group, before.UnixMicro(), now.UnixMicro(), limit)
		if err != nil || len(letters) == 0 {
			return err
		}
		marks := make([]store.Mark, len(letters))
		for i, l := range letters {
			marks[i] = store.Mark{ID: l.ID, Rev: l.Rev}
		}
		_, err = p.exec(ctx, q, "UPDATE evenkeel_dead_letters SET claimed_until = $2 FROM "+p.Dialect.Marks+" WHERE evenkeel_dead_letters.id = m.id", MarksArg(marks), now.Add(d).UnixMicro())
		return err
	})
	return letters, err
}

func (p *Plain) letters(ctx context.Context, q Querier, fields []Field[dlq.Letter], sqlText string, args ...any) (letters []*dlq.Letter, err error) {
	err = p.query(ctx, q, sqlText, args, func(rows *sql.Rows) error {
		l, err := Scan(rows, fields)
		letters = append(letters, l)
		return err
	})
	return letters, err
}

// Mark is store.Store's.
func (p *Plain) Mark(ctx context.Context, marks []store.Mark) error {
	if len(marks) == 0 {
		return nil
	}
	return p.Tx(ctx, func(q Querier) error {
		_, err := p.exec(ctx, q, "UPDATE evenkeel_dead_letters SET published_at = "+p.Dialect.Now+" FROM "+p.Dialect.Marks+" WHERE evenkeel_dead_letters.id = m.id AND evenkeel_dead_letters.rev = m.rev", MarksArg(marks))
		return err
	})
}

// MarksArg is the parameter that Dialect.Marks reads.
func MarksArg(marks []store.Mark) string {
	if len(marks) == 0 {
		return "[]"
	}
	b, err := json.Marshal(marks)
	if err != nil {
		return "[]" // strings and numbers always marshal
	}
	return string(b)
}

// Retain is store.Store's. Each portion is a transaction of its own: one big delete
// holds its locks, and what vacuum may take away, for as long as it runs. The oldest have the
// lowest ids, or nearly so: one behind a portion of younger ones, whose writer's clock was
// ahead, goes when those go.
func (p *Plain) Retain(ctx context.Context, before time.Time, portion int) (total int64, err error) {
	for {
		var n int64
		err := p.Tx(ctx, func(q Querier) error {
			n, err = p.exec(ctx, q, "DELETE FROM evenkeel_verdicts WHERE at < $1 AND id IN (SELECT id FROM evenkeel_verdicts ORDER BY id LIMIT $2"+p.Dialect.SkipLocked+")", before.UnixMicro(), portion)
			return err
		})
		total += n
		if err != nil || n < int64(portion) {
			return total, err
		}
	}
}
