package conformance

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// ailments are events that fail, by id.
type ailments struct {
	mu sync.Mutex
	of map[string]error
}

func (a *ailments) set(id string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of[id] = err
}

func (a *ailments) run(id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.of[id]
}

// TestC12WhatWaitsKeepsItsOutcome: events that are parked, and those that lie as letters, are
// not read again, and what stands behind them stays there; an event that fails while it is
// read again waits, and so do its entity's later ones, in their order.
func TestC12WhatWaitsKeepsItsOutcome(t *testing.T) {
	each(t, "C12 waits", func(t *testing.T, at combination) {
		ill := &ailments{of: map[string]error{"l-2": errors.New("later"), "t-2": errors.New("later"), "n-4": handlers.DeadLetter(errors.New("never"))}}
		w := newWorld(t, at, 1)
		w.tables(&Bill{}, &Last{}, &Total{}, &Chain{})
		w.registry = func() *handlers.Registry { return mendable(true, ill.run) }
		send := func(typ, key, prefix string, from, to int) {
			for i := from; i <= to; i++ {
				w.tell(0, said{
					id: fmt.Sprint(prefix, i), source: "shop", typ: typ, key: key, version: int64(i),
					at: w.began.Add(time.Duration(i-1000) * time.Second), data: fmt.Sprintf(`{"amount":%d}`, i),
				})
			}
		}
		send("last.renamed", "l", "l-", 1, 3)
		send("last.renamed", "m", "m-", 1, 3)
		send("total.added", "t", "t-", 1, 3)
		send("chain.moved", "n", "n-", 1, 6)
		send("chain.moved", "o", "o-", 1, 3)
		buggy := w.start(w.patient())
		w.atEnd(1)
		buggy.stop()
		waits := map[string]string{"l-2": "retry", "l-3": "behind", "t-2": "retry", "n-5": "behind", "n-6": "behind"}
		require.Equal(t, waits, w.waiting())
		require.Len(t, w.letters(), 1)

		w.registry = func() *handlers.Registry { return mendable(false, ill.run) }
		ill.set("m-2", errors.New("later"))
		ill.set("o-2", errors.New("later"))
		live := w.start(w.patient())
		sent := false
		status, err := w.rebuild(framework.RebuildOptions{Models: []string{"Last", "Total", "Chain"}, Progress: func(s framework.RebuildStatus) {
			if s.Phase == "replaying" && !sent {
				sent = true
				send("last.renamed", "m", "m-", 4, 5)
				send("chain.moved", "o", "o-", 4, 5)
				w.atEnd(1)
				waiting := w.waiting()
				for _, id := range []string{"m-4", "m-5", "o-4", "o-5"} {
					require.Equal(t, "behind", waiting[id], "%s waits for the end of the rebuild", id)
				}
			}
		}}, w.patient())
		require.NoError(t, err)
		require.True(t, sent)
		require.EqualValues(t, 4, status.Parked, "m-2, o-2 and what comes after them")
		require.Zero(t, status.Letters)
		require.Len(t, w.letters(), 1)
		trails := func() string {
			lasts, chains := all(w, func(l *Last) string { return l.ID }), all(w, func(c *Chain) string { return c.ID })
			return fmt.Sprintf("l %s; m %s; n %s; o %s; t %d", strings.TrimSpace(lasts["l"].Trail), strings.TrimSpace(lasts["m"].Trail),
				strings.TrimSpace(chains["n"].Trail), strings.TrimSpace(chains["o"].Trail), all(w, func(x *Total) string { return x.ID })["t"].Sum)
		}
		require.Equal(t, "l 1; m 1; n 1 2 3; o 1; t 4", trails())

		for _, id := range []string{"l-2", "t-2", "m-2", "o-2"} {
			ill.set(id, nil)
		}
		w.eventually(func() bool { return trails() == "l 1 2 3; m 1 2 3 4 5; n 1 2 3; o 1 2 3 4 5; t 6" }, trails)
		live.stop()
		require.Equal(t, map[string]string{"n-5": "behind", "n-6": "behind"}, w.waiting())
		w.wholeAgain()
	})
}
