package runtime

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// watch is a clock that stands until it is moved.
type watch struct {
	instant
	now time.Time
}

func (w *watch) Now() time.Time { return w.now }

// oldRows is a table full of rows in one state.
type oldRows struct {
	fakeStore
	table   store.Table
	indexed bool
	rows    map[string]*store.Row
	memo    *store.Memo
	pinned  string // the database refuses to remove this row
	busy    int    // so many removals meet others

	mu              sync.Mutex // portions are removed at once
	claims, counted int
	pages           []guards.Existence
	commits         []*store.Batch
	orphans         int
}

func (o *oldRows) Tables(context.Context, string) ([]store.Table, error) {
	return []store.Table{o.table}, nil
}

func (o *oldRows) MissingIndex(context.Context, store.Table, guards.Existence) (string, error) {
	if o.indexed {
		return "", nil
	}
	return "CREATE INDEX", nil
}

func (o *oldRows) Claim(_ context.Context, _ string, models []*handlers.Model, _ bool) ([]*clocks.Layout, error) {
	o.claims++
	l := clocks.NewLayout(models[0], map[string]int32{"on": 1, clocks.Existence: 1}, 1)
	l.Purged = o.table.Purged
	return []*clocks.Layout{l}, nil
}

func (o *oldRows) Aged(_ context.Context, q store.AgedQuery) (page []store.Aged, err error) {
	o.pages = append(o.pages, q.State)
	for i := range q.Limit {
		at := i
		if q.After != nil {
			last, err := strconv.Atoi(q.After.Key)
			if err != nil {
				return nil, err
			}
			at += last + 1
		}
		key := fmt.Sprintf("%06d", at)
		if o.rows[key] == nil {
			break
		}
		page = append(page, store.Aged{Key: key, Rev: o.rows[key].Rev})
	}
	return page, nil
}

func (o *oldRows) CountAged(context.Context, store.AgedQuery) (int64, *store.Aged, error) {
	o.counted++
	return 0, nil, nil
}

func (o *oldRows) Load(_ context.Context, w *store.Want) (*store.Loaded, error) {
	l := &store.Loaded{Rows: map[string]map[string]*store.Row{}, Memos: map[store.MemoKey]*store.Memo{}}
	if o.memo != nil {
		l.Memos[o.memo.MemoKey] = o.memo
	}
	for _, rows := range w.Rows {
		l.Rows["lamps"] = map[string]*store.Row{}
		for _, k := range rows.Keys {
			l.Rows["lamps"][k] = o.rows[k]
		}
	}
	return l, nil
}

func (o *oldRows) Commit(_ context.Context, b *store.Batch) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range b.Delete {
		if r.Key == o.pinned {
			return &store.DataError{State: "23503", Err: errUnsettled}
		}
	}
	for _, m := range b.Memos {
		m.Rev++
		o.memo = m
		o.table.Purged = true
	}
	o.commits = append(o.commits, b)
	return nil
}

func (o *oldRows) RemoveOrphans(_ context.Context, r *store.OrphanRemoval) ([]bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy > 0 {
		o.busy--
		return nil, store.ErrConflict
	}
	gone := make([]bool, len(r.Orphans))
	for i, orphan := range r.Orphans {
		if orphan.Key == o.pinned {
			return nil, &store.DataError{State: "23503", Err: errUnsettled}
		}
		gone[i] = orphan.Rev == 0 // the others were changed meanwhile
	}
	for _, g := range gone {
		if g {
			o.orphans++
		}
	}
	return gone, nil
}

// tended is a member's upkeep of so many rows that were made an hour ago.
func tended(t *testing.T, o *oldRows, state guards.Existence, rows int) (*upkeep, *watch, *[]string) {
	t.Helper()
	l := testLane(t, fakeStore{}, &fakeConsumer{})
	m := l.m
	clock, lines := &watch{now: instant{}.Now()}, &[]string{}
	m.Store, m.Clock, m.Log = o, clock, func(level Level, text string, _ ...any) {
		if level > Debug {
			*lines = append(*lines, text)
		}
	}
	m.SweepInterval, m.PlaceholderAge = time.Second, 10*time.Minute
	model := m.Models[0]
	o.table = store.Table{Name: "lamps", Key: "id"}
	o.rows = map[string]*store.Row{}
	layout := m.Layouts[model]
	for i := range rows {
		r := &store.Row{Model: model, Layout: layout, Key: fmt.Sprintf("%06d", i), State: state, Born: clock.now.Add(-time.Hour), Clocks: layout.New()}
		for i := range r.Clocks.Stamps {
			r.Clocks.Stamps[i].Time, r.Clocks.Stamps[i].Tie = 5, "1"
		}
		o.rows[r.Key] = r
	}
	return &upkeep{m: m}, clock, lines
}

func (o *oldRows) removed() (n int) {
	for _, b := range o.commits {
		n += len(b.Delete)
	}
	return n + o.orphans
}

// TestTheSweepTakesPortions: parked events come in between, and nobody waits for the end of
// a large table.
func TestTheSweepTakesPortions(t *testing.T) {
	t.Parallel()
	const each = upkeepPortions * upkeepRows
	const rows = 2*each + 3
	o := &oldRows{indexed: true}
	u, _, _ := tended(t, o, guards.Placeholder, rows)
	u.m.PlaceholderPolicy = PlaceholderDelete
	for round := 1; round <= 2; round++ {
		require.True(t, u.round(t.Context()), "the rest does not wait")
		require.Equal(t, round*each, o.removed())
		require.Zero(t, o.counted)
	}
	require.False(t, u.round(t.Context()))
	require.Equal(t, rows, o.removed())
	require.Equal(t, 1, o.counted, "what is left is told in the end")
	u.round(t.Context())
	require.Equal(t, 1, o.counted, "and then it waits for its time")
}

// TestARowThatOthersPointToStays: the database refuses to remove it, and the others go.
func TestARowThatOthersPointToStays(t *testing.T) {
	t.Parallel()
	o := &oldRows{indexed: true, pinned: "000003"}
	u, _, lines := tended(t, o, guards.Placeholder, 9)
	u.m.PlaceholderPolicy = PlaceholderDelete
	u.round(t.Context())
	require.Equal(t, 8, o.removed())
	require.Len(t, *lines, 1)
	require.Contains(t, (*lines)[0], "it stays")
}

// TestARowThatIsInUseIsLeftOut: what an event has changed since the page was read is no
// orphan, and only what went is told. Removals that meet others are done once more.
func TestARowThatIsInUseIsLeftOut(t *testing.T) {
	t.Parallel()
	o := &oldRows{indexed: true, busy: 2}
	u, _, _ := tended(t, o, guards.Placeholder, 9)
	told := 0
	u.m.Observe = removals{u.m.Observe, &told}
	u.m.PlaceholderPolicy = PlaceholderDelete
	o.rows["000004"].Rev = 1
	u.round(t.Context())
	require.Equal(t, 8, o.removed())
	require.Equal(t, 8, told)
}

// removals counts rows of which was said that they are removed.
type removals struct {
	Observer
	n *int
}

func (r removals) Removed(_ string, _ guards.Existence, n int) { *r.n += n }

// TestATableWithoutAnIndexIsLookedAtSeldom: each look reads it whole.
func TestATableWithoutAnIndexIsLookedAtSeldom(t *testing.T) {
	t.Parallel()
	for indexed, want := range map[bool]int{true: 20, false: 2} {
		o := &oldRows{indexed: indexed}
		u, clock, _ := tended(t, o, guards.Placeholder, 0)
		for range 20 {
			u.round(t.Context())
			clock.now = clock.now.Add(2 * lookEvery)
		}
		require.Equal(t, want, o.counted)
	}
}

// TestAHorizonIsAnnouncedBeforeAnythingGoes (R13): a member that did not know of it would
// take a missing row for one that never was.
func TestAHorizonIsAnnouncedBeforeAnythingGoes(t *testing.T) {
	t.Parallel()
	o := &oldRows{indexed: true}
	u, clock, _ := tended(t, o, guards.Deleted, 3)
	u.m.PurgeAfter = 30 * time.Minute
	u.round(t.Context())
	require.Equal(t, 1, o.claims, "this member knows of it at once")
	for waited := time.Duration(0); waited < announceFor-time.Second; waited += announceFor / 2 {
		require.Empty(t, o.removed(), "after %s", waited)
		require.NotContains(t, o.pages, guards.Deleted)
		clock.now = clock.now.Add(announceFor / 2)
		u.round(t.Context())
	}
	require.Equal(t, 3, o.removed())
	require.Equal(t, 2, strings.Count(fmt.Sprint(o.memo.Body), ":"), "the announcement stays beside the horizon: %s", o.memo.Body)
	h, err := store.ReadHorizon(o.memo)
	require.NoError(t, err)
	require.EqualValues(t, 5, *h.At)
}

// TestAHorizonOfAnotherMemberIsLearnt: also where purging is off.
func TestAHorizonOfAnotherMemberIsLearnt(t *testing.T) {
	t.Parallel()
	o := &oldRows{indexed: true}
	u, clock, _ := tended(t, o, guards.Deleted, 3)
	u.round(t.Context())
	require.Zero(t, o.claims)
	o.table.Purged = true
	clock.now = clock.now.Add(2 * lookEvery)
	u.round(t.Context())
	require.Equal(t, 1, o.claims)
	require.True(t, u.m.layouts()[u.m.Models[0]].Purged)
	require.Zero(t, o.removed())
	clock.now = clock.now.Add(2 * lookEvery)
	u.round(t.Context())
	require.Equal(t, 1, o.claims, "once")
}
