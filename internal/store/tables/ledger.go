package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

const ledgerColumns = "topic, epoch, rev, next_offset, high_offset, watermark, gaps, done, lamport"

// SetLedger is the ledger's compare-and-set (R16) up to its RETURNING: parameters $1 to
// $13 are LedgerArgs.
const SetLedger = "UPDATE evenkeel_ledger SET rev = rev + 1, next_offset = $1, high_offset = $2, watermark = $3, gaps = $4, done = $5, updated_at = $6, lamport = $13 " +
	"WHERE cluster = $7 AND topic_id = $8 AND grp = $9 AND partition = $10 AND epoch = $11 AND rev = $12"

// LedgerArgs are the parameters of SetLedger.
func LedgerArgs(s *ledger.State, nowMicros int64) []any {
	var watermark any
	if s.HasWatermark {
		watermark = s.Watermark
	}
	return []any{
		s.Next, s.High, watermark, EncodeRanges(s.Gaps), EncodeRanges(s.Done), nowMicros,
		s.Cluster, s.TopicID, s.Group, s.Partition, s.Epoch, s.Rev, s.Lamport,
	}
}

// Topic is store.Store's.
func (p *Plain) Topic(ctx context.Context, cluster, topicID, topic, group string, partitions int32) (first int32, known bool, err error) {
	err = p.Tx(ctx, func(q Querier) error {
		n, err := p.exec(ctx, q, "INSERT INTO evenkeel_topics (cluster, topic_id, grp, topic, partitions, seen_at) VALUES ($1, $2, $3, $4, $5, "+p.Dialect.Now+") ON CONFLICT DO NOTHING",
			cluster, topicID, group, topic, partitions)
		if err != nil {
			return err
		}
		known = n == 0
		return q.QueryRowContext(ctx, p.Dialect.Rebind("SELECT partitions FROM evenkeel_topics WHERE cluster = $1 AND topic_id = $2 AND grp = $3"), cluster, topicID, group).Scan(&first)
	})
	return first, known, err
}

// Own is store.Store's.
func (p *Plain) Own(ctx context.Context, key ledger.Key, topic, owner string) (state ledger.State, found bool, err error) {
	err = p.Tx(ctx, func(q Querier) error {
		row := q.QueryRowContext(ctx, p.Dialect.Rebind("INSERT INTO evenkeel_ledger (cluster, topic_id, grp, partition, topic, epoch, rev, next_offset, high_offset, gaps, done, owner, owned_at) "+
			"VALUES ($1, $2, $3, $4, $5, 1, 0, -1, -1, '', '', $6, "+p.Dialect.Now+") "+
			"ON CONFLICT (cluster, topic_id, grp, partition) DO UPDATE SET epoch = evenkeel_ledger.epoch + 1, topic = excluded.topic, owner = excluded.owner, owned_at = excluded.owned_at RETURNING "+ledgerColumns),
			key.Cluster, key.TopicID, key.Group, key.Partition, topic, owner)
		state, err = scanLedger(row, key)
		return err
	})
	return state, state.High >= 0, err
}

// Position is store.Store's.
func (p *Plain) Position(ctx context.Context, s ledger.State) (ledger.State, error) {
	err := p.Tx(ctx, func(q Querier) error {
		var now int64
		if err := q.QueryRowContext(ctx, "SELECT "+p.Dialect.Now).Scan(&now); err != nil {
			return err
		}
		n, err := p.exec(ctx, q, SetLedger, LedgerArgs(&s, now)...)
		if err == nil && n != 1 {
			err = store.ErrFenced
		}
		return err
	})
	if err != nil {
		return s, err
	}
	s.Rev++
	return s, nil
}

// Settle is store.Store's. The lock waits for the transaction whose COMMIT was lost; a
// plain read could come before it ends, and say "not committed" falsely.
func (p *Plain) Settle(ctx context.Context, key ledger.Key) (state ledger.State, err error) {
	err = p.Tx(ctx, func(q Querier) error {
		row := q.QueryRowContext(ctx, p.Dialect.Rebind("SELECT "+ledgerColumns+" FROM evenkeel_ledger WHERE cluster = $1 AND topic_id = $2 AND grp = $3 AND partition = $4"+p.Dialect.ForUpdate),
			key.Cluster, key.TopicID, key.Group, key.Partition)
		state, err = scanLedger(row, key)
		if errors.Is(err, sql.ErrNoRows) {
			// Somebody has removed the row; whoever owned it owns nothing.
			return fmt.Errorf("%w: the ledger row is gone", store.ErrFenced)
		}
		return err
	})
	return state, err
}

func scanLedger(row interface{ Scan(dest ...any) error }, key ledger.Key) (ledger.State, error) {
	s := ledger.State{Key: key}
	var watermark sql.NullInt64
	var gaps, done string
	if err := row.Scan(&s.Topic, &s.Epoch, &s.Rev, &s.Next, &s.High, &watermark, &gaps, &done, &s.Lamport); err != nil {
		return s, err
	}
	s.Watermark, s.HasWatermark = watermark.Int64, watermark.Valid
	var err error
	if s.Gaps, err = DecodeRanges(gaps); err != nil {
		return s, err
	}
	s.Done, err = DecodeRanges(done)
	return s, err
}

// Lamport is store.Store's.
func (p *Plain) Lamport(ctx context.Context, group string) (highest int64, err error) {
	err = p.Conn(ctx, func(conn *sql.Conn) error {
		row := conn.QueryRowContext(ctx, p.Dialect.Rebind("SELECT coalesce(max(lamport), 0) FROM evenkeel_ledger WHERE grp = $1"), group)
		if err := row.Scan(&highest); err != nil {
			return p.Dialect.Classify(err)
		}
		return nil
	})
	return highest, err
}

// Now is store.Store's.
func (p *Plain) Now(ctx context.Context) (now time.Time, err error) {
	err = p.Conn(ctx, func(conn *sql.Conn) error {
		var n int64
		if err := conn.QueryRowContext(ctx, "SELECT "+p.Dialect.Now).Scan(&n); err != nil {
			return p.Dialect.Classify(err)
		}
		now = time.UnixMicro(n).UTC()
		return nil
	})
	return now, err
}
