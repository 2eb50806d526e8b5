package batch_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// sweepOrphans sweeps what was born before now, as the dead-letter policy does.
func (m *memory) sweepOrphans() *batch.Outcome {
	o := &batch.Orphans{Model: m.model("tickets"), Before: m.now, Age: time.Hour}
	for life, origins := range m.origins {
		l := batch.Life{OriginKey: life}
		for _, origin := range origins {
			l.Origins = append(l.Origins, m.prepare.PrepareOrigin(origin))
		}
		o.Lives = append(o.Lives, l)
	}
	slices.SortFunc(o.Lives, func(a, b batch.Life) int { return strings.Compare(a.Entity, b.Entity) })
	out := m.judge.Sweep(context.Background(), o, m.layouts, m.load(), m.now)
	m.commit(out)
	return out
}

func (m *memory) lives() (entities []string) {
	for life, origins := range m.origins {
		entities = append(entities, fmt.Sprint(life.Entity, " ", len(origins)))
	}
	slices.Sort(entities)
	return entities
}

func on(key string, e ev) ev {
	e.key, e.id = key, key+" "+e.id
	return e
}

// TestWhatWroteAPlaceholderBecomesLetters: all of them lose their effect when the row
// goes, so all of them are kept, and their replay makes the same row.
func TestWhatWroteAPlaceholderBecomesLetters(t *testing.T) {
	t.Parallel()
	m := newMemory(t, tickets())
	m.judge.KeepOrigins = true
	noted := func(at int, text string) ev {
		return ev{typ: "noted", key: "t1", at: at, id: "note " + text, data: `{"note":"` + text + `"}`}
	}
	first := m.log(assigned(5, "ann"), noted(6, "x"), assigned(3, "old"))
	m.run(first)
	m.now = m.now.Add(time.Minute)
	second := m.log(noted(9, "y"), on("done", assigned(5, "eve")))
	m.run(second)
	m.run(m.log(on("done", opened(1, "d"))))
	require.Equal(t, []string{"done 1", "t1 3"}, m.lives(), "the superseded one wrote nothing")
	row := m.rows["tickets"]["t1"]
	m.now = m.now.Add(time.Hour)
	m.reasons()

	out := m.sweepOrphans()
	require.Equal(t, []string{"dead-letter/orphaned", "dead-letter/orphaned", "dead-letter/orphaned"}, m.reasons())
	require.Nil(t, m.rows["tickets"]["t1"])
	require.Equal(t, guards.Alive, m.rows["tickets"]["done"].State, "a completed one stays")
	require.Empty(t, m.lives(), "and is no origin's business any more")
	require.Nil(t, out.Batch.Ledger)
	var events []string
	for _, l := range m.letters {
		events = append(events, l.EventID)
		require.Equal(t, "tickets", l.Table)
		require.Equal(t, "t1", l.Entity)
		require.False(t, l.Blocking)
		require.False(t, l.Stamp.IsZero())
		require.Equal(t, "born", l.Verdict.Numbers.What)
		require.Equal(t, row.Born.UnixMicro(), l.Verdict.Numbers.Event)
		require.NotEmpty(t, l.Fingerprint)
	}
	slices.Sort(events)
	require.Equal(t, []string{"assign ann", "note x", "note y"}, events)

	// Redelivered records find their letters; the same events by the normal rules make
	// the same row.
	all := slices.Concat(first, second)
	m.led.Next = 0
	m.judgeAt(all[:1])
	require.Equal(t, []string{"discard/redelivered"}, m.reasons())
	again := newMemory(t, tickets())
	again.run(again.log(noted(9, "y"), assigned(5, "ann"), noted(6, "x")))
	require.Equal(t, row.Entity.Interface(), again.rows["tickets"]["t1"].Entity.Interface())
	require.Equal(t, row.Clocks, again.rows["tickets"]["t1"].Clocks)
}

// TestAPlaceholderWithAnUnknownWriterStays: its effect would be lost without a letter.
func TestAPlaceholderWithAnUnknownWriterStays(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string][3]bool{
		"the one who made it":      {false, true, true},
		"one in between":           {true, false, true},
		"the last":                 {true, true, false},
		"nobody: then it is swept": {true, true, true},
	} {
		m := newMemory(t, tickets())
		for i, k := range keep {
			m.judge.KeepOrigins = k
			m.run(m.log(assigned(i+1, fmt.Sprint("owner", i))))
		}
		m.now = m.now.Add(time.Hour)
		m.sweepOrphans()
		if strings.HasPrefix(name, "nobody") {
			require.Nil(t, m.rows["tickets"]["t1"], name)
			require.Len(t, m.letters, 3, name)
			continue
		}
		require.NotNil(t, m.rows["tickets"]["t1"], name)
		require.Empty(t, m.letters, name)
		require.NotEmpty(t, m.lives(), name)
	}
}

// TestOriginsOfAnEarlierLife are no origins of the placeholder that stands there now.
func TestOriginsOfAnEarlierLife(t *testing.T) {
	t.Parallel()
	m := newMemory(t, tickets())
	m.judge.KeepOrigins = true
	m.run(m.log(assigned(1, "ann")))
	delete(m.rows["tickets"], "t1") // the policy was another one for a while
	m.now = m.now.Add(time.Hour)
	m.run(m.log(assigned(2, "bob")))
	require.Equal(t, []string{"t1 1", "t1 1"}, m.lives())
	out := m.sweepOrphans() // the new one is too young
	require.Empty(t, out.Batch.Letters)
	require.Len(t, out.Batch.Forget, 1)
	require.Equal(t, []string{"t1 1"}, m.lives())
	m.now = m.now.Add(time.Hour)
	m.sweepOrphans()
	require.Len(t, m.letters, 1)
	require.Empty(t, m.lives())
}

// TestASweepOfAModify: a Modify handler that failed at first has only touched the row,
// and while something waits under the key nothing is swept.
func TestASweepOfAModify(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "opened", func(context.Context, *ticketDelivery) error { return nil }, handlers.Creates(), handlers.Writes("Title"))
	fails := 2
	handlers.Modify(reg, "assigned", func(_ context.Context, d *ticketDelivery) error {
		if fails--; fails >= 0 {
			return errBusy
		}
		d.Entity.Owner += d.Payload.Owner
		return nil
	}, guards.None(), handlers.Writes("Owner"))
	m := newMemory(t, reg)
	m.judge.KeepOrigins = true
	m.run(m.log(assigned(1, "a"), assigned(2, "b")))
	require.Equal(t, []string{"park/retry", "park/behind"}, m.reasons())
	require.Equal(t, []string{"t1 1"}, m.lives(), "touched")
	m.now = m.now.Add(time.Hour)
	m.sweepOrphans()
	require.NotNil(t, m.rows["tickets"]["t1"], "events wait for each other behind it")
	m.sweep()
	require.Equal(t, []string{"apply/applied", "apply/applied"}, m.reasons())
	m.now = m.now.Add(time.Hour)
	m.sweepOrphans()
	require.Equal(t, []string{"dead-letter/orphaned", "dead-letter/orphaned"}, m.reasons())
	require.Nil(t, m.rows["tickets"]["t1"])
}

// TestPlaceholdersAreDeletedByPolicy: with a verdict for each event whose fields go.
func TestPlaceholdersAreDeletedByPolicy(t *testing.T) {
	t.Parallel()
	m := newMemory(t, tickets())
	m.run(m.log(assigned(5, "ann"), ev{typ: "noted", key: "t1", at: 6, id: "n", data: `{"note":"x"}`}))
	require.Empty(t, m.origins, "nothing is kept for it")
	row := m.rows["tickets"]["t1"]
	layout := m.layouts[m.model("tickets")]
	stored := layout.Encode(row.Clocks)
	aged := store.Aged{Key: "t1", Born: row.Born, Newest: event.Stamp{Time: stored.Time, Tie: string(stored.Tie)}, Rev: row.Rev, Fields: stored.Fields, Gen: stored.Gen}
	m.now = m.now.Add(time.Hour)
	o := &batch.Orphans{Model: m.model("tickets"), Age: time.Hour}
	r, err := m.judge.Remove(o, []store.Aged{aged, {Key: "bare", Born: row.Born, Rev: 7}}, layout, m.now)
	require.NoError(t, err)
	var lines []string
	for _, orphan := range r.Orphans {
		for _, v := range r.Verdicts(&orphan) {
			lines = append(lines, fmt.Sprintf("%s %d %s %s %s/%s %s", orphan.Key, orphan.Rev, v.Verdict.Action, v.Verdict.Reason, v.Source, v.EventID, v.Entity))
			require.Equal(t, guards.Comparison{What: "born", Event: row.Born.UnixMicro(), Against: m.now.UnixMicro(), Bound: time.Hour.Microseconds()}, v.Verdict.Numbers)
		}
	}
	slices.Sort(lines)
	first := fmt.Sprint("t1 ", row.Rev, " discard orphaned src/")
	require.Equal(t, []string{"bare 7 discard orphaned / bare", first + "assign ann t1", first + "n t1"}, lines, "and one line where no event is known")

	aged.Fields = "torn"
	_, err = m.judge.Remove(o, []store.Aged{aged}, layout, m.now)
	var data *store.DataError
	require.ErrorAs(t, err, &data, "this row stays, the others go")
	require.ErrorContains(t, err, `key "t1"`)
	aged.Gen = layout.Current + 1
	_, err = m.judge.Remove(o, []store.Aged{aged}, layout, m.now)
	require.ErrorIs(t, err, clocks.ErrNewerGeneration)
}

// TestALetterOfAnOriginWhoseHandlerIsGone has what people need to find it.
func TestALetterOfAnOriginWhoseHandlerIsGone(t *testing.T) {
	t.Parallel()
	m := newMemory(t, tickets())
	m.judge.KeepOrigins = true
	m.run(m.log(assigned(5, "ann")))
	for _, origins := range m.origins {
		origins[0].Handler = "renamed"
	}
	m.now = m.now.Add(time.Hour)
	m.sweepOrphans()
	require.Len(t, m.letters, 1)
	for _, l := range m.letters {
		require.Equal(t, [3]string{"renamed", "tickets", "t1"}, [3]string{l.Handler, l.Table, l.Entity})
		require.Equal(t, guards.Orphaned, l.Verdict.Reason)
	}
}
