package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// NaiveOrder is the order of the obvious consumer: the same columns, nothing more.
type NaiveOrder struct {
	ID       string `gorm:"primaryKey"`
	Status   string
	Customer string
	Amount   int64
	Carrier  string

	PlacedAt, PaidAt, ShippedAt, CancelledAt *time.Time
}

// NaiveShipment is its shipment.
type NaiveShipment struct {
	ID        string `gorm:"primaryKey"`
	Route     string
	Scans     int
	Delivered bool
}

// NaiveCustomer is its customer.
type NaiveCustomer struct {
	ID      string `gorm:"primaryKey"`
	Orders  int
	Ordered int64
}

// shopEvent is what the naive consumer makes of a record.
type shopEvent struct {
	ID, Source, Type, Subject string
	Time                      time.Time
	Data                      struct {
		Customer, Carrier, Place string
		Amount                   int64
	}
}

// naive is the consumer that one writes first: it commits offsets automatically, applies
// each event as it comes, and lets the last write win. It is given an easy time: nobody
// kills it.
func naive(ctx context.Context, db *gorm.DB, c *cluster, group string, ends places, progress func(int64)) (time.Duration, error) {
	consumer, err := kafka.NewConsumer(quiet(kafka.ConfigMap{
		"bootstrap.servers": c.brokers, "group.id": group, "auto.offset.reset": "earliest",
		"fetch.queue.backoff.ms": 10,
	}))
	if err != nil {
		return 0, fmt.Errorf("naive consumer: %w", err)
	}
	defer consumer.Close() //nolint:errcheck // as naive as the rest
	if err := consumer.SubscribeTopics(ends.topics(), nil); err != nil {
		return 0, fmt.Errorf("naive consumer: %w", err)
	}
	var began time.Time
	var seen int64
	err = untilEnd(ctx, consumer, ends, func(m *kafka.Message) error {
		if began.IsZero() {
			began = now()
		}
		seen++
		progress(seen)
		return consumeNaively(db.WithContext(ctx), m.Value)
	})
	return since(began), err
}

func consumeNaively(db *gorm.DB, value []byte) error {
	var e shopEvent
	if json.Unmarshal(value, &e) != nil {
		// "Log and go on": the zero event has a type that no case below knows.
		e = shopEvent{}
	}
	order := db.Model(&NaiveOrder{ID: e.Subject})
	switch e.Type {
	case "order.created":
		return errors.Join(
			db.Save(&NaiveOrder{
				ID: e.Subject, Status: "placed", Customer: e.Data.Customer, Amount: e.Data.Amount, PlacedAt: &e.Time,
			}).Error,
			change(db, e.Data.Customer, func(c *NaiveCustomer) {
				c.ID, c.Orders, c.Ordered = e.Data.Customer, c.Orders+1, c.Ordered+e.Data.Amount
			}))
	case "order.changed":
		return order.Updates(NaiveOrder{Amount: e.Data.Amount}).Error
	case "order.paid":
		return order.Updates(NaiveOrder{Status: "paid", PaidAt: &e.Time}).Error
	case "order.shipped":
		return order.Updates(NaiveOrder{Status: "shipped", Carrier: e.Data.Carrier, ShippedAt: &e.Time}).Error
	case "order.cancelled":
		return order.Updates(NaiveOrder{Status: "cancelled", CancelledAt: &e.Time}).Error
	case "shipment.scanned":
		return change(db, e.Subject, func(s *NaiveShipment) {
			if s.ID, s.Scans = e.Subject, s.Scans+1; s.Scans > 1 {
				s.Route += " > "
			}
			s.Route += e.Data.Place
		})
	case "shipment.delivered":
		return change(db, e.Subject, func(s *NaiveShipment) {
			s.ID, s.Route, s.Delivered = e.Subject, s.Route+", delivered", true
		})
	}
	return nil
}

// change reads a row, or starts a new one, changes it and writes it back.
func change[E any](db *gorm.DB, id string, to func(*E)) error {
	var row E
	if err := db.Where("id = ?", id).Limit(1).Find(&row).Error; err != nil {
		return err
	}
	to(&row)
	return db.Save(&row).Error
}

// untilEnd polls until each partition has been read to its end.
func untilEnd(ctx context.Context, consumer *kafka.Consumer, ends places, each func(*kafka.Message) error) error {
	left := 0
	for _, end := range ends {
		if end > 0 {
			left++
		}
	}
	last := now()
	for left > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m, ok := consumer.Poll(100).(*kafka.Message)
		if !ok || m.TopicPartition.Error != nil {
			if since(last) > stallTimeout {
				return fmt.Errorf("no record came for %s, and %d partitions are not read to their end", stallTimeout, left)
			}
			continue
		}
		last = now()
		if err := each(m); err != nil {
			return err
		}
		at := oracle.Partition{Topic: *m.TopicPartition.Topic, Partition: m.TopicPartition.Partition}
		if int64(m.TopicPartition.Offset) == ends[at]-1 {
			left--
		}
	}
	return nil
}
