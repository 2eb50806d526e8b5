package framework

import (
	"context"
	"errors"
	"iter"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/broker/confluent"
	"github.com/evenkeel-go/evenkeel/internal/seam"
)

// TopicState is what a broker tells of a topic.
type TopicState struct {
	Partitions int32
	// Records is how many offsets the topic's logs span; after compaction there are fewer.
	Records int64
	// Earliest and Latest are the timestamps of the first and the last record, zero for none.
	Earliest, Latest time.Time
	// Cleanup is the topic's cleanup.policy, empty where the broker doesn't tell it.
	Cleanup string
	// Newest is the last record, nil for none.
	Newest *event.Record
}

// InspectTopic asks the brokers for a topic's state; it reads no more than the ends of its logs,
// belongs to no group and commits nothing. Brokers and kafka are as in [ReadTopic]. Errors are a
// [*MissingTopicError], ctx's, or the client's.
func InspectTopic(ctx context.Context, brokers, topic string, kafka map[string]any) (TopicState, error) {
	settings, err := readerSettings(brokers, kafka)
	if err != nil {
		return TopicState{}, err
	}
	in, err := confluent.Inspect(ctx, settings, topic, seam.System())
	return TopicState(in), missingTopic(err, topic, brokers)
}

// TopicReaders asks the brokers which consumer groups have committed a position in a topic:
// those whom a record reaches that is sent there, as far as they commit to Kafka and this client
// may see them. Brokers and kafka are as in [ReadTopic]; a topic that there is not has none.
// Errors are ctx's, or the client's.
func TopicReaders(ctx context.Context, brokers, topic string, kafka map[string]any) ([]string, error) {
	settings, err := readerSettings(brokers, kafka)
	if err != nil {
		return nil, err
	}
	return confluent.Readers(ctx, settings, topic)
}

func missingTopic(err error, topic, brokers string) error {
	var none *broker.NoTopicError
	if errors.As(err, &none) {
		return &MissingTopicError{Topic: topic, DeadLetter: true, Brokers: brokers}
	}
	return err
}

// FollowTopic returns the records of a topic as they come, until ctx ends or the loop does: first
// those with timestamps since a time, or where that is zero the last ones of each partition. Those
// of a partition come in their order. It belongs to no group and commits nothing. An error is
// the last that is yielded; that ctx has ended is none.
func FollowTopic(ctx context.Context, brokers, topic string, kafka map[string]any, since time.Time, last int64) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		settings, err := readerSettings(brokers, kafka)
		if err == nil {
			err = confluent.Follow(ctx, settings, topic, since, max(last, 0), func(r *event.Record) error {
				if !yield(r, nil) {
					return errNoMore
				}
				return nil
			})
		}
		if err != nil && !errors.Is(err, errNoMore) && ctx.Err() == nil {
			yield(nil, missingTopic(err, topic, brokers))
		}
	}
}

// tailEvery is how often the table is looked at.
const tailEvery = time.Second

// TailLetters returns the dead letters that f chooses as they come into the table, until ctx ends
// or the loop does; [dlq.Tail] says with which it begins and what it finds. An error is yielded,
// and if the loop goes on the table is looked at again: a database that is away comes back. That
// ctx has ended is none.
func TailLetters(ctx context.Context, db *gorm.DB, f dlq.Filter) iter.Seq2[*dlq.Letter, error] {
	return tailLetters(ctx, db, f, seam.System())
}

func tailLetters(ctx context.Context, db *gorm.DB, f dlq.Filter, clock seam.Clock) iter.Seq2[*dlq.Letter, error] {
	return func(yield func(*dlq.Letter, error) bool) {
		tail := dlq.NewTail(f)
		for ctx.Err() == nil {
			letters, err := tail.Next(ctx, db, clock.Now())
			if ctx.Err() != nil || err != nil && !yield(nil, err) {
				return
			}
			for _, l := range letters {
				if !yield(l, nil) {
					return
				}
			}
			if clock.Sleep(ctx, tailEvery) != nil {
				return
			}
		}
	}
}
