package tables

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Beat is store.Consumers'.
func (p *Plain) Beat(ctx context.Context, m *store.Member) (controls []store.Control, err error) {
	state, err := json.Marshal(&m.State)
	if err != nil {
		return nil, err
	}
	err = p.Tx(ctx, func(q Querier) error {
		controls = nil
		_, err := p.exec(ctx, q, "INSERT INTO evenkeel_members (id, grp, owner, version, started, seen, state) VALUES ($1, $2, $3, $4, $5, "+p.Dialect.Now+", $6)"+
			" ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, state = excluded.state",
			m.ID, m.Group, clean(m.Owner), clean(m.Version), m.Started.UnixMicro(), clean(string(state)))
		if err != nil {
			return err
		}
		if _, err := p.exec(ctx, q, "DELETE FROM evenkeel_members WHERE grp = $1 AND seen < "+p.Dialect.Now+" - $2", m.Group, store.MemberSilence.Microseconds()); err != nil {
			return err
		}
		return p.query(ctx, q, "SELECT topic, partition, paused, resumes, at, actor, reason FROM evenkeel_controls WHERE grp = $1", []any{m.Group}, func(rows *sql.Rows) error {
			c := store.Control{Scope: store.Scope{Group: m.Group}}
			var at int64
			if err := rows.Scan(&c.Topic, &c.Partition, &c.Paused, &c.Resumes, &at, &c.By, &c.Reason); err != nil {
				return err
			}
			c.At = time.UnixMicro(at).UTC()
			controls = append(controls, c)
			return nil
		})
	})
	return controls, err
}

// Peers is store.Consumers'. A state that can't be read tells nothing.
func (p *Plain) Peers(ctx context.Context, group, id string) (peers []store.Member, err error) {
	err = p.Tx(ctx, func(q Querier) error {
		peers = nil
		return p.query(ctx, q, "SELECT id, owner, version, state FROM evenkeel_members WHERE grp = $1 AND id <> $2 AND seen >= "+p.Dialect.Now+" - $3 ORDER BY owner, id", []any{group, id, store.MemberSilent.Microseconds()}, func(rows *sql.Rows) error {
			m := store.Member{Group: group}
			var state string
			if err := rows.Scan(&m.ID, &m.Owner, &m.Version, &state); err != nil {
				return err
			}
			if json.Unmarshal([]byte(state), &m.State) != nil {
				m.State = store.MemberState{}
			}
			peers = append(peers, m)
			return nil
		})
	})
	return peers, err
}

// Leave is store.Consumers'.
func (p *Plain) Leave(ctx context.Context, id string) error {
	return p.Tx(ctx, func(q Querier) error {
		_, err := p.exec(ctx, q, "DELETE FROM evenkeel_members WHERE id = $1", id)
		return err
	})
}

// Pause is store.Consumers'.
func (p *Plain) Pause(ctx context.Context, a *store.ControlAct) (ok bool, err error) {
	err = p.Tx(ctx, func(q Querier) error {
		n, err := p.exec(ctx, q, "INSERT INTO evenkeel_controls (grp, topic, partition, paused, resumes, at, actor, reason) VALUES ($1, $2, $3, TRUE, 0, "+p.Dialect.Now+", $4, $5)"+
			" ON CONFLICT (grp, topic, partition) DO UPDATE SET paused = TRUE, at = excluded.at, actor = excluded.actor, reason = excluded.reason WHERE NOT evenkeel_controls.paused",
			a.Group, a.Topic, a.Partition, clean(a.By.Name), clean(a.Reason))
		if ok = n > 0; err != nil || !ok {
			return err
		}
		return p.audit(ctx, q, a.Entry(dlq.VerbPause))
	})
	return ok, err
}

// Resume is store.Consumers'.
func (p *Plain) Resume(ctx context.Context, a *store.ControlAct) (lifted int64, err error) {
	err = p.Tx(ctx, func(q Querier) error {
		// The count comes first, and so locks the row of all before any other.
		_, err := p.exec(ctx, q, "INSERT INTO evenkeel_controls (grp, topic, partition, paused, resumes, at, actor, reason) VALUES ($1, '', -1, FALSE, 1, "+p.Dialect.Now+", $2, $3)"+
			" ON CONFLICT (grp, topic, partition) DO UPDATE SET resumes = evenkeel_controls.resumes + 1", a.Group, clean(a.By.Name), clean(a.Reason))
		if err != nil {
			return err
		}
		lifted, err = p.exec(ctx, q, "UPDATE evenkeel_controls SET paused = FALSE, at = "+p.Dialect.Now+", actor = $4, reason = $5"+
			" WHERE grp = $1 AND paused AND ($2 = '' OR topic = $2) AND ($3 = -1 OR partition = $3)",
			a.Group, a.Topic, a.Partition, clean(a.By.Name), clean(a.Reason))
		if err != nil {
			return err
		}
		return p.audit(ctx, q, a.Entry(dlq.VerbResume))
	})
	return lifted, err
}
