package event

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// LineageHeader is the header in which a derived event carries where it comes from. It is
// read whatever the topic's codec is.
const LineageHeader = "evenkeel-lineage"

// Bounds of a lineage. A longer path is refused before an event is sent (see [MaxDepth]),
// and what some other program has made longer is refused when it is read.
const (
	// MaxDepth is how often in a row events may be derived from events. A handler that
	// emits beyond it has most likely closed a circle.
	MaxDepth = 8

	maxPath        = 32
	maxPathElement = 40
	maxOwn         = 10_000
)

// Lineage is where a derived event comes from (R11): its root, the primary event at the
// beginning, and the way from there. A derived event has its root's place in the order of
// events (R3), so it has no clock of its own.
type Lineage struct {
	// Source and ID identify the root as [Event.Identity] does.
	Source, ID string
	// OccurredAt is the root's; so is Lamport, which counts only when HasLamport is set.
	OccurredAt time.Time
	Lamport    int64
	HasLamport bool
	// Own are the entities that were the root's own: those that its handlers have found for
	// it in the service that emitted the first child.
	Own []Entity
	// Path names the emissions from the root's on, one for each time that an event was
	// derived from another. Its length is the event's depth.
	Path []string
}

// Entity is one row, by its model's name and its canonical key.
type Entity struct {
	Type string `json:"type"`
	Key  string `json:"key"`
}

// Owns reports whether the entity is one of the root's own.
func (l *Lineage) Owns(e Entity) bool { return slices.Contains(l.Own, e) }

// lineageJSON is the header's text. The time is in microseconds since 1970.
type lineageJSON struct {
	Source  string   `json:"source"`
	ID      string   `json:"id"`
	Time    *int64   `json:"time"`
	Lamport *int64   `json:"lamport,omitempty"`
	Own     []Entity `json:"own,omitempty"`
	Path    []string `json:"path"`
}

// Header is the lineage as a record carries it.
func (l *Lineage) Header() Header {
	at := Micros(l.OccurredAt)
	text := lineageJSON{Source: l.Source, ID: l.ID, Time: &at, Own: l.Own, Path: l.Path}
	if l.HasLamport {
		text.Lamport = &l.Lamport
	}
	b, err := json.Marshal(text)
	if err != nil {
		panic("evenkeel: " + err.Error()) // texts and numbers always marshal
	}
	return Header{Key: LineageHeader, Value: b}
}

// ParseLineage reads a record's lineage; it is nil where the record has none, as a primary
// event. It is total: what is no lineage is a [*DecodeError], as taking the event for a
// primary one would give it another place in history.
func ParseLineage(r *Record) (*Lineage, error) {
	raw, ok := r.Header(LineageHeader)
	if !ok {
		return nil, nil //nolint:nilnil // as documented
	}
	fault := func(member, expected, found string) error {
		field := "header " + LineageHeader
		if member != "" {
			field += ", " + member
		}
		return &DecodeError{
			Codec: "lineage", Field: field, Expected: expected, Found: found,
			Mend: "let nobody but Evenkeel write this header, and let what copies records leave it as it is",
		}
	}
	var in lineageJSON
	// What follows would take broken text as U+FFFD, and two roots could become one.
	if expected := textFault(string(raw), 1<<30); expected != "" {
		return nil, fault("", expected, quoteShort(raw))
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fault("", "a JSON object", quoteShort(raw))
	}
	for _, t := range []struct {
		name, text string
		limit      int
	}{{"source", in.Source, MaxSourceBytes}, {"id", in.ID, MaxIDBytes}} {
		if expected := textFault(t.text, t.limit); expected != "" {
			return nil, fault(t.name, expected, quoteShort([]byte(t.text)))
		}
	}
	switch {
	case in.ID == "":
		return nil, fault("id", "the root's id", "none")
	case in.Time == nil:
		return nil, fault("time", "the root's time in microseconds since 1970", "none")
	case in.Lamport != nil && lamportFault(*in.Lamport):
		return nil, fault("lamport", expectedLamport, strconv.FormatInt(*in.Lamport, 10))
	case len(in.Path) == 0 || len(in.Path) > maxPath:
		return nil, fault("path", "1 to "+strconv.Itoa(maxPath)+" emissions", strconv.Itoa(len(in.Path)))
	case len(in.Own) > maxOwn:
		return nil, fault("own", "at most "+strconv.Itoa(maxOwn)+" entities", strconv.Itoa(len(in.Own)))
	}
	at, ok := cutTime(time.UnixMicro(*in.Time))
	if !ok {
		return nil, fault("time", expectedRange, strconv.FormatInt(*in.Time, 10)+" µs since 1970")
	}
	for _, e := range in.Path {
		if !isPathElement(e) {
			return nil, fault("path", "names of emissions: up to "+strconv.Itoa(maxPathElement)+" visible ASCII characters each", quoteShort([]byte(e)))
		}
	}
	for _, e := range in.Own {
		if e.Type == "" || e.Key == "" || textFault(e.Type, MaxTypeBytes) != "" || textFault(e.Key, MaxKeyBytes) != "" {
			return nil, fault("own", "entities with a type and a key", quoteShort([]byte(e.Type+" "+e.Key)))
		}
	}
	l := &Lineage{Source: in.Source, ID: in.ID, OccurredAt: at, Own: in.Own, Path: in.Path}
	if in.Lamport != nil {
		l.Lamport, l.HasLamport = *in.Lamport, true
	}
	return l, nil
}

func isPathElement(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxPathElement
}

// Inherit gives a decoded event what its record's lineage says: the lineage itself, the
// root's time and, if it has one, its Lamport time. An event whose record has no lineage
// stays as it is. The error is that of [ParseLineage].
func Inherit(e *Event) error {
	l, err := ParseLineage(e.Record)
	if err != nil || l == nil {
		return err
	}
	e.Lineage, e.OccurredAt = l, l.OccurredAt
	if l.HasLamport {
		e.Lamport, e.HasLamport = l.Lamport, true
	}
	return nil
}

// Derive is the lineage of what the event's handlers emit, the next emission being called
// name. own is asked for the entities of an event that is a root itself.
func (e *Event) Derive(name string, own func() []Entity) *Lineage {
	if l := e.Lineage; l != nil {
		child := *l
		child.Path = append(slices.Clone(l.Path), name)
		return &child
	}
	source, id := e.Identity()
	return &Lineage{
		Source: source, ID: id, OccurredAt: e.OccurredAt, Lamport: e.Lamport, HasLamport: e.HasLamport,
		Own: own(), Path: []string{name},
	}
}

// Tie is the rest of the event's order key beside its number (R3): that of its root, and
// the path from there. own says whether the root is the entity's own event.
func (e *Event) Tie(own bool) string {
	if l := e.Lineage; l != nil {
		return Tie(own, l.Source, l.ID, l.Path...)
	}
	source, id := e.Identity()
	return Tie(own, source, id)
}
