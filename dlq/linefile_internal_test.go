package dlq

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// A line without end does not fill the memory, and the next one is read.
func TestLineTooLong(t *testing.T) {
	t.Parallel()
	r := NewLineReader(io.MultiReader(io.LimitReader(endless{}, MaxLineBytes+1), strings.NewReader("\n{}\n")))
	r.max = 1 << 20
	_, err := r.Read()
	var bad *LineError
	if !errors.As(err, &bad) || bad.Line != 1 || !strings.HasPrefix(err.Error(), "line 1: expected at most 1048576 bytes, found 134217730") {
		t.Errorf("got %v", err)
	}
	if cap(r.line) > 2<<20 {
		t.Errorf("%d bytes are held", cap(r.line))
	}
	if _, err := r.Read(); !errors.As(err, &bad) || bad.Line != 2 || bad.Field != "v" {
		t.Errorf("then %v", err)
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
