package batch_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// mixedCause is a model whose events wait for their causes, under each verb (R14).
type mixedCause struct {
	ID   string `gorm:"primaryKey"`
	Last string // Set
	Mod  string // Modify
	Sibs string // Resolve
	guards.Guarded
}

// writers are two to four producers of one entity. Each has seen what it has written, and now
// and then what another one has.
type writers struct {
	rng   *rand.Rand
	knows []map[string]int64
}

func newWriters(rng *rand.Rand) *writers {
	w := &writers{rng: rng}
	for range 2 + rng.IntN(3) {
		w.knows = append(w.knows, map[string]int64{})
	}
	return w
}

// write makes the vector of the next event; one that nobody handles counts nothing, as nobody
// could wait for it.
func (w *writers) write(counts bool) (node, vector string) {
	i := w.rng.IntN(len(w.knows))
	knows := w.knows[i]
	if w.rng.IntN(2) == 0 {
		for n, count := range w.knows[w.rng.IntN(len(w.knows))] {
			knows[n] = max(knows[n], count)
		}
	}
	node = string(rune('a' + i))
	if counts {
		knows[node]++
	}
	var parts []string
	for _, n := range slices.Sorted(maps.Keys(knows)) {
		parts = append(parts, fmt.Sprintf("%s=%d", n, knows[n]))
	}
	return node, strings.Join(parts, ",")
}

// causalWorld is what the reference knows of the causes: what each entity was given, or has
// been told to go on without.
type causalWorld struct {
	seen map[string]map[string]int64 // by table and entity, the entries
	// had are the events that were given, by handler, entity and id; excused what may come
	// without its causes: units of letters that somebody has replayed, and by entity and sum
	// what has waited to a bound.
	had, excused map[string]bool
	byID         map[string]*event.Record
}

func (x *mixed) registerCausal(reg *handlers.Registry) {
	x.causalWorld = &causalWorld{seen: map[string]map[string]int64{}, had: map[string]bool{}, excused: map[string]bool{}, byID: map[string]*event.Record{}}
	var options []guards.VectorOption
	patience := time.Hour
	if x.rng.IntN(4) == 0 {
		options = append(options, guards.MaxWaiting(1+x.rng.IntN(3)))
	}
	if x.rng.IntN(4) == 0 {
		patience = time.Duration(1+x.rng.IntN(30)) * time.Second
	}
	if x.rng.IntN(3) == 0 {
		options = append(options, guards.OnMissingCause(guards.GapSkip))
	}
	g := guards.Vector(append(options, guards.Causal(patience))...)
	set := []handlers.Option{handlers.By(g), handlers.Writes("Last"), handlers.Name("caused"), handlers.Emits(children)}
	sql := x.rng.IntN(2) == 0
	if sql {
		set = append(set, handlers.UsesTx())
	}
	handlers.Set(reg, "count", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedCause]) error {
		d.Entity.Last = d.Event.ID
		x.emit(d.Emit, "caused", d.Entity.ID, d.Event.ID)
		if sql {
			return x.runsSQL(d.Tx, "mixed_causes", "caused", d.Entity.ID, d.Event)
		}
		return x.runs("caused", d.Entity.ID, d.Event.ID)
	}, set...)
	handlers.Set(reg, "open", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedCause]) error {
		return x.runs("opened", d.Entity.ID, d.Event.ID)
	}, handlers.By(g), handlers.Writes(), handlers.Creates(), handlers.Name("opened"))
	handlers.Set(reg, "close", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedCause]) error {
		if err := x.runs("closed", d.Entity.ID, d.Event.ID); err != nil {
			return err
		}
		d.Delete()
		return nil
	}, handlers.By(g), handlers.Writes(), handlers.Name("closed"))
	missing := handlers.MissingPlaceholder
	if x.rng.IntN(3) == 0 {
		missing = handlers.MissingPark
	}
	handlers.Modify(reg, "touch", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedCause]) error {
		d.Entity.Mod += d.Event.ID + " "
		return x.runs("causedmod", d.Entity.ID, d.Event.ID)
	}, g, handlers.Writes("Mod"), handlers.OnMissing(missing), handlers.Name("causedmod"))
	handlers.Resolve(reg, "add", func(e *mixedCause, siblings []handlers.Sibling[mixedFacts]) error {
		for _, s := range siblings {
			e.Sibs += s.ID + " "
		}
		return nil
	}, g, handlers.Writes("Sibs"), handlers.Name("causedsibs"))
}

var causalHandlers = map[string]string{"count": "caused", "open": "opened", "close": "closed", "touch": "causedmod", "add": "causedsibs"}

func (x *mixed) isCausal(handler string) bool {
	for _, h := range causalHandlers {
		if h == handler {
			return true
		}
	}
	return false
}

// sees: an entity has seen all that a vector counts.
func (x *mixed) sees(table, entity string, v event.Vector) {
	k := table + "|" + entity
	if x.seen[k] == nil {
		x.seen[k] = map[string]int64{}
	}
	for _, c := range v {
		x.seen[k][c.Node] = max(x.seen[k][c.Node], c.Count)
	}
}

// lacks reports whether an event of the node comes before its causes.
func (x *mixed) lacks(entity, node string, v event.Vector) bool {
	seen := x.seen["mixed_causes|"+entity]
	for _, c := range v {
		if c.Node == node {
			c.Count--
		}
		if c.Count > seen[c.Node] {
			return true
		}
	}
	return false
}

// given holds each verdict against what has come before: an event is given after its causes,
// and becomes a letter for their sake only while they have not come.
func (x *mixed) given(out *batch.Outcome) {
	for _, mark := range out.Batch.Release {
		if l := x.letters[mark.ID]; l != nil && l.Handler == "" && l.State == dlq.Discarded {
			x.sees("mixed_causes", l.Entity, l.Vector)
		}
	}
	for _, g := range out.Gaps {
		if g.Stream == "causal:mixed_causes" && g.Policy == guards.GapSkip {
			x.excused[fmt.Sprintf("%s|%d", g.Entity, g.Waiting)] = true
		}
	}
	for _, v := range out.Verdicts {
		if !x.isCausal(v.Handler) {
			continue
		}
		e := v.Item.Event
		lacks := e != nil && x.lacks(v.Entity, e.Source, e.Vector)
		unit := v.Handler + "|" + v.Entity + at(v.Item.Record)
		switch {
		case v.Verdict.Action == guards.Apply, v.Verdict.Reason == guards.Superseded:
			skipped := x.excused[fmt.Sprintf("%s|%d", v.Entity, e.Vector.Sum())]
			require.True(x.t, !lacks || skipped || x.excused[unit], "%s %s came before its causes: %v, of which %v was seen\n%s", v.Handler, e.ID, e.Vector, x.seen["mixed_causes|"+v.Entity], x.told())
			x.sees("mixed_causes", v.Entity, e.Vector)
			x.had[v.Handler+"|"+v.Entity+"|"+e.ID] = true
		case v.Verdict.Action == guards.DeadLetter && v.Verdict.Reason == guards.Gap:
			require.True(x.t, lacks, "%s %s is a letter for causes that have come\n%s", v.Handler, e.ID, x.told())
		}
	}
}

// checkLetGo: what waits for causes that have come is due, unless it keeps an order and
// something stands before it (R9).
func (x *mixed) checkLetGo() {
	for _, p := range x.parked {
		if !x.isCausal(p.Handler) || p.Cause != store.CauseGap || !p.Due.After(x.now) {
			continue
		}
		behind := func(o *store.Parked) bool {
			return o.Entity == p.Entity && o.Table == p.Table && o.Cause != store.CauseGap
		}
		if p.Handler == "causedmod" && slices.ContainsFunc(slices.Collect(maps.Values(x.parked)), behind) {
			continue
		}
		e := x.prepare.Prepare(p.Record).Event
		require.True(x.t, x.lacks(p.Entity, e.Source, e.Vector), "nobody lets %s %s go\n%s", p.Handler, p.EventID, x.told())
	}
}

// checkCausal compares the model with what the set of events says.
func (x *mixed) checkCausal(key string, ids []string) {
	stamp := func(e ev) event.Stamp {
		s, err := guards.Vector().Stamp(x.asEvent(e), true)
		require.NoError(x.t, err)
		return s
	}
	var last, exists event.Stamp
	state, value := guards.Placeholder, ""
	var mods, adds []string
	for _, id := range ids {
		e := x.judged[id]
		handler := causalHandlers[e.typ]
		if e.key != key || handler == "" {
			continue
		}
		has := x.had[handler+"|"+key+"|"+id]
		require.True(x.t, has || x.gone(handler, key, id), "%s of %s is lost\n%s", handler, id, x.told())
		if !has {
			continue
		}
		switch s := stamp(e); e.typ {
		case "count":
			if s.After(last) {
				last, value = s, id
			}
		case "open":
			if s.After(exists) {
				exists, state = s, guards.Alive
			}
		case "close":
			if s.After(exists) {
				exists, state = s, guards.Deleted
			}
			if s.After(last) {
				last, value = s, ""
			}
		case "touch":
			mods = append(mods, id)
		case "add":
			adds = append(adds, id)
		}
	}
	require.Equal(x.t, value, x.field("mixed_causes", key, "Last"), x.told())
	if r := x.rows["mixed_causes"][key]; r != nil {
		require.Equal(x.t, state, r.State, x.told())
	}
	log := strings.Fields(x.field("mixed_causes", key, "Mod"))
	byStamp := func(a, b string) int { return stamp(x.judged[a]).Compare(stamp(x.judged[b])) }
	require.True(x.t, slices.IsSortedFunc(log, byStamp), "%v\n%s", log, x.told())
	if len(mods) > 0 {
		require.Equal(x.t, slices.MaxFunc(mods, byStamp), log[len(log)-1], x.told())
	}
	require.ElementsMatch(x.t, x.maximal(adds), strings.Fields(x.field("mixed_causes", key, "Sibs")), x.told())
}

// maximal are the events that none of the others has seen.
func (x *mixed) maximal(ids []string) []string {
	vector := func(id string) event.Vector { return x.asEvent(x.judged[id]).Vector }
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		return slices.ContainsFunc(ids, func(o string) bool { return vector(id).Compare(vector(o)) == event.Before })
	})
}

// asEvent reads an event of the history once more.
func (x *mixed) asEvent(e ev) *event.Event {
	return x.prepare.Prepare(x.byID[e.id]).Event
}

// identity is how a memory of ids knows an event.
func (x *mixed) identity(e ev) string { return store.EventID(x.asEvent(e).Identity()) }

func at(r *event.Record) string { return fmt.Sprintf("|%d:%d", r.Partition, r.Offset) }

func (x *mixed) told() string { return strings.Join(x.story, "\n") }

// excuse notes that somebody wants a unit's event to be applied without its causes.
func (x *mixed) excuse(l *dlq.Letter) {
	if l.Handler != "" {
		x.excused[l.Handler+"|"+l.Entity+at(l.Record)] = true
	}
}
