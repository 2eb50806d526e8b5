package oracle

import (
	"fmt"
	"slices"
	"strings"
)

// Class is a kind of deviation.
type Class string

// The classes.
const (
	// Lost: an effect that must be there is not, or an event became a letter that must
	// not be one.
	Lost Class = "lost"
	// DuplicateEffect: the second copy of an event had an effect.
	DuplicateEffect Class = "duplicate-effect"
	// StaleOverwrite: an event had an effect that a newer event, or its own refusal,
	// must have kept it from: also a letter that must be there and is not.
	StaleOverwrite Class = "stale-overwrite"
	// Stuck: an event waits, or was never read.
	Stuck Class = "stuck"
	// OffsetAhead: an offset is beyond what is finished.
	OffsetAhead Class = "offset-ahead"
)

// Classes are all of them.
func Classes() []Class { return []Class{Lost, DuplicateEffect, StaleOverwrite, Stuck, OffsetAhead} }

// Deviation is one difference between what must be and what is.
type Deviation struct {
	Class Class
	// Table, Key and Field are where it was found, as far as they apply.
	Table, Key, Field string
	// Expected and Found are values as text.
	Expected, Found string
	// Story is the sentence for people.
	Story string
}

// Report is what a comparison found.
type Report struct {
	// Rows is how many rows there must be, Right how many of them are as they must be,
	// Wrong how many rows differ, those that must not be there included, and Skipped
	// how many could not be judged.
	Rows, Right, Wrong, Skipped int
	// Letters is how many letters were compared.
	Letters int
	// Counts are the deviations by class, those of one row and class counted once.
	Counts map[Class]int
	// Deviations holds them all, those of one row together.
	Deviations []Deviation

	wrong map[[2]string]bool
	once  map[[3]string]bool
}

func newReport() *Report {
	return &Report{Counts: make(map[Class]int), wrong: map[[2]string]bool{}, once: map[[3]string]bool{}}
}

// Clean reports whether there is no deviation.
func (r *Report) Clean() bool { return len(r.Deviations) == 0 }

// IsWrong reports whether a row deviates.
func (r *Report) IsWrong(table, key string) bool { return r.wrong[[2]string{table, key}] }

// WrongIn is how many rows of a table deviate.
func (r *Report) WrongIn(table string) (n int) {
	for row := range r.wrong {
		if row[0] == table {
			n++
		}
	}
	return n
}

// add records a deviation of a row.
func (r *Report) add(d Deviation) {
	r.Deviations = append(r.Deviations, d)
	r.wrong[[2]string{d.Table, d.Key}] = true
	if once := [3]string{d.Table, d.Key, string(d.Class)}; !r.once[once] {
		r.once[once] = true
		r.Counts[d.Class]++
	}
}

// note records a deviation that is no row's.
func (r *Report) note(d Deviation) {
	r.Deviations = append(r.Deviations, d)
	r.Counts[d.Class]++
}

// Samples returns up to n deviations, of different classes, tables and rows as far as there
// are.
func (r *Report) Samples(n int) []Deviation {
	var out []Deviation
	taken := map[int]bool{}
	rows, tables := map[[2]string]bool{}, map[string]bool{}
	for pass := 0; len(out) < n && pass < n; pass++ {
		for _, class := range Classes() {
			fits := func(d Deviation) bool { return d.Class == class && !rows[[2]string{d.Table, d.Key}] }
			i := slices.IndexFunc(r.Deviations, func(d Deviation) bool { return fits(d) && !tables[d.Table] })
			if i < 0 {
				i = slices.IndexFunc(r.Deviations, fits)
			}
			if i < 0 || taken[i] || len(out) == n {
				continue
			}
			taken[i] = true
			rows[[2]string{r.Deviations[i].Table, r.Deviations[i].Key}] = true
			tables[r.Deviations[i].Table] = true
			out = append(out, r.Deviations[i])
		}
	}
	return out
}

// String lists the counts and up to twenty deviations, for a test's failure message.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rows: %d right, %d wrong", r.Rows, r.Right, r.Wrong)
	if r.Skipped > 0 {
		fmt.Fprintf(&b, ", %d not judged", r.Skipped)
	}
	for _, c := range Classes() {
		fmt.Fprintf(&b, "; %s %d", c, r.Counts[c])
	}
	for i, d := range r.Deviations {
		if i == 20 {
			fmt.Fprintf(&b, "\n  … and %d more", len(r.Deviations)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s: %s", d.Class, d.Story)
	}
	return b.String()
}
