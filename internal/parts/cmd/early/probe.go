//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/parts/measure"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Point is what is measured when so many events wait.
type Point struct {
	Events int
	// Heap is what is in use after a collection, RSS the whole process; both in bytes.
	Heap, RSS uint64
	// PerSecond is the rate since the point before, Batch the mean time that a batch of
	// 1,000 took: load, judge, commit.
	PerSecond float64
	Batch     time.Duration
	// Page is the first page of what waits, as the command line shows it; Due is the
	// sweeper's look, which finds nothing yet; Count counts all.
	Page, Due, Count time.Duration
}

// probe measures.
func (r *run) probe(ctx context.Context, p *Point) (err error) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.Heap, p.RSS = m.HeapAlloc, measure.RSS()
	if p.Page, err = measure.Best(func() error { return r.page(ctx) }); err != nil {
		return err
	}
	if p.Due, err = measure.Best(func() error { return r.due(ctx) }); err != nil {
		return err
	}
	p.Count, err = measure.Best(func() error { return r.count(ctx) })
	return err
}

const pageRows = 100

// page reads the first rows as evenkeel placeholders and evenkeel parked do.
func (r *run) page(ctx context.Context) error {
	if r.mode == gaps {
		_, err := framework.Parked(ctx, r.db, framework.ParkedFilter{Group: group, Cause: "gap", Limit: pageRows})
		return err
	}
	n := 0
	for _, err := range framework.Placeholders(ctx, r.db, framework.PlaceholderFilter{Group: group}) {
		if err != nil {
			return err
		}
		if n++; n == pageRows {
			break
		}
	}
	return nil
}

var errDue = errors.New("something is due before its time")

// due is the sweeper's look, a moment before anything is due.
func (r *run) due(ctx context.Context) error {
	if r.mode == gaps {
		rows, err := r.store.Due(ctx, &store.DueQuery{Group: group, Owner: "probe", Now: now(), Lease: time.Minute, Limit: 50, PerKey: 50})
		if err == nil && len(rows) > 0 {
			err = errDue
		}
		return err
	}
	aged, err := r.store.Aged(ctx, store.AgedQuery{Table: r.table, State: guards.Placeholder, Before: now().Add(-age), Limit: 500})
	if err == nil && len(aged) > 0 {
		err = errDue
	}
	return err
}

// count counts what waits as evenkeel parked and the placeholders' metric do, which both have an
// end.
func (r *run) count(ctx context.Context) (err error) {
	if r.mode == gaps {
		_, err = framework.CountParked(ctx, r.db, framework.ParkedFilter{Group: group})
		return err
	}
	_, _, err = r.store.CountAged(ctx, store.AgedQuery{Table: r.table, State: guards.Placeholder, Before: now(), Limit: framework.MaxParkedCount})
	return err
}

// waiting is how many wait, all of which it reads.
func (r *run) waiting(ctx context.Context) (n int64, err error) {
	if r.mode == gaps {
		err = r.db.WithContext(ctx).Table("evenkeel_parked").Where("grp = ?", group).Count(&n).Error
		return n, err
	}
	err = r.db.WithContext(ctx).Model(&Early{}).Scopes(guards.Placeholders).Count(&n).Error
	return n, err
}

const mib = 1 << 20

func (r *run) head() {
	fmt.Fprintf(r.out, "%10s %8s %9s %9s %9s %9s %9s %9s\n", "events", "per s", "RSS MiB", "heap MiB", "batch ms", "page ms", "due ms", "count ms")
}

func (r *run) tell(p Point) {
	fmt.Fprintf(r.out, "%10d %8.0f %9d %9.1f %9.1f %9.2f %9.2f %9.2f\n",
		p.Events, p.PerSecond, p.RSS/mib, float64(p.Heap)/mib, ms(p.Batch), ms(p.Page), ms(p.Due), ms(p.Count))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// compare says how the last point stands to the first.
func (r *run) compare() {
	defer r.compareSweep()
	if len(r.points) < 2 {
		return
	}
	first, last := r.points[0], r.points[len(r.points)-1]
	ratio := func(a, b float64) string {
		if b == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", a/b)
	}
	fmt.Fprintln(r.out, strings.Repeat("-", 79))
	fmt.Fprintf(r.out, "%10s %8s %9s %9s %9s %9s %9s %9s\n", fmt.Sprintf("to %d", first.Events),
		ratio(last.PerSecond, first.PerSecond), ratio(float64(last.RSS), float64(first.RSS)), ratio(float64(last.Heap), float64(first.Heap)),
		ratio(ms(last.Batch), ms(first.Batch)), ratio(ms(last.Page), ms(first.Page)), ratio(ms(last.Due), ms(first.Due)), ratio(ms(last.Count), ms(first.Count)))
}

// compareSweep says how fast the sweep was, and how large what it has cleared away.
func (r *run) compareSweep() {
	came := ""
	if r.rate > 0 { // else a run before this one has made them
		came = fmt.Sprintf("; they came at %.0f/s", r.rate)
	}
	fmt.Fprintf(r.out, "swept: %d in %s, %.0f/s%s\n", r.swept, r.sweep.Round(time.Millisecond), float64(r.swept)/r.sweep.Seconds(), came)
	fmt.Fprintf(r.out, "database: %d MiB, %.0f bytes for each event\n", r.size/mib, float64(r.size)/float64(r.n))
}
