package event

import (
	"strconv"
	"time"
)

// ChangedError says that two events are not one and the same.
type ChangedError struct{ Field, Was, Is string }

// Error names the field and what it was and is.
func (e *ChangedError) Error() string {
	return "its " + e.Field + " was " + quoteShort([]byte(e.Was)) + " and is now " + quoteShort([]byte(e.Is))
}

// Unchanged reports whether b is the event that a is, with another payload at most: the same
// type, source, id, key, time, number, Lamport time, vector clock and lineage, so the same
// place in the same history. An error is a [*ChangedError] for the first that differs.
func Unchanged(a, b *Event) error {
	lineage := func(e *Event) string {
		if e.Lineage == nil {
			return ""
		}
		return string(e.Lineage.Header().Value)
	}
	for _, f := range [...]struct{ name, was, is string }{
		{"type", a.Type, b.Type},
		{"source", a.Source, b.Source},
		{"id", a.ID, b.ID},
		{"key", a.Key, b.Key},
		{"time", instantText(a.OccurredAt), instantText(b.OccurredAt)},
		{"number", numberText(a.Version, a.HasVersion), numberText(b.Version, b.HasVersion)},
		{"Lamport time", numberText(a.Lamport, a.HasLamport), numberText(b.Lamport, b.HasLamport)},
		{"vector clock", a.Vector.String(), b.Vector.String()},
		{"lineage", lineage(a), lineage(b)},
	} {
		if f.was != f.is {
			return &ChangedError{Field: f.name, Was: f.was, Is: f.is}
		}
	}
	return nil
}

func instantText(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func numberText(n int64, has bool) string {
	if !has {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
