package handlers

import (
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
)

func TestSlowHandlersHaveNoTransaction(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "both", onPayment, Writes("Amount"), Slow(), UsesTx())
	mistaken(t, r, `the handler of "both" on Payment is declared handlers.Slow and handlers.UsesTx; a transaction would be open all the while: do the slow part in another handler, and the SQL where its outcome comes back as an event`)

	r = NewRegistry()
	Modify(r, "slow", onPayment, guards.Sequence(), Writes("Amount"), Slow())
	Modify(r, "sql", onPayment, guards.Sequence(), Writes("Amount"), UsesTx())
	mistaken(t, r, `the handler of "sql" on Payment is in the topic's stream, one of whose handlers is declared handlers.Slow and one handlers.UsesTx; what fills a gap lets both go, and a transaction would be open all the while: give one of them a stream of its own with guards.Stream`)

	guard := guards.Vector(guards.Causal(time.Minute))
	r = NewRegistry(guard)
	Modify(r, "slow", onPayment, guard, Writes("Amount"), Slow())
	Modify(r, "sql", onPayment, guard, Writes("Amount"), UsesTx())
	mistaken(t, r, `the handler of "sql" on Payment waits for causes beside others of Payment of which one is declared handlers.Slow and one handlers.UsesTx; an event lets those go that waited for it, and a transaction would be open all the while: drop one of the two`)
}
