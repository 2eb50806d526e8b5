package event

import "fmt"

// Codec turns a record into an event. Decode fills in e, which comes zero but for
// Record; it must be a function of the record alone, must not keep or change the
// record's bytes beyond referring to them from e, and must be total: whatever bytes
// come, it returns an error or an event and never panics. The runtime calls it from
// many goroutines. A codec of your own ends with [Finish], or is a [CodecFunc].
//
// An error makes the record a dead letter with reason poison, its bytes untouched;
// use [*DecodeError] so that people on call see the field at fault.
type Codec interface {
	// Name is a short word for logs and letters, e.g. "cloudevents".
	Name() string
	Decode(r *Record, e *Event) error
}

// DecodeError says which part of a record could not be taken for an event.
type DecodeError struct {
	Codec    string // the codec's name
	Field    string // e.g. "id", "time", "header ce_specversion", "value"
	Expected string // e.g. "an RFC 3339 time"
	Found    string // what there was instead, shortened and quoted
	Mend     string // what the producer should do
}

// Error tells field, expectation, finding and mend in one line.
func (d *DecodeError) Error() string {
	s := fmt.Sprintf("%s: %s: expected %s, found %s", d.Codec, d.Field, d.Expected, d.Found)
	if d.Mend != "" {
		s += "; " + d.Mend
	}
	return s
}
