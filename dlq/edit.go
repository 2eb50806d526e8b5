package dlq

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/evenkeel-go/evenkeel/event"
)

// Edit is what an open letter's value and headers are to be from now on. Make it of
// [Letter.Edit] and change what is wrong. Key, timestamp and coordinates can't be edited, nor
// can what makes the event what it is: its type, source, id, key, time, number, clocks, and
// the entities that its handlers find for it. Who must change these reissues the letter.
type Edit struct {
	Ref
	Value   []byte
	Headers []event.Header
	// Codec is that of the letter's topic. Defaults to the first of event.CloudEvents,
	// event.Envelope and event.Headers, each with its defaults, that reads the original as
	// what the letter says it is.
	Codec event.Codec
}

// Edit is the letter's record as it is, to be changed.
func (l *Letter) Edit() Edit {
	r := l.Revised()
	return Edit{Ref: l.Ref(), Value: bytes.Clone(r.Value), Headers: slices.Clone(r.Headers)}
}

// MaxEditsBytes bounds the revisions of one letter, as they are stored.
const MaxEditsBytes = 32 << 20

// RefusedError says that a letter can't be changed as it was to be. Nothing was changed.
type RefusedError struct {
	ID   string
	Move Move
	Why  string // and what to do
}

// Error tells letter, move and reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("letter %s: can't %s it: %s", e.ID, e.Move, e.Why)
}

// Next makes the letter's next revision of the edit, but for its number and time, or says why
// not: a [*RefusedError]. As
// far as the codec is known the edited record must decode to the event that it was. The
// member that replays it knows the codec and the handlers, and has the last word.
func (e *Edit) Next(l *Letter, by Actor, reason string) (*Revision, error) {
	refuse := func(why string) (*Revision, error) { return nil, &RefusedError{l.ID, MoveEdit, why} }
	current := l.Revised()
	switch {
	case l.Verdict.Reason == Foreign:
		return refuse("another system has written it, and no handler of this one ever had its event; send its record to a topic that is consumed here")
	case len(l.Edits) > 0 && l.Edits[len(l.Edits)-1].Lost:
	case (e.Value == nil) == (current.Value == nil) && bytes.Equal(e.Value, current.Value) && bytes.Equal(EncodeHeaders(e.Headers), EncodeHeaders(current.Headers)):
		return refuse("the edit changes nothing")
	}
	edited := *l.Record
	edited.Value, edited.Headers = e.Value, e.Headers
	if err := e.check(l, &edited); err != nil {
		return refuse(err.Error())
	}
	next := &Revision{By: Actor{Name: cell(by.Name), Via: cell(by.Via)}, Reason: cell(reason), Value: e.Value, Headers: e.Headers}
	if n := len(EncodeEdits(append(slices.Clone(l.Edits), *next))); n > MaxEditsBytes {
		return refuse(fmt.Sprintf("its revisions would take %d bytes, at most %d are kept; reissue it with the new payload", n, MaxEditsBytes))
	}
	return next, nil
}

// check compares the events of the original and of the edited record.
func (e *Edit) check(l *Letter, edited *event.Record) error {
	codec, was := e.Codec, (*event.Event)(nil)
	if codec == nil {
		codec = l.codec()
	}
	if codec == nil {
		return nil // whoever replays it knows
	}
	if got, err := decodeEvent(codec, l.Record); err == nil {
		was = got
	}
	is, err := decodeEvent(codec, edited)
	if err != nil {
		return fmt.Errorf("the edited record is no event: %w", err)
	}
	if was == nil {
		return nil
	}
	if err := event.Unchanged(was, is); err != nil {
		return fmt.Errorf("the edit makes another event of it: %w; reissue it to change that", err)
	}
	return nil
}

// codec is the standard one that reads the letter's record as the event that the letter is
// of, nil for none.
func (l *Letter) codec() event.Codec {
	if l.EventType == "" {
		return nil
	}
	for _, c := range []event.Codec{event.CloudEvents(), event.Envelope(event.EnvelopeConfig{}), event.Headers(event.HeadersConfig{})} {
		e, err := decodeEvent(c, l.Record)
		if err == nil && e.Type == l.EventType && e.Source == l.Source && e.ID == l.EventID && e.OccurredAt.Equal(l.OccurredAt) {
			return c
		}
	}
	return nil
}

var errCodecPanic = errors.New("the codec panicked")

// decodeEvent decodes as members do. The codec may be the user's.
func decodeEvent(c event.Codec, r *event.Record) (e *event.Event, err error) {
	defer func() {
		if v := recover(); v != nil {
			e, err = nil, fmt.Errorf("%w: %v", errCodecPanic, v)
		}
	}()
	e = &event.Event{Record: r}
	if err := c.Decode(r, e); err != nil {
		return nil, err
	}
	e.Record = r
	if err := event.Finish(c.Name(), e); err != nil {
		return nil, err
	}
	return e, event.Inherit(e)
}
