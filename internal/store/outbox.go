package store

import (
	"context"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
)

// Outbound is an event that a batch sends (R10): a row of evenkeel_outbox from the batch's
// COMMIT until it is known to be on its topic. Rows have an order: that of the batch, and
// rows of a transaction that has seen what another one wrote stand after that one's. Of
// two that know nothing of each other either may be first.
type Outbound struct {
	// ID is the event's, and the row's: what is emitted again while it is there changes
	// nothing.
	ID        string
	Group     string
	EventType string
	// Origin is where the record stands that it follows from. Kafka's offset waits there,
	// unless Swept is set: its offset was passed when the event was parked.
	Origin event.Coordinates
	Swept  bool

	Topic      string
	Key, Value []byte
	Headers    []event.Header
	// Timestamp is what the record is sent with; zero for the time of sending.
	Timestamp time.Time
	// CreatedAt is when a member has it in hand, which others leave alone for a while. What
	// no member has is long past.
	CreatedAt time.Time
}

// Size is the number of bytes that its key, value and headers take.
func (o *Outbound) Size() int64 {
	r := event.Record{Key: o.Key, Value: o.Value, Headers: o.Headers}
	return int64(r.Size())
}

// Outbox is the part of a Store that keeps what is to be sent.
type Outbox interface {
	// Unsent returns what of the partition is still to be sent, in order, but for what is
	// Swept.
	Unsent(ctx context.Context, key ledger.Key) ([]*Outbound, error)
	// UnsentLeftovers claims up to limit that nobody has sent since before, in order, for
	// d: an unremoved claim ends by itself. What has one topic and key goes to one claimer
	// at a time, the first of it first.
	UnsentLeftovers(ctx context.Context, group string, now, before time.Time, d time.Duration, limit int) ([]*Outbound, error)
	// Sent removes what is on its topic, by id.
	Sent(ctx context.Context, ids []string) error
}
