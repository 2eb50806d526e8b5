package event

import "strings"

// Identity is the source and id of the event whose stamp it is, as far as the stamp tells:
// those over 128 bytes are hashes. Both are empty for the zero stamp and for one of
// another form.
func (s Stamp) Identity() (source, id string) {
	if len(s.Tie) < 1 {
		return "", ""
	}
	source, rest, ok := readPart(s.Tie[1:])
	if !ok {
		return "", ""
	}
	if id, _, ok = readPart(rest); !ok {
		return "", ""
	}
	return source, id
}

// readPart is the inverse of writePart.
func readPart(s string) (part, rest string, ok bool) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 || i+1 == len(s) {
			return "", "", false
		}
		b.WriteString(s[:i])
		switch s[i+1] {
		case 0x01:
			return b.String(), s[i+2:], true
		case 0xff:
			b.WriteByte(0)
		default:
			return "", "", false
		}
		s = s[i+2:]
	}
}

// Depth is how often in a row the stamp's event was derived from another (R11): 0 for a
// primary event. [Stamp.Identity] is that of the root.
func (s Stamp) Depth() int {
	if s.Tie == "" {
		return 0
	}
	rest := s.Tie[1:]
	for range 2 {
		var ok bool
		if _, rest, ok = readPart(rest); !ok {
			return 0
		}
	}
	if rest == "" {
		return 0
	}
	return int(rest[0])
}

// IdentityPart is how an id or a source stands inside a [Stamp]'s tie, with the end of what
// stands before it: for looking for the stamps of an event without reading all of them.
func IdentityPart(s string) string {
	var b strings.Builder
	b.WriteString("\x00\x01")
	writePart(&b, tiePart(s))
	return b.String()
}
