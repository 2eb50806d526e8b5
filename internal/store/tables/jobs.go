package tables

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// jobs are the columns of evenkeel_jobs. The last ones change.
func jobs() []Field[dlq.Job] {
	type j = dlq.Job
	return []Field[j]{
		text("id", func(t *j) *string { return &t.ID }),
		text("grp", func(t *j) *string { return &t.Group }),
		document("plan", func(t *j) *dlq.JobPlan { return &t.Plan }),
		text("actor", func(t *j) *string { return &t.By.Name }),
		text("via", func(t *j) *string { return &t.By.Via }),
		text("reason", func(t *j) *string { return &t.Reason }),
		text("selection", func(t *j) *string { return &t.Selection }),
		instant("created_at", func(t *j) *time.Time { return &t.Created }),
		text("state", func(t *j) *dlq.JobState { return &t.State }),
		number("total", func(t *j) *int64 { return &t.Total }),
		document("counts", func(t *j) *map[dlq.JobResult]int64 { return &t.Counts }),
		number("forgiven", func(t *j) *int64 { return &t.Forgiven }),
		text("why", func(t *j) *string { return &t.Why }),
		text("owner", func(t *j) *string { return &t.Owner }),
		instant("lease", func(t *j) *time.Time { return &t.Lease }),
		instant("paced", func(t *j) *time.Time { return &t.Paced }),
		instant("changed_at", func(t *j) *time.Time { return &t.Changed }),
		instant("ended_at", func(t *j) *time.Time { return &t.Ended }),
		number("rev", func(t *j) *int64 { return &t.Rev }),
	}
}

// jobConstants is how many of the columns never change.
const jobConstants = 8

// document keeps a value as JSON.
func document[T, V any](name string, at func(*T) *V) Field[T] {
	return Field[T]{
		Name: name, Kind: Text,
		Text: func(t *T) string {
			b, err := json.Marshal(at(t))
			if err != nil {
				panic("evenkeel: " + err.Error()) // numbers and texts always marshal
			}
			return string(b)
		},
		set: func(t *T, cell any) error {
			if err := json.Unmarshal([]byte(*cell.(*string)), at(t)); err != nil {
				return fmt.Errorf("column %s: %w", name, err)
			}
			return nil
		},
	}
}

// AddJob is store.Jobs'.
func (p *Plain) AddJob(ctx context.Context, j *dlq.Job, d time.Duration) error {
	return p.Tx(ctx, func(q Querier) error {
		now, err := p.now(ctx, q)
		if err != nil {
			return err
		}
		added := *j
		added.State, added.Created, added.Lease, added.Rev = dlq.JobSelecting, now, now.Add(d), 1
		fields := jobs()
		marks, args := make([]string, len(fields)), make([]any, len(fields))
		for i := range fields {
			marks[i], args[i] = fmt.Sprintf("$%d", i+1), fields[i].Arg(&added)
		}
		_, err = p.exec(ctx, q, "INSERT INTO evenkeel_jobs ("+Names(fields)+") VALUES ("+strings.Join(marks, ", ")+")", args...)
		return err
	})
}

func (p *Plain) now(ctx context.Context, q Querier) (time.Time, error) {
	var at int64
	err := q.QueryRowContext(ctx, "SELECT "+p.Dialect.Now).Scan(&at)
	return time.UnixMicro(at).UTC(), err
}

// lockJob reads a job, keeps others from changing it until the transaction ends, and returns the
// time; nil where there is none.
func (p *Plain) lockJob(ctx context.Context, q Querier, id string) (j *dlq.Job, now time.Time, err error) {
	fields := jobs()
	err = p.query(ctx, q, "SELECT "+Names(fields)+" FROM evenkeel_jobs WHERE id = $1"+p.Dialect.ForUpdate, []any{id}, func(rows *sql.Rows) error {
		j, err = Scan(rows, fields)
		return err
	})
	if err != nil || j == nil {
		return nil, now, err
	}
	now, err = p.now(ctx, q)
	return j, now, err
}

// writeJob writes what may have changed of a job that is locked.
func (p *Plain) writeJob(ctx context.Context, q Querier, j *dlq.Job) error {
	fields := jobs()[jobConstants:]
	sets, args := make([]string, len(fields)), []any{j.ID}
	for i := range fields {
		sets[i] = fmt.Sprintf("%s = $%d", fields[i].Name, i+2)
		args = append(args, fields[i].Arg(j))
	}
	_, err := p.exec(ctx, q, "UPDATE evenkeel_jobs SET "+strings.Join(sets, ", ")+" WHERE id = $1", args...)
	return err
}

// Jobs is store.Jobs'.
func (p *Plain) Jobs(ctx context.Context, f store.JobQuery) (found []*dlq.Job, err error) {
	fields := jobs()
	var where []string
	var args []any
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	if f.Group != "" {
		add("grp = $%d", f.Group)
	}
	if f.ID != "" {
		add("substr(id, 1, length($%[1]d)) = $%[1]d", f.ID)
	}
	if f.State != "" {
		add("state = $%d", string(f.State))
	}
	if f.Open {
		where = append(where, "ended_at IS NULL")
	}
	query := "SELECT " + Names(fields) + " FROM evenkeel_jobs"
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	query += " ORDER BY created_at DESC, id"
	if f.Limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", f.Limit)
	}
	err = p.Conn(ctx, func(conn *sql.Conn) error {
		return p.Dialect.Classify(p.query(ctx, conn, query, args, func(rows *sql.Rows) error {
			j, err := Scan(rows, fields)
			found = append(found, j)
			return err
		}))
	})
	return found, err
}

// MoveJob is store.Jobs'.
func (p *Plain) MoveJob(ctx context.Context, m *store.JobMove) (moved *dlq.Job, err error) {
	err = p.Tx(ctx, func(q Querier) error {
		j, now, err := p.lockJob(ctx, q, m.ID)
		if err != nil {
			return err
		}
		if j == nil {
			return &ownError{&dlq.JobNotFoundError{ID: m.ID}}
		}
		if err := m.Apply(j, now); err != nil {
			return &ownError{err}
		}
		if err := p.writeJob(ctx, q, j); err != nil {
			return err
		}
		moved = j
		return p.audit(ctx, q, m.Entry(j))
	})
	if err != nil {
		return nil, ours(err)
	}
	return moved, nil
}

// LeaseJob is store.Jobs'.
func (p *Plain) LeaseJob(ctx context.Context, id, owner string, d time.Duration) (leased *dlq.Job, err error) {
	fields := jobs()
	text := "UPDATE evenkeel_jobs SET owner = $2, lease = " + p.Dialect.Now + " + $3 WHERE id = $1 AND ended_at IS NULL AND (owner = '' OR owner = $2 OR lease <= " + p.Dialect.Now + ") RETURNING " + Names(fields)
	args := []any{id, owner, d.Microseconds()}
	if d == 0 {
		text, args = "UPDATE evenkeel_jobs SET owner = '', lease = NULL WHERE id = $1 AND owner = $2 RETURNING "+Names(fields), args[:2]
	}
	err = p.Tx(ctx, func(q Querier) error {
		return p.query(ctx, q, text, args, func(rows *sql.Rows) error {
			leased, err = Scan(rows, fields)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return leased, nil
}

// taking locks the job of a letter that is to be taken, as MoveLetter does before all else.
func (p *Plain) taking(ctx context.Context, q Querier, t *store.JobTake, result dlq.JobResult, why string) error {
	j, _, err := p.lockJob(ctx, q, t.Job.ID)
	if err != nil {
		return err
	}
	if err := t.Taken(j, result); err != nil {
		return &ownError{err}
	}
	if err := p.writeJob(ctx, q, j); err != nil {
		return err
	}
	grows := 0
	if result == dlq.ResultReplaying {
		grows = 1 // as the letter's does
	}
	n, err := p.exec(ctx, q, "UPDATE evenkeel_job_letters SET result = $3, why = $4, rev = rev + $5, at = "+p.Dialect.Now+" WHERE job = $1 AND place = $2 AND result = 'waiting'",
		t.Job.ID, t.Letter.Place, string(result), clean(why), grows)
	if err == nil && n == 0 {
		err = &ownError{store.ErrFenced}
	}
	return err
}

// TakeJobLetter is store.Jobs'.
func (p *Plain) TakeJobLetter(ctx context.Context, t *store.JobTake) error {
	err := p.MoveLetter(ctx, t.Move())
	if !store.Refusal(err) {
		return err
	}
	return ours(p.Tx(ctx, func(q Querier) error { return p.taking(ctx, q, t, dlq.ResultRefused, err.Error()) }))
}

// GatherJob is store.Jobs'.
func (p *Plain) GatherJob(ctx context.Context, id string) (job *dlq.Job, err error) {
	const under = `SELECT x.letter, x.rev, COALESCE(a.verb, ''), l.id IS NULL, COALESCE(l.rev, 0), COALESCE(l.outcome, '')
FROM evenkeel_job_letters x LEFT JOIN evenkeel_dead_letters l ON l.id = x.letter
LEFT JOIN evenkeel_audit a ON a.letter = x.letter AND a.letter <> '' AND a.rev = x.rev + 1 AND a.after_state <> ''
WHERE x.job = $1 AND x.result = 'replaying' ORDER BY a.id`
	err = p.Tx(ctx, func(q Querier) error {
		j, now, err := p.lockJob(ctx, q, id)
		if err != nil {
			return err
		}
		if j == nil {
			return &ownError{&dlq.JobNotFoundError{ID: id}}
		}
		job = j
		if j.Count(dlq.ResultReplaying) == 0 {
			return nil
		}
		ended := map[string]dlq.JobResult{}
		err = p.query(ctx, q, under, []any{id}, func(rows *sql.Rows) error {
			var letter string
			var rev, have int64
			var e store.JobEnding
			if err := rows.Scan(&letter, &rev, &e.Verb, &e.Gone, &have, &e.Outcome); err != nil {
				return err
			}
			e.Changed = have != rev
			if r := e.Result(); r != "" {
				ended[letter] = r
			}
			return nil
		})
		if err != nil || len(ended) == 0 {
			return err
		}
		by := map[dlq.JobResult][]store.Mark{}
		for letter, r := range ended {
			by[r] = append(by[r], store.Mark{ID: letter})
		}
		for r, marks := range by {
			if _, err := p.exec(ctx, q, "UPDATE evenkeel_job_letters SET result = $2, at = $3 FROM "+p.Dialect.Marks+" WHERE evenkeel_job_letters.job = $4 AND evenkeel_job_letters.letter = m.id AND evenkeel_job_letters.result = 'replaying'",
				MarksArg(marks), string(r), now.UnixMicro(), id); err != nil {
				return err
			}
			store.CountResult(j, dlq.ResultReplaying, r, int64(len(marks)))
		}
		store.EndJob(j, now)
		return p.writeJob(ctx, q, j)
	})
	if err != nil {
		return nil, ours(err)
	}
	return job, nil
}

// PurgeJobs is store.Jobs'.
func (p *Plain) PurgeJobs(ctx context.Context, group string, before time.Time, portion int) (total int64, err error) {
	for {
		var n int64
		err := p.Tx(ctx, func(q Querier) error {
			var job string
			err := q.QueryRowContext(ctx, p.Dialect.Rebind("SELECT j.id FROM evenkeel_jobs j WHERE j.grp = $1 AND j.ended_at < $2 AND EXISTS (SELECT 1 FROM evenkeel_job_letters x WHERE x.job = j.id) ORDER BY j.ended_at LIMIT 1"), group, before.UnixMicro()).Scan(&job)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			n, err = p.exec(ctx, q, "DELETE FROM evenkeel_job_letters WHERE job = $1 AND place IN (SELECT x.place FROM evenkeel_job_letters x WHERE x.job = $1 ORDER BY x.place LIMIT $2)", job, portion)
			return err
		})
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
}
