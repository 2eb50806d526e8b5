package framework

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/broker/confluent"
	"github.com/evenkeel-go/evenkeel/internal/seam"
)

// ReadTopic returns the records of a topic, partition by partition in the order of their
// offsets, up to the end of each log as it is when its turn comes. It belongs to no group,
// commits nothing, and is for tools such as an import of dead letters:
//
//	dlq.Import(ctx, db, dlq.FromRecords(framework.ReadTopic(ctx, brokers, "orders.dlq", nil), time.Now()), nil)
//
// Brokers are "host:port" separated by commas; kafka passes librdkafka properties, as
// Config.Kafka does. An error is the last that is yielded: the client's, ctx's, or that the
// topic doesn't exist. Each loop over the result reads the topic anew.
func ReadTopic(ctx context.Context, brokers, topic string, kafka map[string]any) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		settings, err := readerSettings(brokers, kafka)
		if err == nil {
			err = confluent.ReadTopic(ctx, settings, topic, seam.System(), func(r *event.Record) error {
				if !yield(r, nil) {
					return errNoMore
				}
				return nil
			})
		}
		if err != nil && !errors.Is(err, errNoMore) {
			yield(nil, err)
		}
	}
}

// readerSettings are those of a client that only reads.
func readerSettings(brokers string, kafka map[string]any) (confluent.Settings, error) {
	var errs []error
	for _, key := range confluent.OwnedIn(kafka) {
		errs = append(errs, fmt.Errorf("evenkeel: the Kafka property %s can't be set: %s", key, confluent.Owned(key)))
	}
	return confluent.Settings{Brokers: brokers, Group: "evenkeel-reader", User: kafka}, errors.Join(errs...)
}

var errNoMore = errors.New("no more records are wanted")
