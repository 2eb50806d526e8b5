package dlq

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// Letter is a dead-lettered unit with everything needed to understand it.
type Letter struct {
	// ID is stable over redelivery: see [UnitID].
	ID string
	// Rev grows with each change of the row.
	Rev   int64
	State State
	// Outcome is how a resolved letter ended, or that a discarded one was reissued; empty in
	// all other states.
	Outcome Outcome
	// Blocking reports that the entity's later events wait for this letter under
	// handlers that keep order (R9). Place is its place among them.
	Blocking bool
	Place    int64
	// Stream is the stream of numbers that the event stands in, under guards.Sequence, and
	// Place then its number; empty for all others.
	Stream string

	Group string
	// Handler, Table and Entity are empty when the record failed in decoding or in
	// admission.
	Handler string
	Table   string
	Entity  string

	Verdict guards.Verdict

	EventType  string
	Source     string
	EventID    string
	OccurredAt time.Time // zero when undecodable
	Stamp      event.Stamp
	// Vector is what the event's writer had seen, empty where the event says nothing of it.
	// Under guards.Causal a discard lets those go that wait for the event.
	Vector event.Vector

	Attempts                int
	FirstFailed, LastFailed time.Time
	// ErrorType is the Go type of the error, Error its text and Stack where it came
	// from; the last two are capped.
	ErrorType, Error, Stack string
	// Fingerprint groups letters with one cause: see [Fingerprint].
	Fingerprint    string
	ServiceVersion string
	CreatedAt      time.Time
	// PublishedAt is zero until the copy on the dead-letter topic is known to be there.
	PublishedAt time.Time

	// Record is the original, byte for byte.
	Record *event.Record
	// Edits are the revisions beside it, the newest last: see [Letter.Revised].
	Edits []Revision
}

// Caps of a letter's texts, in bytes.
const (
	MaxErrorBytes = 4 << 10
	MaxStackBytes = 16 << 10
)

// UnitID identifies a unit, and with it its letter or parked row: a hash of the record's
// coordinates under a group, the handler and the entity key, the last two empty for what
// failed in decoding or admission. It is 32 hexadecimal digits.
func UnitID(c event.Coordinates, group, handler, entity string) string {
	h := sha256.New()
	for _, s := range [...]string{c.Cluster, c.TopicID, group, handler, entity} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	var n [12]byte
	binary.BigEndian.PutUint32(n[:4], uint32(c.Partition)) //nolint:gosec // bytes of the number
	binary.BigEndian.PutUint64(n[4:], uint64(c.Offset))    //nolint:gosec // as above
	h.Write(n[:])
	return hex.EncodeToString(h.Sum(nil)[:16])
}
