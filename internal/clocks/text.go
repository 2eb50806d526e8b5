package clocks

import (
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/handlers"
)

const hexDigits = "0123456789ABCDEF"

func plain(c byte) bool { return c > ' ' && c < 0x7f && c != '%' && c != '=' && c != '|' }

func escapeByte(b *strings.Builder, c byte) {
	b.WriteByte('%')
	b.WriteByte(hexDigits[c>>4])
	b.WriteByte(hexDigits[c&15])
}

// escapeTie shows the end of a part, 0x00 0x01, as a bar.
func escapeTie(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		switch {
		case plain(s[i]):
			b.WriteByte(s[i])
		case s[i] == 0 && i+1 < len(s) && s[i+1] == 1:
			b.WriteByte('|')
			i++
		default:
			escapeByte(b, s[i])
		}
	}
}

func escapeName(b *strings.Builder, s string) {
	for i := range len(s) {
		if plain(s[i]) {
			b.WriteByte(s[i])
		} else {
			escapeByte(b, s[i])
		}
	}
}

func unescape(s string, bars bool) (string, error) {
	var b strings.Builder
	b.Grow(len(s) + 4)
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '|' && bars:
			b.WriteString("\x00\x01")
		case s[i] != '%':
			b.WriteByte(s[i])
		default:
			if i+2 >= len(s) {
				return "", errEscape
			}
			hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
			if hi < 0 || lo < 0 {
				return "", errEscape
			}
			b.WriteByte(byte(hi<<4 | lo)) //nolint:gosec // both are below 16
			i += 2
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
	var b strings.Builder
	escapeTie(&b, part)
	return b.String()
}
