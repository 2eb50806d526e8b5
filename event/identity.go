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
