package converge

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
)

// TestWhatIsCompared: each part of a result counts by itself, and revisions do not.
func TestWhatIsCompared(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "put", func(_ context.Context, d *handlers.Delivery[int64, account]) error {
		d.Entity.Total = d.Payload
		d.Emit(event.Draft{Topic: "sums", Type: "summed", Key: "k", Payload: d.Payload})
		return nil
	}, handlers.Creates(), handlers.Writes("Total"), handlers.Emits("sums"))
	for name, x := range map[string]struct {
		change func(r *result)
		kinds  []differenceKind
	}{
		"nothing":          {func(*result) {}, nil},
		"the revision":     {func(r *result) { r.content.Rows[0].EkRev++ }, nil},
		"when it was made": {func(r *result) { r.content.Rows[0].EkBorn++ }, nil},
		"a field": {func(r *result) {
			e := reflect.New(reflect.TypeFor[account]())
			e.Elem().Set(r.content.Rows[0].Entity.Elem())
			e.Interface().(*account).Total = 9
			r.content.Rows[0].Entity = e
		}, []differenceKind{inField}},
		"existence":       {func(r *result) { r.content.Rows[0].EkState = guards.Deleted }, []differenceKind{inExistence}},
		"no row":          {func(r *result) { r.content.Rows = nil }, []differenceKind{inRow}},
		"another row":     {func(r *result) { r.content.Rows[0].Key = "b" }, []differenceKind{inRow, inRow}},
		"the newest time": {func(r *result) { r.content.Rows[0].EkTime++ }, []differenceKind{inClock}},
		"the newest tie":  {func(r *result) { r.content.Rows[0].EkTie = []byte("x") }, []differenceKind{inClock}},
		"an older clock":  {func(r *result) { r.content.Rows[0].EkFields = "- = total" }, []differenceKind{inClock}},
		"an outcome":      {func(r *result) { r.outcomes[0].what = waits }, []differenceKind{inOutcome}},
		"one outcome more": {func(r *result) {
			r.outcomes = append(r.outcomes, outcome{0, r.outcomes[0].handler, "a", refused})
		}, []differenceKind{inOutcome}},
		"nothing emitted":      {func(r *result) { r.emitted = nil }, []differenceKind{inEmission}},
		"another emitted":      {func(r *result) { r.emitted[0].id = "x" }, []differenceKind{inEmission, inEmission}},
		"otherwise emitted":    {func(r *result) { r.emitted[0].payload = "2" }, []differenceKind{inEmission}},
		"emitted twice, alike": {func(r *result) { r.emitted = emissions(append(r.emitted, r.emitted[0])) }, nil},
		"an id":                {func(r *result) { r.content.IDs = []*store.ID{{}} }, []differenceKind{inMemory}},
		"a memo":               {func(r *result) { r.content.Memos = []*store.Memo{{Body: "x"}} }, []differenceKind{inMemory}},
		"a horizon":            {func(r *result) { r.content.Memos = []*store.Memo{{MemoKey: store.HorizonOf("x"), Body: "1"}} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := New(reg, []*event.Event{{Type: "put", Key: "a", OccurredAt: time.Unix(1, 0), Data: []byte("1")}}, Options{})
			require.NoError(t, err)
			one, err := c.play(t.Context(), c.given(), nil)
			require.NoError(t, err)
			rows := slices.Clone(one.content.Rows)
			other := &result{content: &memory.Content{Rows: rows}, outcomes: slices.Clone(one.outcomes), emitted: slices.Clone(one.emitted)}
			x.change(other)
			var kinds []differenceKind
			for _, d := range compare(one, other) {
				kinds = append(kinds, d.kind)
				require.NotEmpty(t, d.subject(c))
				require.Len(t, d.line(c), 3)
			}
			require.Equal(t, x.kinds, kinds)
		})
	}
}

// TestOfAStreamItsNumbersCount: which ids were kept of those before an event that carried the
// whole state depends on the order and changes nothing.
func TestOfAStreamItsNumbersCount(t *testing.T) {
	t.Parallel()
	stream := func(body string, ids ...string) *memory.Content {
		c := &memory.Content{Memos: []*store.Memo{{MemoKey: store.MemoKey{Kind: store.KindSequence, Scope: "s", Entity: "a"}, Body: body}}}
		for _, id := range ids {
			c.IDs = append(c.IDs, &store.ID{IDKey: store.IDKey{Scope: batch.StreamScope("s"), Entity: "a", ID: id}})
		}
		return c
	}
	one := stream(`{"next":4,"begun":true}`, "1", "2", "3")
	require.Empty(t, compareMemory(one, stream(`{"next":4,"begun":true}`, "3")))
	require.NotEmpty(t, compareMemory(one, stream(`{"next":5,"begun":true}`, "1", "2", "3")))
	require.NotEmpty(t, compareMemory(one, stream(`{"next":4,"begun":true,"skipped":[[2,2]]}`, "1", "2", "3")))
	other := stream(`{"next":4,"begun":true}`)
	other.IDs = []*store.ID{{IDKey: store.IDKey{Scope: "once:h", Entity: "a", ID: "1"}}}
	require.NotEmpty(t, compareMemory(one, other), "other ids count")
}

// TestRevisionsOfMemosAreNoResult: they count writes.
func TestRevisionsOfMemosAreNoResult(t *testing.T) {
	t.Parallel()
	memo := func(rev int64) *memory.Content { return &memory.Content{Memos: []*store.Memo{{Rev: rev, Body: "x"}}} }
	require.Empty(t, compareMemory(memo(1), memo(2)))
}
