package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/examples/orders/service"
	"github.com/evenkeel-go/evenkeel/guards"
)

// The arm "by hand" keeps the orders as Evenkeel does and does it right, with what one has
// without a framework: one GORM transaction and one synchronous offset commit per event.
// It bounds what it reads, since it is there to be timed.
const (
	handRecords = int64(20_000)
	handTime    = time.Minute
)

// HandOrder is the order with the stamps that it needs, one for each group of columns
// that events write.
type HandOrder struct {
	ID       string `gorm:"primaryKey"`
	Status   string
	Customer string
	Amount   int64
	Carrier  string

	PlacedAt, PaidAt, ShippedAt, CancelledAt *time.Time

	// Stamps are time, source and id as text whose bytes compare as they do.
	CreatedStamp, AmountStamp, PaidStamp, ShippedStamp, CancelledStamp string
}

// handLedger is where a partition stands, in the transaction of the effect. Its key is
// text because GORM takes a key of zero for none.
type handLedger struct {
	Partition string `gorm:"primaryKey"`
	Next      int64
	Watermark int64
}

type handLetter struct {
	Partition int32 `gorm:"primaryKey;autoIncrement:false"`
	Position  int64 `gorm:"primaryKey;autoIncrement:false"`
	Reason    string
	Value     []byte
}

var errEnough = errors.New("enough")

// byHand consumes, and returns what it has read and how long that took.
func byHand(ctx context.Context, db *gorm.DB, c *cluster, topic, group string, ends places, progress func(int64)) ([]event.Record, time.Duration, error) {
	consumer, err := kafka.NewConsumer(quiet(kafka.ConfigMap{
		"bootstrap.servers": c.brokers, "group.id": group, "auto.offset.reset": "earliest",
		"enable.auto.commit": false, "fetch.queue.backoff.ms": 10,
	}))
	if err != nil {
		return nil, 0, fmt.Errorf("consumer by hand: %w", err)
	}
	defer consumer.Close() //nolint:errcheck // everything is committed
	if err := consumer.Subscribe(topic, nil); err != nil {
		return nil, 0, fmt.Errorf("consumer by hand: %w", err)
	}
	var began time.Time
	var records []event.Record
	err = untilEnd(ctx, consumer, ends, func(m *kafka.Message) error {
		if began.IsZero() {
			began = now()
		}
		r := recordOf(m)
		err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return handle(tx, &r, now()) })
		if err != nil {
			return err
		}
		if _, err := consumer.CommitMessage(m); err != nil {
			return fmt.Errorf("commit by hand: %w", err)
		}
		records = append(records, r)
		progress(int64(len(records)))
		if int64(len(records)) == handRecords || since(began) > handTime {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return records, since(began), err
}

// handle is one event's transaction.
func handle(tx *gorm.DB, r *event.Record, at time.Time) error {
	lock := clause.Locking{Strength: "UPDATE"}
	ledger := handLedger{Partition: fmt.Sprint(r.Partition)}
	if err := tx.Clauses(lock).Limit(1).Find(&ledger).Error; err != nil {
		return err
	}
	if r.Offset < ledger.Next {
		return nil
	}
	ledger.Next = r.Offset + 1
	letter := func(reason guards.Reason) error {
		l := handLetter{Partition: r.Partition, Position: r.Offset, Reason: string(reason), Value: r.Value}
		return errors.Join(tx.Create(&l).Error, tx.Save(&ledger).Error)
	}
	var e shopEvent
	if err := json.Unmarshal(r.Value, &e); err != nil || e.ID == "" || e.Type == "" {
		return letter(guards.Poison)
	}
	micros := e.Time.UnixMicro()
	columns := handColumns(&e)
	if e.Time.After(at.Add(guards.DefaultMaxFuture)) {
		if columns == nil {
			return tx.Save(&ledger).Error
		}
		return letter(guards.Future)
	}
	late := micros < ledger.Watermark-service.MaxLateness.Microseconds()
	ledger.Watermark = max(ledger.Watermark, micros)
	if columns == nil {
		return tx.Save(&ledger).Error
	}
	var o HandOrder
	if err := tx.Clauses(lock).Where("id = ?", e.Subject).Limit(1).Find(&o).Error; err != nil {
		return err
	}
	made := o.ID == ""
	o.ID = e.Subject
	stamp := fmt.Sprintf("%020d %s %s", micros, e.Source, e.ID)
	won, same := false, false
	for _, c := range columns {
		have := c.stamp(&o)
		same = same || *have == stamp
		if stamp > *have {
			won = true
			*have = stamp
			c.write(&o)
		}
	}
	switch {
	case late && !same:
		return letter(guards.Late)
	case !won:
		return tx.Save(&ledger).Error
	}
	row := map[string]any{"placed_at": ptr(o.PlacedAt), "paid_at": ptr(o.PaidAt), "shipped_at": ptr(o.ShippedAt), "cancelled_at": ptr(o.CancelledAt)}
	project(row)
	o.Status = row["status"].(string) //nolint:forcetypeassert // project writes it
	if made {
		return errors.Join(tx.Create(&o).Error, tx.Save(&ledger).Error)
	}
	return errors.Join(tx.Save(&o).Error, tx.Save(&ledger).Error)
}

func ptr(t *time.Time) any {
	if t == nil {
		return nil
	}
	return *t
}

// handColumn is a group of columns that has one stamp.
type handColumn struct {
	stamp func(*HandOrder) *string
	write func(*HandOrder)
}

// handColumns says what an event states; nil is an event that nobody handles.
func handColumns(e *shopEvent) []handColumn {
	amount := handColumn{func(o *HandOrder) *string { return &o.AmountStamp }, func(o *HandOrder) { o.Amount = e.Data.Amount }}
	switch e.Type {
	case "order.created":
		return []handColumn{
			{func(o *HandOrder) *string { return &o.CreatedStamp }, func(o *HandOrder) { o.Customer, o.PlacedAt = e.Data.Customer, &e.Time }},
			amount,
		}
	case "order.changed":
		return []handColumn{amount}
	case "order.paid":
		return []handColumn{{func(o *HandOrder) *string { return &o.PaidStamp }, func(o *HandOrder) { o.PaidAt = &e.Time }}}
	case "order.shipped":
		return []handColumn{{func(o *HandOrder) *string { return &o.ShippedStamp }, func(o *HandOrder) { o.Carrier, o.ShippedAt = e.Data.Carrier, &e.Time }}}
	case "order.cancelled":
		return []handColumn{{func(o *HandOrder) *string { return &o.CancelledStamp }, func(o *HandOrder) { o.CancelledAt = &e.Time }}}
	}
	return nil
}
