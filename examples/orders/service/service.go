package service

import (
	"strings"

	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/framework"
)

// Open opens the database: PostgreSQL, or SQLite for a DSN that begins with "file:".
func Open(dsn string) (*gorm.DB, error) {
	config := &gorm.Config{Logger: logger.Discard}
	if strings.HasPrefix(dsn, "file:") {
		return gorm.Open(sqlite.Open(dsn), config)
	}
	return gorm.Open(postgres.Open(dsn), config)
}

// Settings are what a member needs to know.
type Settings struct {
	Brokers, Group, Topic string
	BatchSize             int // 0 is the framework's default
}

// Consumer makes a member of the group that keeps the orders. Hooks may watch it.
func Consumer(db *gorm.DB, s Settings, hooks ...any) (*framework.Consumer, error) {
	return framework.New(db, &framework.Config{
		Brokers: s.Brokers, Group: s.Group, Topics: []string{s.Topic}, DeadLetterTopic: DeadLetterTopic(s.Topic),
		Handlers: Handlers(), BatchSize: s.BatchSize, Hooks: hooks,
		// A member that dies is noticed after six seconds.
		Kafka: map[string]any{"session.timeout.ms": 6000, "heartbeat.interval.ms": 500},
	})
}

// DeadLetterTopic is where the letters of a topic go.
func DeadLetterTopic(topic string) string { return topic + ".dlq" }
