package tables

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Edited is store.Rebuilds'. Of each partition the span of the offsets is read, in an index
// that has the edited letters alone: there are few of them, and many records.
func (p *Plain) Edited(ctx context.Context, group string, at []event.Coordinates) (found []*store.EditedLetter, err error) {
	type log struct {
		cluster, topicID string
		partition        int32
	}
	type span struct{ from, to int64 }
	spans, asked := map[log]span{}, map[log]map[int64]bool{}
	for i := range at {
		c := &at[i]
		k := log{c.Cluster, c.TopicID, c.Partition}
		s, ok := spans[k]
		if !ok {
			s, asked[k] = span{c.Offset, c.Offset}, map[int64]bool{}
		}
		spans[k] = span{min(s.from, c.Offset), max(s.to, c.Offset)}
		asked[k][c.Offset] = true
	}
	err = p.Conn(ctx, func(conn *sql.Conn) error {
		for k, s := range spans {
			err := p.query(ctx, conn, `SELECT id, handler, entity, log_offset, edits FROM evenkeel_dead_letters
WHERE grp = $1 AND topic_id = $2 AND partition = $3 AND log_offset BETWEEN $4 AND $5 AND edits <> '' AND cluster = $6
	AND `+HadEffect("")+` ORDER BY log_offset, id`,
				[]any{group, k.topicID, k.partition, s.from, s.to, k.cluster}, func(rows *sql.Rows) error {
					e := &store.EditedLetter{Coordinates: event.Coordinates{Cluster: k.cluster, TopicID: k.topicID, Partition: k.partition}}
					var edits string
					if err := rows.Scan(&e.ID, &e.Handler, &e.Entity, &e.Coordinates.Offset, &edits); err != nil {
						return err
					}
					all, err := dlq.DecodeEdits(edits)
					if err != nil || len(all) == 0 {
						return fmt.Errorf("letter %s: column edits: expected %w", e.ID, err)
					}
					if e.Revision = all[len(all)-1]; asked[k][e.Coordinates.Offset] && !e.Revision.Lost {
						found = append(found, e)
					}
					return nil
				})
			if err != nil {
				return p.Dialect.Classify(err)
			}
		}
		return nil
	})
	return found, err
}
