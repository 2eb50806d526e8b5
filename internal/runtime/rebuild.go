package runtime

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Rebuild makes rows anew from the log, beside the members that work on (R20). It belongs to
// one goroutine.
type Rebuild struct {
	Group, Owner string
	Topics       []string
	Store        store.Store
	Reader       broker.Reader
	Clock        seam.Clock
	Judge        *batch.Judge
	Prepare      *batch.Preparer
	// Models are all that the group keeps; Layouts are theirs.
	Models  []*handlers.Model
	Layouts batch.Layouts
	// Scope is what is rebuilt.
	Scope     batch.Scope
	BatchSize int
	MaxBytes  int64
	Log       Log
	// Progress hears how far it has come, after each step.
	Progress func(RebuildState)

	state RebuildState
	rev   int64
}

const (
	// rebuildLease is how long a rebuild without a sign of life counts as alive, and
	// rebuildBeat how often it gives one when there is nothing to do.
	rebuildLease = time.Minute
	rebuildBeat  = 10 * time.Second
	// rebuildRows bounds a portion of rows, and with it a transaction.
	rebuildRows = 500
)

// tables is the scope in the order of table names, with the keys in order.
func (r *Rebuild) tables() (models []*handlers.Model, keys [][]string) {
	for m := range r.Scope {
		models = append(models, m)
	}
	slices.SortFunc(models, func(a, b *handlers.Model) int { return strings.Compare(a.Table, b.Table) })
	for _, m := range models {
		var of []string
		for k := range r.Scope[m] {
			of = append(of, k)
		}
		slices.Sort(of)
		keys = append(keys, of)
	}
	return models, keys
}

// Begin opens a rebuild, or takes up the one that was interrupted. takeOver does so also if
// that one may still be at work, which ends it. An error is a *RebuildOpenError, or the
// store's.
func (r *Rebuild) Begin(ctx context.Context, takeOver bool) error {
	models, keys := r.tables()
	want := &store.Want{Group: r.Group, Memos: []store.MemoKey{store.RebuildKey()}}
	for _, m := range models {
		want.Memos = append(want.Memos, store.RebuildKeysOf(m.Table))
	}
	return r.open(ctx, want, func(loaded *store.Loaded, now time.Time) (*RebuildState, []*store.Memo, error) {
		s, open, err := ReadRebuild(loaded.Memos[store.RebuildKey()])
		if err != nil {
			return nil, nil, err
		}
		fresh := RebuildState{ID: strings.ToLower(rand.Text()[:8]), Began: now.UnixMicro(), Phase: RebuildClearing}
		var memos []*store.Memo
		same := true
		for i, m := range models {
			fresh.Tables = append(fresh.Tables, RebuildTable{Table: m.Table, Keys: len(keys[i])})
			body, err := json.Marshal(keys[i])
			if err != nil {
				return nil, nil, err
			}
			memo := &store.Memo{MemoKey: store.RebuildKeysOf(m.Table), Body: string(body)}
			if have := loaded.Memos[memo.MemoKey]; have != nil {
				memo.Rev = have.Rev
				same = same && have.Body == memo.Body
			} else {
				same = false
			}
			memos = append(memos, memo)
		}
		if !open {
			return &fresh, memos, nil
		}
		if s.Cancelled || !same || !slices.Equal(s.Tables, fresh.Tables) {
			return nil, nil, &RebuildOpenError{State: s}
		}
		if !takeOver && now.Sub(time.UnixMicro(s.Seen)) < rebuildLease {
			return nil, nil, &RebuildOpenError{State: s, Alive: true}
		}
		return &s, nil, nil
	})
}

// Cancel takes the open rebuild over, whoever is at work on it, so that Run only ends it: the
// rows stay as far as they were made. tables are those that it was opened for.
func (r *Rebuild) Cancel(ctx context.Context) error {
	want := &store.Want{Group: r.Group, Memos: []store.MemoKey{store.RebuildKey()}}
	return r.open(ctx, want, func(loaded *store.Loaded, _ time.Time) (*RebuildState, []*store.Memo, error) {
		s, open, err := ReadRebuild(loaded.Memos[store.RebuildKey()])
		if err != nil {
			return nil, nil, err
		}
		if !open {
			return nil, nil, ErrNoRebuild
		}
		r.Scope = batch.Scope{}
		for _, t := range s.Tables {
			i := slices.IndexFunc(r.Models, func(m *handlers.Model) bool { return m.Table == t.Table })
			if i < 0 {
				return nil, nil, fmt.Errorf("evenkeel: rebuild %s is of table %s, which has no handler here; cancel it from the service that it belongs to", s.ID, t.Table)
			}
			r.Scope[r.Models[i]] = nil
		}
		if s.Phase != RebuildEnding {
			s.Phase, s.Table, s.After, s.HasAfter = RebuildEnding, 0, "", false
		}
		s.Cancelled = true
		return &s, nil, nil
	})
}

// open writes the state that decide makes of what is there, as this process's own.
func (r *Rebuild) open(ctx context.Context, want *store.Want, decide func(*store.Loaded, time.Time) (*RebuildState, []*store.Memo, error)) error {
	for try := 1; ; try++ {
		now := r.Clock.Now()
		err := transact(ctx, r.Store, want, false, func(loaded *store.Loaded) (*store.Batch, error) {
			s, memos, err := decide(loaded, now)
			if err != nil {
				return nil, err
			}
			s.Epoch++
			s.Seq++
			s.Owner, s.Seen = r.Owner, now.UnixMicro()
			head := &store.Memo{MemoKey: store.RebuildKey(), Body: s.body()}
			r.rev = now.UnixMicro()
			if have := loaded.Memos[store.RebuildKey()]; have != nil {
				head.Rev, r.rev = have.Rev, have.Rev+1
			}
			r.state = *s
			return &store.Batch{Group: r.Group, Now: now, Memos: append(memos, head)}, nil
		})
		if err == nil || !errors.Is(err, store.ErrConflict) || try == 20 {
			return err
		}
		if err := r.Clock.Sleep(ctx, backoff(time.Millisecond, 200*time.Millisecond, try)); err != nil {
			return err
		}
	}
}

// Run works until the rebuild has ended. When ctx ends, or on an error, it stays open, and
// what was done is kept: Begin takes it up again.
func (r *Rebuild) Run(ctx context.Context) (RebuildState, error) {
	var err error
	for err == nil && r.state.Phase != "" {
		switch r.state.Phase {
		case RebuildClearing:
			err = r.clear(ctx)
		case RebuildReplaying:
			if table, kind := r.otherKind(); table != "" {
				return r.state, fmt.Errorf("evenkeel: rebuild %s has begun under handlers that order %s by stamps of the kind %s, and those here do not; cancel it (framework.CancelRebuild, `evenkeel rebuild --cancel`) and rebuild anew", r.state.ID, table, kind)
			}
			err = r.replay(ctx)
		case RebuildEnding:
			err = r.end(ctx)
		default:
			err = fmt.Errorf("evenkeel: rebuild %s is in the phase %q, which this release does not know; go on with the release that began it", r.state.ID, r.state.Phase)
		}
	}
	return r.state, err
}

// step commits one step: what fn makes of what is loaded, and the state that it leaves. A
// refusal of the data is handed back as such. A state that somebody else has moved ends the
// rebuild here.
func (r *Rebuild) step(ctx context.Context, gather func() *store.Want, fn func(loaded *store.Loaded, next *RebuildState, now time.Time) (*store.Batch, error)) (refusal, err error) {
	for try := 1; ; try++ {
		want := gather()
		want.Group = r.Group
		want.Memos = append(want.Memos, store.RebuildKey())
		to, done := r.state.clone(), false
		err := transact(ctx, r.Store, want, locks(try), func(loaded *store.Loaded) (*store.Batch, error) {
			memo := loaded.Memos[store.RebuildKey()]
			if memo != nil && memo.Rev == r.rev+1 && memo.Body == "" {
				// It was closed in one write, which only this process could do: another
				// one would have taken it over first.
				to.Phase, done = "", true
				return nil, nil //nolint:nilnil // it is written
			}
			if memo == nil || memo.Rev != r.rev {
				if s, open, err := ReadRebuild(memo); err == nil && open && s.ID == r.state.ID && s.Epoch == r.state.Epoch && s.Seq == r.state.Seq+1 {
					// The answer to its COMMIT was lost.
					to, r.rev, done = s, memo.Rev-1, true
					return nil, nil //nolint:nilnil // it is written
				}
				return nil, ErrRebuildTaken
			}
			now := r.Clock.Now()
			b, err := fn(loaded, &to, now)
			if err != nil || b == nil {
				return nil, err
			}
			to.Seq++
			to.Seen = now.UnixMicro()
			head := &store.Memo{MemoKey: store.RebuildKey(), Rev: r.rev}
			if to.Phase != "" {
				head.Body = to.body()
			}
			b.Memos = append(b.Memos, head)
			done = true
			return b, nil
		})
		if err == nil {
			if !done {
				continue // more must be loaded
			}
			r.state = to
			r.rev++
			if r.Progress != nil {
				r.Progress(r.state)
			}
			return nil, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, ErrRebuildTaken) {
			return nil, err
		}
		what, wait := next(err, try)
		switch what {
		case stepSplit:
			return err, nil
		case stepAbandon:
			return nil, err
		case stepLayout:
			if err := r.reloadLayouts(ctx); err != nil {
				return nil, err
			}
		case stepSettle, stepAgain:
			// A commit whose answer was lost shows when the state is read again.
			if !errors.Is(err, store.ErrConflict) {
				r.Log(Warn, "the database can't now; the rebuild waits for it", "error", err)
			}
		}
		if err := r.Clock.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func (r *Rebuild) reloadLayouts(ctx context.Context) error {
	ls, err := r.Store.ClaimToRebuild(ctx, r.Group, r.Models)
	if err != nil {
		return err
	}
	r.Layouts = batch.LayoutsOf(r.Models, ls)
	return nil
}

// otherKind is the table of the scope whose rows have stamps of another kind, and that kind.
func (r *Rebuild) otherKind() (table, kind string) {
	models, _ := r.tables()
	for _, m := range models {
		if l := r.Layouts[m]; l.Other != "" {
			return m.Table, l.Other
		}
	}
	return "", ""
}

// portion returns the next keys of the table that the phase is at, none at its end.
func (r *Rebuild) portion(ctx context.Context, m *handlers.Model, keys []string, rebuilding bool) ([]string, error) {
	if len(keys) > 0 {
		if r.state.HasAfter {
			at, found := slices.BinarySearch(keys, r.state.After)
			if found {
				at++
			}
			keys = keys[at:]
		}
		return keys[:min(rebuildRows, len(keys))], nil
	}
	return r.Store.Keys(ctx, store.KeysQuery{Model: m, Rebuilding: rebuilding, After: r.state.After, HasAfter: r.state.HasAfter, Limit: rebuildRows})
}

type portionFunc func(m *handlers.Model, keys []string, loaded *store.Loaded, streams []batch.Numbers, next *RebuildState, now time.Time) (*store.Batch, error)

// walk goes through the rows of all tables, a portion in each step, and then makes what last
// returns a step of its own. last is called outside of any transaction.
func (r *Rebuild) walk(ctx context.Context, rebuilding bool, portion portionFunc, last func() (func(next *RebuildState), error)) error {
	models, keys := r.tables()
	phase := r.state.Phase
	for r.state.Phase == phase {
		if r.state.Table >= len(models) {
			then, err := last()
			if err != nil {
				return err
			}
			_, err = r.step(ctx, func() *store.Want { return &store.Want{} }, func(_ *store.Loaded, next *RebuildState, now time.Time) (*store.Batch, error) {
				next.Table, next.After, next.HasAfter = 0, "", false
				then(next)
				return &store.Batch{Group: r.Group, Now: now}, nil
			})
			if err != nil {
				return err
			}
			continue
		}
		m := models[r.state.Table]
		streams := batch.StreamsOf(r.Judge.Wiring, m, r.Topics)
		given := keys[r.state.Table]
		if rebuilding {
			given = nil // also what was made meanwhile
		}
		page, err := r.portion(ctx, m, given, rebuilding)
		if err != nil {
			return err
		}
		refusal, err := r.step(ctx, func() *store.Want { return batch.GatherRebuild(r.Group, m, page, r.Layouts, streams) },
			func(loaded *store.Loaded, next *RebuildState, now time.Time) (*store.Batch, error) {
				if len(page) == 0 {
					next.Table, next.After, next.HasAfter = next.Table+1, "", false
					return &store.Batch{Group: r.Group, Now: now}, nil
				}
				next.After, next.HasAfter = page[len(page)-1], true
				return portion(m, page, loaded, streams, next, now)
			})
		if err != nil {
			return err
		}
		if refusal != nil {
			return &RefusedError{Table: m.Table, Phase: phase, Err: refusal}
		}
	}
	return nil
}

// RefusedError says that the database refuses rows of a table as a rebuild has to write them.
type RefusedError struct {
	Table string
	Phase RebuildPhase
	Err   error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("evenkeel: the database refuses rows of %s while they are %s: %v; a model is rebuilt through blank rows, which its constraints must allow", e.Table, e.Phase, e.Err)
}

// Unwrap returns the refusal.
func (e *RefusedError) Unwrap() error { return e.Err }

// clear is the first phase. When all rows have forgotten, what they had seen is below the
// positions that the ledger has now: a later event is remembered by the rows themselves. And
// with no stamp left, their kind may become another one. Where there is one all the same,
// somebody goes on writing under the old kind.
func (r *Rebuild) clear(ctx context.Context) error {
	again := false
	err := r.walk(ctx, false, func(m *handlers.Model, keys []string, loaded *store.Loaded, streams []batch.Numbers, next *RebuildState, now time.Time) (*store.Batch, error) {
		b, n, err := r.Judge.Blank(m, keys, r.Layouts, loaded, streams, now)
		next.Cleared += int64(n)
		return b, err
	}, func() (func(*RebuildState), error) {
		if table, _ := r.otherKind(); table != "" {
			if err := r.reloadLayouts(ctx); err != nil {
				return nil, err
			}
		}
		if table, kind := r.otherKind(); table != "" {
			if again {
				return nil, fmt.Errorf("evenkeel: rows of %s go on getting stamps of the kind %s while they are cleared; stop the members of group %q whose handlers order by it, and call again", table, kind, r.Group)
			}
			again = true
			return func(next *RebuildState) { next.Cleared = 0 }, nil
		}
		parts, err := r.partitions(ctx)
		return func(next *RebuildState) { next.Phase, next.Partitions = RebuildReplaying, parts }, err
	})
	var refused *RefusedError
	if errors.As(err, &refused) && r.state.Cleared == 0 {
		// Nothing was changed, so nothing is left open.
		_, again := r.step(ctx, func() *store.Want { return &store.Want{} }, func(_ *store.Loaded, next *RebuildState, now time.Time) (*store.Batch, error) {
			next.Phase = ""
			return &store.Batch{Group: r.Group, Now: now}, nil
		})
		return errors.Join(err, again)
	}
	return err
}

// partitions are what must be read: all that the ledger says was judged.
func (r *Rebuild) partitions(ctx context.Context) ([]RebuildPart, error) {
	ledgers, err := r.Store.Ledgers(ctx, r.Group)
	if err != nil {
		return nil, err
	}
	var parts []RebuildPart
	ids := map[string]string{}
	for i := range ledgers {
		l := &ledgers[i]
		if !slices.Contains(r.Topics, l.Topic) {
			continue
		}
		if _, asked := ids[l.Topic]; !asked {
			t, err := r.Reader.Describe(ctx, l.Topic)
			if err != nil {
				return nil, err
			}
			ids[l.Topic] = t.ID
		}
		end, not := l.Seen()
		if l.TopicID != ids[l.Topic] || end == 0 {
			continue
		}
		pos, err := r.Reader.Find(ctx, broker.Partition{Topic: l.Topic, Number: l.Partition})
		if err != nil {
			return nil, err
		}
		p := RebuildPart{Cluster: l.Cluster, TopicID: l.TopicID, Topic: l.Topic, Partition: l.Partition, Next: min(pos.LogStart, end), End: end}
		for _, n := range not {
			p.Skip = append(p.Skip, [2]int64{n.From, n.To})
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// end is the last phase: rows are whole again, and what has waited for that goes on.
func (r *Rebuild) end(ctx context.Context) error {
	return r.walk(ctx, true, func(m *handlers.Model, keys []string, loaded *store.Loaded, streams []batch.Numbers, next *RebuildState, now time.Time) (*store.Batch, error) {
		b, n, err := r.Judge.Whole(m, keys, loaded, streams, now)
		next.Ended += int64(n)
		return b, err
	}, func() (func(*RebuildState), error) {
		return func(next *RebuildState) { next.Phase = "" }, nil
	})
}
