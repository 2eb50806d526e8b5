package convergetest_test

import (
	"context"
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

// Shelf is a model that only events which touch several write to.
type Shelf struct {
	SKU   int64 `gorm:"primaryKey;autoIncrement:false"`
	Level int64
	guards.Guarded
}

// kind is a kind of handler, told twice: as the runtime gets it, and as the oracle does.
type kind struct {
	eventType string
	wire      func(reg *handlers.Registry, name string)
	unit      func(f facts, e *event.Event) oracle.Unit
	// each is in the place of unit for an event that touches several entities.
	each func(f facts) []oracle.Unit
}

// units are an event's effects, as the oracle is told of them.
func (k *kind) units(f facts, e *event.Event) []oracle.Unit {
	if k.each != nil {
		return k.each(f)
	}
	u := k.unit(f, e)
	u.Key = e.Key
	return []oracle.Unit{u}
}

// perArticle makes a unit for each article of the payload that unit does not refuse.
func perArticle(f facts, unit func(n int64) oracle.Unit) (us []oracle.Unit) {
	for _, sku := range inOrder(f) {
		n, err := strconv.ParseInt(f.Attrs[sku], 10, 64)
		u := unit(n)
		if err != nil {
			u.Fails = guards.Rejected
		}
		u.Key = sku
		us = append(us, u)
	}
	return us
}

func kinds() []kind {
	plain := []kind{
		{
			eventType: "created", wire: func(reg *handlers.Registry, name string) {
				handlers.Set(reg, name, order(func(d *onOrder) error {
					if d.Payload.Bad {
						return handlers.DeadLetter(errBad)
					}
					return created(d)
				}), handlers.Creates(), handlers.Writes("Customer"))
			},
			unit: func(f facts, _ *event.Event) oracle.Unit {
				u := oracle.Unit{Creates: true, Facts: map[string]any{"customer": f.Customer}}
				if f.Bad {
					u.Fails = guards.Rejected
				}
				return u
			},
		},
		{
			eventType: "noted", wire: func(reg *handlers.Registry, name string) {
				handlers.Set(reg, name, order(func(d *onOrder) error {
					if d.Payload.Bad {
						return handlers.Discard("bad")
					}
					return noted(d)
				}), handlers.Writes("Note"))
			},
			unit: func(f facts, _ *event.Event) oracle.Unit {
				return oracle.Unit{Facts: map[string]any{"note": f.Note}, Refuses: f.Bad}
			},
		},
		{
			eventType: "changed", wire: func(reg *handlers.Registry, name string) {
				handlers.Set(reg, name, order(func(d *onOrder) error {
					d.Entity.Customer, d.Entity.Note = d.Payload.Customer, d.Payload.Note
					if d.Payload.Bad {
						d.Entity.Customer = ""
						d.Keep("Customer")
					}
					return nil
				}), handlers.Writes("Customer", "Note"))
			},
			unit: func(f facts, _ *event.Event) oracle.Unit {
				u := oracle.Unit{Facts: map[string]any{"customer": f.Customer, "note": f.Note}}
				if f.Bad {
					delete(u.Facts, "customer")
				}
				return u
			},
		},
		{
			eventType: "deleted", wire: func(reg *handlers.Registry, name string) {
				handlers.Set(reg, name, order(deleted), handlers.Writes("Note"))
			},
			unit: func(facts, *event.Event) oracle.Unit {
				return oracle.Unit{Deletes: true, Facts: map[string]any{"note": nil}}
			},
		},
		{
			eventType: "paid", wire: func(reg *handlers.Registry, name string) {
				handlers.Set(reg, name, order(paid), handlers.Writes("PaidAt"), handlers.OnMissing(handlers.MissingPark))
			},
			unit: func(_ facts, e *event.Event) oracle.Unit {
				return oracle.Unit{Facts: map[string]any{"paid_at": e.OccurredAt}, Missing: oracle.Park}
			},
		},
		{
			eventType: "put", wire: func(reg *handlers.Registry, name string) {
				handlers.Modify(reg, name, order(put), guards.Timestamp(), handlers.Writes("Total"))
			},
			unit: func(f facts, _ *event.Event) oracle.Unit {
				return oracle.Unit{Rule: oracle.Modify, Change: func(row map[string]any) { row["total"] = f.N }}
			},
		},
		{
			eventType: "counted", wire: func(reg *handlers.Registry, name string) {
				handlers.Set(reg, name, stock(func(d *onStock) error {
					d.Entity.Level = d.Payload.N
					return nil
				}), handlers.Writes("Level"), handlers.By(guards.Version()))
			},
			unit: func(f facts, _ *event.Event) oracle.Unit {
				return oracle.Unit{Table: "stocks", Facts: map[string]any{"level": f.N}}
			},
		},
		{
			eventType: "moved", wire: func(reg *handlers.Registry, name string) {
				handlers.Modify(reg, name, stock(func(d *onStock) error {
					d.Entity.LastOrder = d.Payload.Customer
					return nil
				}), guards.Version(), handlers.Writes("LastOrder"))
			},
			unit: func(f facts, _ *event.Event) oracle.Unit {
				return oracle.Unit{Table: "stocks", Rule: oracle.Modify, Change: func(row map[string]any) { row["last_order"] = f.Customer }}
			},
		},
		{
			eventType: "sold", wire: func(reg *handlers.Registry, name string) {
				handlers.Modify(reg, name, stock(func(d *onStock) error {
					if d.Payload.Bad {
						return handlers.DeadLetter(errBad)
					}
					d.Entity.Sold += d.Payload.N
					return nil
				}), guards.Once(), handlers.Writes("Sold"))
			},
			unit: func(f facts, _ *event.Event) oracle.Unit {
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
	return append(plain, kind{
		eventType: "sold many",
		wire: func(reg *handlers.Registry, name string) {
			handlers.Modify(reg, name, item(func(d *onStock, n int64) error {
				d.Entity.Sold += n
				return nil
			}), guards.Once(), handlers.Keys(articles), handlers.Writes("Sold"))
		},
		each: func(f facts) []oracle.Unit {
			return perArticle(f, func(n int64) oracle.Unit {
				return oracle.Unit{Table: "stocks", Rule: oracle.Once, Change: func(row map[string]any) {
					sold, _ := row["sold"].(int64)
					row["sold"] = sold + n
				}}
			})
		},
	}, kind{
		eventType: "counted many",
		wire: func(reg *handlers.Registry, name string) {
			handlers.Set(reg, name, func(_ context.Context, d *handlers.Delivery[facts, Shelf]) error {
				n, err := strconv.ParseInt(d.Payload.Attrs[fmt.Sprint(d.Entity.SKU)], 10, 64)
				d.Entity.Level = n
				if err != nil {
					return handlers.DeadLetter(err)
				}
				return nil
			}, handlers.Keys(articles), handlers.Writes("Level"))
		},
		each: func(f facts) []oracle.Unit {
			return perArticle(f, func(n int64) oracle.Unit {
				return oracle.Unit{Table: "shelves", Facts: map[string]any{"level": n}}
			})
		},
	})
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
		{Name: "shelves", Set: []string{"level"}, NoCreator: true},
		{Name: "stocks", Set: []string{"level"}, Modify: []string{"last_order"}, ByVersion: true, NoCreator: true},
	}
}

// randomSet makes up to five events about two entities at most, at few times, so that
// everything meets.
func randomSet(rng *rand.Rand) ([]*event.Event, [][]oracle.Unit) {
	all := kinds()
	if rng.IntN(2) == 0 { // few kinds meet more often
		all = []kind{all[rng.IntN(len(all))], all[rng.IntN(len(all))]}
	}
	// The larger the set, the longer all its orders take.
	es := make([]*event.Event, 1+slices.Index([]bool{rng.IntN(9) == 0, rng.IntN(2) == 0, rng.IntN(4) > 0, rng.IntN(4) > 0, true}, true))
	units := make([][]oracle.Unit, len(es))
	for i := range es {
		k := all[rng.IntN(len(all))]
		f := facts{Customer: []string{"", "a", "b"}[rng.IntN(3)], N: rng.Int64N(3), Bad: rng.IntN(5) == 0}
		if rng.IntN(3) > 0 {
			f.Note = ptr([]string{"", "n"}[rng.IntN(2)])
		}
		if rng.IntN(4) > 0 {
			f.Attrs = map[string]string{"1": pick(rng, "2", "3", "none")}
			if rng.IntN(2) == 0 {
				f.Attrs["2"] = fmt.Sprint(rng.IntN(3))
			}
		}
		es[i] = about(fmt.Sprint(1+rng.IntN(5)/4), rng.IntN(4), k.eventType, f)
		es[i].ID, es[i].Version, es[i].HasVersion = fmt.Sprint(i), rng.Int64N(3), true
		units[i] = k.units(f, es[i])
		for j := range units[i] {
			if units[i][j].Table == "" {
				units[i][j].Table = "orders"
			}
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

func agree(t *testing.T, c *converge.Checker, es []*event.Event, units [][]oracle.Unit) {
	t.Helper()
	content, err := c.Reference(t.Context())
	require.NoError(t, err)
	o := &oracle.Oracle{Tables: tables(), Parse: func(r *event.Record) (oracle.Event, error) {
		i, err := strconv.Atoi(string(r.Value))
		e := es[i]
		return oracle.Event{Type: e.Type, ID: e.ID, At: e.OccurredAt, Version: &e.Version, Units: units[i]}, err
	}}
	log := make([]event.Record, len(es))
	for i := range log {
		log[i] = event.Record{Coordinates: event.Coordinates{Topic: "events", Offset: int64(i)}, Value: []byte(strconv.Itoa(i)), Timestamp: noon}
	}
	want, err := o.Predict(log)
	require.NoError(t, err)
	actual := oracle.Actual{Rows: map[string]map[string]oracle.Row{"orders": {}, "shelves": {}, "stocks": {}}}
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
