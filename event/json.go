package event

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The codecs need a handful of members of a JSON object and must leave the payload as
// the bytes that came. encoding/json would copy the payload, match names without regard
// to case, and turn broken text into U+FFFD, so that two ids could become one. Hence
// this scanner: it accepts exactly what json.Valid accepts (RFC 8259, and the same limit
// of nesting), decodes nothing, and allocates nothing.

// maxJSONDepth is encoding/json's limit: a payload that passes here must not fail there.
const maxJSONDepth = 10000

// jsonObject walks the members of a JSON object.
type jsonObject struct {
	in    []byte
	at    int
	began bool
	// fault says what is wrong at offset at; empty while all is well.
	fault string
}

const (
	faultEnd  = "the text ends too early"
	faultChar = "unexpected character"
	faultDeep = "nested too deeply"
)

// next returns the next member: its name without quotes but with its escapes, and its
// value as it stands in the text. It returns false at the end and at a fault.
func (o *jsonObject) next() (name, value []byte, ok bool) {
	if !o.began {
		o.began = true
		o.at = skipSpace(o.in, 0)
		if !o.take('{') {
			return nil, nil, false
		}
		if o.peek() == '}' {
			return nil, nil, o.end()
		}
	} else {
		if o.peek() == '}' {
			return nil, nil, o.end()
		}
		if !o.take(',') {
			return nil, nil, false
		}
	}
	start := o.at
	if o.at, o.fault = skipName(o.in, start); o.fault != "" {
		return nil, nil, false
	}
	name = o.in[start+1 : o.at-1]
	o.at = skipSpace(o.in, o.at)
	if !o.take(':') {
		return nil, nil, false
	}
	start = o.at
	if o.at, o.fault = skipValue(o.in, start, 1); o.fault != "" {
		return nil, nil, false
	}
	value = o.in[start:o.at]
	o.at = skipSpace(o.in, o.at)
	return name, value, true
}

func (o *jsonObject) peek() byte {
	if o.at < len(o.in) {
		return o.in[o.at]
	}
	return 0
}

// take passes one character and the space after it.
func (o *jsonObject) take(c byte) bool {
	if o.at >= len(o.in) {
		o.fault = faultEnd
		return false
	}
	if o.in[o.at] != c {
		o.fault = faultChar
		return false
	}
	o.at = skipSpace(o.in, o.at+1)
	return true
}

// end passes the closing brace; nothing may follow it.
func (o *jsonObject) end() bool {
	if o.at = skipSpace(o.in, o.at+1); o.at < len(o.in) {
		o.fault = faultChar
	}
	return false
}

// describeFault says for people what is wrong and where.
func (o *jsonObject) describeFault() string {
	s := o.fault
	if o.fault == faultChar && o.at < len(o.in) {
		r, _ := utf8.DecodeRune(o.in[o.at:])
		s += " " + strconv.QuoteRune(r)
	}
	return s + " at byte " + strconv.Itoa(o.at) + " of " + quoteShort(o.in)
}

func skipSpace(in []byte, i int) int {
	for i < len(in) {
		switch in[i] {
		case ' ', '\t', '\r', '\n':
			i++
		default:
			return i
		}
	}
	return i
}

// skipValue returns the offset behind the value that begins at i, or where it is wrong.
// The value stands inside depth objects and arrays.
func skipValue(in []byte, i, depth int) (int, string) {
	if i >= len(in) {
		return i, faultEnd
	}
	switch c := in[i]; {
	case c == '"':
		return skipString(in, i)
	case c == '{':
		return skipNested(in, i, depth+1, '}')
	case c == '[':
		return skipNested(in, i, depth+1, ']')
	case c == '-' || '0' <= c && c <= '9':
		return skipNumber(in, i)
	case c == 't':
		return skipWord(in, i, "true")
	case c == 'f':
		return skipWord(in, i, "false")
	case c == 'n':
		return skipWord(in, i, "null")
	}
	return i, faultChar
}

// skipNested passes an object or an array, told by its closing character.
func skipNested(in []byte, i, depth int, closing byte) (int, string) {
	if depth > maxJSONDepth {
		return i, faultDeep
	}
	i = skipSpace(in, i+1)
	if i < len(in) && in[i] == closing {
		return i + 1, ""
	}
	for {
		var fault string
		if closing == '}' {
			if i, fault = skipName(in, i); fault != "" {
				return i, fault
			}
			if i = skipSpace(in, i); i >= len(in) {
				return i, faultEnd
			}
			if in[i] != ':' {
				return i, faultChar
			}
			i = skipSpace(in, i+1)
		}
		if i, fault = skipValue(in, i, depth); fault != "" {
			return i, fault
		}
		if i = skipSpace(in, i); i >= len(in) {
			return i, faultEnd
		}
		switch in[i] {
		case closing:
			return i + 1, ""
		case ',':
			i = skipSpace(in, i+1)
		default:
			return i, faultChar
		}
	}
}

func skipName(in []byte, i int) (int, string) {
	if i >= len(in) {
		return i, faultEnd
	}
	if in[i] != '"' {
		return i, faultChar
	}
	return skipString(in, i)
}

func skipString(in []byte, i int) (int, string) {
	for i++; i < len(in); i++ {
		switch c := in[i]; {
		case c == '"':
			return i + 1, ""
		case c < ' ':
			return i, faultChar
		case c == '\\':
			if i++; i >= len(in) {
				return i, faultEnd
			}
			switch in[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i >= len(in) {
						return i, faultEnd
					}
					if hexDigit(in[i]) < 0 {
						return i, faultChar
					}
				}
			default:
				return i, faultChar
			}
		}
	}
	return i, faultEnd
}

func skipNumber(in []byte, i int) (int, string) {
	if in[i] == '-' {
		i++
	}
	var fault string
	if i < len(in) && in[i] == '0' {
		i++
	} else if i, fault = skipDigits(in, i); fault != "" {
		return i, fault
	}
	if i < len(in) && in[i] == '.' {
		if i, fault = skipDigits(in, i+1); fault != "" {
			return i, fault
		}
	}
	if i < len(in) && (in[i] == 'e' || in[i] == 'E') {
		i++
		if i < len(in) && (in[i] == '+' || in[i] == '-') {
			i++
		}
		if i, fault = skipDigits(in, i); fault != "" {
			return i, fault
		}
	}
	return i, ""
}

func skipDigits(in []byte, i int) (int, string) {
	if i >= len(in) {
		return i, faultEnd
	}
	if in[i] < '0' || in[i] > '9' {
		return i, faultChar
	}
	for i < len(in) && '0' <= in[i] && in[i] <= '9' {
		i++
	}
	return i, ""
}

func skipWord(in []byte, i int, word string) (int, string) {
	for j := range len(word) {
		if i+j >= len(in) {
			return i + j, faultEnd
		}
		if in[i+j] != word[j] {
			return i + j, faultChar
		}
	}
	return i + len(word), ""
}

func hexDigit(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}

// unescape returns the text of a JSON string that skipString has passed, given without
// its quotes: a part of in where nothing is escaped. It reports whether the text is
// whole: a half of a surrogate pair is no character and becomes U+FFFD.
func unescape(in []byte) (text []byte, whole bool) {
	first := bytes.IndexByte(in, '\\')
	if first < 0 {
		return in, true
	}
	whole = true
	text = append(make([]byte, 0, len(in)), in[:first]...)
	for i := first; i < len(in); i++ {
		c := in[i]
		if c != '\\' {
			text = append(text, c)
			continue
		}
		i++
		switch in[i] {
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		case 'u':
			r := hex4(in[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if i+6 < len(in) && in[i+1] == '\\' && in[i+2] == 'u' {
					pair = utf16.DecodeRune(r, hex4(in[i+3:]))
				}
				if pair == utf8.RuneError {
					whole = false
				} else {
					i += 6
				}
				r = pair
			}
			text = utf8.AppendRune(text, r)
		default: // a quote, a backslash, a slash
			text = append(text, in[i])
		}
	}
	return text, whole
}

func hex4(in []byte) (r rune) {
	for _, c := range in[:4] {
		r = r<<4 | hexDigit(c)
	}
	return r
}

// describeJSON names a value's type and shows it, shortened.
func describeJSON(raw []byte) string {
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '"':
		text, _ := unescape(raw[1 : len(raw)-1])
		return quoteShort(text)
	case '{':
		return "an object of " + strconv.Itoa(len(raw)) + " bytes"
	case '[':
		return "an array of " + strconv.Itoa(len(raw)) + " bytes"
	case 't', 'f', 'n':
		return string(raw)
	}
	if len(raw) > maxShown {
		return "the number " + string(raw[:maxShown]) + "… (" + strconv.Itoa(len(raw)) + " bytes)"
	}
	return "the number " + string(raw)
}

// maxShown is how many bytes of a found value an error message shows.
const maxShown = 48

// quoteShort quotes what was found, cut to a length that a log line can bear.
func quoteShort(b []byte) string {
	if len(b) <= maxShown {
		return strconv.Quote(string(b))
	}
	return strconv.Quote(string(b[:maxShown])) + "… (" + strconv.Itoa(len(b)) + " bytes)"
}
