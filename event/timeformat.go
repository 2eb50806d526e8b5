package event

import (
	"fmt"
	"math"
	"time"
)

// TimeFormat says how an event writes the time at which it occurred. A unix time may be
// a number or a number in quotes, and may have a fraction and an exponent: what is
// below a microsecond is cut.
type TimeFormat uint8

// The time formats.
const (
	// TimeRFC3339 is a text like "2026-05-28T20:26:43.123456Z", with any zone.
	TimeRFC3339 TimeFormat = iota
	// TimeUnixSeconds is a number of seconds since 1970.
	TimeUnixSeconds
	// TimeUnixMillis is a number of milliseconds since 1970.
	TimeUnixMillis
	// TimeUnixMicros is a number of microseconds since 1970.
	TimeUnixMicros
)

// String returns the format's word.
func (f TimeFormat) String() string {
	switch f {
	case TimeRFC3339:
		return "RFC 3339"
	case TimeUnixSeconds:
		return "unix seconds"
	case TimeUnixMillis:
		return "unix milliseconds"
	case TimeUnixMicros:
		return "unix microseconds"
	}
	return fmt.Sprintf("TimeFormat(%d)", uint8(f))
}

func (f TimeFormat) expected() string {
	switch f {
	case TimeUnixSeconds:
		return "a number of seconds since 1970"
	case TimeUnixMillis:
		return "a number of milliseconds since 1970"
	case TimeUnixMicros:
		return "a number of microseconds since 1970"
	case TimeRFC3339:
	}
	return `an RFC 3339 time like "2026-05-28T20:26:43.123Z"`
}

// mustBeKnown stops a program that asks for a format that there is not, as a regular
// expression that does not compile would.
func (f TimeFormat) mustBeKnown(codec string) {
	if f > TimeUnixMicros {
		panic(fmt.Sprintf("event: %s has %s; use one of the Time… constants", codec, f))
	}
}

// parse reads a time. It reports false for what is none, and may return a time outside
// of MinTime and MaxTime.
func (f TimeFormat) parse(text []byte) (time.Time, bool) {
	var shift int
	switch f {
	case TimeUnixSeconds:
		shift = 6
	case TimeUnixMillis:
		shift = 3
	case TimeUnixMicros:
	case TimeRFC3339:
		var t time.Time // UnmarshalText is time.Parse without the string
		if t.UnmarshalText(text) != nil {
			return t, false
		}
		return t, strictRFC3339(text)
	}
	n, ok := parseDecimal(text, shift)
	return time.UnixMicro(n), ok
}

// strictRFC3339 refuses what package time takes beyond the RFC (Go issue 54580): an hour
// of one digit, a comma before the fraction, a zone of more than a day.
func strictRFC3339(text []byte) bool {
	const date, seconds = len("2006-01-02T"), len("2006-01-02T15:04:05")
	if text[date+1] == ':' || text[seconds] == ',' {
		return false
	}
	if text[len(text)-1] == 'Z' {
		return true
	}
	zone := text[len(text)-len("07:00"):]
	return string(zone[:2]) <= "23" && string(zone[3:]) <= "59"
}

// parseDecimal returns the JSON number in text times 10^shift, rounded down, without
// the detour over a float, which could not keep the microseconds of today in seconds.
// What does not fit comes back as the nearest int64.
func parseDecimal(text []byte, shift int) (int64, bool) {
	if len(text) == 0 || (text[0] != '-' && (text[0] < '0' || text[0] > '9')) {
		return 0, false
	}
	if end, fault := skipNumber(text, 0); fault != "" || end != len(text) {
		return 0, false
	}
	negative := text[0] == '-'
	if negative {
		text = text[1:]
	}
	// point is how many of the digits stand before the decimal point of the result.
	mantissa, point, dotted := text, 0, false
	for i, c := range text {
		if c == 'e' || c == 'E' {
			mantissa = text[:i]
			point += parseExponent(text[i+1:])
			break
		}
		dotted = dotted || c == '.'
		if !dotted {
			point++
		}
	}
	point += shift
	var n uint64
	seen, rest := 0, false
	for _, c := range mantissa {
		if c == '.' {
			continue
		}
		if seen < point {
			n = tenfold(n, uint64(c-'0'))
		} else {
			rest = rest || c != '0'
		}
		seen++
	}
	for ; seen < point && n > 0 && n <= math.MaxInt64; seen++ {
		n = tenfold(n, 0)
	}
	if negative {
		if rest {
			n++
		}
		if n > math.MaxInt64 {
			return math.MinInt64, true
		}
		return -int64(n), true
	}
	return int64(min(n, math.MaxInt64)), true
}

// tenfold is 10n + digit, stuck once it is above every int64.
func tenfold(n, digit uint64) uint64 {
	if n > math.MaxInt64/10 {
		return math.MaxInt64 + 1
	}
	return n*10 + digit
}

// parseExponent reads an exponent, stuck at a million either way, which no time needs.
func parseExponent(text []byte) int {
	n, negative := 0, false
	for _, c := range text {
		switch c {
		case '-':
			negative = true
		case '+':
		default:
			n = min(n*10+int(c-'0'), 1_000_000)
		}
	}
	if negative {
		return -n
	}
	return n
}
