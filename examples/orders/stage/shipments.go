package stage

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/evenkeel-go/evenkeel/examples/orders/service"
	"github.com/evenkeel-go/evenkeel/testutil"
)

const (
	stepsFrom    = 5 // a shipment's events
	stepsTo      = 11
	longestLeg   = time.Hour
	heldScanRate = 0.04 // of the events of shipments: what follows them has to wait
)

// shipmentStream returns exactly n messages about shipments. They come swapped, twice and
// too late for their number, but never too late to be let in: a number that became a dead
// letter would hold its shipment up.
func (g *generator) shipmentStream(n int) []message {
	copies := share(n, duplicateRate)
	truth := g.shipments(n - copies)
	keys := make([]string, len(truth))
	for i := range truth {
		keys[i] = truth[i].key
	}
	reach := max(n/20, 1) // of a small stream a few records are a day
	shuffle := testutil.Shuffle{
		Seed: g.seed + 1, Swaps: swapRate,
		Duplicates: float64(copies) / float64(len(truth)), DuplicateDistance: min(duplicateReach, reach),
		Delays: delayRate, DelayDistance: min(delayReach, reach),
	}
	stream := make([]message, 0, n)
	for _, p := range shuffle.Order(keys) {
		stream = append(stream, truth[p.Index])
	}
	return g.delaySome(stream, share(n, heldScanRate), func(message) bool { return true })
}

// shipments is what happened, in the order of time: n events, numbered from 1 on for each
// shipment.
func (g *generator) shipments(n int) []message {
	all := make([]message, 0, n)
	for i := 1; len(all) < n; i++ {
		key := fmt.Sprintf("s-%d", i)
		at := g.now.Add(-g.between((stepsTo+1)*longestLeg, timeline))
		steps := min(stepsFrom+g.rng.IntN(stepsTo-stepsFrom+1), n-len(all))
		for number := 1; number <= steps; number++ {
			all = append(all, g.step(key, at, number, steps))
			at = at.Add(1 + g.between(0, longestLeg))
		}
	}
	slices.SortStableFunc(all, func(a, b message) int { return a.at.Compare(b.at) })
	return all
}

// step is a scan, or for the last number the delivery.
func (g *generator) step(key string, at time.Time, number, last int) message {
	kind := "shipment.scanned"
	var data any = service.Scanned{Place: []string{"Hamburg", "Kassel", "Munich", "Vienna", "Linz", "Prague"}[g.rng.IntN(6)]}
	if number == last && last > 1 {
		kind, data = "shipment.delivered", service.Nothing{}
	}
	g.ids++
	m := g.message(kind, key, at, data, map[string]any{"sequence": strconv.Itoa(number)})
	m.topic = g.shipmentsTopic()
	return m
}
