package handlers

import (
	"reflect"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// Stream is what the guards.Sequence guards of one stream name say together (R7). The
// numbers are counted per name and entity key.
type Stream struct {
	guards.SequenceSettings
	// Models are those whose rows the stream's handlers change.
	Models []*Model
	// Slow and UsesTx say that one of its handlers is, or does.
	Slow, UsesTx bool
}

// NameOn is the name of the stream of events on a topic.
func (s *Stream) NameOn(topic string) string {
	if s.Stream != "" {
		return s.Stream
	}
	return topic
}

// Key is the canonical key of an event's entity in the stream; ok is false for an event
// that can belong to no entity of the stream.
func (s *Stream) Key(e *event.Event) (key string, ok bool) {
	_, key, err := s.Models[0].ParseKey(e.Key)
	return key, err == nil
}

// Baseline says that the event carries the entity's whole state, under guards.Sequence: the
// stream goes on after its number, whatever came before or is still missing. What comes
// later with a lower number is discarded.
func Baseline() Option { return func(d *declaration) { d.baseline = true } }

// InStream reports whether a handler of this name is registered under guards.Sequence.
func (w *Wiring) InStream(name string) bool { return w.streamed[name] }

// stream finds the handler's stream, and mistakes about it.
func (w *wirer) stream(what string, d *declaration, h *Handler) {
	s, ok := h.Stamper.(interface {
		Settings() guards.SequenceSettings
	})
	if !ok || h.Stamper.Kind() != guards.KindSequence {
		if d.baseline {
			w.mistake("%s is a Baseline without numbers; order it by guards.Sequence(), or drop handlers.Baseline", what)
		}
		return
	}
	settings := s.Settings()
	w.checkSequence(what, settings)
	at := slices.IndexFunc(w.streams, func(o *Stream) bool { return o.Stream == settings.Stream })
	if at < 0 {
		at = len(w.streams)
		w.streams = append(w.streams, &Stream{SequenceSettings: settings})
		if settings.FirstSeen {
			w.notes = append(w.notes, remark{w.at, what + " begins with the first number that it sees (guards.FirstSeen): where an entity's first event was overtaken, it is discarded"})
		}
	}
	h.Stream, h.Baseline = w.streams[at], d.baseline
	if h.Stream.SequenceSettings != settings {
		w.mistake("%s has other options in guards.Sequence than another handler of %s; a stream has one set of options: use the same, or give one of them a name with guards.Stream", what, streamName(settings.Stream))
	}
	for _, other := range w.handlers[d.eventType] {
		if other.Stream == h.Stream && other.Baseline != h.Baseline {
			w.mistake("%s and another handler of the type disagree about handlers.Baseline; the number is the stream's: say it for both", what)
		}
	}
	if h.Stream.Stream == "" {
		w.TopicStream = h.Stream
	}
	if d.usesTx {
		h.Stream.UsesTx = true
	}
	if !slices.Contains(h.Stream.Models, h.Model) {
		h.Stream.Models = append(h.Stream.Models, h.Model)
	}
	if one, two := keyType(h.Stream.Models[0]), keyType(h.Model); one != two {
		w.mistake("%s has an entity key of type %s, other models of %s one of type %s; a stream counts one kind of key: give one of them a name with guards.Stream", what, two, streamName(settings.Stream), one)
	}
}

func (w *wirer) checkSequence(what string, s guards.SequenceSettings) {
	if strings.HasPrefix(s.Stream, CausalStreams) {
		w.mistake("%s has the stream %q; names that begin with %q are what guards.Causal parks under: choose another", what, s.Stream, CausalStreams)
	}
	if s.FirstSeen && s.From != guards.DefaultFrom {
		w.mistake("%s has both guards.From(%d) and guards.FirstSeen; a stream begins in one way: keep one", what, s.From)
	}
	if s.GapTimeout <= 0 {
		w.mistake("%s has the GapTimeout %s; expected a duration above zero", what, s.GapTimeout)
	}
	if s.MaxGap < 1 {
		w.mistake("%s has the MaxGap %d; expected one or more", what, s.MaxGap)
	}
	if s.OnGap != guards.GapDeadLetter && s.OnGap != guards.GapSkip && s.OnGap != guards.GapReplay {
		w.mistake("%s: %s is not a policy; use one of the guards.Gap… constants", what, s.OnGap)
	}
	if (s.OnGap == guards.GapReplay) != (s.ReplayTopic != "") {
		w.mistake("%s has the gap policy %s and the replay topic %q; say guards.RequestReplay with a topic and no guards.OnGap beside it, or another policy and no topic", what, s.OnGap, s.ReplayTopic)
	}
}

func streamName(name string) string {
	if name == "" {
		return "the topic's stream"
	}
	return "the stream " + name
}

func keyType(m *Model) reflect.Type {
	if m.Key == nil {
		return nil // a mistake of its own
	}
	return m.Key.Field.FieldType
}
