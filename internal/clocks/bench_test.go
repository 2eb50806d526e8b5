package clocks_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
)

// BenchmarkRow is what the clocks of a row cost that three events have written: it is read,
// and written again.
func BenchmarkRow(b *testing.B) {
	l := &clocks.Layout{Current: 1, Exists: 7}
	for _, n := range []string{"status", "customer", "carrier", "amount", "paid_at", "shipped_at", "cancelled_at", clocks.Existence} {
		l.Names, l.Clocked, l.Gens = append(l.Names, n), append(l.Clocked, true), append(l.Gens, 1)
	}
	row := l.New()
	for i := range row.Stamps[:7] {
		row.Stamps[i] = event.Stamp{Time: 1772600000000000 + int64(i%3), Tie: event.Tie(true, "https://example.com/orders", fmt.Sprintf("0197f3c2-0000-7000-8000-%012d", i%3))}
	}
	stored := l.Encode(row)
	b.ReportAllocs()
	for b.Loop() {
		r, err := l.Decode(stored, guards.Alive)
		if err != nil {
			b.Fatal(err)
		}
		stored = l.Encode(r)
	}
	require.Equal(b, stored, l.Encode(row))
}
