package dlq

import (
	"slices"

	"github.com/evenkeel-go/evenkeel/event"
)

// Dialect is one way to write dead letters, known by its headers.
type Dialect struct {
	name, library string
	// marks: a record is of the dialect if it has all headers of one of these sets.
	marks [][]string
	order order
	// tells are the dialect's headers.
	tells []tell
	// keepsTimestamp: the letter's timestamp is the original's.
	keepsTimestamp bool
	key, value     Fidelity
	// finish adds what no single header says; may be nil.
	finish func(*Reading, *event.Record)
}

// order says where a dialect puts its headers, and so what their order tells.
type order uint8

const (
	// appends: behind those that are there. The last of several sets is the newest.
	appends order = iota
	// prepends: before those that are there. The first of several sets is the newest.
	prepends
	// replaces: in place of an older set, or anywhere.
	replaces
	// alone: the letter carries nobody else's headers.
	alone
)

// dialects are in the order of [Dialects].
//
//nolint:gochecknoglobals // a table, never written
var dialects = [...]*Dialect{
	&evenkeel, &spring, &springRetry, &springCloud, &connect, &streams, &karafka, &wolverine, &trendyol,
	&smallRye, &watermill, &kafkaJS,
	&shareGroup,
}

// Dialects returns all dialects: Evenkeel's own first, and Kafka's standard set, which
// others may write beside theirs, last.
func Dialects() []*Dialect { return slices.Clone(dialects[:]) }

// Name is the dialect's stable name.
func (d *Dialect) Name() string { return d.name }

// Library says for people who writes the dialect.
func (d *Dialect) Library() string { return d.library }

// Headers are the names of the headers that the dialect reads.
func (d *Dialect) Headers() []string {
	var names []string
	for _, t := range d.tells {
		names = append(names, t.name)
	}
	if d == &evenkeel {
		for i := range fields {
			names = append(names, HeaderPrefix+fields[i].name)
		}
	}
	return names
}

// Detect reports whether a record with these headers is a letter of the dialect, or has
// been one. It looks at names only.
func (d *Dialect) Detect(headers []event.Header) bool {
	for _, set := range d.marks {
		if !slices.ContainsFunc(set, func(name string) bool { return !has(headers, name) }) {
			return true
		}
	}
	return false
}

func has(headers []event.Header, name string) bool {
	return slices.ContainsFunc(headers, func(h event.Header) bool { return h.Key == name })
}

// end is where the dialect's last header stands.
func (d *Dialect) end(headers []event.Header) int {
	for i := len(headers) - 1; i >= 0; i-- {
		if d == &evenkeel && isOwn(headers[i].Key) {
			return i
		}
		if slices.ContainsFunc(d.tells, func(t tell) bool { return t.name == headers[i].Key }) {
			return i
		}
	}
	return -1
}

// ReadRecord reads a record of a dead-letter topic in the dialect that wrote it, and
// returns nil if it is in none. It takes any record and never panics.
//
// A letter that has failed under several libraries carries the headers of all. What was
// written last is read, as far as the order of headers tells: of the dialects that put
// their headers behind the others', the one whose last header stands last. Those that put
// them in front or anywhere (SmallRye, Watermill, KafkaJS) count only where none of these
// is there, and Kafka's standard set (KIP-1191) where nothing else is: a share group drops
// other headers, and other writers put it beside their own. [Reading.Also] has the names
// of the others.
func ReadRecord(r *event.Record) *Reading {
	var found []*Dialect
	for _, d := range dialects {
		if d.Detect(r.Headers) {
			found = append(found, d)
		}
	}
	if len(found) == 0 {
		return nil
	}
	// The table has those that append first, so what leads is one of them if there is any.
	newest := found[0]
	for _, d := range found[1:] {
		if d.order == appends && d.end(r.Headers) > newest.end(r.Headers) {
			newest = d
		}
	}
	reading := newest.Read(r)
	for _, d := range found {
		if d != newest && d.order != alone {
			reading.Also = append(reading.Also, d.name)
		}
	}
	return reading
}

// Read reads r as a letter of the dialect; whether it is one, [Dialect.Detect] says. It
// takes any record and never panics.
func (d *Dialect) Read(r *event.Record) *Reading {
	reading := &Reading{Dialect: d.name, Key: d.key, Value: d.value}
	if t := r.Timestamp; r.TimestampType != event.TimestampNone && inYears(t) {
		// A broker that sets timestamps itself has written over the original's.
		if d.keepsTimestamp && r.TimestampType == event.TimestampCreate {
			reading.Source.Timestamp, reading.Source.TimestampType = &t, event.TimestampCreate
		} else {
			reading.Written = &t
		}
	}
	origin, hops := &Place{}, 0
	for _, t := range d.tells {
		oldest, newest, times := occurrences(r.Headers, t.name)
		if times == 0 {
			continue
		}
		if d.order == prepends {
			oldest, newest = newest, oldest
		}
		reading.apply(t, newest, &reading.Source)
		if t.place != nil && d.order != replaces {
			if times > 1 {
				reading.apply(t, oldest, origin)
			}
			hops = max(hops, times)
		}
	}
	if hops > 0 {
		reading.Hops = &hops
	}
	if hops > 1 {
		reading.Origin = origin
	}
	if d.finish != nil {
		d.finish(reading, r)
	}
	return reading
}

// occurrences are the first and the last header with the name, and how many there are.
func occurrences(headers []event.Header, name string) (first, last []byte, n int) {
	for i := range headers {
		if headers[i].Key != name {
			continue
		}
		if last = headers[i].Value; n == 0 {
			first = last
		}
		n++
	}
	return first, last, n
}

func (r *Reading) apply(t tell, value []byte, p *Place) {
	var expected string
	if t.place != nil {
		expected = t.place(p, value)
	} else {
		expected = t.set(r, value)
	}
	if expected != "" {
		r.Malformed = append(r.Malformed, HeaderError{Header: t.name, Expected: expected, Found: found(value)})
	}
}
