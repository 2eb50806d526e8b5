package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

var errHandler = errors.New("the warehouse does not answer")

// failing is the registry with handlers that fail in each way there is.
func failing() *handlers.Registry {
	reg := registry()
	note := handlers.Writes("Note")
	on := func(typ string, fn func(context.Context, *delivery) error) {
		handlers.Set(reg, typ, fn, note, blankIsFine)
	}
	on("fails.on", func(context.Context, *delivery) error { return fmt.Errorf("asking for stock: %w", errHandler) })
	on("fails.twice", func(_ context.Context, d *delivery) error {
		// The quick second try fails too, so the event is parked in between.
		if d.Entity.Note = d.Payload.Note; d.Attempt <= 2 {
			return errHandler
		}
		return nil
	})
	on("fails.once", func(_ context.Context, d *delivery) error {
		if d.Entity.Note = d.Payload.Note; d.Attempt == 1 {
			return errHandler
		}
		return nil
	})
	on("fails.later", func(_ context.Context, d *delivery) error {
		if d.Entity.Note = d.Payload.Note; d.Attempt == 1 {
			return handlers.RetryAfter(time.Millisecond, errHandler)
		}
		return nil
	})
	on("rejects", func(context.Context, *delivery) error { return handlers.DeadLetter(errHandler) })
	on("refuses", func(context.Context, *delivery) error { return handlers.Discard("not for us") })
	on("panics", func(context.Context, *delivery) error { panic("a nil map, say") })
	on("trespasses", func(_ context.Context, d *delivery) error {
		d.Entity.Customer = "not declared"
		return nil
	})
	return reg
}

// TestB06Failures sends one event of each kind of badness between good ones of the same
// entities.
func TestB06EachFailureEndsAsDesigned(t *testing.T) {
	t.Parallel()
	each(t, "B06", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		w.registry = failing
		when := time.Now().Add(-time.Hour)
		type end struct {
			reason    guards.Reason // of the letter; empty for none
			attempts  int
			errorType string
			handler   bool // the letter is a unit's
			note      bool // the event had its effect
			verdicts  []string
		}
		var records []event.Record
		var ends []end
		send := func(r event.Record, e end) { records, ends = append(records, r), append(ends, e) }
		raw := func(key, value []byte, e end) {
			r := w.record(0, "", "")
			r.Key, r.Value = key, value
			send(r, e)
		}
		typed := func(typ string, e end) {
			key := fmt.Sprintf("o-%d", len(records))
			send(w.record(0, key, said{id: key, source: "shop", typ: typ, key: key, at: when, data: `{"note":"done"}`}.value()), e)
		}
		poison := end{reason: guards.Poison, attempts: 1, errorType: "*event.DecodeError", verdicts: []string{"poison"}}
		raw([]byte{0xff, 0xfe}, []byte{0x80, 0x00, 0xff, '{'}, poison)
		raw(nil, []byte(`{"id":"x","type":"order.noted",`), poison)
		raw(nil, []byte(`[]`), poison)
		raw([]byte("k"), []byte{}, poison)
		raw([]byte("k"), []byte(`{"type":"order.noted","key":"k","data":{}}`), poison)                              // no id
		raw([]byte("k"), []byte(`{"id":"","type":"order.noted","key":"k","data":{}}`), poison)                      // an empty one
		raw([]byte("k"), []byte(`{"id":"i","key":"k","data":{}}`), poison)                                          // no type
		raw([]byte("k"), []byte(`{"id":"i","type":"order.noted","key":"k","time":"yesterday","data":{}}`), poison)  // no time
		raw([]byte("k"), []byte(`{"id":"i","type":"order.noted","key":"a\u0000b","data":{}}`), poison)              // NUL in the key
		raw([]byte("k"), []byte("{\"id\":\"i\",\"type\":\"order.noted\",\"key\":\"a\xffb\",\"data\":{}}"), poison)  // not UTF-8
		raw([]byte("k"), []byte(`{"id":"i","type":"order.noted","time":"0000-01-01T00:00:00Z","key":"k"}`), poison) // the year 0
		raw([]byte("k"), nil, end{verdicts: []string{"compaction-marker"}})                                         // a tombstone
		unit := poison
		unit.handler = true
		raw([]byte("k"), []byte(`{"id":"i-12","type":"order.noted","key":"k","time":"`+when.UTC().Format(time.RFC3339)+`","data":{"note":7}}`), unit)
		raw(nil, []byte(`{"id":"i-13","type":"order.noted","time":"`+when.UTC().Format(time.RFC3339)+`","data":{"note":"no key"}}`), end{
			reason: guards.Poison, attempts: 1, handler: true, verdicts: []string{"poison"},
		})
		typed("nobody.knows", end{verdicts: []string{"unhandled"}})
		typed("fails.once", end{note: true})
		typed("fails.twice", end{note: true, verdicts: []string{"retry"}})
		typed("fails.later", end{note: true, verdicts: []string{"retry"}})
		goesOn := end{reason: guards.Exhausted, attempts: 4, errorType: "*errors.errorString", handler: true, verdicts: []string{"exhausted", "retry"}}
		typed("fails.on", goesOn)
		goesOn.errorType = "panic"
		typed("panics", goesOn)
		typed("rejects", end{reason: guards.Rejected, attempts: 1, errorType: "*errors.errorString", handler: true, verdicts: []string{"rejected"}})
		typed("trespasses", end{reason: guards.Rejected, attempts: 1, handler: true, verdicts: []string{"rejected"}})
		typed("refuses", end{verdicts: []string{"refused"}})
		typed("order.noted", end{note: true})

		w.broker.Produce(t, records...)
		w.start()
		w.drain(1)

		letters := map[int64]*dlq.Letter{}
		for _, l := range w.letters() {
			require.NotContains(t, letters, l.Record.Offset)
			letters[l.Record.Offset] = l
		}
		rows := all(w, func(o *Order) string { return o.ID })
		applied := 0
		for i, want := range ends {
			what := fmt.Sprintf("record %d: %q", i, records[i].Value)
			l := letters[int64(i)]
			row, ok := rows[string(records[i].Key)]
			require.Equal(t, want.note, ok, what)
			if want.note {
				applied++
				require.Equal(t, "done", *row.Note, what)
			}
			require.Equal(t, want.verdicts, w.reasonsAt(int64(i)), what)
			if want.reason == "" {
				require.Nil(t, l, what)
				continue
			}
			require.NotNil(t, l, what)
			require.Equal(t, want.reason, l.Verdict.Reason, what)
			require.Equal(t, want.attempts, l.Attempts, what)
			require.Equal(t, want.handler, l.Handler != "", what)
			require.NotEmpty(t, l.Error, what)
			if want.errorType != "" {
				require.Equal(t, want.errorType, l.ErrorType, what)
			}
			require.Equal(t, records[i].Key, l.Record.Key, what)
			require.Equal(t, records[i].Value, l.Record.Value, what)
			require.Equal(t, want.errorType == "panic", l.Stack != "", what)
			if l.Stack != "" {
				require.Contains(t, l.Stack, "conformance.failing.func", what)
				require.Contains(t, l.Error, "a nil map, say", what)
			}
		}
		require.Len(t, rows, applied)
		_, copies := w.copies(len(letters))
		for _, l := range copies {
			require.Equal(t, records[l.Record.Offset].Key, l.Record.Key)
			require.Equal(t, records[l.Record.Offset].Value, l.Record.Value)
			require.Equal(t, letters[l.Record.Offset].Error, l.Error)
		}
	})
}

// reasonsAt returns the reasons of the verdict journal's lines about a record, each once.
func (w *world) reasonsAt(offset int64) []string {
	w.t.Helper()
	var reasons []string
	require.NoError(w.t, w.db.Raw("SELECT DISTINCT reason FROM evenkeel_verdicts WHERE grp = ? AND log_offset = ? ORDER BY reason", w.group, offset).Scan(&reasons).Error)
	if len(reasons) == 0 {
		return nil
	}
	return reasons
}

// ByTime, ByVersion and ByNobody are written by Modify handlers, under the guard that
// their names say. Log is the order in which the events had their effects.
type (
	ByTime struct {
		ID, Log string
		guards.Guarded
	}
	ByVersion struct {
		ID, Log string
		guards.Guarded
	}
	ByNobody struct {
		ID, Log string
		guards.Guarded
	}
)

// logs appends the event's word to the row's log, unless fail says no.
func logs[E any](log func(*E) *string, fail func(key, word string) error) func(context.Context, *handlers.Delivery[wordOf, E]) error {
	return func(_ context.Context, d *handlers.Delivery[wordOf, E]) error {
		if err := fail(d.Event.Key, d.Payload.Word); err != nil {
			return err
		}
		*log(d.Entity) += d.Payload.Word
		return nil
	}
}

func logbooks(fail func(key, word string) error) *handlers.Registry {
	reg := handlers.NewRegistry()
	log := handlers.Writes("Log")
	handlers.Modify(reg, "logged", logs(func(e *ByTime) *string { return &e.Log }, fail), guards.Timestamp(), log)
	handlers.Modify(reg, "logged", logs(func(e *ByVersion) *string { return &e.Log }, fail), guards.Version(), log)
	handlers.Modify(reg, "logged", logs(func(e *ByNobody) *string { return &e.Log }, fail), guards.None(), log)
	return reg
}

// logsOf returns the key's log under each of the three models.
func (w *world) logsOf(key string) []string {
	return []string{
		all(w, func(e *ByTime) string { return e.ID })[key].Log,
		all(w, func(e *ByVersion) string { return e.ID })[key].Log,
		all(w, func(e *ByNobody) string { return e.ID })[key].Log,
	}
}

func (w *world) logged(key string, n int) said {
	return said{
		id: fmt.Sprintf("%s-%d", key, n), source: "shop", typ: "logged", key: key, version: int64(n),
		at: w.began.Add(-time.Hour + time.Duration(n)*time.Second), data: fmt.Sprintf(`{"word":"%d"}`, n),
	}
}

func TestB06ARetryBlocksNoOtherKeyAndReordersNone(t *testing.T) {
	t.Parallel()
	each(t, "B06", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		w.tables(&ByTime{}, &ByVersion{}, &ByNobody{})
		var mended atomic.Bool
		w.registry = func() *handlers.Registry {
			return logbooks(func(key, word string) error {
				if key == "bad" && word == "1" && !mended.Load() {
					return errHandler
				}
				return nil
			})
		}
		cfg := w.patient()
		w.start(cfg)
		// In one batch, in later ones, and after the head has been tried a few times.
		w.tell(0, w.logged("bad", 1), w.logged("good", 1), w.logged("bad", 2), w.logged("good", 2))
		w.atEnd(1)
		w.tell(0, w.logged("bad", 3), w.logged("good", 3))
		w.atEnd(1)
		require.Equal(t, []string{"123", "123", "123"}, w.logsOf("good"), "other keys go on")
		require.Equal(t, []string{"", "", ""}, w.logsOf("bad"))
		require.Equal(t, map[string]string{"bad-1": "retry", "bad-2": "behind", "bad-3": "behind"}, w.waiting())
		w.eventually(func() bool { return w.attempts("bad-1") >= 3*3 }, func() string {
			return fmt.Sprintf("%d attempts of the head's three units", w.attempts("bad-1"))
		})
		require.Zero(t, w.attempts("bad-2"), "what waits behind is not tried")
		w.tell(0, w.logged("bad", 4), w.logged("good", 4))
		w.atEnd(1)
		require.Equal(t, "behind", w.waiting()["bad-4"])

		mended.Store(true)
		w.drain(1)
		require.Equal(t, []string{"1234", "1234", "1234"}, w.logsOf("bad"), "and none overtakes the other")
		require.Equal(t, []string{"1234", "1234", "1234"}, w.logsOf("good"))
		require.Empty(t, w.letters())
	})
}

// TestB06ExhaustedHead: when the head becomes a letter, a staleness check goes on without
// it; handlers without any order of their own wait for the letter.
func TestB06AnExhaustedEventHoldsUpOnlyWhatMustKeepItsOrder(t *testing.T) {
	t.Parallel()
	each(t, "B06", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		w.tables(&ByTime{}, &ByVersion{}, &ByNobody{})
		w.registry = func() *handlers.Registry {
			return logbooks(func(key, word string) error {
				if key == "bad" && word == "1" {
					return errHandler
				}
				return nil
			})
		}
		w.start()
		w.tell(0, w.logged("bad", 1), w.logged("bad", 2), w.logged("good", 1), w.logged("bad", 3))
		w.atEnd(1)
		w.eventually(func() bool {
			return slices.Equal(w.logsOf("bad"), []string{"23", "23", ""}) && len(w.letters()) == 3
		}, func() string {
			return fmt.Sprintf("logs %q, %d letters, waiting %v", w.logsOf("bad"), len(w.letters()), w.waiting())
		})
		letters := w.letters()
		for _, l := range letters {
			require.Equal(t, guards.Exhausted, l.Verdict.Reason)
			require.Equal(t, "bad-1", l.EventID)
			require.Equal(t, 4, l.Attempts)
			require.True(t, l.Blocking)
		}
		require.Equal(t, map[string]string{"bad-2": "behind", "bad-3": "behind"}, w.waiting())
		require.Equal(t, []string{"1", "1", "1"}, w.logsOf("good"))
	})
}

// TestB06OneOfTwo: order.placed has a handler on Order and one on Stock; each fails once
// for an event where the other does not.
func TestB06OfTwoHandlersOneFails(t *testing.T) {
	t.Parallel()
	each(t, "B06", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		w.registry = func() *handlers.Registry {
			reg := handlers.NewRegistry()
			handlers.Set(reg, "order.placed", func(ctx context.Context, d *delivery) error {
				if d.Payload.Customer == "bad order" {
					return errHandler
				}
				return placed(ctx, d)
			}, handlers.Creates(), handlers.Writes("Customer", "Note", "Amount"))
			handlers.Set(reg, "order.placed", func(_ context.Context, d *handlers.Delivery[body, Stock]) error {
				if d.Payload.Customer == "bad stock" {
					return handlers.DeadLetter(errHandler)
				}
				d.Entity.LastSeen = d.Event.Key
				return nil
			}, handlers.Key(func(b body) string { return b.SKU }), handlers.Writes("LastSeen"))
			return reg
		}
		place := func(n int, customer string) said {
			return said{
				id: fmt.Sprintf("e-%d", n), source: "shop", typ: "order.placed", key: fmt.Sprintf("o-%d", n), at: w.began.Add(-time.Minute),
				data: fmt.Sprintf(`{"customer":%q,"sku":"s-%d"}`, customer, n),
			}
		}
		w.tell(0, place(1, "good"), place(2, "bad order"), place(3, "bad stock"))
		w.start()
		w.drain(1)
		orders := all(w, func(o *Order) string { return o.ID })
		stocks := all(w, func(s *Stock) string { return s.SKU })
		require.ElementsMatch(t, []string{"o-1", "o-3"}, slices.Collect(maps.Keys(orders)))
		require.ElementsMatch(t, []string{"s-1", "s-2"}, slices.Collect(maps.Keys(stocks)))
		require.Equal(t, "bad stock", orders["o-3"].Customer)
		require.Equal(t, "o-2", stocks["s-2"].LastSeen)

		letters := w.letters()
		require.Len(t, letters, 2)
		require.Equal(t, []any{"order.placed→Order", "orders", "o-2", guards.Exhausted, 4}, []any{letters[0].Handler, letters[0].Table, letters[0].Entity, letters[0].Verdict.Reason, letters[0].Attempts})
		require.Equal(t, []any{"order.placed→Stock", "stocks", "s-3", guards.Rejected, 1}, []any{letters[1].Handler, letters[1].Table, letters[1].Entity, letters[1].Verdict.Reason, letters[1].Attempts})
		_, copies := w.copies(2)
		require.Equal(t, []string{letters[0].ID, letters[1].ID}, []string{copies[0].ID, copies[1].ID})
	})
}
