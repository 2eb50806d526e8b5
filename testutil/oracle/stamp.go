package oracle

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"time"
)

// Stamp is where an event stands in an entity's history: a number, then whether it is the
// entity's own, then source and id as bytes; those of a derived event are its root's. Sources and ids of more than 128 bytes stand as "sha256:" and the hash in
// hexadecimal digits. The zero Stamp is "never".
type Stamp struct {
	// Number is the time in microseconds since 1970, or the version.
	Number int64
	// Derived is set where the root was not the entity's own event.
	Derived    bool
	Source, ID string
}

// IsZero reports whether the stamp is "never". No event has an empty ID: one without id
// has its coordinates.
func (s Stamp) IsZero() bool { return s.ID == "" }

// Compare returns -1, 0 or 1; "never" is before everything.
func (s Stamp) Compare(o Stamp) int {
	if s.IsZero() || o.IsZero() {
		switch {
		case s.IsZero() && o.IsZero():
			return 0
		case s.IsZero():
			return -1
		default:
			return 1
		}
	}
	return cmp.Or(cmp.Compare(s.Number, o.Number), compareOwn(s, o), cmp.Compare(s.Source, o.Source), cmp.Compare(s.ID, o.ID))
}

// compareOwn puts the entity's own events after those derived from others.
func compareOwn(s, o Stamp) int {
	switch {
	case s.Derived == o.Derived:
		return 0
	case s.Derived:
		return -1
	default:
		return 1
	}
}

func (s Stamp) String() string {
	if s.IsZero() {
		return "never"
	}
	if s.Derived {
		return fmt.Sprintf("%d from %q, derived from id %q", s.Number, s.Source, s.ID)
	}
	return fmt.Sprintf("%d from %q, id %q", s.Number, s.Source, s.ID)
}

// short is how a source or id stands in a stamp.
func short(s string) string {
	if len(s) > 128 {
		return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s)))
	}
	return s
}

func clockTime(micros int64) string {
	return time.UnixMicro(micros).UTC().Format("2006-01-02 15:04:05.999999")
}
