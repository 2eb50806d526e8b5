package dlq

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/evenkeel-go/evenkeel/event"
)

// MaxLineBytes is the longest line that [LineReader] takes, 128 MiB: a record of the
// largest size that is usual, in its widest form.
const MaxLineBytes = 128 << 20

// LineError says that a line of a file is no letter. Reading may go on behind it.
type LineError struct {
	Line  int    // the first is 1
	Field string // empty when it is about the line
	// Expected is what should be there.
	Expected string
	Found    string // cut to 64 bytes
}

// Error tells line, field, expectation and finding.
func (e *LineError) Error() string {
	where := fmt.Sprintf("line %d", e.Line)
	if e.Field != "" {
		where += ": field " + e.Field
	}
	if e.Found == "" {
		return where + ": expected " + e.Expected
	}
	return fmt.Sprintf("%s: expected %s, found %s", where, e.Expected, e.Found)
}

// LineWriter writes letters as JSON Lines, one letter a line, so that [LineReader] reads
// exactly the same: bytes that are not UTF-8 are in base64, null and empty differ, headers
// keep order and repetitions, and times their microseconds.
type LineWriter struct {
	// Redact, if not nil, returns what of a letter is written. Such lines are marked, and
	// [LineReader] refuses them: what they hide is not in them.
	Redact func(*Letter) *Letter

	w    io.Writer
	line bytes.Buffer
	json *json.Encoder
}

// redactedField is in lines that don't have all of their letters.
const redactedField = "redacted"

// NewLineWriter returns a writer that makes one call of w for each letter.
func NewLineWriter(w io.Writer) *LineWriter {
	lw := &LineWriter{w: w}
	lw.json = json.NewEncoder(&lw.line)
	lw.json.SetEscapeHTML(false) // a payload with < or & stays readable
	return lw
}

// Write writes one letter, which must have been read with its record. Errors are w's.
func (w *LineWriter) Write(l *Letter) error {
	w.line.Reset()
	fmt.Fprintf(&w.line, `{"v":%d`, linesVersion)
	if w.Redact != nil {
		l = w.Redact(l)
		fmt.Fprintf(&w.line, `,"%s":true`, redactedField)
	}
	for i := range lineFields {
		fmt.Fprintf(&w.line, `,"%s":`, lineFields[i].name)
		if err := w.json.Encode(lineFields[i].get(l)); err != nil {
			return fmt.Errorf("letter %s: field %s: %w", l.ID, lineFields[i].name, err)
		}
		w.line.Truncate(w.line.Len() - 1) // the encoder's line feed
	}
	if len(l.Edits) > 0 {
		fmt.Fprintf(&w.line, `,"%s":%s`, lineEdits, EncodeEdits(l.Edits))
	}
	w.line.WriteString("}\n")
	_, err := w.w.Write(w.line.Bytes())
	return err
}

// LineReader reads what [LineWriter] wrote. It holds one line in memory.
type LineReader struct {
	r    *bufio.Reader
	max  int
	n    int
	line []byte
}

// NewLineReader returns a reader of r.
func NewLineReader(r io.Reader) *LineReader {
	return &LineReader{r: bufio.NewReaderSize(r, 64<<10), max: MaxLineBytes}
}

// Read returns the next letter; lines of white space are passed over. A [*LineError] says
// that the line is no letter, and the next call reads the next line; io.EOF is the end,
// and other errors are the reader's.
func (r *LineReader) Read() (*Letter, error) {
	for {
		if err := r.next(); err != nil {
			return nil, err
		}
		line := bytes.TrimSpace(r.line)
		if len(line) == 0 {
			continue
		}
		l, bad := parseLine(line)
		if bad != nil {
			bad.Line = r.n
			return nil, bad
		}
		return l, nil
	}
}

// Letters are all letters up to the end. Behind a [*LineError] they go on; any other error
// is the last.
func (r *LineReader) Letters() iter.Seq2[*Letter, error] {
	return func(yield func(*Letter, error) bool) {
		for {
			l, err := r.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if bad := (*LineError)(nil); !yield(l, err) || err != nil && !errors.As(err, &bad) {
				return
			}
		}
	}
}

// next reads one line into r.line, and a line that is too long to nowhere.
func (r *LineReader) next() error {
	r.line = r.line[:0]
	for size := 0; ; {
		part, err := r.r.ReadSlice('\n')
		if size == 0 && len(part) > 0 {
			r.n++
		}
		if size += len(part); size <= r.max {
			r.line = append(r.line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && size > 0:
		case err != nil:
			return err
		}
		if size > r.max {
			r.line = nil
			return &LineError{Line: r.n, Expected: fmt.Sprintf("at most %d bytes", r.max), Found: fmt.Sprintf("%d", size)}
		}
		return nil
	}
}

func parseLine(line []byte) (*Letter, *LineError) {
	if !utf8.Valid(line) {
		return nil, &LineError{Expected: "JSON in UTF-8", Found: found(line)}
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(line, &values); err != nil || values == nil {
		e := &LineError{Expected: "a JSON object", Found: found(line)}
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			e.Expected += fmt.Sprintf(" (%v at byte %d)", syntax, syntax.Offset)
		}
		return nil, e
	}
	if v := string(values["v"]); v != fmt.Sprint(linesVersion) {
		return nil, &LineError{Field: "v", Expected: fmt.Sprintf("%d, the version that this Evenkeel reads", linesVersion), Found: quoted(values["v"])}
	}
	delete(values, "v")
	if mark, ok := values[redactedField]; ok {
		return nil, &LineError{Field: redactedField, Expected: "a letter with all that it had; this line was exported with fields hidden, so export it again without rules that hide", Found: quoted(mark)}
	}
	l := &Letter{Record: &event.Record{}}
	for i := range lineFields {
		f := &lineFields[i]
		raw, ok := values[f.name]
		if !ok {
			return nil, &LineError{Field: f.name, Expected: "it in every line; take the line whole from an export", Found: "none"}
		}
		if err := f.set(l, raw); err != nil {
			return nil, &LineError{Field: f.name, Expected: err.Error(), Found: quoted(raw)}
		}
		delete(values, f.name)
	}
	if raw, ok := values[lineEdits]; ok {
		edits, err := DecodeEdits(string(raw))
		if err != nil {
			return nil, &LineError{Field: lineEdits, Expected: err.Error(), Found: quoted(raw)}
		}
		l.Edits = edits
		delete(values, lineEdits)
	}
	for name, raw := range values {
		return nil, &LineError{Field: clip(name, maxFound), Expected: "no field of this name; a newer Evenkeel may have written it", Found: quoted(raw)}
	}
	return l, nil
}

func quoted(raw json.RawMessage) string {
	if raw == nil {
		return "none"
	}
	return clip(string(raw), maxFound)
}
