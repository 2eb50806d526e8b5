package handlers

import (
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

func TestMistakesOfRegistryGuards(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		guards []guards.Guard
		want   string
	}{
		"None":                   {[]guards.Guard{guards.None()}, "NewRegistry got guards.None; Set handlers need a stamp: give None to the Modify handlers that mean it"},
		"Once":                   {[]guards.Guard{guards.Once()}, "NewRegistry got guards.Once; Set handlers need a stamp: give Once to the Modify handlers that mean it"},
		"None in a chain":        {[]guards.Guard{guards.Chain(guards.Chain(guards.None()))}, "NewRegistry got guards.None; Set handlers need a stamp: give None to the Modify handlers that mean it"},
		"nil in a chain":         {[]guards.Guard{guards.Chain(guards.Timestamp(), nil)}, "guard 2 of NewRegistry is nil; leave it out"},
		"two of a kind":          {[]guards.Guard{guards.Version(), guards.Version()}, "NewRegistry got two orderings, version and version; keep one and give single handlers another with handlers.By"},
		"negative future":        {[]guards.Guard{guards.MaxFuture(-1)}, "guard max-future has the bound -1ns; expected a duration that is not negative"},
		"negative lateness":      {[]guards.Guard{guards.MaxLateness(-time.Hour)}, "guard max-lateness has the bound -1h0m0s; expected a duration that is not negative"},
		"two futures":            {[]guards.Guard{guards.MaxFuture(1), guards.MaxFuture(2)}, "NewRegistry got max-future twice; keep one"},
		"two latenesses":         {[]guards.Guard{guards.MaxLateness(time.Hour), guards.Chain(guards.MaxLateness(time.Hour))}, "NewRegistry got max-lateness twice; keep one"},
		"lateness of zero":       {[]guards.Guard{guards.MaxLateness(0), guards.MaxFuture(0)}, "MaxLateness(0s) is not greater than MaxFuture(0s), so one event from the future could make the present late; raise the first or lower the second"},
		"lateness under default": {[]guards.Guard{guards.MaxLateness(5 * time.Minute)}, "MaxLateness(5m0s) is not greater than MaxFuture(5m0s), so one event from the future could make the present late; raise the first or lower the second"},
		"unknown phase":          {[]guards.Guard{odd{phase: 9}}, "guard odd has a phase that there is not; return one of the guards.Phase… constants"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := NewRegistry(c.guards...)
			Set(r, "e", onPayment)
			mistaken(t, r, c.want)
		})
	}
}

type odd struct {
	phase guards.Phase
	kind  guards.Kind
}

func (odd) Name() string                                     { return "odd" }
func (o odd) Phase() guards.Phase                            { return o.phase }
func (odd) Judge(*event.Event, *guards.State) guards.Verdict { return guards.Pass() }

type oddStamper struct{ odd }

func (o oddStamper) Kind() guards.Kind { return o.kind }
func (oddStamper) Stamp(*event.Event, bool) (event.Stamp, error) {
	return event.Stamp{}, nil
}

func TestRegistryGuardsStandInTheirPhases(t *testing.T) {
	t.Parallel()
	phases := func(w *Wiring) [3][]string {
		var out [3][]string
		for i, gs := range [][]guards.Guard{w.Decode, w.Admission, w.Handlers("e")[0].Guards} {
			for _, g := range gs {
				out[i] = append(out[i], g.Name())
			}
		}
		return out
	}
	t.Run("MaxFuture is always on", func(t *testing.T) {
		t.Parallel()
		r := NewRegistry(odd{phase: guards.PhaseDecode})
		Set(r, "e", onPayment)
		w := wire(t, r)
		same(t, "phases", phases(w), [3][]string{{"odd", "max-future"}, nil, nil})
		same(t, "bound", w.Decode[1].(interface{ Bound() time.Duration }).Bound(), guards.DefaultMaxFuture)
		same(t, "default order", w.Handlers("e")[0].Stamper.Kind(), guards.KindTimestamp)
	})
	t.Run("a chain is taken apart", func(t *testing.T) {
		t.Parallel()
		r := NewRegistry(guards.Chain(guards.Version(), guards.MaxLateness(time.Hour), guards.Chain(guards.MaxFuture(time.Minute), odd{phase: guards.PhaseRow})))
		Set(r, "e", onPayment, Guard(guards.Chain(odd{phase: guards.PhaseRow})))
		w := wire(t, r)
		same(t, "phases", phases(w), [3][]string{{"max-future"}, {"max-lateness"}, {"odd", "odd"}})
		same(t, "order", w.Handlers("e")[0].Stamper.Kind(), guards.KindVersion)
	})
}
