package event

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strings"
	"time"
)

// Stamp is an event's place in its entity's history (R3). Stamps of one kind are
// totally ordered, the same in every process, and never by arrival: first by Time,
// then by Tie. Two events have equal stamps only if they are the same event.
type Stamp struct {
	// Time is microseconds since 1970 under a timestamp guard, the version under a
	// version guard, the Lamport time or the vector's sum under those guards.
	Time int64
	// Tie holds the rest of the order key as bytes that compare as the key does.
	// It is empty only in the zero Stamp.
	Tie string
}

// IsZero reports whether the stamp is "never": below every event's stamp.
func (s Stamp) IsZero() bool { return s.Tie == "" }

// Compare returns -1, 0 or 1. The zero stamp is below all others, also below those
// with a negative Time.
func (s Stamp) Compare(o Stamp) int {
	switch {
	case s.Tie == "" || o.Tie == "":
		return strings.Compare(s.Tie, o.Tie)
	case s.Time < o.Time:
		return -1
	case s.Time > o.Time:
		return 1
	}
	return strings.Compare(s.Tie, o.Tie)
}

// After reports whether s stands after o.
func (s Stamp) After(o Stamp) bool { return s.Compare(o) > 0 }

// maxTiePart is how long an id or a source may be inside a tie; longer ones are hashed
// so that a row's clock stays small whatever producers send.
const maxTiePart = 128

// Tie of R3: root is X's own event?, root source, root id, path length, path. The
// parts are joined so that bytes compare as the tuple does: 0x00 inside a part becomes
// 0x00 0xFF and a part ends with 0x00 0x01 (the tuple encoding of FoundationDB, with
// a two-byte end). The path is that of a derived event and empty for all others, so that a
// child stands after its parent where all else is equal, and its path after its length.
func Tie(own bool, source, id string, path ...string) string {
	source, id = tiePart(source), tiePart(id)
	var b strings.Builder
	size := len(source) + len(id) + 6
	for _, p := range path {
		size += len(p) + 2
	}
	b.Grow(size)
	if own {
		b.WriteByte('1')
	} else {
		b.WriteByte('0')
	}
	writePart(&b, source)
	writePart(&b, id)
	b.WriteByte(byte(min(len(path), math.MaxUint8)))
	for _, p := range path {
		writePart(&b, tiePart(p))
	}
	return b.String()
}

func tiePart(s string) string {
	if len(s) <= maxTiePart {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func writePart(b *strings.Builder, s string) {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		b.WriteString("\x00\xff")
		s = s[i+1:]
	}
	b.WriteString("\x00\x01")
}

// Micros is t in microseconds since 1970, rounded down: the unit of timestamp stamps. A
// time so far off that it does not fit (some 292,000 years) is the nearest that does, as
// a wrapped one would stand at the other end of history.
func Micros(t time.Time) int64 {
	const most = math.MaxInt64 / 1_000_000
	switch s := t.Unix(); {
	case s >= most:
		return math.MaxInt64
	case s < -most:
		return math.MinInt64
	}
	return t.UnixMicro()
}
