package framework

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// halfCodec writes what it does not read back.
type halfCodec struct{ event.Codec }

func (halfCodec) Encode(_ *event.Event, r *event.Record) error {
	r.Value = []byte(`{"id":"other","type":"type"}`)
	return nil
}

// TestTopicsThatCantBeWritten: mistakes about handlers.Emits show before the first event.
func TestTopicsThatCantBeWritten(t *testing.T) {
	t.Parallel()
	type thing struct {
		ID   string `gorm:"primaryKey"`
		Name string
		guards.Guarded
	}
	mute := event.CodecFunc("mute", func(*event.Record, *event.Event) error { return errors.New("never") })
	for name, c := range map[string]struct {
		topic  string
		change func(*Config)
		found  string
		mend   string
	}{
		"no topic's name":       {topic: "a b", found: `handlers.Emits("a b")`},
		"the dead-letter topic": {topic: "orders.dlq", found: `handlers.Emits("orders.dlq")`, mend: "return handlers.DeadLetter"},
		"can't encode":          {change: func(c *Config) { c.Codec = mute }, found: "the codec mute, which can't encode", mend: `Config.Codecs["children"]`},
		"has no place for an id": {
			change: func(c *Config) {
				c.Codecs = map[string]event.Codec{"children": event.Envelope(event.EnvelopeConfig{ID: "-"})}
			},
			found: "can't write the id", mend: `Config.Codecs["children"]`,
		},
		"the payload is it all":  {change: func(c *Config) { c.Codec = event.Envelope(event.EnvelopeConfig{Data: "."}) }, found: "the payload is the envelope itself", mend: "choose another"},
		"does not read it again": {change: func(c *Config) { c.Codec = halfCodec{event.Envelope(event.EnvelopeConfig{})} }, found: "does not read what it writes", mend: "mend its Encode"},
		"fine":                   {},
		"fine for the topic": {change: func(c *Config) {
			c.Codec, c.Codecs = mute, map[string]event.Codec{"children": event.Headers(event.HeadersConfig{})}
		}},
		"a codec for nothing": {
			change: func(c *Config) { c.Codecs = map[string]event.Codec{"x": event.CloudEvents()} },
			found:  `Config.Codecs["x"]: found "x", expected one of Config.Topics, or a topic that a handler emits to`, mend: "correct its name",
		},
	} {
		cfg := good()
		cfg.DeadLetterTopic = "orders.dlq"
		cfg.Handlers = handlers.NewRegistry()
		if c.topic == "" {
			c.topic = "children"
		}
		handlers.Set(cfg.Handlers, "made", func(context.Context, *handlers.Delivery[struct{}, thing]) error { return nil }, handlers.Writes("Name"), handlers.Emits(c.topic))
		if c.change != nil {
			c.change(&cfg)
		}
		cfg = cfg.WithDefaults()
		w, err := cfg.Handlers.Wire(schema.NamingStrategy{})
		require.NoError(t, err)
		require.NoError(t, cfg.validate(), name)
		err = cfg.checkWiring(w)
		if c.found == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.found, name)
		require.True(t, strings.Contains(err.Error(), c.mend), "%s: %v", name, err)
		var f *FieldError
		require.ErrorAs(t, err, &f)
	}
}
