package handlers

import (
	"slices"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

func TestSequenceWiring(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "placed", onOrder, Creates(), Writes("Customer"))
	Modify(r, "counted", onOrder, guards.Sequence(), Writes("Total"))
	Modify(r, "recounted", onOrder, guards.Sequence(), Writes("Total"), Baseline(), Name("again"))
	Modify(r, "paid", onPayment, guards.Sequence(guards.Stream("money"), guards.FirstSeen()), Writes("Amount"), Creates())
	w := wire(t, r)

	counted, again, paid := w.Handler("counted", "counted→Order"), w.Handler("recounted", "again"), w.Handler("paid", "paid→Payment")
	same(t, "one stream", counted.Stream, again.Stream)
	same(t, "the topic's", w.TopicStream, counted.Stream)
	same(t, "by topic", counted.Stream.NameOn("orders"), "orders")
	same(t, "by name", paid.Stream.NameOn("orders"), "money")
	same(t, "baseline", []bool{counted.Baseline, again.Baseline}, []bool{false, true})
	same(t, "models", paid.Stream.Models, []*Model{paid.Model})
	same(t, "waits for its number and not for arrivals", []bool{counted.OrderKept(), w.KeepsOrder("again")}, []bool{false, false})
	same(t, "known by name", []bool{w.InStream("again"), w.InStream("placed→Order")}, []bool{true, false})
	key, ok := paid.Stream.Key(&event.Event{Key: "007"})
	same(t, "one key has one form", key, "7")
	same(t, "is a key", ok, true)
	_, ok = paid.Stream.Key(&event.Event{Key: "seven"})
	same(t, "is none", ok, false)

	m := counted.Model
	same(t, "the model's clocks are Set's", m.Kind, guards.KindTimestamp)
	same(t, "no clock is shared", len(m.ModifyColumns), 0)
	same(t, "who sees first is told", slices.Equal(w.Notes, []string{
		`the handler of "paid" on Payment begins with the first number that it sees (guards.FirstSeen): where an entity's first event was overtaken, it is discarded`,
	}), true)
}

func TestSequenceMistakes(t *testing.T) {
	t.Parallel()
	r := NewRegistry(guards.Sequence())
	Set(r, "a", onOrder, By(guards.Sequence()), Writes("Status"))
	Set(r, "b", onOrder, By(guards.Timestamp()), Baseline(), Writes("Customer"))
	Modify(r, "c", onOrder, guards.Sequence(), Writes("Total"), Key(func(p Placed) string { return p.Customer }))
	Modify(r, "d", onOrder, guards.Sequence(guards.MaxGap(7)), Writes("Total"))
	Modify(r, "d", onPayment, guards.Sequence(), Writes("Amount"), Baseline())
	Modify(r, "e", onOrder, guards.Sequence(guards.Stream("s"), guards.GapTimeout(-time.Second), guards.MaxGap(0), guards.OnGap(9), guards.From(3), guards.FirstSeen()), Writes("Total"))
	mistaken(
		t, r,
		"NewRegistry got guards.Sequence; Set handlers merge in any order and need no numbers without gaps: give Sequence to the Modify handlers that mean it",
		`the handler of "a" on Order is a Set under guards.Sequence; a Set merges in any order and needs no numbers without gaps: use guards.Version(), or handlers.Modify`,
		`the handler of "b" on Order is a Baseline without numbers; order it by guards.Sequence(), or drop handlers.Baseline`,
		`the handler of "c" on Order is ordered by sequence but finds its entity with handlers.Key; a sequence counts the event's own entity: order it by guards.Timestamp()`,
		`the handler of "d" on Order has other options in guards.Sequence than another handler of the topic's stream; a stream has one set of options: use the same, or give one of them a name with guards.Stream`,
		`the handler of "d" on Payment and another handler of the type disagree about handlers.Baseline; the number is the stream's: say it for both`,
		`the handler of "d" on Payment has an entity key of type int64, other models of the topic's stream one of type string; a stream counts one kind of key: give one of them a name with guards.Stream`,
		`the handler of "e" on Order has both guards.From(3) and guards.FirstSeen; a stream begins in one way: keep one`,
		`the handler of "e" on Order has the GapTimeout -1s; expected a duration above zero`,
		`the handler of "e" on Order has the MaxGap 0; expected one or more`,
		`the handler of "e" on Order: GapPolicy(9) is not a policy; use one of the guards.Gap… constants`,
		`the handler of "e" on Order writes Total as Modify under the sequence s, but Modify under sequence owns it; one column has one owner: split the column, or use one verb and guard for all its writers`,
	)
}
