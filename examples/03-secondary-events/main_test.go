package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/examples/play"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// tree has a root with two branches of two leaves each; parents are nearest first.
func tree(n int) map[string][]string {
	root, parents := fmt.Sprintf("%d.tar", n), map[string][]string{}
	parents[root] = nil
	for b := range 2 {
		branch := fmt.Sprintf("%d-%d.zip", n, b)
		parents[branch] = []string{root}
		for l := range 2 {
			parents[fmt.Sprintf("%d-%d-%d.exe", n, b, l)] = []string{branch, root}
		}
	}
	return parents
}

// randomChanges are about the hashes of some trees, at so few times that many are equal.
func randomChanges(rng *rand.Rand, trees, each int) (events []play.Event) {
	for n := range trees {
		parents := tree(n)
		hashes := slices.Sorted(maps.Keys(parents))
		for i := range each {
			hash := hashes[rng.IntN(len(hashes))]
			say := added
			if rng.IntN(2) == 0 {
				say = removed
			}
			events = append(events, say(fmt.Sprintf("e-%d-%d-%d", rng.IntN(10), n, i), hash, rng.IntN(3), parents[hash]...))
		}
	}
	for range len(events) / 4 {
		events = append(events, events[rng.IntN(len(events))])
	}
	rng.Shuffle(len(events), func(a, b int) { events[a], events[b] = events[b], events[a] })
	return events
}

// parse knows the primary events alone: each holds for its hash, and for its parents where
// nothing newer was said of them.
func parse(r *event.Record) (oracle.Event, error) {
	if _, secondary := r.Header(event.LineageHeader); secondary {
		return oracle.Event{Type: "secondary"}, nil
	}
	var e struct {
		play.Event
		Data Change `json:"data"`
	}
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return oracle.Event{}, err
	}
	said := oracle.Event{Type: e.Type, Source: e.Source, ID: e.ID, At: e.Time}
	for i, hash := range append([]string{e.Key}, e.Data.Parents...) {
		said.Units = append(said.Units, oracle.Unit{
			Table: "hashes", Key: hash, Creates: true, Derived: i > 0,
			Facts: map[string]any{"present": e.Type == "hash.added", "kind": kindOf(hash), "because": e.ID},
		})
	}
	return said, nil
}

// Three members, with scans of one to two seconds: secondary events come long after primary
// ones that are newer, and the rows are what the primary ones alone say.
func TestTheLastPrimaryEventWins(t *testing.T) {
	t.Parallel()
	broker, db := testutil.Kafka(t), testutil.SQLite(t)
	topic := broker.Group("hashes") // a name that nobody else has
	scene := play.Scene{Models: []any{&Hash{}}, Config: config(topic, slowScan), Members: 3, Partitions: 4, DB: db, Brokers: broker.Brokers}
	scene.Config.Group = topic
	p, err := play.Start(t.Context(), scene)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	require.NoError(t, err)

	began := time.Now()
	events := randomChanges(rand.New(rand.NewPCG(3, 3)), 6, 4)
	require.NoError(t, p.Send(t.Context(), events...))
	t.Logf("%d events in %s", len(events), time.Since(began))

	log := broker.Consume(t, topic)
	secondary, overtaken := 0, int64(0)
	for i := range log {
		log[i].Cluster, log[i].TopicID = broker.ClusterID(t), broker.TopicID(t, topic)
		if _, ok := log[i].Header(event.LineageHeader); ok {
			secondary++
		}
	}
	for _, m := range p.Members {
		require.Positive(t, m.Stats().Records, "each member has a share")
		overtaken += m.Stats().Verdicts["discard/superseded"]
	}
	require.Greater(t, secondary, 20)
	require.Greater(t, overtaken, int64(10))

	o := &oracle.Oracle{Parse: parse, Tables: []oracle.Table{{Name: "hashes", Set: []string{"present", "kind", "because"}}}}
	want, err := o.Predict(log)
	require.NoError(t, err)
	rows, err := oracle.ReadRows[Hash](t.Context(), db, "present", "kind", "because")
	require.NoError(t, err)
	letters, parked, positions, err := oracle.ReadGroup(t.Context(), db, topic)
	require.NoError(t, err)
	report := want.Compare(oracle.Actual{Rows: map[string]map[string]oracle.Row{"hashes": rows}, Letters: letters, Parked: parked, Positions: positions})
	require.True(t, report.Clean(), report)
	require.Greater(t, report.Right, 20)
	derived := 0
	for _, row := range want.Rows["hashes"] {
		require.Equal(t, guards.Alive, row.State)
		if row.Clocks["present"].Derived {
			derived++
		}
	}
	require.Positive(t, derived)
	require.Less(t, derived, len(rows))
}

// Any order gives the same rows and the same secondary events.
func TestChangesConverge(t *testing.T) {
	t.Parallel()
	quick := func(_ context.Context, _, hash string) (string, error) { return kindOf(hash), nil }
	said := func(id, typ, hash string, minute int, parents ...string) *event.Event {
		e := testutil.E(typ, hash, at.Add(time.Duration(minute)*time.Minute), Change{Parents: parents})
		e.ID, e.Source = id, "lab"
		return e
	}
	fromVirus := said("secondary", "hash.added", "mail.zip", 1, "disk.tar")
	fromVirus.Lineage = said("add-virus", "hash.added", "virus.exe", 1).Derive("emission", func() []event.Entity {
		return []event.Entity{{Type: "Hash", Key: "virus.exe"}}
	})
	testutil.Converges(t, registry("hashes", quick), []*event.Event{
		said("add-virus", "hash.added", "virus.exe", 1, "mail.zip", "disk.tar"),
		fromVirus,
		said("clear-mail", "hash.removed", "mail.zip", 1, "disk.tar"),
		said("add-disk", "hash.added", "disk.tar", 2),
		said("clear-disk", "hash.removed", "disk.tar", 2),
	})
}
