package batch_test

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// operate is an operator who deals with letters: gives them up, or replays them, as they are or
// with their handlers mended.
func (x *mixed) operate(all, giveUp bool) {
	for _, id := range slices.Sorted(maps.Keys(x.letters)) {
		l := x.letters[id]
		if l.State != dlq.Open || !all && x.rng.IntN(3) == 0 {
			continue
		}
		if giveUp || x.rng.IntN(2) == 0 {
			x.discard(l)
			continue
		}
		if x.rng.IntN(2) == 0 {
			maps.DeleteFunc(x.dead, func(unit string, _ bool) bool { return strings.HasSuffix(unit, "|"+l.EventID) })
		}
		x.say("replays %s of %s (%s)", l.Handler, l.EventID, l.Verdict.Reason)
		x.replayed[l.EventID] = true
		x.excuse(l)
		move := &store.LetterMove{Ref: l.Ref(), Move: dlq.MoveReplay}
		next := *l
		next.State = dlq.Replaying
		x.letters[id], x.parked[id] = &next, store.ParkedOf(move, l)
	}
}

// discard does what a store does (tables.move): the row or the stream's memo hears of it, the
// event counts as seen, its id may be forgotten, and what waits behind it is due.
func (x *mixed) discard(l *dlq.Letter) {
	x.say("discards %s of %s (%s)", l.Handler, l.EventID, l.Verdict.Reason)
	move := &store.LetterMove{Ref: l.Ref(), Move: dlq.MoveDiscard}
	change := func(k store.MemoKey, body func(string) (string, error)) {
		have := x.memos[k]
		if have == nil {
			return
		}
		next, err := body(have.Body)
		require.NoError(x.t, err)
		x.memos[k] = &store.Memo{MemoKey: k, Rev: have.Rev + 1, Body: next}
	}
	stream := l.Stream
	if l.Blocking {
		if r := x.rows[l.Table][l.Entity]; stream != "" {
			change(store.MemoOf(store.StreamKey{Stream: stream, Entity: l.Entity}), func(body string) (string, error) { return tables.SkipGap(move, l, body) })
		} else if r != nil {
			next := *r
			next.Rev++
			x.rows[l.Table][l.Entity] = &next
		}
	}
	if tables.WaitedFor(l) {
		stream = tables.CausesOf(l).Stream
		change(store.MemoOf(tables.CausesOf(l)), func(body string) (string, error) { return tables.SeenAfter(l, body) })
		x.sees(l.Table, l.Entity, l.Vector)
	}
	for k, id := range x.ids {
		if l.Handler != "" && k.Scope == store.OnceScope(l.Handler) && k.Entity == l.Entity && k.ID == store.EventID(l.Source, l.EventID) {
			next := *id
			next.Held = false
			x.ids[k] = &next
		}
	}
	if tables.WaitedForByAny(l) {
		x.parked[l.ID] = store.SeenOf(move, l)
	}
	next := *l
	next.State, next.Rev = dlq.Discarded, l.Rev+1
	x.letters[l.ID] = &next
	for id, p := range x.parked {
		inStream := p.Stream == stream && stream != "" && p.Cause != store.CauseRetry && p.Cause != store.CauseMissing
		inQueue := p.Table == l.Table && p.Stream == "" && (p.Cause == store.CauseBehind || p.Cause == store.CauseReplay)
		if p.Entity == l.Entity && (inStream || l.Stream == "" && inQueue) && (l.Blocking || tables.WaitedFor(l)) {
			c := *p
			c.Due, c.Rev = time.UnixMicro(0).UTC(), p.Rev+1
			x.parked[id] = &c
		}
	}
}

// gone reports whether somebody has given up a letter of the event, under the handler.
func (x *mixed) gone(handler, entity, id string) bool {
	for _, l := range x.letters {
		if l.EventID == id && l.State == dlq.Discarded && (l.Handler == "" || l.Entity == entity && strings.HasSuffix(l.Handler, handler)) {
			return true
		}
	}
	return false
}

// unsettled reports whether there are letters that nobody has dealt with.
func (x *mixed) unsettled() bool {
	for _, l := range x.letters {
		if l.State.Unresolved() {
			return true
		}
	}
	return false
}
