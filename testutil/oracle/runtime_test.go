package oracle_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// thing has a column of each kind: may be NULL or not, set, counted and derived.
type thing struct {
	ID    string `gorm:"primaryKey"`
	Name  string
	Note  *string
	Size  *int64
	Total int64
	Hits  int64
	Label string
	guards.Guarded
}

// fact is the payload of all events about things.
type fact struct {
	Name *string `json:"name,omitempty"`
	Note *string `json:"note,omitempty"`
	Size *int64  `json:"size,omitempty"`
	Keep bool    `json:"keep,omitempty"`
	Fail bool    `json:"fail,omitempty"`
}

var errFail = errors.New("the payload says so")

func things() *handlers.Registry {
	type delivery = handlers.Delivery[fact, thing]
	fill := func(_ context.Context, d *delivery) error {
		if d.Payload.Fail {
			return handlers.DeadLetter(errFail)
		}
		if d.Payload.Name != nil {
			d.Entity.Name = *d.Payload.Name
		}
		d.Entity.Size = d.Payload.Size
		if d.Payload.Keep {
			d.Entity.Size = nil
			d.Keep("Size")
		}
		return nil
	}
	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxLateness(time.Hour))
	handlers.Set(reg, "made", fill, handlers.Creates(), handlers.Writes("Name", "Size"))
	handlers.Set(reg, "told", fill, handlers.Writes("Name", "Size"))
	handlers.Set(reg, "noted", func(_ context.Context, d *delivery) error {
		d.Entity.Note = d.Payload.Note
		return nil
	}, handlers.Writes("Note"))
	handlers.Set(reg, "gone", func(_ context.Context, d *delivery) error {
		d.Delete()
		return nil
	}, handlers.Writes("Note"))
	handlers.Modify(reg, "added", func(_ context.Context, d *delivery) error {
		d.Entity.Total += *d.Payload.Size
		return nil
	}, guards.Timestamp(), handlers.Writes("Total"))
	handlers.Modify(reg, "hit", func(_ context.Context, d *delivery) error {
		if d.Payload.Fail {
			return handlers.DeadLetter(errFail)
		}
		if d.Payload.Keep {
			return handlers.Discard("the payload says so")
		}
		d.Entity.Hits += 1 + int64(len(d.Event.ID))
		return nil
	}, guards.Once(), handlers.Writes("Hits"))
	handlers.Project(reg, func(t *thing) { t.Label = fmt.Sprintf("%s/%d", t.Name, t.Total) }, handlers.Writes("Label"))
	return reg
}

type wire struct {
	ID     string    `json:"id,omitempty"`
	Source string    `json:"source,omitempty"`
	Type   string    `json:"type"`
	Key    string    `json:"key"`
	Time   time.Time `json:"time"`
	Data   fact      `json:"data"`
}

func parseThing(r *event.Record) (oracle.Event, error) {
	var w wire
	if err := json.Unmarshal(r.Value, &w); err != nil {
		return oracle.Event{}, err
	}
	e := oracle.Event{Type: w.Type, Source: w.Source, ID: w.ID, At: w.Time}
	u := oracle.Unit{Table: "things", Key: w.Key}
	switch w.Type {
	case "made", "told":
		u.Creates = w.Type == "made"
		u.Facts = map[string]any{"name": nil}
		if w.Data.Name != nil {
			u.Facts["name"] = *w.Data.Name
		}
		if !w.Data.Keep {
			u.Facts["size"] = w.Data.Size
		}
		if w.Data.Fail {
			u.Fails = guards.Rejected
		}
	case "noted":
		u.Facts = map[string]any{"note": w.Data.Note}
	case "gone":
		u.Deletes, u.Facts = true, map[string]any{"note": nil}
	case "added":
		u.Rule = oracle.Modify
		u.Change = func(row map[string]any) {
			have, _ := row["total"].(int64)
			row["total"] = have + *w.Data.Size
		}
	case "hit":
		u.Rule, u.Refuses = oracle.Once, w.Data.Keep
		if w.Data.Fail {
			u.Fails, u.Refuses = guards.Rejected, false
		}
		u.Change = func(row map[string]any) {
			have, _ := row["hits"].(int64)
			row["hits"] = have + 1 + int64(len(w.ID))
		}
	default:
		return e, nil
	}
	e.Units = []oracle.Unit{u}
	return e, nil
}

func thingsTable() oracle.Table {
	return oracle.Table{
		Name: "things", Set: []string{"name", "note", "size"}, Modify: []string{"total"},
		Project: func(row map[string]any) {
			name, _ := row["name"].(string)
			total, _ := row["total"].(int64)
			row["label"] = fmt.Sprintf("%s/%d", name, total)
		},
	}
}

// randomThings writes events about few things at few times, so that everything meets.
func randomThings(t *testing.T, rng *rand.Rand, n int, types []string, now time.Time) []event.Record {
	t.Helper()
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	var records []event.Record
	for i := range n {
		w := wire{
			ID: fmt.Sprintf("e-%d", i), Source: pick("", "/a", "/b", "/"+strings.Repeat("long", 50)), Type: pick(types...),
			Key: fmt.Sprintf("t%d", rng.IntN(n/20)), Time: now.Add(-time.Duration(rng.IntN(40)) * 20 * time.Second),
		}
		size, name, note := rng.Int64N(100), pick("x", "y", ""), pick("n", "")
		w.Data.Size = &size
		if w.Type != "added" {
			w.Data.Keep, w.Data.Fail = rng.IntN(5) == 0, rng.IntN(40) == 0
			if rng.IntN(3) == 0 {
				w.Data.Size = nil
			}
			if rng.IntN(3) > 0 {
				w.Data.Name, w.Data.Note = &name, &note
			}
		}
		switch rng.IntN(30) {
		case 0:
			w.ID = "" // known by its coordinates
		case 1:
			w.Time = now.Add(-3 * time.Hour)
		case 2:
			w.Time = now.Add(3 * time.Hour)
		case 3:
			w.Type = "unknown"
		}
		value, err := json.Marshal(w)
		require.NoError(t, err)
		if rng.IntN(50) == 0 {
			value = value[:len(value)/2]
		}
		records = append(records, event.Record{Key: []byte(w.Key), Value: value})
	}
	return records
}

// The oracle and the runtime have nothing in common but the rules, so where they agree on
// rows, clocks and letters, both are probably right.
func TestOracleAgreesWithTheRuntime(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		types  []string
		strays float64
	}{
		"set handlers, keys in two partitions": {[]string{"made", "told", "noted", "gone", "hit", "hit"}, 0.3},
		"modify handlers too":                  {[]string{"made", "told", "noted", "gone", "hit", "added", "added"}, 0},
	} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%s %d", name, seed), func(t *testing.T) {
				t.Parallel()
				agree(t, tt.types, tt.strays, seed)
			})
		}
	}
}

func agree(t *testing.T, types []string, strays float64, seed uint64) {
	t.Helper()
	const partitions = 3
	now := time.Now()
	records := randomThings(t, rand.New(rand.NewPCG(seed, 1)), 1500, types, now)
	records = testutil.Shuffle{
		Seed: seed, Duplicates: 0.1, Swaps: 0.2, Strays: strays, Partitions: partitions,
	}.Records(records)
	broker, db := testutil.Kafka(t), testutil.SQLite(t)
	topic := broker.Topic(t, "things", partitions)
	broker.CreateTopic(t, topic+".dlq", 1)
	for i := range records {
		records[i].Topic = topic
	}
	broker.Produce(t, records...)
	log := broker.Consume(t, topic)

	require.NoError(t, framework.Migrate(t.Context(), db))
	require.NoError(t, db.AutoMigrate(&thing{}))
	done := &untilAll{left: len(log), done: make(chan struct{})}
	consumer, err := framework.New(db, &framework.Config{
		Brokers: broker.Brokers, Group: topic, Topics: []string{topic}, DeadLetterTopic: topic + ".dlq", Handlers: things(),
		Codec: event.Envelope(event.EnvelopeConfig{IDOptional: true}), BatchSize: 50, Hooks: []any{done},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	go func() {
		select {
		case <-done.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	require.NoError(t, consumer.Run(ctx))

	o := &oracle.Oracle{
		Parse: parseThing, Tables: []oracle.Table{thingsTable()},
		MaxLateness: time.Hour, MaxFuture: guards.DefaultMaxFuture, From: now, To: time.Now(),
	}
	for i := range log {
		log[i].Cluster, log[i].TopicID = broker.ClusterID(t), broker.TopicID(t, topic)
	}
	want, err := o.Predict(log)
	require.NoError(t, err)
	rows, err := oracle.ReadRows[thing](t.Context(), db, "name", "note", "size", "total")
	require.NoError(t, err)
	letters, parked, positions, err := oracle.ReadGroup(t.Context(), db, topic)
	require.NoError(t, err)
	for i := range positions {
		positions[i].Committed, _ = broker.Committed(t, topic, topic, positions[i].Partition.Partition)
	}
	report := want.Compare(oracle.Actual{
		Rows: map[string]map[string]oracle.Row{"things": rows}, Letters: letters, Parked: parked, Positions: positions,
	})
	require.True(t, report.Clean(), report)
	require.Greater(t, report.Right, 30)
	require.Zero(t, report.Skipped)
	require.Greater(t, report.Letters, 50)
	for _, state := range []guards.Existence{guards.Alive, guards.Deleted} {
		found := false
		for _, row := range rows {
			found = found || row.State == state
		}
		require.True(t, found, state)
	}
}

// untilAll closes done when so many records are in committed batches.
type untilAll struct {
	left int
	done chan struct{}
	mu   sync.Mutex
}

func (u *untilAll) OnBatch(b framework.Batch) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.left -= b.Records
	if u.left <= 0 {
		select {
		case <-u.done:
		default:
			close(u.done)
		}
	}
}
