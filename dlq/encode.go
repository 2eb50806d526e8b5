package dlq

import (
	"slices"
	"strconv"

	"github.com/evenkeel-go/evenkeel/event"
)

// Fit says what had to be left out of a message to keep it within a size. Each includes
// those before it. Nothing is lost by it: the table evenkeel_dead_letters has everything.
type Fit uint8

// The fits, from everything to a pointer.
const (
	// FitWhole: nothing is left out, but for what the headers' own limits cut.
	FitWhole Fit = iota
	// FitNoStack: without the stack.
	FitNoStack
	// FitNoError: without the error's text and the verdict's detail.
	FitNoError
	// FitNoEdits: without the bytes of its edits.
	FitNoEdits
	// FitNoValue: the value is null, and the header evenkeel-value says that it is in
	// the table, and its size.
	FitNoValue
	// FitNoHeaders: without the original's headers either.
	FitNoHeaders
	// FitNoKey: the key is null too, and of the own set only the identity is left:
	// letter, reason, group, coordinates.
	FitNoKey
)

// String returns the word that the header evenkeel-fit carries.
func (f Fit) String() string {
	if words := fitWords(); int(f) < len(words) {
		return words[f]
	}
	return "fit-" + strconv.Itoa(int(f))
}

func fitWords() [7]string {
	return [...]string{"whole", "no-stack", "no-error", "no-edits", "no-value", "no-headers", "no-key"}
}

// MinMessageBytes is the smallest limit that [Encode] obeys: a pointer always fits.
const MinMessageBytes = 8 << 10

// Encode makes the copy of l for the dead-letter topic. Key, value, headers and timestamp
// are the original's byte for byte and in order, but for headers that an earlier
// dead-lettering added (those under [HeaderPrefix] and [StandardPrefix], which are
// reserved): they are replaced, so that a record doesn't grow with its hops. The own set
// follows, then Kafka's standard set (KIP-1191); all are text, and together at most 24 KiB,
// of which the stack gets what the others leave.
//
// If [Message.Size] would exceed maxBytes the message is made smaller as the returned
// [Fit] says. A maxBytes of 0 or less is no limit, one below [MinMessageBytes] counts as
// that. l.Record must not be nil; Topic is the caller's to set. Encode is pure.
//
// A message whose value is in the table has a null value, which a compacted topic takes
// for a tombstone: don't compact a dead-letter topic.
func Encode(l *Letter, maxBytes int) (Message, Fit) { return encode(l, maxBytes, FitWhole) }

// encode is Encode starting at a fit, for a topic that refused a larger message.
func encode(l *Letter, maxBytes int, from Fit) (Message, Fit) {
	r := l.Record
	m := Message{
		Key: r.Key, Value: r.Value,
		SourcePartition: r.Partition, LetterID: l.ID, Rev: l.Rev,
	}
	if r.TimestampType != event.TimestampNone {
		m.Timestamp = r.Timestamp
	}
	original := stripOwn(r.Headers)
	if maxBytes > 0 {
		maxBytes = max(maxBytes, MinMessageBytes)
	}
	for fit := from; ; fit++ {
		if fit >= FitNoValue {
			m.Value = nil
		}
		if fit >= FitNoHeaders {
			original = nil
		}
		if fit >= FitNoKey {
			m.Key = nil
		}
		own := ownHeaders(l, fit)
		m.Headers = slices.Concat(original, own, editHeaders(l, fit))
		if maxBytes <= 0 || m.Size() <= maxBytes || fit == FitNoKey {
			return m, fit
		}
	}
}

// ownHeaders is the own set and the standard set, within maxOwnBytes.
func ownHeaders(l *Letter, fit Fit) []event.Header {
	top := tierStack
	switch fit {
	case FitWhole:
	case FitNoStack:
		top = tierError
	case FitNoError, FitNoEdits, FitNoValue, FitNoHeaders:
		top = tierFacts
	case FitNoKey:
		top = tierCore
	}
	headers := make([]event.Header, 0, len(fields)+8)
	size := 0
	add := func(name, value string) {
		headers = append(headers, event.Header{Key: name, Value: []byte(value)})
		size += headerOverhead + len(name) + len(value)
	}
	standard := standardHeaders(l, top)
	left := maxOwnBytes - headersSize(standard)
	for i := range fields {
		f := &fields[i]
		if f.tier > tierFacts || f.tier > top {
			continue
		}
		if s := f.get(l); s != "" {
			add(HeaderPrefix+f.name, s)
		}
	}
	addFit(l.Record, fit, add)
	addHops(l.Record, add)
	for i := range fields {
		f := &fields[i]
		if f.tier <= tierFacts || f.tier > top {
			continue
		}
		s := f.get(l)
		room := left - size - headerOverhead - len(HeaderPrefix) - len(f.name)
		if s == "" || room < minText {
			continue
		}
		add(HeaderPrefix+f.name, clip(s, room))
	}
	return append(headers, standard...)
}

// editHeaders are the letter's revisions in one header, beside the own set's bound: they are
// as large as what somebody has written. A copy without its value is none to import.
func editHeaders(l *Letter, fit Fit) []event.Header {
	edits := l.Edits
	switch {
	case len(edits) == 0 || fit >= FitNoValue:
		return nil
	case fit >= FitNoEdits:
		edits = withoutBytes(edits)
	}
	return []event.Header{{Key: HeaderPrefix + headerEdits, Value: []byte(EncodeEdits(edits))}}
}

// minText is the room below which a free text is left out: a shorter one tells nothing.
const minText = 64

// addFit names what was left out, each with its size, so that a reader of the topic knows
// where to look and what for.
func addFit(r *event.Record, fit Fit, add func(name, value string)) {
	if fit == FitWhole {
		return
	}
	add(HeaderPrefix+headerFit, fit.String())
	if fit >= FitNoValue && r.Value != nil {
		add(HeaderPrefix+"value", inTable+"; bytes="+strconv.Itoa(len(r.Value)))
	}
	if fit >= FitNoHeaders && len(r.Headers) > 0 {
		add(HeaderPrefix+"headers", inTable+"; count="+strconv.Itoa(len(r.Headers)))
	}
	if fit >= FitNoKey && r.Key != nil {
		add(HeaderPrefix+"key", inTable+"; bytes="+strconv.Itoa(len(r.Key)))
	}
}

// addHops counts how often the record has become a letter, and names the letter before.
func addHops(r *event.Record, add func(name, value string)) {
	hops := Hops(r)
	if hops == 0 {
		return
	}
	add(HeaderPrefix+headerHops, strconv.Itoa(hops+1))
	if id, _ := r.Header(HeaderPrefix + headerLetter); len(id) > 0 {
		add(HeaderPrefix+headerPrev, clip(string(id), maxName))
	}
}

// maxHops is where counting stops; no honest record comes near.
const maxHops = 1 << 20

// Hops is how many times r has been dead-lettered already, as far as its headers tell: 0
// for a record that is no letter. A consumer of a dead-letter topic can give up on
// records that go round in circles.
func Hops(r *event.Record) int {
	if s, ok := r.Header(HeaderPrefix + headerHops); ok && len(s) < 16 {
		if n, err := strconv.Atoi(string(s)); err == nil && n > 0 {
			return min(n, maxHops)
		}
	}
	if id, _ := r.Header(HeaderPrefix + headerLetter); len(id) > 0 {
		return 1
	}
	return 0
}

// standardHeaders is the set of KIP-1191. Its message is the broker's sentence there;
// here it is what people want to see first.
func standardHeaders(l *Letter, top tier) []event.Header {
	r := l.Record
	message := l.Verdict.String()
	if top < tierError {
		message = l.Verdict.Action.String() + " (" + string(l.Verdict.Reason) + ")"
	} else if l.Error != "" {
		message += ": " + l.Error
	}
	// Whoever counts messages must not take a change of state for a new letter.
	if l.State != Open && l.State != "" {
		state := string(l.State)
		if l.Outcome != "" {
			state += " (" + string(l.Outcome) + ")"
		}
		message = state + "; it was: " + message
	}
	h := func(name, value string) event.Header {
		return event.Header{Key: StandardPrefix + name, Value: []byte(value)}
	}
	return []event.Header{
		h("topic", clip(r.Topic, maxName)),
		h("partition", decimal(int64(r.Partition))),
		h("offset", decimal(r.Offset)),
		h("group", clip(l.Group, maxName)),
		// The record was delivered at least once, also if no handler saw it.
		h("delivery.count", strconv.Itoa(max(l.Attempts, 1))),
		h("message", Text(message, maxDetail)),
	}
}
