package batch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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

// witness is what handlers were given, and complains when an event comes before its causes.
type witness struct {
	t       *testing.T
	vectors map[string]event.Vector // by id
	given   map[string]bool
}

func newWitness(t *testing.T, evs []ev, vectors []event.Vector) *witness {
	t.Helper()
	d := &witness{t, map[string]event.Vector{}, map[string]bool{}}
	for i, e := range evs {
		d.vectors[e.id[strings.Index(e.id, "/")+1:]] = vectors[i]
	}
	return d
}

// all wants every cause to have been given before.
func (d *witness) all(ids ...string) {
	for _, id := range ids {
		for cause, v := range d.vectors {
			if v.Compare(d.vectors[id]) == event.Before {
				require.True(d.t, d.given[cause] || slices.Contains(ids, cause), "%s came before its cause %s", id, cause)
			}
		}
	}
	for _, id := range ids {
		d.given[id] = true
	}
}

// notAfter wants nothing to have been given that had seen it; an event that a concurrent
// one has overtaken is not given at all.
func (d *witness) notAfter(id string) {
	for later := range d.given {
		require.NotEqual(d.t, event.After, d.vectors[later].Compare(d.vectors[id]), "%s came after %s, which had seen it", id, later)
	}
	d.given[id] = true
}

const patience = 30 * time.Second

func causal(opts ...guards.VectorOption) guards.Stamper {
	return guards.Vector(append(opts, guards.Causal(patience))...)
}

// causalRegistries has each verb; "saved" and "noted" take turns in the last, whose two
// handlers wait for each other's events.
func causalRegistries(d *witness, opts ...guards.VectorOption) map[string]*handlers.Registry {
	set := handlers.NewRegistry(causal(opts...))
	handlers.Set(set, "saved", func(ctx context.Context, x *delivery) error {
		d.all(x.Event.ID)
		return created(ctx, x)
	}, handlers.Creates(), handlers.Writes("Customer"))
	modify := handlers.NewRegistry()
	handlers.Modify(modify, "saved", func(ctx context.Context, x *delivery) error {
		d.notAfter(x.Event.ID)
		return created(ctx, x)
	}, causal(opts...), handlers.Writes("Customer"))
	resolve := handlers.NewRegistry()
	resolver := func(o *order, siblings []handlers.Sibling[facts]) error {
		var ids []string
		for _, s := range siblings {
			ids = append(ids, s.ID)
		}
		d.all(ids...)
		return joined(o, siblings)
	}
	handlers.Resolve(resolve, "saved", resolver, causal(opts...), handlers.Creates(), handlers.Writes("Customer", "Count"))
	both := handlers.NewRegistry(causal(opts...))
	handlers.Resolve(both, "saved", resolver, causal(opts...), handlers.Creates(), handlers.Writes("Customer", "Count"))
	handlers.Set(both, "noted", func(ctx context.Context, x *delivery) error {
		d.all(x.Event.ID)
		return noted(ctx, x)
	}, handlers.Writes("Note", "Limit"))
	return map[string]*handlers.Registry{"set": set, "modify": modify, "resolve": resolve, "both": both}
}

// from gives each event its node as the source.
func from(evs []ev, vectors []event.Vector, alternate bool) []ev {
	out := slices.Clone(evs)
	known := map[string]int64{}
	for i, v := range vectors {
		for _, c := range v { // the node whose entry is new
			if c.Count > known[c.Node] {
				out[i].id = c.Node + "/" + evs[i].id
			}
		}
		for _, c := range v {
			known[c.Node] = max(known[c.Node], c.Count)
		}
		if alternate && i%2 == 1 {
			out[i].typ = "noted"
		}
	}
	return out
}

func patientMemory(t *testing.T, reg *handlers.Registry) *memory {
	t.Helper()
	m := newMemory(t, reg)
	m.judge.MaxParkedPerKey = 100
	return m
}

// TestR14CausesComeFirst: all orders of up to five events, in batches of any size, with a
// duplicate and a sweep in between, give one result, and each handler gets an event after
// its causes.
func TestR14CausesComeFirst(t *testing.T) {
	t.Parallel()
	waited := 0
	for _, name := range []string{"set", "modify", "resolve", "both"} {
		for seed := range uint64(12) {
			rng := rand.New(rand.NewPCG(seed, 41))
			evs, vectors := history(rng, 3+rng.IntN(3))
			evs = from(evs, vectors, name == "both")
			var first *store.Row
			var bodies string
			permute(evs, func(order []ev) {
				d := newWitness(t, evs, vectors)
				m := patientMemory(t, causalRegistries(d)[name])
				in := slices.Insert(slices.Clone(order), rng.IntN(len(order)+1), order[rng.IntN(len(order))])
				for len(in) > 0 {
					n := 1 + rng.IntN(len(in))
					m.run(m.log(in[:n]...))
					in = in[n:]
					waited += len(m.parked)
					if rng.IntN(4) == 0 {
						m.now = m.now.Add(time.Second)
						m.sweep()
					}
				}
				require.Empty(t, m.parked, "%s %d: all causes have come", name, seed)
				require.Empty(t, m.letters)
				row := m.rows["orders"]["o1"]
				if first == nil {
					first, bodies = row, memoBodies(m)
				}
				require.Equal(t, first.Clocks, row.Clocks, "%s %d", name, seed)
				require.Equal(t, first.Entity.Interface(), row.Entity.Interface(), "%s %d", name, seed)
				require.Equal(t, bodies, memoBodies(m), "%s %d", name, seed)
			})
		}
	}
	require.Greater(t, waited, 500)
}

func memoBodies(m *memory) string {
	var out []string
	for k, memo := range m.memos {
		out = append(out, fmt.Sprint(k, memo.Body))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func by(node, id, vector string) ev {
	e := saved(id, vector)
	e.id = node + "/" + id
	return e
}

func modifyCausal(opts ...guards.VectorOption) *handlers.Registry {
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "saved", func(_ context.Context, d *delivery) error {
		switch {
		case d.Payload.Keep:
			return handlers.Discard("unwanted")
		case d.Payload.Limit > 0 && d.Attempt <= d.Payload.Limit:
			return errFlaky
		}
		d.Entity.Customer += d.Event.ID
		return nil
	}, causal(opts...), handlers.Writes("Customer"))
	return reg
}

// with puts more into an event's data.
func (e ev) with(more string) ev {
	e.data = strings.TrimSuffix(e.data, "}") + "," + more + "}"
	return e
}

// TestCausesAreFollowedInOneTransaction: what waits goes with what it waited for, chains
// too, over several loads; beyond what one transaction takes it is due at once.
func TestCausesAreFollowedInOneTransaction(t *testing.T) {
	t.Parallel()
	chain := func(n int) (evs []ev) {
		for i := n; i > 0; i-- {
			evs = append(evs, by("a", string(rune('a'+i-1)), fmt.Sprintf("a=%d", i)))
		}
		return evs
	}
	for _, atOnce := range []int{0, 2} {
		m := patientMemory(t, modifyCausal())
		m.rowsAtOnce = atOnce
		evs := chain(6)
		for _, e := range evs[:5] {
			out := m.run(m.log(e))
			require.Len(t, out.Batch.Park, 1)
			require.Empty(t, out.Batch.Insert, "who waits makes no row")
			require.Equal(t, m.now.Add(patience), out.Batch.Park[0].Due)
		}
		require.Equal(t, []string{"b gap", "c gap", "d gap", "e gap", "f gap"}, m.waiting())
		m.reasons()
		m.run(m.log(evs[5]))
		for rounds := 0; len(m.parked) > 0; rounds++ {
			require.NotZero(t, atOnce, "all went at once")
			require.Less(t, rounds, 3)
			for _, p := range m.parked {
				require.False(t, p.Due.After(m.now), "due at once")
			}
			m.sweep()
		}
		require.Equal(t, "abcdef", m.order("o1").Customer)
		require.Equal(t, slices.Repeat([]string{"apply/applied"}, 6), m.reasons())
	}
	// In one batch nobody is written down as waiting.
	m := patientMemory(t, modifyCausal())
	out := m.run(m.log(chain(6)...))
	require.Empty(t, out.Batch.Park)
	require.Equal(t, "abcdef", m.order("o1").Customer)
}

// TestWhatIsTriedIsNotSeen: what depends on an event that fails waits for it, and its time
// does not run meanwhile.
func TestWhatIsTriedIsNotSeen(t *testing.T) {
	t.Parallel()
	m := patientMemory(t, modifyCausal())
	m.judge.Delay = func(int) (time.Duration, bool) { return time.Hour, true }
	m.run(m.log(by("a", "1", "a=1").with(`"limit":2`), by("b", "2", "a=1,b=1"), by("c", "3", "c=1")))
	require.ElementsMatch(t, []string{"1 retry", "3 behind", "2 gap"}, m.waiting(), "what is concurrent waits for its turn (R9)")
	m.now = m.now.Add(10 * time.Minute)
	m.sweep()
	require.Empty(t, m.letters)
	for _, p := range m.parked {
		if p.Cause == store.CauseGap {
			require.Equal(t, m.now.Add(patience), p.Expires, "its time begins anew")
		}
	}
	m.now = m.now.Add(time.Hour)
	m.sweep()
	m.now = m.now.Add(time.Hour)
	m.sweep()
	require.Empty(t, m.parked)
	require.Equal(t, "132", m.order("o1").Customer)
}

// TestAGapHasBounds: by time and by number, with either policy.
func TestAGapHasBounds(t *testing.T) {
	t.Parallel()
	one, two, three, four := by("a", "1", "a=1"), by("a", "2", "a=2"), by("b", "3", "a=2,b=1"), by("c", "4", "c=1")
	late := by("a", "7", "a=70")
	t.Run("a letter after the time", func(t *testing.T) {
		t.Parallel()
		m := patientMemory(t, modifyCausal())
		m.run(m.log(two, three, four, late))
		m.now = m.now.Add(patience - time.Second)
		m.sweep()
		require.Equal(t, []string{"2 gap", "3 gap", "7 gap"}, m.waiting())
		m.now = m.now.Add(time.Second)
		m.reasons()
		out := m.sweep()
		require.Equal(t, []string{"dead-letter/gap", "dead-letter/gap", "dead-letter/gap"}, m.reasons())
		require.Equal(t, batch.Gap{Stream: "causal:orders", Entity: "o1", Node: "a", Missing: 1, Waiting: 2, Policy: guards.GapDeadLetter}, out.Gaps[0])
		for _, l := range m.letters {
			require.Contains(t, l.Verdict.Detail, "its writer had seen a=")
			require.Less(t, l.Place, int64(4), "a place in the queue of the entity, and no sum")
		}
		m.run(m.log(one)) // nothing is lost: the cause itself goes on
		require.Equal(t, "4", m.order("o1").Customer, "and the order of the sums decides")
		require.Equal(t, []string{"discard/superseded"}, m.reasons())
	})
	t.Run("applied after the time", func(t *testing.T) {
		t.Parallel()
		m := patientMemory(t, modifyCausal(guards.OnMissingCause(guards.GapSkip)))
		m.run(m.log(three, two))
		m.now = m.now.Add(patience)
		out := m.sweep()
		require.Equal(t, "23", m.order("o1").Customer)
		require.Len(t, out.Gaps, 1, "the second was not missing anything any more")
		m.reasons()
		m.run(m.log(by("b", "5", "a=2,b=2"), one))
		require.Equal(t, []string{"apply/applied", "discard/superseded"}, m.reasons(), "what was skipped counts as seen")
	})
	for policy, want := range map[guards.GapPolicy]string{guards.GapDeadLetter: "", guards.GapSkip: "2"} { //nolint:exhaustive // the wiring refuses others
		t.Run("too many, "+policy.String(), func(t *testing.T) {
			t.Parallel()
			m := patientMemory(t, modifyCausal(guards.OnMissingCause(policy), guards.MaxWaiting(2)))
			out := m.run(m.log(by("b", "3", "b=3"), two, by("c", "5", "c=5")))
			require.Equal(t, []batch.Gap{{Stream: "causal:orders", Entity: "o1", Node: "a", Missing: 1, Waiting: 2, Policy: policy, Full: true}}, out.Gaps)
			require.Len(t, m.parked, 2)
			if want != "" {
				require.Equal(t, want, m.order("o1").Customer)
			}
		})
	}
	t.Run("too many under one key", func(t *testing.T) {
		t.Parallel()
		m := newMemory(t, modifyCausal())
		m.run(m.log(by("a", "2", "a=2"), by("a", "3", "a=3"), by("a", "4", "a=4"), by("a", "5", "a=5")))
		require.Equal(t, []string{"dead-letter/behind", "park/gap", "park/gap", "park/gap"}, m.reasons())
	})
}

// TestALetterIsNotSeen: what depends on it goes the way of its causes; a conflict counts as
// seen, or nobody could ever settle it.
func TestALetterIsNotSeen(t *testing.T) {
	t.Parallel()
	m := patientMemory(t, modifyCausal())
	broken := by("a", "1", "a=1")
	broken.data = `{"vector":"a=1","customer":7}`
	m.run(m.log(broken, by("b", "2", "a=1,b=1"), by("a", "k", "a=1").with(`"keep":true`), by("c", "3", "a=1,c=1")))
	require.Equal(t, []string{"dead-letter/poison", "discard/refused", "apply/applied", "apply/applied"}, m.reasons(), "what a handler discards was given to it")
	require.Equal(t, "23", m.order("o1").Customer)

	reg := handlers.NewRegistry()
	handlers.Modify(reg, "saved", func(_ context.Context, d *delivery) error {
		d.Entity.Customer += d.Event.ID
		return nil
	}, causal(guards.ConflictLetters()), handlers.Writes("Customer"))
	m = patientMemory(t, reg)
	m.run(m.log(by("a", "1", "a=1"), by("b", "2", "b=1"), by("c", "3", "a=1,b=1,c=1")))
	require.Equal(t, []string{"apply/applied", "dead-letter/conflict", "apply/applied"}, m.reasons())
}

// TestALetterCanBeCountedAsSeen: what a discard counts is there from the first letter on, also
// where nothing was given yet; but whoever fails does not begin a row that was written before.
func TestALetterCanBeCountedAsSeen(t *testing.T) {
	t.Parallel()
	m := patientMemory(t, modifyCausal())
	broken := by("a", "1", "a=1,b=2")
	broken.data = `{"vector":"a=1,b=2","customer":7}`
	m.run(m.log(broken))
	for _, l := range m.letters {
		require.Equal(t, "a=1,b=2", l.Vector.String())
	}
	require.Contains(t, m.memos, store.MemoOf(store.StreamKey{Stream: "causal:orders", Entity: "o1"}))

	m = patientMemory(t, modifyCausal())
	m.run(m.log(by("a", "1", "a=1"), by("a", "2", "a=2")))
	clear(m.memos)
	broken = by("a", "3", "a=3")
	broken.data = `{"vector":"a=3","customer":7}`
	m.run(m.log(broken, by("b", "4", "a=3,b=9")))
	require.Empty(t, m.parked)
	require.Equal(t, "124", m.order("o1").Customer)
	clear(m.memos)
	m.run(m.log(broken))
	m.run(m.log(by("b", "5", "a=3,b=17")))
	require.Empty(t, m.parked, "the letter has not begun it")
}

// TestCausalPoison: an event that does not count itself, and a NodeOf that panics.
func TestCausalPoison(t *testing.T) {
	t.Parallel()
	m := patientMemory(t, modifyCausal())
	m.run(m.log(by("a", "1", "b=1"), by("a", "2", "")))
	require.Equal(t, []string{"dead-letter/poison", "dead-letter/poison"}, m.reasons())
	m = patientMemory(t, modifyCausal(guards.NodeOf(func(*event.Event) string { panic("no") })))
	m.run(m.log(by("a", "1", "a=1")))
	require.Equal(t, []string{"dead-letter/poison"}, m.reasons())
	m = patientMemory(t, modifyCausal(guards.NodeOf(func(e *event.Event) string { return e.ID[:1] })))
	m.run(m.log(by("x", "a2", "a=2"), by("x", "a1", "a=1")))
	require.Equal(t, "a1a2", m.order("o1").Customer)
}

// TestDepartedNodesAreNotWaitedFor: their last events may be gone for good.
func TestDepartedNodesAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	m := patientMemory(t, modifyCausal(guards.Departed("x")))
	m.run(m.log(by("a", "1", "a=1,x=9")))
	require.Equal(t, []string{"apply/applied"}, m.reasons())
}

// TestWhatWasSeenCountsWhileTheRowHasIt: a row that somebody removed has seen nothing, one
// that was written before begins with whichever event comes first, and a rewind changes
// nothing.
func TestWhatWasSeenCountsWhileTheRowHasIt(t *testing.T) {
	t.Parallel()
	evs := []ev{by("a", "1", "a=1"), by("a", "2", "a=2"), by("a", "3", "a=3")}
	m := patientMemory(t, modifyCausal())
	rs := m.log(evs...)
	m.run(rs)
	before := memoBodies(m)
	m.reasons()
	m.judgeAt(rs) // read again
	require.Equal(t, []string{"discard/superseded", "discard/superseded", "discard/duplicate"}, m.reasons())
	require.Equal(t, before, memoBodies(m))

	for _, lose := range []func(){
		func() { delete(m.rows["orders"], "o1") },
		func() {
			m.order("o1").Customer = ""
			clear(m.rows["orders"]["o1"].Clocks.Stamps)
		},
	} {
		lose()
		m.run(m.log(evs[2], evs[1]))
		require.Len(t, m.parked, 2, "of a row that is gone nothing has been seen")
		m.run(m.log(evs[0]))
		require.Equal(t, "123", m.order("o1").Customer)
	}

	clear(m.memos)
	m.run(m.log(by("b", "9", "a=9,b=4")))
	require.Empty(t, m.parked, "written before anybody noted what it had seen")
	m.run(m.log(by("b", "11", "a=9,b=6")))
	require.Len(t, m.parked, 1)

	m.reasons()
	for _, memo := range m.memos {
		memo.Body = "{"
	}
	m.run(m.log(by("b", "10", "a=9,b=5")))
	require.Equal(t, []string{"park/retry"}, m.reasons())
	for _, p := range m.parked {
		if p.EventID == "10" {
			require.Contains(t, p.Error, "what order o1 has seen can't be read in evenkeel_memos (kind causal, scope causal:orders)")
		}
	}
}

// TestTwoLanesMeetInWhatWasSeen: one parks an event whose cause the other applies; the one
// that comes second must be refused, or nobody would wake it.
func TestTwoLanesMeetInWhatWasSeen(t *testing.T) {
	t.Parallel()
	m := patientMemory(t, modifyCausal())
	m.run(m.log(by("c", "0", "c=1")))
	memo := func(e ev) *store.Memo {
		other := patientMemory(t, modifyCausal())
		other.memos, other.rows = m.memos, m.rows
		for _, r := range m.rows["orders"] {
			other.rows = map[string]map[string]*store.Row{"orders": {"o1": ported(r, other)}}
		}
		r := other.log(e)
		r[0].Offset = 0
		out, err := other.judge.Live(t.Context(), []*batch.Item{other.prepare.Prepare(r[0])}, other.layouts, other.load(), other.led, m.now)
		require.NoError(t, err)
		require.Len(t, out.Batch.Memos, 1)
		return out.Batch.Memos[0]
	}
	parks, applies := memo(by("b", "2", "a=1,b=1")), memo(by("a", "1", "a=1"))
	require.Equal(t, parks.MemoKey, applies.MemoKey)
	require.Equal(t, parks.Rev, applies.Rev)
	require.NotZero(t, parks.Rev)
}

// ported is a row as another service's wiring knows it.
func ported(r *store.Row, m *memory) *store.Row {
	c := *r
	c.Model = m.judge.Wiring.Models[0]
	c.Layout = m.layouts[c.Model]
	c.Clocks = clocks.Row{Stamps: slices.Clone(r.Clocks.Stamps)}
	return &c
}

// TestWhatWasLetGoAndFailsHoldsUpLaterEvents: it waited as one of a stream, and now like
// any event that is tried again (R9).
func TestWhatWasLetGoAndFailsHoldsUpLaterEvents(t *testing.T) {
	t.Parallel()
	m := patientMemory(t, modifyCausal())
	m.run(m.log(by("a", "2", "a=2").with(`"limit":3`)))
	m.run(m.log(by("a", "1", "a=1")))
	require.Equal(t, []string{"2 retry"}, m.waiting())
	m.run(m.log(by("b", "3", "b=5")))
	m.run(m.log(by("c", "4", "c=1")))
	require.ElementsMatch(t, []string{"2 retry", "3 gap", "4 behind"}, m.waiting())
}

// TestTheTimeOfASetDoesNotRunWhileACauseIsTried: its queue is read for that alone.
func TestTheTimeOfASetDoesNotRunWhileACauseIsTried(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(causal())
	handlers.Set(reg, "saved", func(ctx context.Context, d *delivery) error {
		if d.Payload.Keep {
			return errFlaky
		}
		return created(ctx, d)
	}, handlers.Writes("Customer"))
	m := patientMemory(t, reg)
	m.judge.Delay = func(int) (time.Duration, bool) { return time.Hour, true }
	m.run(m.log(by("a", "1", "a=1").with(`"keep":true`), by("a", "2", "a=2")))
	want := batch.Gather("g", []*batch.Item{m.prepare.Prepare(m.log(by("a", "2", "a=2"))[0])}, m.layouts, nil)
	require.True(t, want.Rows[0].Parked, "what is tried again has to be known")
	m.now = m.now.Add(10 * time.Minute)
	m.sweep()
	require.Empty(t, m.letters)
}

// TestALaneThatWasQuickerHasTakenItAlong: what was claimed has another revision, and to
// write it would be refused for ever.
func TestALaneThatWasQuickerHasTakenItAlong(t *testing.T) {
	t.Parallel()
	m := patientMemory(t, modifyCausal())
	m.run(m.log(by("a", "2", "a=2")))
	var claimed store.Parked
	for _, p := range m.parked {
		claimed = *p
		p.Rev++
	}
	u := m.prepare.PrepareParked(&claimed)
	m.now = m.now.Add(time.Hour)
	out, err := m.judge.Waiting(t.Context(), []*batch.Unit{u}, m.layouts, m.recall(u.Item), m.now, func(*store.Parked) bool { return true }, nil)
	require.NoError(t, err)
	require.Empty(t, out.Batch.Repark)
	require.Empty(t, out.Batch.Letters)
	require.Empty(t, out.Batch.Release)
}
