// Package service keeps the tables of a shop right from its events: orders, shipments and
// what customers have ordered, one for each way that an event can need its row.
package service

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/framework"
)

// Open opens the database: PostgreSQL, or SQLite for a DSN that begins with "file:".
func Open(dsn string) (*gorm.DB, error) {
	dialector := postgres.Open(dsn)
	if strings.HasPrefix(dsn, "file:") {
		dialector = sqlite.Open(dsn)
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxIdleConns(20) // lanes and the sweeper use several, and database/sql keeps two
	return db, nil
}

// Migrate makes the tables: Evenkeel's own, and the service's.
func Migrate(ctx context.Context, db *gorm.DB) error {
	if err := framework.Migrate(ctx, db); err != nil {
		return err
	}
	if err := db.WithContext(ctx).AutoMigrate(&Order{}, &Shipment{}, &Customer{}); err != nil {
		return fmt.Errorf("make the tables of the shop: %w", err)
	}
	return nil
}

// Settings are what a member needs to know.
type Settings struct {
	Brokers, Group    string
	Orders, Shipments string // the topics
	BatchSize         int    // 0 is the framework's default
}

// Consumer makes a member of the group that keeps the tables. Hooks may watch it.
func Consumer(db *gorm.DB, s Settings, hooks ...any) (*framework.Consumer, error) {
	return framework.New(db, &framework.Config{
		Brokers: s.Brokers, Group: s.Group, Topics: []string{s.Orders, s.Shipments}, DeadLetterTopic: DeadLetterTopic(s.Orders),
		Handlers: Handlers(), BatchSize: s.BatchSize, Hooks: hooks,
		// A member that dies is noticed after six seconds.
		Kafka: map[string]any{"session.timeout.ms": 6000, "heartbeat.interval.ms": 500},
	})
}

// DeadLetterTopic is where the letters go, called after the orders' topic.
func DeadLetterTopic(orders string) string { return orders + ".dlq" }
