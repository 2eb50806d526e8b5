package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// jobPlace names a letter of a job.
type jobPlace struct {
	job   string
	place int64
}

// job is a copy of a job that may be changed and put back; nil where there is none.
func (s *Store) job(id string) *dlq.Job {
	have := s.jobs[id]
	if have == nil {
		return nil
	}
	next := *have
	next.Counts = maps.Clone(have.Counts)
	return &next
}

// jobLetters are the letters of a job, in the order of their places.
func (s *Store) jobLetters(j *dlq.Job) []dlq.JobLetter {
	var all []dlq.JobLetter
	for place := range j.Total {
		if l, ok := s.jobOf[jobPlace{j.ID, place}]; ok {
			all = append(all, l)
		}
	}
	return all
}

func (s *Store) clock() time.Time { return tables.Micros(s.now()) }

// AddJob is store.Jobs'.
func (s *Store) AddJob(ctx context.Context, j *dlq.Job, d time.Duration) error {
	return s.transaction(ctx, func(t *tx) error {
		added := *j
		added.State, added.Created, added.Rev = dlq.JobSelecting, s.clock(), 1
		added.Lease = added.Created.Add(d)
		put(t, s.jobs, j.ID, &added)
		return nil
	})
}

// AddJobLetters is store.Jobs'.
func (s *Store) AddJobLetters(ctx context.Context, job, owner string, d time.Duration, refs []dlq.Ref) error {
	return s.transaction(ctx, func(t *tx) error {
		j := s.job(job)
		if j == nil || j.State != dlq.JobSelecting || j.Owner != owner {
			return store.ErrFenced
		}
		for _, ref := range refs {
			other := s.jobWith(ref.ID, j)
			if other == j {
				continue
			}
			l := dlq.JobLetter{Job: job, Place: j.Total, Ref: ref, Result: dlq.ResultWaiting, At: s.clock()}
			have := s.letters[ref.ID]
			if have != nil && have.Group != j.Group {
				return &dlq.JobGroupError{Groups: [2]string{j.Group, have.Group}, Letter: ref.ID}
			}
			if have != nil && l.Rev == 0 {
				l.Rev = have.Rev
			}
			_, _, why := s.movable(&store.LetterMove{Ref: l.Ref, Move: dlq.MoveReplay})
			if why == nil && other != nil {
				why = &dlq.InJobError{ID: ref.ID, Job: other.ID, By: dlq.Actor{Name: other.By.Name}, Reason: other.Reason, At: other.Created}
			}
			if why != nil {
				l.Result, l.Why = dlq.ResultRefused, why.Error()
			}
			put(t, s.jobOf, jobPlace{job, l.Place}, l)
			store.CountResult(j, dlq.ResultWaiting, l.Result, 1)
			j.Total++
		}
		j.Lease = s.clock().Add(d)
		put(t, s.jobs, job, j)
		return nil
	})
}

// jobWith is mine if it has the letter, else another that may still replay it, else nil.
func (s *Store) jobWith(letter string, mine *dlq.Job) (found *dlq.Job) {
	for at, l := range s.jobOf {
		j := s.jobs[at.job]
		switch {
		case l.ID != letter:
		case at.job == mine.ID:
			return mine
		case j.Ended.IsZero() && j.State != dlq.JobCancelled && (l.Result == dlq.ResultWaiting || l.Result == dlq.ResultReplaying):
			found = j
		}
	}
	return found
}

// Jobs is store.Jobs'.
func (s *Store) Jobs(ctx context.Context, q store.JobQuery) (found []*dlq.Job, err error) {
	err = s.transaction(ctx, func(*tx) error {
		for id, j := range s.jobs {
			if (q.Group == "" || j.Group == q.Group) && strings.HasPrefix(id, q.ID) && (q.State == "" || j.State == q.State) && (!q.Open || j.Ended.IsZero()) {
				found = append(found, s.job(id))
			}
		}
		slices.SortFunc(found, func(a, b *dlq.Job) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
		if q.Limit > 0 {
			found = found[:min(q.Limit, len(found))]
		}
		return nil
	})
	return found, err
}

// JobLetters is store.Jobs'.
func (s *Store) JobLetters(ctx context.Context, q store.JobLetterQuery) (found []dlq.JobLetter, err error) {
	err = s.transaction(ctx, func(*tx) error {
		j := s.jobs[q.Job]
		if j == nil {
			return nil
		}
		for _, l := range s.jobLetters(j) {
			if l.Place < q.From || q.Result != "" && l.Result != q.Result || len(found) == q.Limit {
				continue
			}
			if e := s.moveOf(l.ID, l.Rev+1); e != nil && l.Result != dlq.ResultWaiting && l.Result != dlq.ResultReplaying && l.Result != dlq.ResultRefused {
				l.Why = e.Reason
			}
			found = append(found, l)
		}
		return nil
	})
	return found, err
}

// moveOf is the audit's line about the move that made a letter's revision.
func (s *Store) moveOf(letter string, rev int64) *dlq.AuditEntry {
	for _, e := range s.audit {
		if e.Letter == letter && e.Rev == rev && e.After != "" {
			return e
		}
	}
	return nil
}

// JobFailures is store.Jobs'.
func (s *Store) JobFailures(ctx context.Context, job string, limit int) (found []dlq.JobFailure, err error) {
	err = s.transaction(ctx, func(*tx) error {
		j := s.jobs[job]
		if j == nil {
			return nil
		}
		causes := map[string]dlq.JobFailure{}
		for _, x := range s.jobLetters(j) {
			l := s.letters[x.ID]
			if x.Result != dlq.ResultFailed || l == nil {
				continue
			}
			f := causes[l.Fingerprint]
			if f.Letters == 0 || l.ID < f.Letter {
				f.Letter, f.Error = l.ID, l.Error
			}
			f.Fingerprint = l.Fingerprint
			f.Letters++
			causes[l.Fingerprint] = f
		}
		found = slices.SortedFunc(maps.Values(causes), func(a, b dlq.JobFailure) int {
			return cmp.Or(cmp.Compare(b.Letters, a.Letters), cmp.Compare(a.Fingerprint, b.Fingerprint))
		})
		found = found[:min(limit, len(found))]
		return nil
	})
	return found, err
}

// MoveJob is store.Jobs'.
func (s *Store) MoveJob(ctx context.Context, m *store.JobMove) (moved *dlq.Job, err error) {
	err = s.transaction(ctx, func(t *tx) error {
		j := s.job(m.ID)
		if j == nil {
			return &dlq.JobNotFoundError{ID: m.ID}
		}
		if err := m.Apply(j, s.clock()); err != nil {
			return err
		}
		put(t, s.jobs, j.ID, j)
		s.keepAudit(t, m.Entry(j))
		moved = s.job(j.ID)
		return nil
	})
	return moved, err
}

// LeaseJob is store.Jobs'.
func (s *Store) LeaseJob(ctx context.Context, id, owner string, d time.Duration) (leased *dlq.Job, err error) {
	err = s.transaction(ctx, func(t *tx) error {
		j, now := s.job(id), s.clock()
		switch {
		case j == nil:
			return nil
		case d == 0 && j.Owner == owner:
			j.Owner, j.Lease = "", time.Time{}
		case d > 0 && j.Ended.IsZero() && (j.Owner == "" || j.Owner == owner || !j.Lease.After(now)):
			j.Owner, j.Lease = owner, now.Add(d)
		default:
			return nil
		}
		put(t, s.jobs, id, j)
		leased = s.job(id)
		return nil
	})
	return leased, err
}

// taking is the job's part in the move of a letter.
func (s *Store) taking(t *tx, take *store.JobTake, result dlq.JobResult, why string) error {
	j := s.job(take.Job.ID)
	if err := take.Taken(j, result); err != nil {
		return err
	}
	at := jobPlace{j.ID, take.Letter.Place}
	l, ok := s.jobOf[at]
	if !ok || l.Result != dlq.ResultWaiting {
		return store.ErrFenced
	}
	l.Result, l.Why, l.At = result, why, s.clock()
	if result == dlq.ResultReplaying {
		l.Rev++
	}
	put(t, s.jobOf, at, l)
	put(t, s.jobs, j.ID, j)
	return nil
}

// TakeJobLetter is store.Jobs'.
func (s *Store) TakeJobLetter(ctx context.Context, take *store.JobTake) error {
	err := s.MoveLetter(ctx, take.Move())
	if !store.Refusal(err) {
		return err
	}
	return s.transaction(ctx, func(t *tx) error { return s.taking(t, take, dlq.ResultRefused, err.Error()) })
}

// GatherJob is store.Jobs'.
func (s *Store) GatherJob(ctx context.Context, id string) (job *dlq.Job, err error) {
	err = s.transaction(ctx, func(t *tx) error {
		j := s.job(id)
		if j == nil {
			return &dlq.JobNotFoundError{ID: id}
		}
		for _, x := range s.jobLetters(j) {
			if x.Result != dlq.ResultReplaying {
				continue
			}
			e := store.JobEnding{Gone: s.letters[x.ID] == nil}
			if l := s.letters[x.ID]; l != nil {
				e.Outcome, e.Changed = l.Outcome, l.Rev != x.Rev
			}
			if line := s.moveOf(x.ID, x.Rev+1); line != nil {
				e.Verb = line.Verb
			}
			if r := e.Result(); r != "" {
				x.Result, x.At = r, s.clock()
				put(t, s.jobOf, jobPlace{id, x.Place}, x)
				store.CountResult(j, dlq.ResultReplaying, r, 1)
			}
		}
		store.EndJob(j, s.clock())
		put(t, s.jobs, id, j)
		job = s.job(id)
		return nil
	})
	return job, err
}

// PurgeJobs is store.Jobs'. Nobody waits here, so it is one portion.
func (s *Store) PurgeJobs(ctx context.Context, group string, before time.Time, _ int) (n int64, err error) {
	err = s.transaction(ctx, func(t *tx) error {
		for at := range s.jobOf {
			if j := s.jobs[at.job]; j.Group == group && !j.Ended.IsZero() && j.Ended.Before(before) {
				drop(t, s.jobOf, at)
				n++
			}
		}
		return nil
	})
	return n, err
}
