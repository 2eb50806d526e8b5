package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Three ways to die that leave three things undone. Each member is a process of its own,
// killed by its own hand at the very place, and a second member takes over.
func TestB08KilledMembersLeaveNoSecondEffect(t *testing.T) {
	t.Parallel()
	each(t, "B08", func(t *testing.T, at combination) {
		t.Parallel()
		const partitions, events, curse = 2, 600, 50
		for _, how := range []struct {
			at  fault
			nth int64
			// left checks what the dead left behind.
			left func(w *world)
		}{
			{at: dieAtHandler, nth: 130, left: func(w *world) {
				require.Less(w.t, w.done(), int64(130), "the batch under way is not in the database")
			}},
			{at: dieAtLetter, nth: 3, left: func(w *world) {
				require.GreaterOrEqual(w.t, len(w.letters()), 3, "the letters are in the database")
				require.Less(w.t, len(w.broker.Consume(w.t, w.dlq)), len(w.letters()), "not all of them are on the topic")
				require.Positive(w.t, w.heldBack())
			}},
			{at: dieAtPublished, nth: 2, left: func(w *world) {
				require.NotEmpty(w.t, w.broker.Consume(w.t, w.dlq), "letters are on the topic")
				w.heldBack()
			}},
		} {
			t.Run(string(how.at), func(t *testing.T) {
				w := newTallyWorld(t, at, partitions)
				w.produce(-1, stream(0, events, 40, curse, w.began.Add(-time.Hour)))
				w.broker.Produce(t, w.record(0, "o-1", "{"), w.record(1, "o-2", "not an event"))
				dead := w.spawn(func(s *childSpec) { s.Fault, s.Nth, s.BatchSize = how.at, how.nth, 25 })
				dead.died()
				how.left(w)
				w.start(quick)
				w.drain(partitions)
				w.checkTallied()
			})
		}
	})
}

// done is how many effects are in the database.
func (w *world) done() int64 {
	w.t.Helper()
	var n int64
	for _, t := range all(w, func(t *Tally) string { return t.ID }) {
		n += t.N
	}
	return n
}

// heldBack checks that Kafka's offsets wait for letters that are not on the topic, and
// returns how many these are. What counts is the topic and not the mark, which comes later.
func (w *world) heldBack() (waiting int) {
	w.t.Helper()
	published := w.published()
	for _, l := range w.letters() {
		if published[l.ID] {
			continue
		}
		waiting++
		committed, _ := w.broker.Committed(w.t, w.group, w.topic, l.Record.Partition)
		require.LessOrEqual(w.t, committed, l.Record.Offset, "Kafka's offset of partition %d has passed an unpublished letter", l.Record.Partition)
	}
	return waiting
}

// A COMMIT whose answer is lost may have been applied or not; the member must find out.
func TestB08CommitsWithoutAnswer(t *testing.T) {
	t.Parallel()
	each(t, "B08 answer", func(t *testing.T, at combination) {
		t.Parallel()
		const partitions, events = 2, 800
		for name, how := range map[string]harm{"applied": loseAnswer, "not applied": cutBefore} {
			t.Run(name, func(t *testing.T) {
				w := newTallyWorld(t, at, partitions)
				p := newProxy(t, w.dsn)
				members := *w
				members.db = openDB(t, at.store, p.dsn)
				p.arm(how, 5)
				w.produce(-1, stream(0, events, 40, 40, w.began.Add(-time.Hour)))
				m := members.start(quick, smallBatches(50))
				w.drain(partitions)
				w.checkTallied()
				require.Equal(t, 5, p.harmed())
				applied := w.log.count("a COMMIT whose answer was lost had taken effect")
				if how == loseAnswer {
					require.Equal(t, 5, applied, "the ledger was asked")
				} else {
					require.Zero(t, applied)
				}
				// What was applied is reported once: the counters are right too.
				require.EqualValues(t, events, m.final().Records)
			})
		}
	})
}
