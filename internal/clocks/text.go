package clocks

import (
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/handlers"
)

const hexDigits = "0123456789ABCDEF"

func plain(c byte) bool { return c > ' ' && c < 0x7f && c != '%' && c != '=' && c != '|' }

func appendEscaped(b []byte, c byte) []byte {
	return append(b, '%', hexDigits[c>>4], hexDigits[c&15])
}

// cutPlain cuts off the bytes at the beginning that stand for themselves.
func cutPlain(s string) (run, rest string) {
	n := 0
	for n < len(s) && plain(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

// partEnd ends a part of a tie (event.Tie). It is shown as a bar.
const partEnd = "\x00\x01"

func appendTie(b []byte, s string) []byte {
	for s != "" {
		var run string
		run, s = cutPlain(s)
		b = append(b, run...)
		switch {
		case s == "":
		case strings.HasPrefix(s, partEnd):
			b = append(b, '|')
			s = s[len(partEnd):]
		default:
			b = appendEscaped(b, s[0])
			s = s[1:]
		}
	}
	return b
}

func appendName(b []byte, s string) []byte {
	for s != "" {
		var run string
		run, s = cutPlain(s)
		b = append(b, run...)
		if s != "" {
			b = appendEscaped(b, s[0])
			s = s[1:]
		}
	}
	return b
}

func unescape(s string, bars bool) (string, error) {
	var b strings.Builder
	b.Grow(len(s) + 4)
	for s != "" {
		var run string
		run, s = cutPlain(s)
		b.WriteString(run)
		switch {
		case s == "":
		case s[0] == '|' && bars:
			b.WriteString(partEnd)
			s = s[1:]
		case s[0] != '%':
			b.WriteByte(s[0])
			s = s[1:]
		default:
			if len(s) < 3 {
				return "", errEscape
			}
			hi, lo := strings.IndexByte(hexDigits, s[1]), strings.IndexByte(hexDigits, s[2])
			if hi < 0 || lo < 0 {
				return "", errEscape
			}
			b.WriteByte(byte(hi<<4 | lo)) //nolint:gosec // both are below 16
			s = s[3:]
		}
	}
	return b.String(), nil
}

func sortedNames(gens map[string]int32) []string {
	names := make([]string, 0, len(gens))
	for n := range gens {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func isUnordered(o *handlers.Owner) bool {
	return o.Verb == handlers.VerbModify && !o.Kind.Clocked()
}

// TieText is how bytes of a tie stand in ek_fields.
func TieText(part string) string {
	return string(appendTie(nil, part))
}
