package conformance

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Parcel has columns that PostgreSQL guards and SQLite does not.
type Parcel struct {
	ID      string `gorm:"primaryKey"`
	Carrier string `gorm:"size:20"`
	Weight  int64  `gorm:"check:weight < 1000000"`
	Service string
	guards.Guarded
}

type parcelData struct {
	Carrier string `json:"carrier"`
	Weight  int64  `json:"weight"`
}

func parcels() *handlers.Registry {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "parcel.sent", func(_ context.Context, d *handlers.Delivery[parcelData, Parcel]) error {
		d.Entity.Carrier, d.Entity.Weight = d.Payload.Carrier, d.Payload.Weight
		return nil
	}, handlers.Creates(), handlers.Writes("Carrier", "Weight"))
	handlers.Project(reg, func(p *Parcel) {
		p.Service = strings.Split(p.Carrier, "-")[1] // panics where there is no second part
	}, handlers.Writes("Service"))
	return reg
}

// TestB07Culprits puts bad events among 1,000 and more good ones, all in one batch.
func TestB07OneBadEventAmongAThousandIsAlone(t *testing.T) {
	t.Parallel()
	type culprit struct {
		name, data string
		reason     guards.Reason
		errorType  string
		attempts   int
	}
	check := culprit{"breaks a CHECK", `{"carrier":"dhl-air","weight":1000000}`, guards.Constraint, "", 1}
	panics := culprit{"panics in the projection", `{"carrier":"dhl","weight":1}`, guards.Exhausted, "panic", 4}
	long := culprit{"is too long for its column", `{"carrier":"` + strings.Repeat("x", 19) + `-y","weight":1}`, guards.Constraint, "", 1}
	nul := culprit{"holds a NUL", `{"carrier":"d\u0000-l","weight":1}`, guards.Constraint, "", 1}
	each(t, "B07", func(t *testing.T, at combination) {
		t.Parallel()
		// One alone, and several, of which each half of the batch has one, then each
		// quarter.
		cases := [][]culprit{{check}, {check, panics}}
		if at.store == storePostgres {
			cases = [][]culprit{{check}, {check, long, nul, panics}}
		}
		for _, culprits := range cases {
			name := culprits[0].name
			if len(culprits) > 1 {
				name = "several at once"
			}
			t.Run(name, func(t *testing.T) {
				const good = 999
				w := newWorld(t, at, 1)
				w.registry = parcels
				w.tables(&Parcel{})
				var events []said
				add := func(data string) {
					n := len(events)
					events = append(events, said{id: fmt.Sprintf("e-%d", n), source: "post", typ: "parcel.sent", key: fmt.Sprintf("p-%d", n), at: w.began.Add(-time.Minute), data: data})
				}
				placed := map[int64]culprit{}
				for n := range good {
					if i := n * len(culprits) / good; n == (i*2+1)*good/(2*len(culprits)) {
						placed[int64(len(events))] = culprits[i]
						add(culprits[i].data)
					}
					add(`{"carrier":"dhl-express","weight":100}`)
				}
				require.Len(t, placed, len(culprits))
				w.tell(0, events...)
				m := w.start(func(c *framework.Config) { c.BatchSize = 2000 })
				w.drain(1)
				require.Zero(t, m.consumer.Stats().Conflicts)

				letters := w.letters()
				require.Len(t, letters, len(culprits))
				for _, l := range letters {
					c, ok := placed[l.Record.Offset]
					require.True(t, ok, "the letter of %s is not a culprit's", l.EventID)
					require.Equal(t, c.reason, l.Verdict.Reason, c.name)
					require.Equal(t, c.attempts, l.Attempts, c.name)
					require.NotEmpty(t, l.Error, c.name)
					if c.errorType != "" {
						require.Equal(t, c.errorType, l.ErrorType, c.name)
						require.Contains(t, l.Stack, "conformance.parcels.func", c.name)
					}
				}
				rows := all(w, func(p *Parcel) string { return p.ID })
				require.Len(t, rows, good)
				for offset := range placed {
					require.NotContains(t, rows, fmt.Sprintf("p-%d", offset))
				}
				w.copies(len(culprits))
			})
		}
	})
}

// TestB07OneUnit: an event has two handlers, and the database refuses what one of them
// wrote.
func TestB07OnlyTheRefusedUnitIsTheLetters(t *testing.T) {
	t.Parallel()
	each(t, "B07", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		w.registry = func() *handlers.Registry {
			reg := handlers.NewRegistry()
			handlers.Set(reg, "order.placed", func(_ context.Context, d *handlers.Delivery[body, Stock]) error {
				d.Entity.LastSeen = d.Event.Key
				return nil
			}, handlers.Key(func(b body) string { return b.SKU }), handlers.Writes("LastSeen"))
			handlers.Set(reg, "order.placed", placed, handlers.Creates(), handlers.Writes("Customer", "Note", "Amount"))
			return reg
		}
		w.tell(0,
			said{id: "e-1", source: "shop", typ: "order.placed", key: "o-1", at: w.began, data: `{"sku":"s-1","amount":1}`},
			said{id: "e-2", source: "shop", typ: "order.placed", key: "o-2", at: w.began, data: `{"sku":"s-2","amount":1000000}`},
			said{id: "e-3", source: "shop", typ: "order.placed", key: "o-3", at: w.began, data: `{"sku":"s-3","amount":999999}`},
		)
		w.start()
		w.drain(1)
		require.Len(t, all(w, func(o *Order) string { return o.ID }), 2)
		require.Len(t, all(w, func(s *Stock) string { return s.SKU }), 3)
		letters := w.letters()
		require.Len(t, letters, 1)
		require.Equal(t, []any{"order.placed→Order", "o-2", guards.Constraint}, []any{letters[0].Handler, letters[0].Entity, letters[0].Verdict.Reason})
		require.Equal(t, "chk_orders_amount", constraintIn(letters[0].Error))
	})
}

// constraintIn finds the name of Order's constraint in a database's words.
func constraintIn(text string) string {
	if strings.Contains(text, "chk_orders_amount") {
		return "chk_orders_amount"
	}
	return text
}

// Quiet takes no exclamation marks.
type Quiet struct {
	ID  string
	Log string `gorm:"check:log NOT LIKE '%!%'"`
	guards.Guarded
}

// TestB07Parked: events of one entity wait behind a retry, and the database refuses what
// the second one writes. The sweeper runs all of them in one transaction, and must not
// blame the others.
func TestB07ACulpritAmongParkedEventsIsAlone(t *testing.T) {
	t.Parallel()
	each(t, "B07", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		w.tables(&Quiet{})
		var mended atomic.Bool
		w.registry = func() *handlers.Registry {
			reg := handlers.NewRegistry()
			handlers.Modify(reg, "logged", logs(func(e *Quiet) *string { return &e.Log }, func(_, word string) error {
				if word == "1" && !mended.Load() {
					return errHandler
				}
				return nil
			}), guards.Timestamp(), handlers.Writes("Log"), blankIsFine)
			return reg
		}
		word := func(key string, n int, word string) said {
			s := w.logged(key, n)
			s.data = fmt.Sprintf(`{"word":%q}`, word)
			return s
		}
		m := w.start(w.patient())
		w.tell(0, word("k", 1, "1"), word("k", 2, "2"), word("k", 3, "!"), word("k", 4, "4"), word("l", 1, "1"))
		w.atEnd(1)
		require.Len(t, w.waiting(), 5)
		mended.Store(true)
		w.drain(1)
		m.stop()
		rows := all(w, func(e *Quiet) string { return e.ID })
		require.Equal(t, "1", rows["l"].Log)
		require.Equal(t, "124", rows["k"].Log)
		letters := w.letters()
		require.Len(t, letters, 1)
		require.Equal(t, "k-3", letters[0].EventID)
		require.Equal(t, guards.Constraint, letters[0].Verdict.Reason)
	})
}
