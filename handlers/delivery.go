package handlers

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
)

// Delivery is what a handler is called with: the event, its payload as a P, and the
// entity as a pointer to an E.
//
// Under [Set] the entity is blank but for its key, and the handler fills in what the
// event says. Under [Modify] it is a copy of the row. The framework writes what the
// handler left in it, if the handler returns nil.
type Delivery[P, E any] struct {
	Event   *event.Event
	Payload P
	Entity  *E
	// Attempt counts the runs of this unit, from 1. A quick second try in memory
	// counts too.
	Attempt int
	// DryRun reports that nothing will be written: leave outside effects alone.
	DryRun bool

	call *Call
}

// said is where the handler's words go. A delivery that a user's unit test has made by
// hand has no call yet.
func (d *Delivery[P, E]) said() *Call {
	if d.call == nil {
		d.call = &Call{}
	}
	return d.call
}

// Keep leaves the named fields (Go names) as they are, for this event: the event says
// nothing about them. Decide it on the payload alone (R2). It matters for [Set]; a
// [Modify] handler keeps a field by not changing it.
func (d *Delivery[P, E]) Keep(fields ...string) {
	c := d.said()
	c.Kept = append(c.Kept, fields...)
}

// Delete says that the event ends the entity's life (R13). The row stays as a tombstone
// with its clocks, so that an older event can't raise it; on a model with
// gorm.DeletedAt that column gets the event's time.
func (d *Delivery[P, E]) Delete() { d.said().Deleted = true }

// IdempotencyKey is the same in every run of this unit, and of no other: give it to what
// the handler calls outside the database, so that a second run does nothing twice. It is
// 32 hexadecimal digits, made of the consumer group, the record's coordinates, the
// handler's name and the entity's key.
func (d *Delivery[P, E]) IdempotencyKey() string {
	c, call := d.Event.Record.Coordinates, d.said()
	var b []byte
	for _, s := range []string{call.Group, c.Cluster, c.TopicID, call.Handler, call.Key} {
		b = binary.AppendUvarint(b, uint64(len(s))) // so that no text runs into the next
		b = append(b, s...)
	}
	b = binary.AppendVarint(b, int64(c.Partition))
	b = binary.AppendVarint(b, c.Offset)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// Call is one run of a handler, as the runtime sees it.
type Call struct {
	Event   *event.Event
	Payload any    // what Handler.Decode returned
	Entity  any    // a pointer to the model's struct
	Group   string // the consumer group, part of the idempotency key
	Handler string
	Key     string // canonical, as Model.ParseKey returns it
	Attempt int
	DryRun  bool
	// Tx is what Delivery.Tx returns; nil where no consumer runs the handler.
	Tx func() (*gorm.DB, error)

	// Siblings are what a Resolve merges; their payloads are what Handler.Decode returned.
	Siblings []Sibling[any]

	// Kept and Deleted are what the handler said.
	Kept    []string
	Deleted bool
}
