package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// AddJobLetters is store.Jobs'.
func (p *Plain) AddJobLetters(ctx context.Context, job, owner string, d time.Duration, refs []dlq.Ref) error {
	return ours(p.Tx(ctx, func(q Querier) error {
		j, now, err := p.lockJob(ctx, q, job)
		if err != nil {
			return err
		}
		if j == nil || j.State != dlq.JobSelecting || j.Owner != owner {
			return &ownError{store.ErrFenced}
		}
		// Whoever chooses for this group chooses after us, and sees what we have.
		if p.Dialect.LockKey != "" {
			if _, err := q.ExecContext(ctx, p.Dialect.LockKey, LockKey("evenkeel_jobs", j.Group)); err != nil {
				return err
			}
		}
		letters, err := p.choose(ctx, q, j, refs)
		if err != nil {
			return err
		}
		for _, l := range letters {
			store.CountResult(j, dlq.ResultWaiting, l.Result, 1)
		}
		j.Total += int64(len(letters))
		j.Lease = now.Add(d)
		if err := p.writeJob(ctx, q, j); err != nil || len(letters) == 0 {
			return err
		}
		var marks []string
		var args []any
		for _, l := range letters {
			n := len(args)
			marks = append(marks, fmt.Sprintf("($%d, $%d, $%d, $%d, $%d, $%d, $%d)", n+1, n+2, n+3, n+4, n+5, n+6, n+7))
			args = append(args, job, l.Place, l.ID, l.Rev, string(l.Result), clean(l.Why), now.UnixMicro())
		}
		_, err = p.exec(ctx, q, "INSERT INTO evenkeel_job_letters (job, place, letter, rev, result, why, at) VALUES "+strings.Join(marks, ", "), args...)
		return err
	}))
}

// choose looks at the letters that a job is to have.
func (p *Plain) choose(ctx context.Context, q Querier, j *dlq.Job, refs []dlq.Ref) (letters []dlq.JobLetter, err error) {
	type have struct {
		rev               sql.NullInt64
		state, grp, other string
		reason            string
	}
	const others = `COALESCE((SELECT x.job FROM evenkeel_job_letters x JOIN evenkeel_jobs j ON j.id = x.job
	WHERE x.letter = m.id AND (x.job = $2 OR j.ended_at IS NULL AND j.state <> 'cancelled' AND x.result IN ('waiting', 'replaying')) ORDER BY x.job = $2 DESC LIMIT 1), '')`
	marks := make([]store.Mark, len(refs))
	for i, r := range refs {
		marks[i] = store.Mark{ID: r.ID}
	}
	found := map[string]have{}
	err = p.query(ctx, q, "SELECT m.id, l.rev, COALESCE(l.state, ''), COALESCE(l.grp, ''), COALESCE(l.reason, ''), "+others+" FROM "+p.Dialect.Marks+" LEFT JOIN evenkeel_dead_letters l ON l.id = m.id",
		[]any{MarksArg(marks), j.ID}, func(rows *sql.Rows) error {
			var id string
			var h have
			err := rows.Scan(&id, &h.rev, &h.state, &h.grp, &h.reason, &h.other)
			found[id] = h
			return err
		})
	if err != nil {
		return nil, err
	}
	taken := map[string]bool{}
	for _, ref := range refs {
		h := found[ref.ID]
		if h.other == j.ID || taken[ref.ID] {
			continue
		}
		taken[ref.ID] = true
		l := dlq.JobLetter{Job: j.ID, Place: j.Total + int64(len(letters)), Ref: ref, Result: dlq.ResultWaiting}
		if l.Rev == 0 {
			l.Rev = h.rev.Int64
		}
		if h.grp != "" && h.grp != j.Group {
			return nil, &ownError{&dlq.JobGroupError{Groups: [2]string{j.Group, h.grp}, Letter: ref.ID}}
		}
		var why, err error
		switch {
		case h.rev.Int64 != l.Rev || h.state != string(dlq.Open) || h.reason == string(dlq.Foreign):
			why, err = p.refusal(ctx, q, &store.LetterMove{Ref: l.Ref, Move: dlq.MoveReplay})
		case h.other != "":
			why, err = p.inJob(ctx, q, ref.ID, h.other)
		}
		if err != nil {
			return nil, err
		}
		if why != nil {
			l.Result, l.Why = dlq.ResultRefused, why.Error()
		}
		letters = append(letters, l)
	}
	return letters, nil
}

// refusal says why a letter can't be moved, nil if it can.
func (p *Plain) refusal(ctx context.Context, q Querier, m *store.LetterMove) (refusal, err error) {
	_, _, err = p.movable(ctx, q, m)
	var own *ownError
	if errors.As(err, &own) {
		return own.error, nil
	}
	return nil, err
}

// inJob says that a letter is in a job already.
func (p *Plain) inJob(ctx context.Context, q Querier, letter, job string) (refusal, err error) {
	e := &dlq.InJobError{ID: letter, Job: job}
	var at int64
	err = q.QueryRowContext(ctx, p.Dialect.Rebind("SELECT actor, reason, created_at FROM evenkeel_jobs WHERE id = $1"), job).Scan(&e.By.Name, &e.Reason, &at)
	e.At = time.UnixMicro(at)
	return e, err
}

// JobLetters is store.Jobs'.
func (p *Plain) JobLetters(ctx context.Context, f store.JobLetterQuery) (found []dlq.JobLetter, err error) {
	// What happened to a letter that was taken is the audit's line about its next revision.
	query := `SELECT x.job, x.place, x.letter, x.rev, x.result, CASE WHEN x.why <> '' THEN x.why ELSE COALESCE(a.reason, '') END, x.at FROM evenkeel_job_letters x
LEFT JOIN evenkeel_audit a ON a.letter = x.letter AND a.letter <> '' AND a.rev = x.rev + 1 AND a.after_state <> '' AND x.result NOT IN ('waiting', 'replaying', 'refused')
WHERE x.job = $1 AND x.place >= $2`
	args := []any{f.Job, f.From, f.Limit}
	if f.Result != "" {
		query += " AND x.result = $4"
		args = append(args, string(f.Result))
	}
	err = p.inOrder(ctx, func(q Querier) error {
		return p.query(ctx, q, query+" ORDER BY x.place LIMIT $3", args, func(rows *sql.Rows) error {
			var l dlq.JobLetter
			var at int64
			err := rows.Scan(&l.Job, &l.Place, &l.ID, &l.Rev, &l.Result, &l.Why, &at)
			l.At = time.UnixMicro(at).UTC()
			found = append(found, l)
			return err
		})
	})
	return found, err
}

// JobFailures is store.Jobs'.
func (p *Plain) JobFailures(ctx context.Context, job string, limit int) (found []dlq.JobFailure, err error) {
	const query = `SELECT g.fingerprint, g.n, g.letter, l.error FROM (SELECT l.fingerprint AS fingerprint, count(*) AS n, min(l.id) AS letter
	FROM evenkeel_job_letters x JOIN evenkeel_dead_letters l ON l.id = x.letter WHERE x.job = $1 AND x.result = 'failed' GROUP BY l.fingerprint) AS g
JOIN evenkeel_dead_letters l ON l.id = g.letter ORDER BY g.n DESC, g.fingerprint LIMIT $2`
	err = p.Conn(ctx, func(conn *sql.Conn) error {
		return p.Dialect.Classify(p.query(ctx, conn, query, []any{job, limit}, func(rows *sql.Rows) error {
			var f dlq.JobFailure
			err := rows.Scan(&f.Fingerprint, &f.Letters, &f.Letter, &f.Error)
			found = append(found, f)
			return err
		}))
	})
	return found, err
}
