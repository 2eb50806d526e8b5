package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// Tally counts the events of an order, without a guard: what has an effect twice, or
// none, shows in it.
type Tally struct {
	ID  string `gorm:"primaryKey"`
	N   int64
	Sum int64
	guards.Guarded
}

const cursed = "order.cursed"

var errCursed = errors.New("a cursed order")

// tallied is registry with a Tally beside each Order. order.cursed becomes a letter as
// far as the Order is concerned, and counts in the Tally. before, if it is not nil, is
// called by the Tally's handlers with how many events they have seen in this process.
func tallied(before func(n int64, d *handlers.Delivery[body, Tally])) *handlers.Registry {
	reg := registry()
	handlers.Set(reg, cursed, func(context.Context, *delivery) error {
		return handlers.DeadLetter(errCursed)
	}, handlers.Writes("Note"), blankIsFine)
	var seen atomic.Int64
	count := func(_ context.Context, d *handlers.Delivery[body, Tally]) error {
		if before != nil {
			before(seen.Add(1), d)
		}
		d.Entity.N++
		d.Entity.Sum += d.Payload.Amount
		return nil
	}
	for _, typ := range []string{"order.placed", "order.noted", "order.paid", "order.shipped", "order.cancelled", cursed} {
		handlers.Modify(reg, typ, count, guards.None(), handlers.Writes("N", "Sum"))
	}
	return reg
}

// newTallyWorld is a world for tallied, whose groups notice within seconds that a member
// is gone.
func newTallyWorld(t testing.TB, at combination, partitions int, options ...testutil.KafkaOption) *world {
	t.Helper()
	options = append(options, testutil.KafkaSetting("group.consumer.session.timeout.ms", "2000"))
	return newTallyWorldOn(t, at, partitions, testutil.Kafka(t, options...))
}

// newTallyWorldOn is newTallyWorld on a broker of the test's own.
func newTallyWorldOn(t testing.TB, at combination, partitions int, broker *testutil.KafkaBroker) *world {
	t.Helper()
	w := newWorldOn(t, at, partitions, broker)
	w.registry = func() *handlers.Registry { return tallied(nil) }
	w.tables(&Tally{})
	return w
}

// stream makes facts about so many orders, numbered from first; every curse-th is cursed.
func stream(first, n, orders, curse int, base time.Time) []fact {
	types := []string{"order.noted", "order.paid", "order.shipped", "order.noted"}
	facts := make([]fact, n)
	for i := range facts {
		at := first + i
		typ := types[at/orders%len(types)]
		switch {
		case at < orders:
			typ = "order.placed"
		case curse > 0 && at%curse == 0:
			typ = cursed
		}
		note := fmt.Sprintf("note %d", at)
		facts[i] = fact{
			id: fmt.Sprintf("e-%d", at), typ: typ, key: fmt.Sprintf("o-%d", at%orders),
			at:   base.Add(time.Duration(at) * 10 * time.Millisecond),
			body: body{Customer: fmt.Sprintf("c-%d", at%orders), Note: &note, Amount: int64(at + 1)},
		}
	}
	return facts
}

// produce writes facts to the partition of their keys, or to the given one.
func (w *world) produce(partition int32, facts []fact) {
	w.t.Helper()
	records := make([]event.Record, len(facts))
	for i, f := range facts {
		records[i] = w.record(partition, f.key, f.value())
	}
	w.broker.Produce(w.t, records...)
}

// parseTallied is parse for tallied.
func parseTallied(r *event.Record) (oracle.Event, error) {
	e, err := parse(r)
	if err == nil && e.Type == cursed {
		var env struct{ Key string }
		if err := json.Unmarshal(r.Value, &env); err != nil {
			return e, err
		}
		e.Units = []oracle.Unit{{Table: "orders", Key: env.Key, Handler: cursed + "→Order", Fails: guards.Rejected, Facts: map[string]any{"note": nil}}}
	}
	return e, err
}

// checkTallied compares orders, letters and positions with the oracle, the tallies with
// the log: one effect for each record that is an event, neither less nor more; and the
// dead-letter topic with the table: each letter is there and nothing else is.
func (w *world) checkTallied() {
	w.t.Helper()
	w.checkTalliedLog(w.broker.Consume(w.t, w.topic))
}

func (w *world) checkTalliedLog(log []event.Record) {
	w.t.Helper()
	o := &oracle.Oracle{
		Parse: parseTallied, Tables: []oracle.Table{{Name: "orders", Set: clocked}},
		MaxLateness: maxLateness, MaxFuture: maxFuture, From: w.began, To: time.Now(),
	}
	p, err := o.Predict(log)
	require.NoError(w.t, err)
	rows, err := oracle.ReadRows[Order](context.Background(), w.db, clocked...)
	require.NoError(w.t, err)
	letters, parked, _, err := oracle.ReadGroup(context.Background(), w.db, w.group)
	require.NoError(w.t, err)
	positions := w.positions()
	for i := range positions {
		at := &positions[i]
		at.Committed, _ = w.broker.Committed(w.t, w.group, at.Topic, at.Partition.Partition)
		_, at.End = w.broker.Span(w.t, at.Topic, at.Partition.Partition)
	}
	// An earlier topic of the same name was read to its end, or its rows are missing.
	ended := map[string]int64{}
	for _, r := range log {
		if r.Topic != w.topic {
			ended[r.Topic] = max(ended[r.Topic], r.Offset+1)
		}
	}
	for topic, end := range ended {
		positions = append(positions, oracle.Position{Partition: oracle.Partition{Topic: topic}, Next: end, Committed: end, End: end})
	}
	r := p.Compare(oracle.Actual{Rows: map[string]map[string]oracle.Row{"orders": rows}, Letters: letters, Parked: parked, Positions: positions})
	require.True(w.t, r.Clean(), "%s\n%s", r, w.log.tail(40))

	want := map[string][2]int64{}
	for i := range log {
		var env struct {
			Key  string
			Data body
		}
		if json.Unmarshal(log[i].Value, &env) == nil && env.Key != "" {
			n := want[env.Key]
			want[env.Key] = [2]int64{n[0] + 1, n[1] + env.Data.Amount}
		}
	}
	got := map[string][2]int64{}
	for k, tally := range all(w, func(t *Tally) string { return t.ID }) {
		got[k] = [2]int64{tally.N, tally.Sum}
	}
	require.Equal(w.t, want, got, "one effect per event: how many, and their sum")

	onTopic := w.published()
	inTable := map[string]bool{}
	for _, l := range w.letters() {
		inTable[l.ID] = true
	}
	require.Equal(w.t, inTable, onTopic, "letters in the table, and on the dead-letter topic")
}

// published are the ids of the letters that are on the dead-letter topic.
func (w *world) published() map[string]bool {
	w.t.Helper()
	ids := map[string]bool{}
	if w.broker.TopicID(w.t, w.dlq) == "" {
		return ids // a topic that is gone has no letters
	}
	for _, r := range w.broker.Consume(w.t, w.dlq) {
		l, _, err := dlq.Decode(&r)
		require.NoError(w.t, err)
		ids[l.ID] = true
	}
	return ids
}

// positions is where the ledger stands in the present incarnation of the topic.
func (w *world) positions() []oracle.Position {
	w.t.Helper()
	var rows []struct {
		Partition  int32
		NextOffset int64
	}
	require.NoError(w.t, w.db.Raw("SELECT partition, next_offset FROM evenkeel_ledger WHERE grp = ? AND topic_id = ?",
		w.group, w.broker.TopicID(w.t, w.topic)).Scan(&rows).Error)
	positions := make([]oracle.Position, len(rows))
	for i, r := range rows {
		positions[i] = oracle.Position{Partition: oracle.Partition{Topic: w.topic, Partition: r.Partition}, Next: r.NextOffset}
	}
	return positions
}

// quick makes a group notice within seconds that a member is gone; newTallyWorld has
// the broker's part of it.
func quick(c *framework.Config) {
	if c.Protocol == framework.ProtocolClassic {
		c.Kafka["session.timeout.ms"], c.Kafka["heartbeat.interval.ms"] = 2000, 300
	}
}

// sqliteHasNoServer is why what happens between a member and its database server does
// not apply to SQLite.
func sqliteHasNoServer(at combination) string {
	if at.store == storeSQLite {
		return "SQLite has one writer and no server to lose"
	}
	return ""
}
