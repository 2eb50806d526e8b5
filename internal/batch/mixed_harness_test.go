package batch_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// The models of the mixed tests: columns of several kinds on one row, a row that must be
// there first, rows that an event names by its payload, and siblings.
type (
	mixedRow struct {
		ID   string `gorm:"primaryKey"`
		Last string // Set
		Seq  string // Sequence
		Once string // Once
		guards.Guarded
	}
	mixedSeq struct {
		ID  string `gorm:"primaryKey"`
		Seq string // Sequence
		guards.Guarded
	}
	mixedWaits struct {
		ID     string `gorm:"primaryKey"`
		Opened string // Set
		Seq    string // Sequence, once the row is there
		guards.Guarded
	}
	mixedShelf struct {
		ID   string `gorm:"primaryKey"`
		Once string // Once, under Keys
		guards.Guarded
	}
	mixedDoc struct {
		ID   string `gorm:"primaryKey"`
		Sibs string // Resolve
		Made string // Set
		guards.Guarded
	}
	mixedStale struct {
		ID   string `gorm:"primaryKey"`
		Last string // Timestamp
		guards.Guarded
	}
	mixedLog struct {
		ID  string `gorm:"primaryKey"`
		All string // None
		guards.Guarded
	}
	mixedFacts struct {
		Vector  string   `json:"vector"`
		Shelves []string `json:"shelves"`
	}
)

// mixed is a world of two partitions over one database.
type mixed struct {
	*memory
	rng  *rand.Rand
	leds [2]ledger.State
	logs [2][]*event.Record
	// fails counts the runs that a unit still fails, by handler, entity and id; dead names
	// those that fail for good.
	fails map[string]int
	dead  map[string]bool
	// judged are events that were judged, by id.
	judged map[string]ev
	story  []string
	*causalWorld
	*sqlWorld
	// replayed are the events of letters that were replayed: what did not wait for them stands
	// before them.
	replayed map[string]bool
	// horizons are the times up to which ids are forgotten.
	horizons map[string]int
}

func (x *mixed) say(format string, args ...any) {
	x.story = append(x.story, fmt.Sprintf(format, args...))
}

// runs is called in each handler.
func (x *mixed) runs(handler, key, id string) error {
	unit := handler + "|" + key + "|" + id
	if x.dead[unit] {
		return handlers.DeadLetter(errFlaky)
	}
	if x.fails[unit] > 0 {
		x.fails[unit]--
		return errFlaky
	}
	return nil
}

// emit says that a unit has run. A run that fails afterwards must not be heard of.
func (x *mixed) emit(emit func(event.Draft), handler, key, id string) {
	emit(event.Draft{Topic: children, Type: "ran", Key: handler + "|" + key + "|" + id, Payload: mixedFacts{}})
}

func newMixed(t *testing.T, rng *rand.Rand, gap guards.GapPolicy) *mixed {
	t.Helper()
	x := &mixed{rng: rng, fails: map[string]int{}, dead: map[string]bool{}, judged: map[string]ev{}, replayed: map[string]bool{}, horizons: map[string]int{}}
	more := []guards.Guard{guards.Timestamp()}
	if rng.IntN(3) == 0 {
		more = append(more, guards.MaxFuture(time.Millisecond), guards.MaxLateness(time.Duration(1+rng.IntN(4))*time.Second))
	}
	reg := handlers.NewRegistry(more...)
	policy := guards.OnGap(gap)
	if gap == guards.GapReplay {
		policy = guards.RequestReplay(children)
	}
	seq := guards.Sequence(guards.GapTimeout(time.Minute), policy)
	handlers.Set(reg, "count", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedRow]) error {
		d.Entity.Last = d.Event.ID
		x.emit(d.Emit, "set", d.Entity.ID, d.Event.ID)
		return x.runs("set", d.Entity.ID, d.Event.ID)
	}, handlers.Creates(), handlers.Writes("Last"), handlers.Name("set"), handlers.Emits(children))
	handlers.Modify(reg, "touch", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedRow]) error {
		d.Entity.Seq += d.Event.ID + " "
		x.emit(d.Emit, "seq", d.Entity.ID, d.Event.ID)
		return x.runs("seq", d.Entity.ID, d.Event.ID)
	}, seq, handlers.Writes("Seq"), handlers.Name("seq"), handlers.Emits(children))
	handlers.Modify(reg, "add", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedRow]) error {
		d.Entity.Once += d.Event.ID + " "
		x.emit(d.Emit, "once", d.Entity.ID, d.Event.ID)
		return x.runs("once", d.Entity.ID, d.Event.ID)
	}, guards.Once(), handlers.Writes("Once"), handlers.Name("once"), handlers.Emits(children))
	for _, typ := range []string{"count", "add"} {
		handlers.Modify(reg, typ, func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedSeq]) error {
			d.Entity.Seq += d.Event.ID + " "
			x.emit(d.Emit, "plain", d.Entity.ID, d.Event.ID)
			return x.runs("plain", d.Entity.ID, d.Event.ID)
		}, seq, handlers.Writes("Seq"), handlers.Name(typ+" plain"), handlers.Emits(children))
	}
	handlers.Set(reg, "open", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedWaits]) error {
		d.Entity.Opened = d.Event.ID
		return nil
	}, handlers.Creates(), handlers.Writes("Opened"), handlers.Name("open"))
	for _, typ := range []string{"count", "touch"} {
		handlers.Modify(reg, typ, func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedWaits]) error {
			d.Entity.Seq += d.Event.ID + " "
			x.emit(d.Emit, "waits", d.Entity.ID, d.Event.ID)
			return x.runs("waits", d.Entity.ID, d.Event.ID)
		}, seq, handlers.Writes("Seq"), handlers.OnMissing(handlers.MissingPark), handlers.Name(typ+" waits"), handlers.Emits(children))
	}
	for _, typ := range []string{"count", "add", "touch"} {
		handlers.Modify(reg, typ, func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedShelf]) error {
			d.Entity.Once += d.Event.ID + " "
			x.emit(d.Emit, "shelf", d.Entity.ID, d.Event.ID)
			return x.runs("shelf", d.Entity.ID, d.Event.ID)
		}, guards.Once(), handlers.Writes("Once"), handlers.Keys(func(f mixedFacts) []string { return f.Shelves }), handlers.Name(typ+" shelf"), handlers.Emits(children))
	}
	handlers.Modify(reg, "count", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedStale]) error {
		d.Entity.Last = d.Event.ID
		x.emit(d.Emit, "stale", d.Entity.ID, d.Event.ID)
		return x.runs("stale", d.Entity.ID, d.Event.ID)
	}, guards.Timestamp(), handlers.Writes("Last"), handlers.Name("stale"), handlers.Emits(children))
	handlers.Modify(reg, "add", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedLog]) error {
		d.Entity.All += strconv.FormatInt(int64(d.Event.Record.Partition), 10) + ":" + strconv.FormatInt(d.Event.Record.Offset, 10) + " "
		return x.runs("none", d.Entity.ID, d.Event.ID)
	}, guards.None(), handlers.Writes("All"), handlers.Name("none"))
	handlers.Resolve(reg, "count", func(e *mixedDoc, siblings []handlers.Sibling[mixedFacts]) error {
		for _, s := range siblings {
			e.Sibs += s.ID + " "
		}
		return nil
	}, guards.Vector(), handlers.Writes("Sibs"), handlers.Name("doc"))
	handlers.Set(reg, "open", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedDoc]) error {
		d.Entity.Made = d.Event.ID
		return nil
	}, handlers.By(guards.Vector()), handlers.Creates(), handlers.Writes("Made"), handlers.Name("made"))
	x.registerCausal(reg)
	x.registerSQL(reg, seq)
	x.memory = emitting(t, reg)
	x.judge.MaxParkedPerKey = 1000
	x.judge.MissingFor = 2 * time.Minute
	x.judge.KeepOrigins = true
	x.judge.Delay = func(int) (time.Duration, bool) { return time.Second, true }
	for p := range x.leds {
		x.leds[p].Partition = int32(p)
	}
	return x
}

// asked loads what the items ask for, and nothing else, as copies.
func (x *mixed) asked(items []*batch.Item, firstSight func(int64) bool) *store.Loaded {
	want := batch.Gather("g", items, x.layouts, firstSight)
	all := x.load()
	l := &store.Loaded{
		Rows: map[string]map[string]*store.Row{}, Queues: map[string]map[string]*store.Queue{}, Units: map[string]bool{},
		IDs: map[store.IDKey]*store.ID{}, Memos: map[store.MemoKey]*store.Memo{}, Streams: map[store.StreamKey]*store.Stream{},
	}
	for _, w := range want.Rows {
		table := w.Model.Table
		l.Rows[table], l.Queues[table] = map[string]*store.Row{}, map[string]*store.Queue{}
		for _, k := range w.Keys {
			if r := x.rows[table][k]; r != nil {
				c := *r
				c.Entity = reflect.New(w.Model.Type)
				c.Entity.Elem().Set(r.Entity.Elem())
				c.Clocks.Stamps = slices.Clone(r.Clocks.Stamps)
				l.Rows[table][k] = &c
			}
			if q := all.Queues[table][k]; q != nil && w.Parked {
				l.Queues[table][k] = q
			}
		}
	}
	for _, k := range want.IDs {
		if have := x.ids[k]; have != nil {
			id := *have
			id.Known = true
			l.IDs[k] = &id
		}
	}
	for _, k := range want.Memos {
		if have := x.memos[k]; have != nil {
			l.Memos[k] = have
		}
	}
	for _, k := range want.Streams {
		if have := all.Streams[k]; have != nil {
			l.Streams[k] = have
		}
	}
	if len(want.Judged) > 0 {
		l.Units = all.Units
	}
	if x.tx = nil; want.Tx {
		x.tx = x.begin(l)
		l.Tx = x.tx
	}
	return l
}

// refused says which guard of a database would refuse the batch, if any.
func (x *mixed) refused(b *store.Batch) string {
	if why := x.refusedSQL(b); why != "" {
		return why
	}
	for _, r := range b.Update {
		if have := x.rows[r.Model.Table][r.Key]; !x.stub(r) && (have == nil || have.Rev != r.Rev) {
			return "update " + r.Model.Table
		}
	}
	for _, r := range b.Insert {
		if x.rows[r.Model.Table][r.Key] != nil {
			return "insert " + r.Model.Table
		}
	}
	if why := x.refusedAbsent(b.Absent); why != "" {
		return why
	}
	for _, m := range b.Memos {
		var rev int64
		if have := x.memos[m.MemoKey]; have != nil {
			rev = have.Rev
		}
		if rev != m.Rev {
			return "memo " + m.Scope
		}
	}
	for _, id := range b.IDs {
		if id.Known != (x.ids[id.IDKey] != nil) {
			return "id " + id.Scope
		}
	}
	for _, mark := range b.Release {
		if have := x.parked[mark.ID]; have == nil || have.Rev != mark.Rev {
			return "release"
		}
	}
	for _, p := range b.Repark {
		if have := x.parked[p.ID]; have == nil || have.Rev != p.Rev {
			return "repark"
		}
	}
	return ""
}

func (x *mixed) refusedAbsent(keys []store.AbsentKey) string {
	for _, a := range keys {
		n := 0
		for _, p := range x.parked {
			if p.Table == a.Model.Table && p.Entity == a.Key {
				n++
			}
		}
		if x.rows[a.Model.Table][a.Key] != nil || n != a.Parked {
			return "absent " + a.Model.Table
		}
	}
	return ""
}

// land commits and checks what must hold after each batch.
func (x *mixed) land(out *batch.Outcome) {
	for _, p := range out.Batch.Park {
		require.Nil(x.t, x.parked[p.ID], "parked twice: %s", p.EventID)
	}
	for _, p := range out.Batch.Repark {
		p.Rev++
	}
	x.keepSQL()
	x.commit(out)
	x.given(out)
	woken := map[string]bool{}
	for _, k := range out.Batch.Wake {
		for _, p := range x.parked {
			if p.Table == k.Table && p.Entity == k.Entity && p.Cause == store.CauseMissing && !woken[p.ID] {
				woken[p.ID] = true
				c := *p
				c.Due, c.Rev = x.now, p.Rev+1
				x.parked[p.ID] = &c
			}
		}
	}
	for table, rows := range x.rows {
		for key, r := range rows {
			x.checkOrigins(table, key, r)
		}
	}
	x.checkLetGo()
}

// checkOrigins: who has left anything in a placeholder is known (R13's neighbour in 3.3).
func (x *mixed) checkOrigins(table, key string, r *store.Row) {
	if r.State != guards.Placeholder {
		return
	}
	known := map[string]bool{}
	for _, o := range x.origins[store.OriginKey{Table: table, Born: r.Born.UnixMicro(), Entity: key}] {
		if o.ID != "" {
			known[x.prepare.Prepare(o.Record).Event.ID] = true
		}
	}
	v := r.Entity.Elem()
	for _, f := range []string{"Seq", "Once", "Sibs", "Last"} {
		if c := v.FieldByName(f); c.IsValid() {
			for _, id := range strings.Fields(c.String()) {
				require.True(x.t, known[id], "%s of %s %s was written by %s, of which there is no origin", f, table, key, id)
			}
		}
	}
}

// live runs records of a partition: somebody may be quicker, the batch may be cut, and the
// items are judged again as they are.
func (x *mixed) live(p int, rs []*event.Record) {
	var items []*batch.Item
	for _, r := range rs {
		items = append(items, x.prepare.Prepare(r))
	}
	for len(items) > 0 {
		n := 1 + x.rng.IntN(len(items))
		x.part(p, items[:n])
		items = items[n:]
	}
}

func (x *mixed) part(p int, items []*batch.Item) {
	led := x.leds[p]
	first := func(o int64) bool { f, _, _ := led.FirstSight(o); return f }
	if len(items) == 1 && x.rng.IntN(4) == 0 {
		items[0].Alone = true
		if us := items[0].Units; len(us) > 0 && x.rng.IntN(2) == 0 {
			x.accuse(us[x.rng.IntN(len(us))])
		}
	}
	for try := 0; ; try++ {
		loaded := x.asked(items, first)
		if try == 0 && x.rng.IntN(3) == 0 {
			x.someSweep(false)
		}
		x.resume(loaded)
		out, err := x.judge.Live(context.Background(), items, x.layouts, loaded, led, x.now)
		if err == nil && out.Incomplete {
			out, err = x.judge.Live(context.Background(), items, x.layouts, x.asked(items, first), led, x.now)
		}
		why := x.broken(err)
		if why == "" {
			x.oneOutcome(items, out)
			why = x.refused(out.Batch)
		}
		if why != "" {
			x.say("partition %d refused: %s", p, why)
			require.Less(x.t, try, 20)
			continue
		}
		for _, it := range items {
			x.say("partition %d offset %d: %s", p, it.Record.Offset, told(it, out))
			if it.Event != nil {
				x.judged[it.Event.ID] = ev{it.Event.Type, it.Event.Key, int(it.Event.Version), it.Event.ID, string(it.Event.Data)}
			}
		}
		x.land(out)
		x.leds[p] = *out.Batch.Ledger
		return
	}
}

func told(it *batch.Item, out *batch.Outcome) string {
	s := it.Event.Type + " " + it.Event.ID
	for _, v := range out.Verdicts {
		s += fmt.Sprintf("; %s(%s %s) %s/%s", v.Handler, v.Entity, v.Item.Event.ID, v.Verdict.Action, v.Verdict.Reason)
	}
	return s
}

// oneOutcome: each record has one verdict, or each of its units has one (R12).
func (x *mixed) oneOutcome(items []*batch.Item, out *batch.Outcome) {
	for _, it := range items {
		whole, units := 0, map[string]int{}
		for _, v := range out.Verdicts {
			if v.Item == it {
				if v.Handler == "" {
					whole++
				} else {
					units[v.Handler+"|"+v.Entity]++
				}
			}
		}
		if whole > 0 {
			require.Equal(x.t, 1, whole)
			require.Empty(x.t, units)
			continue
		}
		require.Len(x.t, units, len(it.Units), "%s\n%s", told(it, out), strings.Join(x.story, "\n"))
		for u, n := range units {
			require.Equal(x.t, 1, n, "%s of %s has %d verdicts", u, it.Event.ID, n)
		}
	}
}

// accuse makes a unit one that the database refuses, or whose row it can't read.
func (x *mixed) accuse(u *batch.Unit) {
	switch x.rng.IntN(3) {
	case 0:
		u.Refused = errFlaky
	case 1:
		u.Refused = &store.DataError{State: "23514", Err: errFlaky}
	case 2:
		if u.Key != "" {
			u.Break(errFlaky)
		}
	}
}

// someSweep judges what is parked under some keys.
func (x *mixed) someSweep(all bool) {
	var rows []*store.Parked
	skip := map[string]bool{}
	for _, p := range x.inPlaces() {
		k := p.Table + "|" + p.Entity
		if _, ok := skip[k]; !ok {
			skip[k] = !all && x.rng.IntN(3) == 0
		}
		if !skip[k] {
			rows = append(rows, p)
		}
	}
	slices.SortStableFunc(rows, func(a, b *store.Parked) int {
		return cmp.Or(strings.Compare(a.Table, b.Table), strings.Compare(a.Entity, b.Entity))
	})
	alone := x.rng.IntN(4) == 0
	if alone && len(rows) > 1 {
		i := x.rng.IntN(len(rows))
		rows = rows[i : i+1]
	}
	var out *batch.Outcome
	for runs := 1 + x.rng.IntN(2); runs > 0; { // a run whose transaction is lost is repeated
		var units []*batch.Unit
		var items []*batch.Item
		for _, p := range rows {
			row := *p
			u := x.prepare.PrepareParked(&row)
			u.Item.Alone = alone
			if alone && x.rng.IntN(4) == 0 && !all {
				x.accuse(u)
			}
			units, items = append(units, u), append(items, u.Item)
		}
		due := func(p *store.Parked) bool { return !p.Due.After(x.now) }
		var err error
		out, err = x.judge.Waiting(context.Background(), units, x.layouts, x.asked(items, nil), x.now, due, nil)
		if err == nil && out.Incomplete { // what a replay has found anew has to wait
			out, err = x.judge.Waiting(context.Background(), units, x.layouts, x.asked(items, nil), x.now, due, nil)
		}
		if x.broken(err) == "" {
			runs--
		}
	}
	require.Empty(x.t, x.refused(out.Batch))
	require.False(x.t, out.Incomplete)
	for _, v := range out.Verdicts {
		x.say("swept: %s(%s %s) %s/%s", v.Handler, v.Entity, v.Item.Event.ID, v.Verdict.Action, v.Verdict.Reason)
	}
	x.land(out)
}

// produce makes the history: numbers of two entities in a loose order over two partitions,
// with duplicates of producers.
func (x *mixed) produce(numbers int) {
	var all []ev
	never := x.rng.IntN(3) // one of so many numbers never comes
	for _, key := range []string{"o1", "o2"} {
		opened := 1 + x.rng.IntN(numbers)
		writers := newWriters(x.rng)
		for n := 1; n <= numbers; n++ {
			typ := []string{"count", "count", "add", "touch", "unhandled", "add", "touch", "close"}[x.rng.IntN(8)]
			if n == opened {
				typ = "open"
			}
			node, vector := writers.write(typ != "unhandled")
			if never > 0 && n != opened && x.rng.IntN(3*numbers/2) < never {
				continue
			}
			shelves := []string{}
			for _, s := range []string{"a", "b", "c"} {
				if x.rng.IntN(2) == 0 {
					shelves = append(shelves, s)
				}
			}
			data, _ := json.Marshal(mixedFacts{Vector: vector, Shelves: shelves})
			e := ev{typ, key, n, fmt.Sprintf("%s/%s-%d", node, key, n), string(data)}
			all = append(all, e)
			if x.rng.IntN(4) == 0 {
				all = append(all, e)
			}
			for _, h := range []string{"set", "seq", "once", "plain", "waits", "stale", "none", "caused", "causedmod", "opened", "closed", "settx", "seqtx", "oncetx", "lasttx"} {
				x.plan(fmt.Sprintf("%s|%s|%s-%d", h, key, key, n))
			}
			for _, s := range shelves {
				x.plan(fmt.Sprintf("shelf|%s|%s-%d", s, key, n))
			}
		}
	}
	far := 1 + x.rng.IntN(8)
	at := make([]float64, len(all))
	for i, e := range all {
		at[i] = float64(e.at) + x.rng.Float64()*float64(far)
		if x.rng.IntN(10) == 0 {
			at[i] += x.rng.Float64() * float64(numbers)
		}
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(at[i], at[j]) })
	for _, i := range order {
		p := x.rng.IntN(2)
		r := x.log(all[i])[0]
		x.byID[all[i].id[strings.Index(all[i].id, "/")+1:]] = r
		r.Partition, r.Offset = int32(p), int64(len(x.logs[p]))
		x.logs[p] = append(x.logs[p], r)
	}
}

func (x *mixed) plan(unit string) {
	switch x.rng.IntN(12) {
	case 0, 1:
		x.fails[unit] = 1 + x.rng.IntN(6)
	case 2:
		if x.rng.IntN(3) == 0 {
			x.dead[unit] = true
		}
	}
}
