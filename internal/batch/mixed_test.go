package batch_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
)

// applied counts how often an event was applied to an entity.
func (x *mixed) applied(handler, entity, id string) (n int) {
	for _, v := range x.verdict {
		if strings.HasSuffix(v.Handler, handler) && v.Entity == entity && v.Item.Event.ID == id && v.Verdict.Action == guards.Apply {
			n++
		}
	}
	return n
}

func (x *mixed) field(table, key, name string) string {
	r := x.rows[table][key]
	if r == nil {
		return ""
	}
	return r.Entity.Elem().FieldByName(name).String()
}

// check compares the database with what the set of events says.
func (x *mixed) check() {
	require.Empty(x.t, x.waiting(), "something is stuck\n%s", strings.Join(x.story, "\n"))
	type fact struct{ table, key, field string }
	want := map[fact][]string{}
	ids := slices.SortedFunc(maps.Keys(x.judged), func(a, b string) int { return cmp.Compare(x.judged[a].at, x.judged[b].at) })
	last, stale := map[string]string{}, map[string]string{}
	ran := map[string]bool{}
	for _, o := range x.outbox {
		ran[string(o.Key)] = true
	}
	for _, id := range ids {
		e := x.judged[id]
		effect := func(handler, table, key, field string) {
			n := x.applied(handler, key, id)
			require.LessOrEqual(x.t, n, 1, "%s %s %s", handler, key, id)
			require.True(x.t, n == 1 || x.gone(handler, key, id), "%s %s %s is lost\n%s", handler, key, id, x.told())
			require.Equal(x.t, n == 1, ran[handler+"|"+key+"|"+id], "%s %s %s emits what it does\n%s", handler, key, id, strings.Join(x.story, "\n"))
			if n == 1 {
				f := fact{table, key, field}
				want[f] = append(want[f], id)
			}
		}
		is := func(types ...string) bool { return slices.Contains(types, e.typ) }
		if is("count") {
			for _, handler := range []string{"set", "stale"} {
				require.True(x.t, ran[handler+"|"+e.key+"|"+id] || x.gone(handler, e.key, id), "overtaken or not, %s of %s is heard of", handler, id)
			}
		}
		if is("count") && x.applied("set", e.key, id) > 0 {
			last[e.key] = id
		}
		if is("count") && x.applied("stale", e.key, id) > 0 {
			stale[e.key] = id
		}
		if is("count") {
			x.checkSQL("settx", e, ran["settx|"+e.key+"|"+id])
		}
		if is("touch") {
			effect("seqtx", "mixed_txes", e.key, "Seq")
			x.checkSQL("seqtx", e, x.sqlSeq && x.applied("seqtx", e.key, id) == 1)
			x.checkSQL("lasttx", e, x.applied("lasttx", e.key, id) == 1)
		}
		if is("add") {
			effect("oncetx", "mixed_txes", e.key, "Once")
			x.checkSQL("oncetx", e, x.applied("oncetx", e.key, id) == 1)
		}
		if is("touch") {
			effect("seq", "mixed_rows", e.key, "Seq")
		}
		if is("add") {
			effect("once", "mixed_rows", e.key, "Once")
		}
		if is("count", "add") {
			effect("plain", "mixed_seqs", e.key, "Seq")
		}
		if is("count", "touch") {
			effect("waits", "mixed_waits", e.key, "Seq")
		}
		if is("count", "add", "touch") {
			var f mixedFacts
			require.NoError(x.t, json.Unmarshal([]byte(e.data), &f))
			for _, s := range f.Shelves {
				effect("shelf", "mixed_shelves", s, "Once")
			}
		}
	}
	for f, ids := range want {
		got := strings.Fields(x.field(f.table, f.key, f.field))
		if f.field != "Once" { // a letter that was replayed may have let others go before it
			require.Equal(x.t, x.unreplayed(ids), x.unreplayed(got), "%v\n%s", f, x.told())
		}
		slices.Sort(got)
		slices.Sort(ids)
		require.Equal(x.t, ids, got, "%v\n%s", f, strings.Join(x.story, "\n"))
	}
	for key, id := range last {
		require.Equal(x.t, id, x.field("mixed_rows", key, "Last"))
	}
	for key, id := range stale {
		require.Equal(x.t, id, x.field("mixed_stales", key, "Last"))
	}
	for _, key := range []string{"o1", "o2"} {
		all := strings.Fields(x.field("mixed_logs", key, "All"))
		require.Len(x.t, slices.Compact(slices.Sorted(slices.Values(all))), len(all))
		for p, log := range x.logs {
			for _, r := range log {
				e := x.prepare.Prepare(r).Event
				if e.Type == "add" && e.Key == key && !slices.Contains(all, fmt.Sprintf("%d:%d", p, r.Offset)) {
					require.True(x.t, slices.ContainsFunc(slices.Collect(maps.Values(x.letters)), func(l *dlq.Letter) bool {
						return l.Record.Offset == r.Offset && l.Record.Partition == r.Partition && (l.Handler == "" || l.Handler == "none")
					}))
				}
			}
		}
	}
	for _, key := range []string{"o1", "o2"} {
		applied := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
			e := x.judged[id]
			return e.typ != "count" || e.key != key || x.applied("doc", key, id) == 0
		})
		require.ElementsMatch(x.t, x.maximal(applied), strings.Fields(x.field("mixed_docs", key, "Sibs")), x.told())
		x.checkCausal(key, ids)
	}
	x.checkLines()
	// An id is held for each event that is a letter, and for no other.
	held := map[string]int{}
	seen := map[string]bool{}
	for _, l := range x.letters {
		require.NotEqual(x.t, guards.Conflict, l.Verdict.Reason, "no two events share a number")
		once := l.State.Unresolved() && (l.Handler == "once" || strings.HasSuffix(l.Handler, "shelf"))
		if k := l.Handler + "|" + l.Entity; once && l.Verdict.Reason != guards.Late && !seen[k+l.EventID] {
			seen[k+l.EventID] = true
			held[k]++
		}
	}
	for _, id := range x.ids {
		if id.Held {
			held[strings.TrimPrefix(id.Scope, "once:")+"|"+id.Entity]--
		}
	}
	for k, n := range held {
		require.Zero(x.t, n, k)
	}
}

// unreplayed are the events of which no letter was replayed.
func (x *mixed) unreplayed(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return x.replayed[id] })
}

// forgetSome forgets what is old in one memory, as a sweeper does.
func (x *mixed) forgetSome() {
	upTo := x.rng.IntN(20)
	scopes := []string{"once:once", "once:count shelf", "once:add shelf", "once:touch shelf", "sequence:orders", "once:settx", "once:oncetx", "once:caused"}
	scope := scopes[x.rng.IntN(len(scopes))]
	x.say("forgets %s up to %d", scope, upTo)
	before := maps.Clone(x.ids)
	x.forget(scope, max(upTo, x.horizons[scope]))
	for k := range before {
		if x.ids[k] == nil {
			x.forgotten[k.Scope+"|"+k.Entity+"|"+k.ID] = true
		}
	}
	x.horizons[scope] = max(upTo, x.horizons[scope])
}

// CI plays a few; -histories=1000 takes minutes. The name of a test that fails ends with its seed.
var histories = flag.Uint64("histories", 30, "how many histories TestKindsMixed plays")

const portions = 10 // that run beside each other

// TestKindsMixed runs random histories over all kinds at once.
func TestKindsMixed(t *testing.T) {
	t.Parallel()
	for portion := range uint64(portions) {
		t.Run(strconv.FormatUint(portion, 10), func(t *testing.T) {
			t.Parallel()
			for seed := portion; seed < *histories; seed += portions {
				t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { mixedHistory(t, seed) })
			}
		})
	}
}

func mixedHistory(t *testing.T, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	numbers := 4 + rng.IntN(12)
	x := newMixed(t, rng, []guards.GapPolicy{guards.GapDeadLetter, guards.GapSkip, guards.GapReplay}[rng.IntN(3)])
	if rng.IntN(3) == 0 {
		x.judge.MaxParkedPerKey = 2 + rng.IntN(3)
	}
	if rng.IntN(2) == 0 {
		x.rowsAtOnce = 1 + rng.IntN(3)
	}
	x.produce(numbers)
	for steps := 0; steps < 400; steps++ {
		p := rng.IntN(2)
		next, end := x.leds[p].Next, int64(len(x.logs[p]))
		switch k := rng.IntN(10); {
		case k < 6 && next < end:
			n := 1 + rng.Int64N(min(end-next, 8))
			x.live(p, x.logs[p][next:next+n])
		case k == 6 && next > 0: // an operator's rewind, or a redelivery
			x.leds[p].Next = rng.Int64N(next)
			x.say("rewind of %d to %d", p, x.leds[p].Next)
		case k == 7:
			x.now = x.now.Add(time.Duration(rng.IntN(3)) * time.Second)
			if rng.IntN(10) == 0 {
				x.now = x.now.Add(time.Minute)
			}
		case k == 8:
			x.someSweep(rng.IntN(2) == 0)
		case k == 9 && rng.IntN(4) == 0:
			if rng.IntN(2) == 0 {
				x.operate(false, false)
			} else {
				x.forgetSome()
			}
		}
		if x.leds[0].Next == int64(len(x.logs[0])) && x.leds[1].Next == int64(len(x.logs[1])) && steps > 60 {
			break
		}
	}
	for p := range x.logs {
		if n := x.leds[p].Next; n < int64(len(x.logs[p])) {
			x.live(p, x.logs[p][n:])
		}
	}
	for round := range 400 {
		x.operate(true, round%20 > 3)
		x.now = x.now.Add(time.Minute)
		x.someSweep(true)
		if len(x.parked) == 0 && !x.unsettled() {
			break
		}
	}
	x.check()
}
