package dlq

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// Headers of what was republished.
const (
	// HeaderReplayID tells one republishing from another: the letter's id and revision.
	HeaderReplayID = HeaderPrefix + "replay-id"
	// HeaderHops counts how often the record has been dead-lettered: see [Hops].
	HeaderHops = HeaderPrefix + headerHops
)

// MaxHops is how often a record may have become a letter and still be republished. What comes
// back more often goes round in a circle.
const MaxHops = 3

// Reissue says what the new event that takes a letter's place has otherwise. Zero fields
// keep what the letter's event has, with its edits, but for the id.
type Reissue struct {
	Ref
	// Topic defaults to the letter's.
	Topic string
	// ID is the new event's. Defaults to a random one.
	ID                string
	Type, Source, Key string
	OccurredAt        time.Time
	// Version is the new event's number. It must be given where the letter's stands in a
	// stream of numbers (guards.Sequence): that number is used up.
	Version *int64
	// Data is the payload.
	Data []byte
	// Codec is that of the topic, an event.Encoder. Defaults as [Edit.Codec] does.
	Codec event.Codec
}

// Message is the new event's record, in the format of the letter's, and its id. Headers that
// the format doesn't know stay; a lineage goes, since the new event is nobody's child. It is
// decoded once more, so that what the format can't write is a [*RefusedError] and not another
// event.
func (r *Reissue) Message(l *Letter) (m *Message, id string, err error) {
	refuse := func(why string, args ...any) (*Message, string, error) {
		return nil, "", &RefusedError{l.ID, MoveReissue, fmt.Sprintf(why, args...)}
	}
	codec, from := r.Codec, l.Revised()
	if codec == nil {
		codec = l.codec()
	}
	encoder, ok := codec.(event.Encoder)
	if !ok {
		return refuse("the format of its record is none that can be written here; name its codec (Reissue.Codec), one that is an event.Encoder, or let its source send the new event")
	}
	was, err := decodeEvent(codec, from)
	if err != nil {
		return refuse("its record is no event: %v; edit it first, or let its source send the new event", err)
	}
	next := *was
	next.Lineage, next.ID = nil, r.ID
	if next.ID == "" {
		next.ID = strings.ToLower(rand.Text())
	}
	for _, f := range [...]struct {
		at   *string
		text string
	}{{&next.Type, r.Type}, {&next.Source, r.Source}, {&next.Key, r.Key}} {
		if f.text != "" {
			*f.at = f.text
		}
	}
	if !r.OccurredAt.IsZero() {
		next.OccurredAt = time.UnixMicro(event.Micros(r.OccurredAt)).UTC()
	}
	if r.Version != nil {
		next.Version, next.HasVersion = *r.Version, true
	}
	if r.Data != nil {
		next.Data = r.Data
	}
	switch {
	case next.ID == was.ID && next.Source == was.Source:
		return refuse("the new event has the id of the old one; give it another, or none")
	case l.Stream != "" && was.HasVersion && r.Version == nil:
		return refuse("its number %d in the stream %s is used up; give the new event's number (Reissue.Version, --number)", was.Version, l.Stream)
	}
	record := &event.Record{}
	if err := encoder.Encode(&next, record); err != nil {
		return refuse("%v", err)
	}
	if r.Key == "" {
		record.Key = from.Key
	}
	record.TimestampType, record.Timestamp = from.TimestampType, from.Timestamp
	if !r.OccurredAt.IsZero() {
		record.TimestampType, record.Timestamp = event.TimestampCreate, next.OccurredAt.Truncate(time.Millisecond)
	}
	record.Headers = append(keptHeaders(from.Headers, record.Headers), record.Headers...)
	is, err := decodeEvent(codec, record)
	if err == nil {
		err = event.Unchanged(&next, is)
	}
	if err == nil && !bytes.Equal(bytes.TrimSpace(next.Data), bytes.TrimSpace(is.Data)) {
		err = fmt.Errorf("its payload is another")
	}
	if err != nil {
		return refuse("its format %s does not read what it writes: %v; name another codec (Reissue.Codec)", codec.Name(), err)
	}
	m = &Message{Topic: l.Record.Topic, Key: record.Key, Value: record.Value, Headers: record.Headers, LetterID: l.ID, Rev: l.Rev}
	if r.Topic != "" {
		m.Topic = r.Topic
	}
	if record.TimestampType != event.TimestampNone {
		m.Timestamp = record.Timestamp
	}
	return m, next.ID, nil
}

// keptHeaders are those of a record that its format has not written anew.
func keptHeaders(old, written []event.Header) (kept []event.Header) {
	for _, h := range stripOwn(old) {
		format := h.Key == event.LineageHeader || strings.EqualFold(h.Key, "content-type")
		if !format && !slices.ContainsFunc(written, func(w event.Header) bool { return w.Key == h.Key }) {
			kept = append(kept, h)
		}
	}
	return kept
}

// Republish is the letter's record as it came, whatever its edits say, to be sent to a topic
// once more: "" means the one that it came from. It has the headers [HeaderReplayID] and
// [HeaderHops]. An error is a [*RefusedError].
func (l *Letter) Republish(topic string) (*Message, error) {
	refuse := func(why string) (*Message, error) { return nil, &RefusedError{l.ID, MoveRepublish, why} }
	if topic == "" {
		topic = l.Record.Topic
	}
	hops := Hops(l.Record) + 1
	switch {
	case topic == "":
		return refuse("nobody knows which topic it came from; name one (--topic)")
	case l.Group == "":
		return refuse("it is of no group whose members could send it; discard it, and let its source send it")
	case hops > MaxHops:
		return refuse(fmt.Sprintf("its record has become a letter %d times, and goes round in a circle; find out why before it is sent again", hops))
	}
	m := &Message{Topic: topic, Key: l.Record.Key, Value: l.Record.Value, LetterID: l.ID, Rev: l.Rev}
	m.Headers = append(stripOwn(l.Record.Headers),
		event.Header{Key: HeaderReplayID, Value: []byte(l.ReplayID())}, event.Header{Key: HeaderHops, Value: []byte(strconv.Itoa(hops))})
	if l.Record.TimestampType != event.TimestampNone {
		m.Timestamp = l.Record.Timestamp
	}
	return m, nil
}

// ReplayID names what is sent of the letter as it is.
func (l *Letter) ReplayID() string { return l.ID + "." + strconv.FormatInt(l.Rev, 10) }
