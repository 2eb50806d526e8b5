package cli

import (
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/dlq"
)

const (
	progressEvery = 200 * time.Millisecond
	barWidth      = 20
)

// progress is a line on a terminal that tells how far long work has come; elsewhere it is
// nothing. It is on standard error, so that what is written goes its own way.
type progress struct {
	w       io.Writer // nil: nobody looks
	now     func() time.Time
	columns int
	verb    string

	letters int64
	// done and total are bytes or letters, whatever is known; a total of 0 is not known.
	done, total int64
	shown       time.Time
}

// progress begins a line such as "exported 4000 letters". The caller ends it before it
// writes anything else.
func (a *app) progress(c *cobra.Command, verb string, total int64) *progress {
	p := &progress{now: a.now, verb: verb, total: total, shown: a.now()}
	w := c.ErrOrStderr()
	if columns := a.columns(w); columns > 0 && a.getenv("TERM") != "dumb" {
		p.w, p.columns = w, columns
	}
	return p
}

// seen reports whether somebody looks.
func (p *progress) seen() bool { return p.w != nil }

// letter counts one more letter; done of the total are done with it.
func (p *progress) letter(done int64) {
	p.letters++
	p.done = done
	if p.w == nil {
		return
	}
	if now := p.now(); now.Sub(p.shown) >= progressEvery {
		p.shown = now
		fmt.Fprint(p.w, "\r", fit(p.text(), p.columns-1), "\x1b[K")
	}
}

func (p *progress) text() string {
	text := fmt.Sprintf("%s %s", p.verb, count(p.letters, "letter"))
	if p.total <= 0 {
		return text
	}
	part := min(max(float64(p.done)/float64(p.total), 0), 1)
	return fmt.Sprintf("%s %3.0f%%  %s", bar(int(part*barWidth), barWidth), 100*part, text)
}

// bar is so many of width columns, between brackets.
func bar(full, width int) string {
	return "[" + strings.Repeat("#", full) + strings.Repeat(" ", width-full) + "]"
}

// end takes the line away.
func (p *progress) end() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.w = nil
	}
}

// above writes to w, where the line is, without getting into it.
func (p *progress) above(w io.Writer) io.Writer { return aboveWriter{p, w} }

type aboveWriter struct {
	p *progress
	w io.Writer
}

func (a aboveWriter) Write(b []byte) (int, error) {
	if a.p.w != nil {
		fmt.Fprint(a.p.w, "\r\x1b[K")
	}
	return a.w.Write(b)
}

// lines counts the letters that are written to w, one with each call.
func (p *progress) lines(w io.Writer) io.Writer { return progressWriter{p, w} }

type progressWriter struct {
	p *progress
	w io.Writer
}

func (w progressWriter) Write(line []byte) (int, error) {
	n, err := w.w.Write(line)
	w.p.letter(w.p.letters + 1)
	return n, err
}

// read counts the letters that are read; at tells how far the reading has come.
func (p *progress) read(letters iter.Seq2[*dlq.Letter, error], at func() int64) iter.Seq2[*dlq.Letter, error] {
	return func(yield func(*dlq.Letter, error) bool) {
		for l, err := range letters {
			p.letter(at())
			if !yield(l, err) {
				return
			}
		}
	}
}

// countingReader knows how much was read.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
