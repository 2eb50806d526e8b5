package dlq

import (
	"context"
	"errors"
	"fmt"
)

// Producer writes messages to Kafka. An implementation owes acks=all and idempotence, and
// a delivery timeout far below librdkafka's default of 300 s.
type Producer interface {
	// Produce writes the messages so that those of one topic, key and source partition
	// keep their order, and returns one error per message, nil once its delivery report
	// is there. It returns early, with errors for what has no report, when ctx ends. An
	// error wraps [ErrTooLarge] when the client or the broker refused the size.
	Produce(ctx context.Context, messages []Message) []error
}

// ErrTooLarge is wrapped by a [Producer]'s error for a message above a limit of the
// client's, the broker's or the topic's.
var ErrTooLarge = errors.New("the message is too large for the topic")

// ErrBehind is wrapped by the error of a letter that reached the topic ahead of an earlier
// one of its key, which failed. It has to be published again, after that one.
var ErrBehind = errors.New("an earlier letter of the same key is not published")

// Publisher copies letters to a dead-letter topic. It is safe for use by many goroutines
// if its producer is.
type Publisher struct {
	producer Producer
	topic    string
	maxBytes int
}

// NewPublisher returns a publisher for topic. maxBytes is the largest message that the
// producer takes, as [Message.Size] counts it; 0 or less is no limit. A topic whose own
// limit is lower is found out by trying.
func NewPublisher(producer Producer, topic string, maxBytes int) *Publisher {
	return &Publisher{producer: producer, topic: topic, maxBytes: maxBytes}
}

// Result is what became of one letter.
type Result struct {
	ID  string
	Rev int64
	Fit Fit
	// Err is nil when the topic has the copy, which may then be marked.
	Err error
}

// Publish copies letters to the topic, in their order, and returns one result for each.
//
// The last copies of one key's letters stand in the letters' order: when one fails, those
// of its key behind it count as failed too, with [ErrBehind], even if they are on the
// topic; give them to the next call in the same order. So a letter can be on the topic
// twice, with one letter id. Order is kept per record key and source partition; letters
// with a null key have none. What is refused as too large is sent again with less in it.
func (p *Publisher) Publish(ctx context.Context, letters []*Letter) []Result {
	results := make([]Result, len(letters))
	fits := make([]Fit, len(letters))
	pending := make([]int, 0, len(letters))
	for i, l := range letters {
		results[i] = Result{ID: l.ID, Rev: l.Rev}
		if l.Record == nil {
			results[i].Err = errors.New("the letter was read without its record")
			continue
		}
		pending = append(pending, i)
	}
	for len(pending) > 0 {
		messages := make([]Message, len(pending))
		for n, i := range pending {
			messages[n], fits[i] = encode(letters[i], p.maxBytes, fits[i])
			messages[n].Topic = p.topic
			results[i].Fit = fits[i]
		}
		pending = settle(letters, pending, p.produce(ctx, messages), fits, results)
	}
	return results
}

// produce asks the producer and takes a missing report for a failure.
func (p *Publisher) produce(ctx context.Context, messages []Message) []error {
	errs := p.producer.Produce(ctx, messages)
	for n := len(errs); n < len(messages); n++ {
		errs = append(errs, fmt.Errorf("the producer returned %d reports for %d messages", n, len(messages)))
	}
	return errs
}

// lane is what order is kept in.
type lane struct {
	topic     string
	partition int32
	key       string
}

// settle writes the results of one round and returns what goes into the next: what was too
// large and can be made smaller, with everything behind it in its lane, so that the next
// round restores the order.
func settle(letters []*Letter, pending []int, errs []error, fits []Fit, results []Result) []int {
	// The error is nil while the lane goes on in the next round.
	stopped := map[lane]error{}
	var again []int
	for n, i := range pending {
		r, err := letters[i].Record, errs[n]
		at := lane{r.Topic, r.Partition, string(r.Key)}
		stop := func(cause error) {
			if r.Key != nil {
				stopped[at] = cause
			}
		}
		smaller := errors.Is(err, ErrTooLarge) && fits[i] < FitNoKey
		cause, behind := stopped[at]
		behind = behind && r.Key != nil
		switch {
		case behind && cause != nil && err == nil:
			results[i].Err = fmt.Errorf("%w: %w", ErrBehind, cause)
		case behind && cause != nil:
			results[i].Err = err
		case behind || smaller:
			if smaller {
				fits[i]++
			}
			if !behind {
				stop(nil)
			}
			again = append(again, i)
		case err != nil:
			results[i].Err = err
			stop(err)
		}
	}
	return again
}
