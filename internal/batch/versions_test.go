package batch_test

import (
	"bytes"
	"context"
	"errors"
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
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// joined is a resolver whose row shows which siblings it was given, in which order.
func joined(o *order, siblings []handlers.Sibling[facts]) error {
	var ids []string
	for _, s := range siblings {
		ids = append(ids, s.ID+":"+s.Payload.Customer+":"+s.Vector.String())
	}
	o.Customer, o.Count = strings.Join(ids, " "), len(siblings)
	return nil
}

func resolveRegistry(resolve func(*order, []handlers.Sibling[facts]) error, opts ...handlers.Option) *handlers.Registry {
	reg := handlers.NewRegistry(guards.Vector())
	handlers.Resolve(reg, "saved", resolve, guards.Vector(), append(opts, handlers.Writes("Customer", "Count"))...)
	return reg
}

// saved is an event with a vector.
func saved(id, vector string) ev {
	return ev{"saved", "o1", 1, id, fmt.Sprintf(`{"vector":%q,"customer":"c%s"}`, vector, id)}
}

// history lets three nodes write, each now and then told what another one knows.
func history(rng *rand.Rand, n int) (evs []ev, vectors []event.Vector) {
	nodes := []string{"a", "b", "c"}
	knows := map[string]event.Vector{}
	for i := range n {
		node := nodes[rng.IntN(len(nodes))]
		if rng.IntN(3) == 0 {
			knows[node] = knows[node].Merge(knows[nodes[rng.IntN(len(nodes))]])
		}
		knows[node] = knows[node].Next(node)
		vectors = append(vectors, knows[node])
		evs = append(evs, saved(fmt.Sprintf("e%02d", i), knows[node].String()))
	}
	return evs, vectors
}

// maximal is what joined must make of a history: of all events those that no other one
// has seen, by sum and then by id. It counts; it does not compare vectors as Evenkeel does.
func maximal(evs []ev, vectors []event.Vector) string {
	seenBy := func(v, o event.Vector) bool {
		for _, c := range v {
			if o.Count(c.Node) < c.Count {
				return false
			}
		}
		return true
	}
	var at []int
	for i, v := range vectors {
		if !slices.ContainsFunc(vectors, func(o event.Vector) bool { return seenBy(v, o) && !seenBy(o, v) }) {
			at = append(at, i)
		}
	}
	slices.SortFunc(at, func(i, j int) int {
		if d := vectors[i].Sum() - vectors[j].Sum(); d != 0 {
			return int(d)
		}
		return strings.Compare(evs[i].id, evs[j].id)
	})
	var out []string
	for _, i := range at {
		out = append(out, evs[i].id+":c"+evs[i].id+":"+vectors[i].String())
	}
	return strings.Join(out, " ")
}

// TestR14TheRowIsWhatTheResolverMakesOfTheMaximalSiblings: in every order, with duplicates,
// in batches of any size; and the clocks and what is remembered are the same, too.
func TestR14TheRowIsWhatTheResolverMakesOfTheMaximalSiblings(t *testing.T) {
	t.Parallel()
	most := 0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 14))
		evs, vectors := history(rng, 3+rng.IntN(12))
		want := maximal(evs, vectors)
		most = max(most, strings.Count(want, ":c"))
		var first *store.Row
		var body string
		for range 12 {
			m := newMemory(t, resolveRegistry(joined, handlers.Creates()))
			told := shuffled(rng, append(append([]ev{}, evs...), shuffled(rng, evs)[:2]...))
			for len(told) > 0 {
				n := 1 + rng.IntN(len(told))
				m.run(m.log(told[:n]...))
				told = told[n:]
			}
			require.Equal(t, want, m.order("o1").Customer, "seed %d", seed)
			require.Empty(t, m.letters)
			row := m.rows["orders"]["o1"]
			if first == nil {
				first = row
			}
			require.Equal(t, first.Clocks, row.Clocks, "seed %d", seed)
			require.Equal(t, guards.Alive, row.State)
			for _, memo := range m.memos {
				body = cmpOr(body, memo.Body)
				require.Equal(t, body, memo.Body, "seed %d", seed)
			}
		}
	}
	require.GreaterOrEqual(t, most, 3, "no history had three siblings")
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// TestSumsOrderSetAndModify is R14's default: one winner in every order.
func TestSumsOrderSetAndModify(t *testing.T) {
	t.Parallel()
	reg := func() *handlers.Registry {
		reg := handlers.NewRegistry(guards.Vector())
		handlers.Set(reg, "saved", created, handlers.Writes("Customer"))
		return reg
	}
	rng := rand.New(rand.NewPCG(3, 3))
	evs := []ev{saved("x", "a=1"), saved("y", "a=1,b=1"), saved("p", "a=2,b=1"), saved("q", "a=1,c=2"), saved("o", "b=3")}
	for range 30 {
		m := newMemory(t, reg())
		m.run(m.log(shuffled(rng, evs)...))
		require.Equal(t, "cq", m.order("o1").Customer, "of equal sums the last id wins")
		require.Empty(t, m.memos, "sums need no memory")
	}

	counter := counterRegistry(guards.Vector(), nil, map[string]int{})
	m := newMemory(t, counter)
	one := func(id, vector string) ev {
		e := saved(id, vector)
		e.typ = "count"
		return e
	}
	m.run(m.log(one("1", "a=1"), one("2", "a=1,b=1"), one("2", "a=1,b=1"), one("3", "c=1"), one("4", "c=2"), one("5", "")))
	require.Equal(t, []string{"apply/applied", "apply/applied", "discard/duplicate", "discard/superseded", "apply/applied", "dead-letter/poison"}, m.reasons())
	require.Empty(t, m.memos)
}

func TestLamportOrdersSetAndModify(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	evs := []ev{{"said", "o1", 1, "a", `{"customer":"a"}`}, {"said", "o1", 3, "b", `{"customer":"b"}`}, {"said", "o1", 3, "c", `{"customer":"c"}`}}
	for range 10 {
		reg := handlers.NewRegistry()
		handlers.Set(reg, "said", created, handlers.By(guards.Lamport()), handlers.Writes("Customer"))
		m := newMemory(t, reg)
		m.run(m.log(shuffled(rng, evs)...))
		require.Equal(t, "c", m.order("o1").Customer)
		require.EqualValues(t, 3, m.rows["orders"]["o1"].Clocks.Stamps[m.column("Customer")].Time)
	}
	m := newMemory(t, counterRegistry(guards.Lamport(), nil, map[string]int{}))
	m.run(m.log(ev{"count", "o1", 1, "a", ""}, ev{"count", "o1", 3, "c", ""}, ev{"count", "o1", 2, "b", ""}, ev{"count", "o1", 3, "c", ""}))
	require.Equal(t, []string{"apply/applied", "apply/applied", "discard/superseded", "discard/duplicate"}, m.reasons())
}

// column is the place of a field of order among its clocks.
func (m *memory) column(field string) int {
	c, ok := m.judge.Wiring.Models[0].Column(field)
	require.True(m.t, ok)
	return c.Index
}

func TestVerdictsOfAResolve(t *testing.T) {
	t.Parallel()
	m := newMemory(t, resolveRegistry(joined))
	m.run(m.log(
		saved("1", "a=1"),
		saved("2", "b=1"),     // concurrent
		saved("1", "a=1"),     // again
		saved("3", "a=1,b=1"), // has seen both
		saved("2", "b=1"),     // seen by now
		saved("4", "a=1,b=1"), // another event of the same vector
		saved("4", "a=1,b=1"),
		saved("4", "a=2,b=1"), // an id that its source uses again
	))
	require.Equal(t, []string{
		"apply/applied", "apply/applied", "discard/duplicate", "apply/applied", "discard/superseded", "apply/applied", "discard/duplicate", "apply/applied",
	}, m.reasons())
	require.Equal(t, "4:c4:a=2,b=1", m.order("o1").Customer)
	require.Equal(t, guards.Alive, m.rows["orders"]["o1"].State, "nobody creates these rows, so none is early")

	m.run(m.log(saved("5", "")))
	require.Equal(t, []string{"dead-letter/poison"}, m.reasons())
}

// TestSiblingsAreBounded: what is too much is a letter, and a version that has seen the
// others makes room again.
func TestSiblingsAreBounded(t *testing.T) {
	t.Parallel()
	m := newMemory(t, resolveRegistry(joined))
	var evs []ev
	all := event.Vector{}
	for i := range handlers.MaxSiblings + 1 {
		node := fmt.Sprintf("n%02d", i)
		evs, all = append(evs, saved(node, node+"=1")), all.Next(node)
	}
	m.run(m.log(evs...))
	require.Equal(t, handlers.MaxSiblings, m.order("o1").Count)
	require.Len(t, m.letters, 1)
	for _, l := range m.letters {
		require.Equal(t, guards.Conflict, l.Verdict.Reason)
		require.Equal(t, "n32", l.EventID)
		require.False(t, l.Blocking, "a Resolve never waits")
		require.Contains(t, l.Verdict.Detail, "one of 33 concurrent versions")
	}
	m.run(m.log(saved("z", all.String()), saved("y", "y=1")))
	require.Equal(t, 2, m.order("o1").Count)

	big := func(id string) ev {
		e := saved(id, id+"=1")
		e.data = e.data[:len(e.data)-1] + `,"note":"` + strings.Repeat("x", handlers.MaxSiblingBytes/2) + `"}`
		return e
	}
	m = newMemory(t, resolveRegistry(joined))
	m.run(m.log(big("a"), big("b")))
	require.Equal(t, []string{"apply/applied", "dead-letter/conflict"}, m.reasons())
	alone := saved("c", "a=1,c=1")
	alone.data = alone.data[:len(alone.data)-1] + `,"note":"` + strings.Repeat("x", 2*handlers.MaxSiblingBytes) + `"}`
	m.run(m.log(alone))
	require.Equal(t, []string{"apply/applied"}, m.reasons(), "one version alone may be of any size")
}

var errNoMerge = errors.New("these can't be merged")

// TestAFailingResolverLeavesTheSiblingsAsTheyWere: it admits nothing, and its event is the
// culprit.
func TestAFailingResolverLeavesTheSiblingsAsTheyWere(t *testing.T) {
	t.Parallel()
	fails := "nothing"
	m := newMemory(t, resolveRegistry(func(o *order, siblings []handlers.Sibling[facts]) error {
		switch {
		case len(siblings) < 2 || fails == "nothing":
			return joined(o, siblings)
		case fails == "panic":
			panic("no")
		case fails == "stray":
			o.Limit = 1
			return nil
		case fails == "dead letter":
			return handlers.DeadLetter(errNoMerge)
		case fails == "discard":
			return handlers.Discard("unwanted")
		}
		return errNoMerge
	}))
	m.run(m.log(saved("1", "a=1")))
	for i, c := range []struct{ fails, want string }{
		{"error", "park/retry"}, {"panic", "park/retry"}, {"stray", "dead-letter/rejected"}, {"dead letter", "dead-letter/rejected"}, {"discard", "discard/refused"},
	} {
		fails = c.fails
		m.reasons()
		m.run(m.log(saved(fmt.Sprint("f", i), fmt.Sprintf("f%d=1", i))))
		require.Equal(t, []string{c.want}, m.reasons(), c.fails)
		require.Equal(t, "1:c1:a=1", m.order("o1").Customer, c.fails)
	}
	fails = "nothing"
	m.run(m.log(saved("2", "b=1"))) // waits for nobody
	require.Equal(t, "1:c1:a=1 2:c2:b=1", m.order("o1").Customer)
	m.now = m.now.Add(time.Hour)
	m.sweep()
	require.Equal(t, "1:c1:a=1 2:c2:b=1 f0:cf0:f0=1 f1:cf1:f1=1", m.order("o1").Customer)
	require.Empty(t, m.parked)
}

// TestAResolveCreates: early events, the creating one and those that wait for it.
func TestAResolveCreates(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(guards.Vector())
	handlers.Resolve(reg, "saved", joined, guards.Vector(), handlers.Creates(), handlers.Writes("Customer", "Count"))
	handlers.Set(reg, "noted", noted, handlers.Writes("Note", "Limit"))
	handlers.Resolve(reg, "limited", func(o *order, s []handlers.Sibling[facts]) error {
		o.Status = fmt.Sprint(len(s))
		return nil
	}, guards.Vector(), handlers.Writes("Status"), handlers.OnMissing(handlers.MissingPark))
	m := newMemory(t, reg)
	other := func(typ, id, vector string) ev {
		e := saved(id, vector)
		e.typ = typ
		return e
	}
	out := m.run(m.log(other("noted", "n", "a=1"), other("limited", "l", "a=1,b=1"), saved("s", "a=2")))
	require.Equal(t, []string{"apply/applied", "park/missing", "apply/applied"}, m.reasons())
	require.Equal(t, []int{1, 0, -1}, []int{out.Verdicts[0].Placeholder, out.Verdicts[1].Placeholder, out.Verdicts[2].Placeholder})
	require.Len(t, out.Batch.Wake, 1)
	require.Equal(t, guards.Alive, m.rows["orders"]["o1"].State)
	m.now = m.now.Add(time.Hour)
	m.sweep()
	require.Equal(t, "1", m.order("o1").Status)
	require.Equal(t, "s:cs:a=2", m.order("o1").Customer, "each resolver has siblings of its own")
	require.Len(t, m.memos, 2)
}

// TestSiblingsCountWhileTheRowNamesThem: whoever removes a row removes what was behind it.
func TestSiblingsCountWhileTheRowNamesThem(t *testing.T) {
	t.Parallel()
	m := newMemory(t, resolveRegistry(joined))
	m.run(m.log(saved("1", "a=1"), saved("2", "b=1")))
	delete(m.rows["orders"], "o1")
	m.run(m.log(saved("1", "a=1")))
	require.Equal(t, "1:c1:a=1", m.order("o1").Customer)
	for _, memo := range m.memos {
		require.EqualValues(t, 2, memo.Rev, "written under the revision that was loaded")
	}
	m.run(m.log(saved("3", "a=1,b=1")))
	clear(m.rows["orders"]["o1"].Clocks.Stamps) // a rebuild
	m.run(m.log(saved("2", "b=1")))
	require.Equal(t, "2:c2:b=1", m.order("o1").Customer)
}

// TestBrokenMemoryIsNoVerdict: what can't be read is told, and the event waits.
func TestBrokenMemoryIsNoVerdict(t *testing.T) {
	t.Parallel()
	for _, reg := range []*handlers.Registry{resolveRegistry(joined), letterRegistry()} {
		for _, body := range []string{"{", `[{"source":"src","id":"1","vector":"?"}]`} {
			m := newMemory(t, reg)
			m.run(m.log(saved("1", "a=1")))
			for _, memo := range m.memos {
				memo.Body = body
			}
			m.reasons()
			m.run(m.log(saved("2", "b=1")))
			require.Equal(t, []string{"park/retry"}, m.reasons())
			for _, p := range m.parked {
				require.Contains(t, p.Error, "what is remembered of order o1 in evenkeel_memos (kind siblings, scope orders")
			}
		}
	}
}

// TestSiblingsKeepTheirBytes: payloads that are no text, and events without ids.
func TestSiblingsKeepTheirBytes(t *testing.T) {
	t.Parallel()
	var got [][]byte
	reg := handlers.NewRegistry()
	handlers.Resolve(reg, "saved", func(o *order, siblings []handlers.Sibling[[]byte]) error {
		got = nil
		for _, s := range siblings {
			got = append(got, bytes.Clone(s.Payload))
			require.True(t, s.OccurredAt.Equal(base.Add(time.Second)))
			o.Customer += s.ID + " "
			clear(s.Payload) // it is the resolver's own
		}
		return nil
	}, guards.Vector(), handlers.Writes("Customer"))
	m := newMemory(t, reg)
	texts := []string{`{"vector":"a=1"}`, "{\"vector\":\"b=1\",\"x\":\"\xff\"}", "{\"vector\":\"c=1\",\"x\":\"<\u2028&\"}"}
	for _, text := range texts {
		m.run(m.log(ev{"saved", "o1", 1, "", text}))
	}
	require.Equal(t, [][]byte{[]byte(texts[0]), []byte(texts[1]), []byte(texts[2])}, got)
	require.Equal(t, "@c/t/0/0 @c/t/0/1 @c/t/0/2 ", m.order("o1").Customer)
}

// TestDepartedNodes: producers leave a node out that has left, and the siblings that were
// stored with it are still seen.
func TestDepartedNodes(t *testing.T) {
	t.Parallel()
	m := newMemory(t, resolveRegistry(joined))
	m.run(m.log(saved("1", "a=1,x=6"), saved("2", "b=1,x=6")))
	reg := handlers.NewRegistry()
	handlers.Resolve(reg, "saved", joined, guards.Vector(guards.Departed("x")), handlers.Writes("Customer", "Count"))
	after := newMemory(t, reg)
	for key, row := range m.rows["orders"] {
		r := *row
		r.Model = after.judge.Wiring.Models[0]
		r.Layout = after.layouts[r.Model]
		after.rows["orders"][key] = &r
	}
	after.memos, after.led = m.memos, m.led
	after.run(after.log(saved("3", "a=1,b=1,c=1"), saved("1", "a=1,x=6"), saved("1", "a=1")))
	require.Equal(t, []string{"apply/applied", "discard/superseded", "discard/superseded"}, after.reasons())
	require.Equal(t, "3:c3:a=1,b=1,c=1", after.order("o1").Customer)
}

func letterRegistry() *handlers.Registry {
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "saved", func(_ context.Context, d *delivery) error {
		d.Entity.Customer += d.Event.ID
		return nil
	}, guards.Vector(guards.ConflictLetters()), handlers.Writes("Customer"))
	return reg
}

// TestConflictLetters: what is concurrent with the row's last event is a letter; what has
// seen that event goes on.
func TestConflictLetters(t *testing.T) {
	t.Parallel()
	m := newMemory(t, letterRegistry())
	rs := m.log(saved("1", "a=1"), saved("2", "b=9"), saved("1", "a=1"), saved("3", "a=2"), saved("4", "a=1"), saved("5", "a=2,b=9"))
	m.run(rs)
	require.Equal(t, []string{"apply/applied", "dead-letter/conflict", "discard/duplicate", "apply/applied", "discard/superseded", "apply/applied"}, m.reasons())
	require.Equal(t, "135", m.order("o1").Customer)
	for _, l := range m.letters {
		require.True(t, l.Blocking)
		require.Contains(t, l.Verdict.Detail, "b=9, but the row stands at a=1")
	}
	for _, memo := range m.memos {
		require.NotContains(t, memo.Body, "customer", "only the vector counts")
	}
	m.led.Next = 1
	m.judgeAt(rs[1:2])
	require.Equal(t, []string{"discard/redelivered"}, m.reasons())

	// A row that was written by the sums alone has no vector to compare with.
	clear(m.memos)
	m.run(m.log(saved("6", "c=12"), saved("7", "c=13"), saved("8", "d=14")))
	require.Equal(t, []string{"apply/applied", "apply/applied", "dead-letter/conflict"}, m.reasons())
	m.rows["orders"]["o1"].Clocks.Stamps[m.column("Customer")].Time = 14
	m.run(m.log(saved("9", "e=15")))
	require.Equal(t, []string{"apply/applied"}, m.reasons(), "the vector is that of an older event than the row's")
}

// TestAdmissionKnowsSiblings: a late event that the row holds is a duplicate and no letter.
func TestAdmissionKnowsSiblings(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(guards.MaxLateness(time.Hour))
	handlers.Resolve(reg, "saved", joined, guards.Vector(), handlers.Writes("Customer", "Count"))
	m := newMemory(t, reg)
	now := saved("3", "c=1")
	now.at = 3600
	m.run(m.log(saved("1", "a=1"), saved("2", "b=1"), now, saved("1", "a=1"), saved("9", "d=1")))
	at := now
	at.id, at.at, at.data = "4", 3602, `{"vector":"e=1"}`
	m.reasons()
	m.run(m.log(at, saved("1", "a=1"), saved("9", "d=2")))
	require.Equal(t, []string{"apply/applied", "discard/duplicate", "dead-letter/late"}, m.reasons())
}

// TestClocksOfAResolve: a Resolve's columns and existence carry the newest sibling's stamp.
func TestClocksOfAResolve(t *testing.T) {
	t.Parallel()
	m := newMemory(t, resolveRegistry(joined, handlers.Creates()))
	m.run(m.log(saved("1", "a=1,b=1"), saved("2", "c=1")))
	row := m.rows["orders"]["o1"]
	want := event.Stamp{Time: 2, Tie: event.Tie(true, "src", "1")}
	require.Equal(t, want, row.Clocks.Stamps[m.column("Customer")])
	require.Equal(t, want, row.Clocks.Stamps[row.Layout.Exists])
	require.Equal(t, clocks.Stored{Time: 2, Tie: []byte(want.Tie), Gen: 1}, row.Layout.Encode(row.Clocks))
}

// TestTheLedgerWitnessesAdmittedLamportTimes: also those of events that have no effect,
// but not of one that MaxFuture refuses; and the service's clock hears them before the
// handlers run.
func TestTheLedgerWitnessesAdmittedLamportTimes(t *testing.T) {
	t.Parallel()
	var heard []int64
	reg := handlers.NewRegistry()
	handlers.Set(reg, "said", func(_ context.Context, d *delivery) error {
		require.Equal(t, d.Event.Lamport, heard[len(heard)-1])
		return nil
	}, handlers.By(guards.Lamport()), handlers.Writes("Customer"))
	m := newMemory(t, reg)
	m.prepare.Witness = func(n int64) { heard = append(heard, n) }
	for _, e := range []ev{{"said", "o1", 5, "a", ""}, {"said", "o1", 3, "b", ""}, {"nobody's", "o1", 9, "c", ""}, {"said", "o1", 7200, "d", ""}} {
		m.run(m.log(e))
	}
	require.EqualValues(t, 9, m.led.Lamport)
	require.Equal(t, []int64{5, 3, 9, 7200}, heard)
}
