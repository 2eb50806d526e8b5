package dlq

import (
	"encoding/hex"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/evenkeel-go/evenkeel/event"
)

// tell is one header of a dialect and what it tells: of a place, or of the letter. Both
// functions return what was expected when the value isn't it, and then set nothing. A nil
// value is Kafka's null.
type tell struct {
	name  string
	place func(*Place, []byte) (expected string)
	set   func(*Reading, []byte) (expected string)
}

// maxFound bounds what is quoted of a value that is none, in bytes.
const maxFound = 64

// found quotes a value for a [HeaderError], as text if that is what it is.
func found(value []byte) string {
	switch {
	case value == nil:
		return "null"
	case utf8.Valid(value):
		return clip(string(value), maxFound)
	}
	return clip("0x"+hex.EncodeToString(value[:min(len(value), maxFound)]), maxFound)
}

// aName tells what identifies something: cut or mended it would name something else.
func aName(name string, at func(*Reading) **string) tell {
	return tell{name: name, set: func(r *Reading, value []byte) string { return parseName(value, at(r)) }}
}

// aText tells what people read. Null is the text "": nothing was said.
func aText(name string, limit int, at func(*Reading) **string) tell {
	return tell{name: name, set: func(r *Reading, value []byte) string {
		s := Text(string(value), limit)
		*at(r) = &s
		return ""
	}}
}

// aCount tells a number of times, in decimal text.
func aCount(name string, at func(*Reading) **int) tell {
	return tell{name: name, set: func(r *Reading, value []byte) string {
		n, ok := parseDecimal(value)
		if !ok || n < 0 || n > math.MaxInt32 {
			return "a whole number of 0 or more"
		}
		count := int(n)
		*at(r) = &count
		return ""
	}}
}

// aFact tells what a [Reading] has no field for.
func aFact(name, fact string) tell {
	return tell{name: name, set: func(r *Reading, value []byte) string {
		if value != nil {
			r.fact(fact, shown(value))
		}
		return ""
	}}
}

func (r *Reading) fact(name, value string) { r.Facts = append(r.Facts, Fact{name, value}) }

// shown is a value for people: text, or bytes in hexadecimal.
func shown(value []byte) string {
	if utf8.Valid(value) {
		return Text(string(value), maxDetail)
	}
	return clip("0x"+hex.EncodeToString(value[:min(len(value), maxDetail)]), maxDetail)
}

// The headers of places, as text.

func aTopic(name string) tell {
	return tell{name: name, place: func(p *Place, value []byte) string { return parseName(value, &p.Topic) }}
}

func aPartition(name string, parse numeral) tell {
	return tell{name: name, place: func(p *Place, value []byte) string {
		n, ok := parse(value)
		if !ok || n < 0 || n > math.MaxInt32 {
			return "a partition, a whole number of 0 or more"
		}
		partition := int32(n)
		p.Partition = &partition
		return ""
	}}
}

func anOffset(name string, parse numeral) tell {
	return tell{name: name, place: func(p *Place, value []byte) string {
		n, ok := parse(value)
		if !ok || n < 0 {
			return "an offset, a whole number of 0 or more"
		}
		p.Offset = &n
		return ""
	}}
}

// aTimestamp tells a record's timestamp in milliseconds; -1 is Kafka's "none".
func aTimestamp(name string, parse numeral) tell {
	return tell{name: name, place: func(p *Place, value []byte) string {
		n, ok := parse(value)
		if ok && n == -1 {
			return ""
		}
		at := time.UnixMilli(n).UTC()
		if !ok || !inYears(at) {
			return "a time in milliseconds since 1970"
		}
		p.Timestamp = &at
		return ""
	}}
}

// aTimestampType tells it in the words of Kafka's Java client.
func aTimestampType(name string) tell {
	return tell{name: name, place: func(p *Place, value []byte) string {
		switch string(value) {
		case "CreateTime":
			p.TimestampType = event.TimestampCreate
		case "LogAppendTime":
			p.TimestampType = event.TimestampLogAppend
		case "NoTimestampType":
			p.TimestampType = event.TimestampNone
		default:
			return "CreateTime, LogAppendTime or NoTimestampType"
		}
		return ""
	}}
}

// inYears reports whether t has a year of four digits, which is what RFC 3339 and JSON can
// write.
func inYears(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }

// parseName takes what can be stored as it is: Postgres refuses NUL and what isn't UTF-8.
func parseName(value []byte, to **string) string {
	name := string(value)
	if name == "" || len(name) > maxName || Text(name, maxName) != name {
		return "a name, 1 to " + strconv.Itoa(maxName) + " bytes of UTF-8 without NUL"
	}
	*to = &name
	return ""
}

// numeral reads a whole number.
type numeral func([]byte) (n int64, ok bool)

func parseDecimal(value []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(value[:min(len(value), 32)]), 10, 64)
	return n, err == nil && len(value) <= 32
}

// parseBinary reads 4 or 8 bytes, big-endian and signed, and also decimal text, which
// other tools write under the same names. Four or eight digits are text: as bytes they
// would be a partition above 800 million, or an offset above 3·10¹⁸.
func parseBinary(value []byte) (int64, bool) {
	if n, ok := parseDecimal(value); ok {
		return n, true
	}
	if len(value) != 4 && len(value) != 8 {
		return 0, false
	}
	return parseMinimal(value)
}

// parseMinimal reads 1 to 8 bytes, big-endian and signed, as Java's BigInteger writes them.
func parseMinimal(value []byte) (int64, bool) {
	if len(value) == 0 || len(value) > 8 {
		return 0, false
	}
	n := int64(int8(value[0])) //nolint:gosec // the sign
	for _, b := range value[1:] {
		n = n<<8 | int64(b)
	}
	return n, true
}

// Units of times in headers.
const (
	milliseconds = time.Millisecond
	nanoseconds  = time.Nanosecond
)

// aTime is the time n units after 1970, nil if that has no year of four digits.
func aTime(n int64, unit time.Duration) *time.Time {
	at := time.Unix(0, n).UTC()
	if unit == milliseconds {
		at = time.UnixMilli(n).UTC()
	}
	if !inYears(at) {
		return nil
	}
	return &at
}

func written(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
