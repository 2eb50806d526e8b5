package convergetest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/converge"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// kind is a kind of handler, told twice: as the runtime gets it, and as the oracle does.
type kind struct {
	eventType string
	wire      func(reg *handlers.Registry, name string)
	unit      func(f facts, e *event.Event) oracle.Unit
}

func kinds() []kind {
	return []kind{
		{
			"created", func(reg *handlers.Registry, name string) {
				handlers.Set(reg, name, order(func(d *onOrder) error {
					if d.Payload.Bad {
						return handlers.DeadLetter(errBad)
					}
					return created(d)
				}), handlers.Creates(), handlers.Writes("Customer"))
			},
			func(f facts, _ *event.Event) oracle.Unit {
				u := oracle.Unit{Creates: true, Facts: map[string]any{"customer": f.Customer}}
				if f.Bad {
					u.Fails = guards.Rejected
				}
				return u
			},
		},
		{
			"noted", func(reg *handlers.Registry, name string) {
				handlers.Set(reg, name, order(func(d *onOrder) error {
					if d.Payload.Bad {
						return handlers.Discard("bad")
					}
					return noted(d)
				}), handlers.Writes("Note"))
			},
			func(f facts, _ *event.Event) oracle.Unit {
				return oracle.Unit{Facts: map[string]any{"note": f.Note}, Refuses: f.Bad}
			},
		},
		{
			"changed", func(reg *handlers.Registry, name string) {
				handlers.Set(reg, name, order(func(d *onOrder) error {
					d.Entity.Customer, d.Entity.Note = d.Payload.Customer, d.Payload.Note
					if d.Payload.Bad {
						d.Entity.Customer = ""
						d.Keep("Customer")
					}
					return nil
				}), handlers.Writes("Customer", "Note"))
			},
			func(f facts, _ *event.Event) oracle.Unit {
				u := oracle.Unit{Facts: map[string]any{"customer": f.Customer, "note": f.Note}}
				if f.Bad {
					delete(u.Facts, "customer")
				}
				return u
			},
		},
		{
			"deleted", func(reg *handlers.Registry, name string) {
				handlers.Set(reg, name, order(deleted), handlers.Writes("Note"))
			},
			func(facts, *event.Event) oracle.Unit {
				return oracle.Unit{Deletes: true, Facts: map[string]any{"note": nil}}
			},
		},
		{
			"paid", func(reg *handlers.Registry, name string) {
				handlers.Set(reg, name, order(paid), handlers.Writes("PaidAt"), handlers.OnMissing(handlers.MissingPark))
			},
			func(_ facts, e *event.Event) oracle.Unit {
				return oracle.Unit{Facts: map[string]any{"paid_at": e.OccurredAt}, Missing: oracle.Park}
			},
		},
		{
			"put", func(reg *handlers.Registry, name string) {
				handlers.Modify(reg, name, order(put), guards.Timestamp(), handlers.Writes("Total"))
			},
			func(f facts, _ *event.Event) oracle.Unit {
				return oracle.Unit{Rule: oracle.Modify, Change: func(row map[string]any) { row["total"] = f.N }}
			},
		},
		{
			"counted", func(reg *handlers.Registry, name string) {
				handlers.Set(reg, name, stock(func(d *onStock) error {
					d.Entity.Level = d.Payload.N
					return nil
				}), handlers.Writes("Level"), handlers.By(guards.Version()))
			},
			func(f facts, _ *event.Event) oracle.Unit {
				return oracle.Unit{Table: "stocks", Facts: map[string]any{"level": f.N}}
			},
		},
		{
			"moved", func(reg *handlers.Registry, name string) {
				handlers.Modify(reg, name, stock(func(d *onStock) error {
					d.Entity.LastOrder = d.Payload.Customer
					return nil
				}), guards.Version(), handlers.Writes("LastOrder"))
			},
			func(f facts, _ *event.Event) oracle.Unit {
				return oracle.Unit{Table: "stocks", Rule: oracle.Modify, Change: func(row map[string]any) { row["last_order"] = f.Customer }}
			},
		},
		{
			"sold", func(reg *handlers.Registry, name string) {
				handlers.Modify(reg, name, stock(func(d *onStock) error {
					if d.Payload.Bad {
						return handlers.DeadLetter(errBad)
					}
					d.Entity.Sold += d.Payload.N
					return nil
				}), guards.Once(), handlers.Writes("Sold"))
			},
			func(f facts, _ *event.Event) oracle.Unit {
				u := oracle.Unit{Table: "stocks", Rule: oracle.Once, Change: func(row map[string]any) {
					n, _ := row["sold"].(int64)
					row["sold"] = n + f.N
				}}
				if f.Bad {
					u.Fails = guards.Rejected
				}
				return u
			},
		},
	}
}

func label(customer string, paid bool) string { return fmt.Sprintf("%s %t", customer, paid) }

func everyKind() *handlers.Registry {
	reg := handlers.NewRegistry()
	for _, k := range kinds() {
		k.wire(reg, k.eventType)
	}
	handlers.Project(reg, func(o *Order) { o.Status = label(o.Customer, o.PaidAt != nil) }, handlers.Writes("Status"))
	return reg
}

func tables() []oracle.Table {
	return []oracle.Table{
		{
			Name: "orders", Set: []string{"customer", "note", "paid_at"}, Modify: []string{"total"},
			Project: func(row map[string]any) {
				customer, _ := row["customer"].(string)
				row["status"] = label(customer, row["paid_at"] != nil)
			},
		},
		{Name: "stocks", Set: []string{"level"}, Modify: []string{"last_order"}, ByVersion: true, NoCreator: true},
	}
}

// randomSet makes up to five events about two entities at most, at few times, so that
// everything meets.
func randomSet(rng *rand.Rand) ([]*event.Event, []oracle.Unit) {
	all := kinds()
	if rng.IntN(2) == 0 { // few kinds meet more often
		all = []kind{all[rng.IntN(len(all))], all[rng.IntN(len(all))]}
	}
	// The larger the set, the longer all its orders take.
	es := make([]*event.Event, 1+slices.Index([]bool{rng.IntN(9) == 0, rng.IntN(2) == 0, rng.IntN(4) > 0, rng.IntN(4) > 0, true}, true))
	units := make([]oracle.Unit, len(es))
	for i := range es {
		k := all[rng.IntN(len(all))]
		f := facts{Customer: []string{"", "a", "b"}[rng.IntN(3)], N: rng.Int64N(3), Bad: rng.IntN(5) == 0}
		if rng.IntN(3) > 0 {
			f.Note = ptr([]string{"", "n"}[rng.IntN(2)])
		}
		es[i] = about(fmt.Sprint(1+rng.IntN(5)/4), rng.IntN(4), k.eventType, f)
		es[i].ID, es[i].Version, es[i].HasVersion = fmt.Sprint(i), rng.Int64N(3), true
		units[i] = k.unit(f, es[i])
		units[i].Key = es[i].Key
		if units[i].Table == "" {
			units[i].Table = "orders"
		}
	}
	return es, units
}

// TestEveryOrderOfEverySetIsOneResult plays all orders of thousands of sets of up to five
// events, and as many with duplicates, larger batches and crashes. All must come out the
// same, and as the oracle says, which shares no code with the runtime.
func TestEveryOrderOfEverySetIsOneResult(t *testing.T) {
	t.Parallel()
	const shards = 4
	for shard := range uint64(shards) {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(shard, 5))
			for range sets {
				es, units := randomSet(rng)
				c, err := converge.New(everyKind(), es, converge.Options{Seed: rng.Uint64(), Samples: 1})
				require.NoError(t, err)
				story, err := c.Check(t.Context())
				require.NoError(t, err)
				if story != nil {
					t.Fatal(story)
				}
				agree(t, c, es, units)
			}
		})
	}
}

func agree(t *testing.T, c *converge.Checker, es []*event.Event, units []oracle.Unit) {
	t.Helper()
	content, err := c.Reference(t.Context())
	require.NoError(t, err)
	o := &oracle.Oracle{Tables: tables(), Parse: func(r *event.Record) (oracle.Event, error) {
		i, err := strconv.Atoi(string(r.Value))
		e := es[i]
		return oracle.Event{Type: e.Type, ID: e.ID, At: e.OccurredAt, Version: &e.Version, Units: units[i : i+1]}, err
	}}
	log := make([]event.Record, len(es))
	for i := range log {
		log[i] = event.Record{Coordinates: event.Coordinates{Topic: "events", Offset: int64(i)}, Value: []byte(strconv.Itoa(i)), Timestamp: noon}
	}
	want, err := o.Predict(log)
	require.NoError(t, err)
	actual := oracle.Actual{Rows: map[string]map[string]oracle.Row{"orders": {}, "stocks": {}}}
	for _, r := range content.Rows {
		row := oracle.Row{Fields: map[string]any{}, State: r.EkState}
		var clocked []string
		for _, col := range r.Model.Columns {
			row.Fields[col.Name] = col.Value(r.Entity).Interface()
			if clocks.IsClocked(col) {
				clocked = append(clocked, col.Name)
			}
		}
		row.Clocks, err = oracle.ParseClocks(r.Guarded, clocked)
		require.NoError(t, err)
		actual.Rows[r.Model.Table][r.Key] = row
	}
	at := oracle.Partition{Topic: "events"}
	for _, l := range content.Letters {
		// To the oracle a row that never comes is waited for for ever.
		if l.Verdict.Reason == guards.MissingRow {
			actual.Parked = append(actual.Parked, oracle.Parked{Partition: at, Offset: l.Record.Offset, Table: l.Table, Key: l.Entity})
			continue
		}
		actual.Letters = append(actual.Letters, oracle.Letter{Partition: at, Offset: l.Record.Offset, Reason: l.Verdict.Reason, Table: l.Table, Key: l.Entity, Handler: l.Handler})
	}
	report := want.Compare(actual)
	require.True(t, report.Clean(), "%v\n%v", report, es)
	require.Zero(t, report.Skipped)
}
