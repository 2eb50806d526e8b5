package tables

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Outbounds are the columns of evenkeel_outbox but seq, swept and claimed_until.
func Outbounds() []Field[store.Outbound] {
	type o = store.Outbound
	return slices.Concat(
		[]Field[o]{
			text("id", func(t *o) *string { return &t.ID }),
			text("grp", func(t *o) *string { return &t.Group }),
			text("event_type", func(t *o) *string { return &t.EventType }),
			text("to_topic", func(t *o) *string { return &t.Topic }),
			nullable("record_key", func(t *o) *[]byte { return &t.Key }),
			nullable("record_value", func(t *o) *[]byte { return &t.Value }),
			{
				Name: "headers", Kind: Bytes,
				Bytes: func(t *o) ([]byte, bool) { return dlq.EncodeHeaders(t.Headers), false },
				set: func(t *o, cell any) (err error) {
					t.Headers, err = dlq.DecodeHeaders(*cell.(*[]byte))
					return err
				},
			},
			instant("record_time", func(t *o) *time.Time { return &t.Timestamp }),
			instant("created_at", func(t *o) *time.Time { return &t.CreatedAt }),
			flag("swept", func(t *o) *bool { return &t.Swept }),
		},
		coordinateFields(func(t *o) *event.Coordinates { return &t.Origin }),
	)
}

// OutboundConflict leaves a row as it is that is there already: it is the same event.
const OutboundConflict = " ON CONFLICT (id) DO NOTHING"

// Unsent is store.Outbox's.
func (p *Plain) Unsent(ctx context.Context, key ledger.Key) (out []*store.Outbound, err error) {
	fields := Outbounds()
	err = p.Conn(ctx, func(conn *sql.Conn) error {
		out, err = p.outbounds(ctx, conn, fields, "SELECT "+Names(fields)+" FROM evenkeel_outbox WHERE grp = $1 AND topic_id = $2 AND partition = $3 AND cluster = $4 AND NOT swept ORDER BY seq",
			key.Group, key.TopicID, key.Partition, key.Cluster)
		return p.Dialect.Classify(err)
	})
	return out, err
}

// abandoned is for how long the row of a lane is left alone, beyond other leftovers: the
// partition's next owner sends it. Only a topic that nobody reads any more has none.
const abandoned = time.Hour

// UnsentLeftovers is store.Outbox's. What stands first under its topic and key is locked,
// and so the key is this claimer's; what others have locked is skipped, and its key with
// it.
func (p *Plain) UnsentLeftovers(ctx context.Context, group string, now, before time.Time, d time.Duration, limit int) (out []*store.Outbound, err error) {
	fields := Outbounds()
	err = p.Tx(ctx, func(q Querier) error {
		out = nil
		var heads []store.Mark
		err := p.query(ctx, q, `SELECT o.seq FROM evenkeel_outbox o WHERE o.grp = $1 AND o.created_at < $2 AND (o.swept OR o.created_at < $5) AND o.claimed_until <= $3
			AND NOT EXISTS (SELECT 1 FROM evenkeel_outbox e WHERE e.grp = o.grp AND e.to_topic = o.to_topic
				AND substr(e.record_key, 1, 200) = substr(o.record_key, 1, 200) AND e.record_key = o.record_key AND e.seq < o.seq)
			ORDER BY o.seq LIMIT $4`+p.Dialect.SkipLocked,
			[]any{group, before.UnixMicro(), now.UnixMicro(), limit, before.Add(-abandoned).UnixMicro()}, func(rows *sql.Rows) error {
				var m store.Mark
				err := rows.Scan(&m.Rev)
				heads = append(heads, m)
				return err
			})
		if err != nil || len(heads) == 0 {
			return err
		}
		out, err = p.outbounds(ctx, q, fields, "SELECT o."+strings.ReplaceAll(Names(fields), ", ", ", o.")+" FROM evenkeel_outbox o, evenkeel_outbox h, "+p.Dialect.Marks+`
			WHERE h.seq = m.rev AND o.grp = h.grp AND o.to_topic = h.to_topic AND o.created_at < $2 AND (o.swept OR o.created_at < $4)
				AND (o.seq = h.seq OR substr(o.record_key, 1, 200) = substr(h.record_key, 1, 200) AND o.record_key = h.record_key)
			ORDER BY o.seq LIMIT $3`, MarksArg(heads), before.UnixMicro(), limit, before.Add(-abandoned).UnixMicro())
		if err != nil {
			return err
		}
		claim := make([]store.Mark, len(out))
		for i, o := range out {
			claim[i].ID = o.ID
		}
		_, err = p.exec(ctx, q, "UPDATE evenkeel_outbox SET claimed_until = $2 FROM "+p.Dialect.Marks+" WHERE evenkeel_outbox.id = m.id", MarksArg(claim), now.Add(d).UnixMicro())
		return err
	})
	return out, err
}

// post puts what no batch has made into the outbox.
func (p *Plain) post(ctx context.Context, q Querier, o *store.Outbound) error {
	fields := Outbounds()
	marks, args := make([]string, len(fields)), make([]any, len(fields))
	for i := range fields {
		marks[i], args[i] = fmt.Sprintf("$%d", i+1), fields[i].Arg(o)
	}
	_, err := p.exec(ctx, q, "INSERT INTO evenkeel_outbox ("+Names(fields)+") VALUES ("+strings.Join(marks, ", ")+")", args...)
	return err
}

func (p *Plain) outbounds(ctx context.Context, q Querier, fields []Field[store.Outbound], sqlText string, args ...any) (out []*store.Outbound, err error) {
	err = p.query(ctx, q, sqlText, args, func(rows *sql.Rows) error {
		o, err := Scan(rows, fields)
		out = append(out, o)
		return err
	})
	return out, err
}

// Sent is store.Outbox's.
func (p *Plain) Sent(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	marks := make([]store.Mark, len(ids))
	for i, id := range ids {
		marks[i].ID = id
	}
	return p.Tx(ctx, func(q Querier) error {
		_, err := p.exec(ctx, q, "DELETE FROM evenkeel_outbox WHERE id IN (SELECT m.id FROM "+p.Dialect.Marks+")", MarksArg(marks))
		return err
	})
}
