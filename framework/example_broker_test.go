package framework_test

import (
	"context"
	"log"
	"os"
	"path/filepath"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/parts/kclient"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// broker is a Kafka in this process, for the examples.
type broker struct {
	*testutil.KafkaBroker
	client *kclient.Client
}

func startBroker(topics ...string) *broker {
	b, err := testutil.StartKafka()
	if err != nil {
		log.Panic(err)
	}
	client, err := kclient.New(b.Brokers)
	if err != nil {
		log.Panic(err)
	}
	for _, t := range topics {
		if err := client.CreateTopic(context.Background(), t, 1, nil); err != nil {
			log.Panic(err)
		}
	}
	return &broker{b, client}
}

func (b *broker) produce(topic string, values ...string) {
	records := make([]event.Record, len(values))
	for i, v := range values {
		records[i].Topic, records[i].Value = topic, []byte(v)
	}
	if _, err := b.client.Produce(context.Background(), records...); err != nil {
		log.Panic(err)
	}
}

func (b *broker) close() {
	b.client.Close()
	b.Close()
}

// openDatabase opens an empty SQLite database.
func openDatabase() (db *gorm.DB, remove func()) {
	dir, err := os.MkdirTemp("", "evenkeel")
	if err != nil {
		log.Panic(err)
	}
	if db, err = gorm.Open(sqlite.Open(filepath.Join(dir, "orders.db")), &gorm.Config{}); err != nil {
		log.Panic(err)
	}
	return db, func() {
		if pool, err := db.DB(); err == nil {
			_ = pool.Close()
		}
		_ = os.RemoveAll(dir)
	}
}
