package converge

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// Story says what depends on what it should not depend on, shows it on as few events as can
// be, and says what to declare instead.
type Story struct {
	Title    string
	sections []section
	// Mend is what to do about it.
	Mend []string
}

// section is a heading and lines whose cells stand below each other.
type section struct {
	heading string
	lines   [][]string
}

// String is plain text of lines of about 100 characters.
func (s *Story) String() string {
	var b strings.Builder
	b.WriteString(s.Title + "\n")
	for _, x := range s.sections {
		b.WriteString("\n  " + x.heading + "\n")
		for _, line := range aligned(x.lines) {
			b.WriteString("    " + line + "\n")
		}
	}
	if len(s.Mend) > 0 {
		b.WriteString("\n  what to do\n")
	}
	for i, paragraph := range s.Mend {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, line := range wrapped(paragraph, 92) {
			b.WriteString("    " + line + "\n")
		}
	}
	return b.String()
}

func (s *Story) add(heading string, lines ...[]string) {
	s.sections = append(s.sections, section{heading, lines})
}

// say adds a section of running text.
func (s *Story) say(heading, text string) {
	x := section{heading: heading}
	for _, line := range wrapped(text, 92) {
		x.lines = append(x.lines, []string{line})
	}
	s.sections = append(s.sections, x)
}

// aligned joins cells with two spaces between columns. The last cell of a line takes no part
// in the width of its column.
func aligned(lines [][]string) []string {
	var widths []int
	for _, line := range lines {
		for i := 0; i+1 < len(line); i++ {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
	}
	out := make([]string, len(lines))
	for n, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			b.WriteString(cell)
			if i+1 < len(line) {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		out[n] = strings.TrimRight(b.String(), " ")
	}
	return out
}

// wrapped cuts a text into lines at its spaces.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// listEvents adds the events as they were given.
func (c *Checker) listEvents(s *Story, events []int) {
	lines := make([][]string, len(events))
	for n, i := range events {
		e := c.events[i]
		line := []string{fmt.Sprint(i + 1), e.Type, e.Key, c.at(e.OccurredAt)}
		if e.HasVersion {
			line = append(line, fmt.Sprintf("version %d", e.Version))
		}
		if e.HasLamport {
			line = append(line, fmt.Sprintf("lamport %d", e.Lamport))
		}
		if len(e.Vector) > 0 {
			line = append(line, "vector "+e.Vector.String())
		}
		data := strings.Join(strings.Fields(string(e.Data)), " ")
		if r := []rune(data); len(r) > 60 {
			data = string(r[:60]) + "…"
		}
		lines[n] = append(line, data)
	}
	s.add("events", lines...)
}

// at shows a time, without its day where all events are of one day.
func (c *Checker) at(t time.Time) string {
	const day = "2006-01-02"
	for _, e := range c.events {
		if d := e.OccurredAt.UTC().Format(day); d != t.UTC().Format(day) {
			return t.UTC().Format("2006-01-02T15:04:05.999999Z")
		}
	}
	return t.UTC().Format("15:04:05.999999")
}

// show shows a field's value.
func (c *Checker) show(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "NULL"
		}
		return c.show(v.Elem())
	}
	if t, ok := v.Interface().(time.Time); ok {
		return c.at(t)
	}
	switch v.Kind() {
	case reflect.String:
		return fmt.Sprintf("%q", v.String())
	case reflect.Struct, reflect.Slice, reflect.Map, reflect.Array:
		if b, err := json.Marshal(v.Interface()); err == nil {
			return string(b)
		}
	default:
	}
	return fmt.Sprint(v.Interface())
}
