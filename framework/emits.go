package framework

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/runtime"
)

// codecOf is a topic's codec.
func (c *Config) codecOf(topic string) event.Codec {
	if codec, ok := c.Codecs[topic]; ok {
		return codec
	}
	return c.Codec
}

// checkEmits finds what would keep events that handlers emit from their topic: it writes one
// and reads it back.
func (c *Config) checkEmits(topic string) error {
	bad := func(found, expected, mend string) error {
		return &FieldError{Field: "Handlers", Found: found, Expected: expected, Mend: mend}
	}
	switch {
	case !isTopic(topic):
		return bad(fmt.Sprintf("handlers.Emits(%q)", topic), "a topic's name: 1 to 249 letters, digits, dots, underscores and hyphens", "")
	case topic == c.DeadLetterTopic:
		return bad(fmt.Sprintf("handlers.Emits(%q)", topic), "another topic than the dead-letter topic", "what stands there is taken for letters; return handlers.DeadLetter for one")
	}
	codec := c.codecOf(topic)
	encoder, ok := codec.(event.Encoder)
	if !ok {
		return bad(fmt.Sprintf("handlers.Emits(%q), and the codec %s, which can't encode", topic, codec.Name()), "a codec that is an event.Encoder",
			fmt.Sprintf("name one in Config.Codecs[%q], e.g. event.CloudEvents(), or give the codec a method Encode", topic))
	}
	sample := &event.Event{ID: "id", Source: cmp.Or(c.Group, "group"), Type: "type", Key: "key", OccurredAt: time.Unix(1, 0).UTC(), CausationID: "cause", Data: []byte("{}")}
	r := &event.Record{}
	if err := encoder.Encode(sample, r); err != nil {
		return bad(fmt.Sprintf("handlers.Emits(%q), but %v", topic, err), "a codec that can write any event", fmt.Sprintf("choose another one with Config.Codecs[%q]", topic))
	}
	back := &event.Event{Record: r}
	err := encoder.Decode(r, back)
	if err == nil {
		err = event.Finish(codec.Name(), back)
	}
	if err != nil || back.ID != sample.ID || back.Type != sample.Type || back.Key != sample.Key {
		return bad(fmt.Sprintf("handlers.Emits(%q), and the codec %s, which does not read what it writes (%v)", topic, codec.Name(), err), "the same id, type and key", "mend its Encode")
	}
	return nil
}

// encoder is what writes the events that are emitted to a topic, nil if nothing can.
func (c *Config) encoder(topic string) event.Encoder {
	e, _ := c.codecOf(topic).(event.Encoder)
	return e
}

// outbox is what the runtime must know of the topics that handlers emit to.
func (c *Consumer) outbox(ctx context.Context, w *handlers.Wiring) batch.Outbox {
	most := map[string]int{}
	for _, t := range w.Emits() {
		n, err := c.producer.MaxBytes(ctx, t)
		if err != nil {
			c.log(runtime.Info, "how large a message a topic takes can't be read; larger emitted events are refused", "topic", t, "bytes", n, "error", err)
		}
		most[t] = n
	}
	return batch.Outbox{
		Encoder:  c.cfg.encoder,
		MaxBytes: func(topic string) int { return most[topic] },
	}
}
