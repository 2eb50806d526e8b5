package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Rehearsal tells what replays of letters would come to: it does what a sweeper does, in
// transactions that are rolled back. Judge must have Rehearses set, and no Breakers: what is
// only tried is no outcome (R22).
type Rehearsal struct {
	Group           string
	Store           store.Store
	Clock           seam.Clock
	Judge           *batch.Judge
	Prepare         *batch.Preparer
	Layouts         batch.Layouts
	AcceptForgotten bool
}

// Bounds of one transaction of a rehearsal, which others wait for. It ends early with the
// letter under way; what is left of its portion is not tried.
const (
	RehearsedLetters = 1000
	RehearsedFor     = 10 * time.Second
	rehearseTries    = 3
)

// Candidate is a letter that is to be rehearsed, without its bytes.
type Candidate struct {
	Ref      dlq.Ref
	whole    bool
	queue    string // whose places it has one of
	entity   string
	place    int64
	entities []string
}

// Candidate finds where a letter stands.
func (r *Rehearsal) Candidate(ref dlq.Ref, l *dlq.Letter) *Candidate {
	u := r.Prepare.PrepareParked(store.ParkedOf(r.move(ref), l))
	c := &Candidate{Ref: ref, whole: l.Handler == "", queue: cmp.Or(l.Stream, l.Table), entity: l.Entity, place: l.Place, entities: u.Item.Entities()}
	if l.Entity != "" {
		c.entities = append(c.entities, l.Entity)
	}
	return c
}

func (r *Rehearsal) move(ref dlq.Ref) *store.LetterMove {
	return &store.LetterMove{Ref: ref, Move: dlq.MoveReplay, By: store.Replayer(), AcceptForgotten: r.AcceptForgotten}
}

// Portions splits letters into those that must be rehearsed together, since they may touch
// the same entity, each in the order of replays.
func Portions(all []*Candidate) [][]*Candidate {
	head := make([]int, len(all))
	find := func(i int) int {
		for head[i] != i {
			head[i] = head[head[i]]
			i = head[i]
		}
		return i
	}
	at := map[string]int{}
	for i, c := range all {
		head[i] = i
		for _, e := range c.entities {
			if first, known := at[e]; known {
				head[find(i)] = find(first)
			} else {
				at[e] = i
			}
		}
	}
	by := map[int][]*Candidate{}
	for i, c := range all {
		by[find(i)] = append(by[find(i)], c)
	}
	order := func(a, b *Candidate) int {
		return cmp.Or(cmp.Compare(a.entity, b.entity), cmp.Compare(a.queue, b.queue), cmp.Compare(a.place, b.place), cmp.Compare(a.Ref.ID, b.Ref.ID))
	}
	portions := make([][]*Candidate, 0, len(by))
	for _, p := range by {
		slices.SortFunc(p, func(a, b *Candidate) int {
			if a.whole != b.whole { // as batch.Judge.Waiting takes them
				if a.whole {
					return -1
				}
				return 1
			}
			return order(a, b)
		})
		portions = append(portions, p)
	}
	slices.SortFunc(portions, func(a, b []*Candidate) int { return order(a[0], b[0]) })
	return portions
}

// Forecast is what a replay of one letter would come to.
type Forecast struct {
	Ref dlq.Ref
	// Err says why the letter can't be taken for a replay, Untried why it was not tried.
	Err     error
	Untried string
	// Resolution is how the replay would end, nil if it would not: Retry is then the
	// failure after which it is tried again, or Waits says what it waits for.
	Resolution *store.Resolution
	Retry      *store.Parked
	Waits      string
	// Verdicts are those of the letter's own units, LetsGo of other events that go on with
	// it.
	Verdicts, LetsGo []batch.Judged
	// Rows are those of the letter's own units, and all others that change.
	Rows []RowChange
	// Unwritten: the database refuses the rows as they are without what handlers that were
	// not called would write.
	Unwritten error
	Sends     []*store.Outbound
	// OwnSQL: a handler may have written elsewhere.
	OwnSQL bool
}

// Rehearse tells of the letters of one portion, in the order of their replays. They see each
// other's effects.
func (r *Rehearsal) Rehearse(ctx context.Context, portion []*Candidate) ([]*Forecast, error) {
	for try := 1; ; try++ {
		told, err := r.attempt(ctx, portion)
		var away *store.TransientError
		if err == nil || ctx.Err() != nil || try == rehearseTries || !errors.Is(err, store.ErrConflict) && (!errors.As(err, &away) || away.Away) {
			return told, err
		}
		_, wait := next(err, try)
		if err := r.Clock.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// rehearsing is one transaction.
type rehearsing struct {
	*Rehearsal
	tx    store.Rehearsal
	now   time.Time
	told  []*Forecast // in the order in which they were decided
	began time.Time
}

func (r *Rehearsal) attempt(ctx context.Context, portion []*Candidate) ([]*Forecast, error) {
	tx, err := r.Store.Rehearse(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.End()
	now := r.Clock.Now()
	x := &rehearsing{Rehearsal: r, tx: tx, now: now, began: now}
	var pending, late []*Candidate
	for i, c := range portion {
		if i >= RehearsedLetters {
			late = append(late, c)
			continue
		}
		err := tx.Replay(ctx, r.move(c.Ref))
		var taken *dlq.TakenError
		var none *dlq.NotFoundError
		var not *dlq.UnreplayableError
		switch {
		case err == nil:
			pending = append(pending, c)
		case errors.As(err, &taken), errors.As(err, &none), errors.As(err, &not):
			x.tell(&Forecast{Ref: c.Ref, Err: err})
		default:
			return nil, err
		}
	}
	if err := x.letters(ctx, pending); err != nil {
		return nil, err
	}
	x.untried(late, fmt.Sprintf("more than %d letters touch the same entities; dry-run fewer at once", RehearsedLetters))
	return x.told, nil
}

func (x *rehearsing) tell(f *Forecast) { x.told = append(x.told, f) }

func (x *rehearsing) untried(cs []*Candidate, why string) {
	for _, c := range cs {
		x.tell(&Forecast{Ref: c.Ref, Untried: why})
	}
}

// letters judges one after the other, and again those that wait for others, or were woken
// after a failure, as long as something moves.
func (x *rehearsing) letters(ctx context.Context, pending []*Candidate) error {
	last := map[string]*Forecast{}
	for len(pending) > 0 {
		var left []*Candidate
		moved := false
		for i, c := range pending {
			if x.Clock.Now().Sub(x.began) > RehearsedFor {
				x.untried(append(left, pending[i:]...), fmt.Sprintf("the letters before it, of the same entities, took longer than %s, and others wait for their rows; dry-run fewer at once", RehearsedFor))
				return nil
			}
			f, released, err := x.letter(ctx, c, last[c.Ref.ID])
			if err != nil {
				return err
			}
			moved = moved || released || f.Resolution != nil
			if f.Resolution != nil {
				x.tell(f)
			} else {
				last[c.Ref.ID], left = f, append(left, c)
			}
		}
		pending = left
		if !moved {
			var err error
			if moved, err = x.others(ctx, pending); err != nil || !moved {
				break
			}
		}
	}
	for _, c := range pending {
		x.tell(last[c.Ref.ID])
	}
	return nil
}

// letter judges one letter. last is what was told of it before, nil at first.
func (x *rehearsing) letter(ctx context.Context, c *Candidate, last *Forecast) (f *Forecast, released bool, err error) {
	row, err := x.tx.Parked(ctx, c.Ref.ID)
	if err != nil {
		return nil, false, err
	}
	if row == nil {
		return nil, false, fmt.Errorf("%w (letter %s)", store.ErrConflict, c.Ref.ID)
	}
	if last != nil && last.Retry != nil && row.Due.After(x.now) {
		return last, false, nil
	}
	run, err := x.judge(ctx, row)
	if err != nil {
		return nil, false, err
	}
	b := run.out.Batch
	f = &Forecast{Ref: c.Ref, Sends: b.Outbox, Rows: run.changes(), Unwritten: run.unwritten, OwnSQL: run.ownSQL}
	for _, j := range run.out.Verdicts {
		if j.Item == run.unit.Item {
			f.Verdicts = append(f.Verdicts, j)
		} else {
			f.LetsGo = append(f.LetsGo, j)
		}
	}
	if i := slices.IndexFunc(b.Resolve, func(end *store.Resolution) bool { return end.ID == row.ID }); i >= 0 {
		f.Resolution = b.Resolve[i]
	} else if i := slices.IndexFunc(b.Repark, func(p *store.Parked) bool { return p.ID == row.ID }); i >= 0 && b.Repark[i].Attempts > row.Attempts {
		f.Retry = b.Repark[i]
	} else {
		f.Waits = cmp.Or(run.unit.WaitsFor(), "others of its entity stand before it")
	}
	if f.Resolution == nil { // others may still change the row before it is told
		f.Rows = nil
	}
	return f, len(b.Release) > 0, nil
}

// others judges what is due under the letters' entities: events that the letters have let
// go, and that other letters wait for.
func (x *rehearsing) others(ctx context.Context, pending []*Candidate) (moved bool, err error) {
	seen := map[string]bool{}
	for _, c := range pending {
		for _, entity := range c.entities {
			if seen[entity] {
				continue
			}
			seen[entity] = true
			ids, err := x.tx.Due(ctx, x.Group, entity, x.now)
			if err != nil {
				return false, err
			}
			for _, id := range ids {
				row, err := x.tx.Parked(ctx, id)
				if err != nil {
					return false, err
				}
				if row == nil || row.Due.After(x.now) {
					continue // it has gone with another one
				}
				run, err := x.judge(ctx, row)
				if err != nil {
					return false, err
				}
				moved = moved || len(run.out.Batch.Release) > 0
			}
		}
	}
	return moved, nil
}

// run is one batch of a rehearsal.
type run struct {
	unit          *batch.Unit
	out           *batch.Outcome
	before, after map[rowKey]*Picture
	unwritten     error
	ownSQL        bool
}

// judge runs one parked event as a sweeper does that has it alone.
func (x *rehearsing) judge(ctx context.Context, row *store.Parked) (*run, error) {
	var refusal error
	var last *batch.Unit
	alone := false
	for try := 1; ; try++ {
		u := x.Prepare.PrepareParked(row)
		u.Item.Alone = alone
		if refusal != nil {
			accuse(u, refusal)
		}
		if last != nil {
			u.Recall(last)
		}
		last = u
		done, err := x.once(ctx, u)
		if err == nil || ctx.Err() != nil {
			return done, err
		}
		if st, _ := next(err, try); st != stepSplit || refusal != nil {
			return nil, err
		}
		if !alone {
			alone = true
		} else {
			refusal = err
		}
	}
}

func (x *rehearsing) once(ctx context.Context, u *batch.Unit) (*run, error) {
	done := &run{unit: u, ownSQL: u.Item.UsesTx()}
	for again := false; ; again = true {
		want := batch.Gather(x.Group, []*batch.Item{u.Item}, x.Layouts, nil)
		locked, err := x.tx.Lock(ctx, want)
		if err != nil {
			return nil, &loadError{err}
		}
		done.before = pictures(locked.Loaded())
		due := func(*store.Parked) bool { return true }
		done.out, err = x.Judge.Waiting(ctx, []*batch.Unit{u}, x.Layouts, locked.Loaded(), x.now, due, nil)
		if err != nil || done.out.Incomplete && !again {
			locked.Rollback()
			if err != nil {
				return nil, err
			}
			continue
		}
		err = locked.Commit(ctx, done.out.Batch)
		var data *store.DataError
		if errors.As(err, &data) && slices.ContainsFunc(done.out.Verdicts, func(j batch.Judged) bool { return j.Uncalled }) {
			done.unwritten, done.after = err, done.before
			return done, nil
		}
		if err != nil {
			return nil, err
		}
		if done.after, err = x.look(ctx, want); err != nil {
			return nil, &loadError{err}
		}
		return done, nil
	}
}

// look reads the rows as the batch has left them.
func (x *rehearsing) look(ctx context.Context, want *store.Want) (map[rowKey]*Picture, error) {
	rows := &store.Want{Group: want.Group, Rows: slices.Clone(want.Rows)}
	for i := range rows.Rows {
		rows.Rows[i].Parked = false
	}
	locked, err := x.tx.Lock(ctx, rows)
	if err != nil {
		return nil, err
	}
	defer locked.Rollback()
	return pictures(locked.Loaded()), nil
}

// changes are the rows that the run concerns, in the order of tables and keys.
func (r *run) changes() (rows []RowChange) {
	seen := map[rowKey]bool{}
	add := func(c RowChange, always bool) {
		k := rowKey{c.Model.Table, c.Key}
		c.Before, c.After = r.before[k], r.after[k]
		if !seen[k] && (always && (c.Before != nil || c.After != nil) || !c.Before.same(c.After)) {
			seen[k] = true
			rows = append(rows, c)
		}
	}
	for _, u := range r.unit.Item.Units {
		if u.Handler != nil && u.Key != "" {
			add(RowChange{Model: u.Handler.Model, Key: u.Key}, true)
		}
	}
	for _, written := range [...][]*store.Row{r.out.Batch.Insert, r.out.Batch.Update, r.out.Batch.Delete} {
		for _, row := range written {
			add(RowChange{Model: row.Model, Key: row.Key}, false)
		}
	}
	slices.SortFunc(rows, func(a, b RowChange) int {
		return cmp.Or(cmp.Compare(a.Model.Table, b.Model.Table), cmp.Compare(a.Key, b.Key))
	})
	return rows
}
