package dlq

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Fingerprint groups letters with one cause: 16 hexadecimal digits that are equal for
// equal reason, event type, handler, error type and place. The place is the first frame
// of user code in the stack, without line numbers, which move with each release; where
// there is no stack it is the first line of the error's text with everything that holds a
// digit (numbers, ids, times, addresses) replaced, so that "order 17 not found" and
// "order 18 not found" are one. The same letter has the same fingerprint in every process.
func Fingerprint(l *Letter) string {
	place, _ := userFrame(l.Stack)
	if place == "" {
		place = normalise(l.Error)
	}
	h := sha256.New()
	for _, s := range [...]string{string(l.Verdict.Reason), l.EventType, l.Handler, l.ErrorType, place} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// maxPlace bounds how much of an error's text counts: what follows is data more often
// than cause.
const maxPlace = 512

// normalise replaces each run of letters, digits and joining signs that holds a digit.
func normalise(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	var b strings.Builder
	for len(s) > 0 && b.Len() < maxPlace {
		end := strings.IndexFunc(s, func(r rune) bool { return !joins(r) })
		if end < 0 {
			end = len(s)
		}
		if word := s[:end]; strings.ContainsAny(word, "0123456789") {
			b.WriteByte('#')
		} else {
			b.WriteString(word)
		}
		s = s[end:]
		end = strings.IndexFunc(s, joins)
		if end < 0 {
			end = len(s)
		}
		b.WriteString(s[:end])
		s = s[end:]
	}
	return b.String()
}

func joins(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f ||
		r == '_' || r == '-' || r == '.' || r == '+'
}

// modulePath is the start of our own frames, which are never the cause's place.
const modulePath = "github.com/evenkeel-go/evenkeel/"

// userFrame finds the function of user code that is nearest to the failure in a stack as
// runtime/debug.Stack writes it: a line with the function, then one with a tab, file and
// line. In the stack of a panic, what is above the panic is the recovering side. If there
// is no user code, the first frame of a dependency counts, and "" if there is none either.
func userFrame(stack string) (function, file string) {
	if i := strings.LastIndex(stack, "\npanic("); i >= 0 {
		stack = stack[i+1:]
	}
	var dependency, dependencyFile string
	lines := strings.Split(stack, "\n")
	for i := 0; i+1 < len(lines); i++ {
		function, file = lines[i], lines[i+1]
		if !strings.HasPrefix(file, "\t") || strings.HasPrefix(function, "\t") || strings.HasPrefix(function, "created by ") {
			continue
		}
		if function = bareFunction(function); isStandard(function) || strings.HasPrefix(function, modulePath) {
			continue
		}
		// Files of a dependency lie under module@version, also with -trimpath.
		if !strings.Contains(file, "@v") && !strings.Contains(file, "/vendor/") {
			return function, bareFile(file)
		}
		if dependency == "" {
			dependency, dependencyFile = function, bareFile(file)
		}
	}
	return dependency, dependencyFile
}

// bareFile is the file with its line, as a stack has them before the address.
func bareFile(line string) string {
	file, _, _ := strings.Cut(strings.TrimPrefix(line, "\t"), " +0x")
	return file
}

// Frame is the place in the user's code where the letter's event failed: the function, and its
// file with the line. Both are empty where there is no stack, or none of their code in it. In
// function literals the number is left out.
func (l *Letter) Frame() (function, file string) { return userFrame(l.Stack) }

// bareFunction cuts the arguments, which hold addresses, and the numbers of function
// literals, which move when one is added above.
func bareFunction(s string) string {
	if open := strings.LastIndexByte(s, '('); open > 0 && strings.HasSuffix(s, ")") {
		s = s[:open]
	}
	if i := strings.Index(s, ".func"); i >= 0 && i+5 < len(s) && s[i+5] >= '0' && s[i+5] <= '9' {
		s = s[:i] + ".func"
	}
	return s
}

// isStandard reports whether a function is of the standard library. Its import paths can't
// be told by form from a user's module without a dot, hence the list; main is user code.
func isStandard(function string) bool {
	top := function
	if i := strings.IndexAny(top, "/.("); i >= 0 {
		top = top[:i]
	}
	switch top {
	case "panic", "archive", "bufio", "bytes", "cmp", "compress", "container", "context",
		"crypto", "database", "debug", "embed", "encoding", "errors", "expvar", "flag", "fmt",
		"go", "hash", "html", "image", "index", "internal", "io", "iter", "log", "maps",
		"math", "mime", "net", "os", "path", "plugin", "reflect", "regexp", "runtime",
		"slices", "sort", "strconv", "strings", "structs", "sync", "syscall", "testing",
		"text", "time", "unicode", "unique", "unsafe", "weak":
		return true
	}
	return false
}
