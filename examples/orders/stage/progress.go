package stage

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows what goes on: one line that is drawn anew on a terminal, plain lines
// elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
	drawn    bool
	at       time.Time
	phase    string
	part     int64
}

// newProgress shows on stdout, or with --json, which wants stdout for itself, on stderr.
func newProgress(o *options, stdout, stderr io.Writer) *progress {
	p := &progress{out: stdout}
	if o.json {
		p.out = stderr
	}
	p.terminal = isTerminal(p.out)
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" || f.Name() == os.DevNull {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// say prints a line.
func (p *progress) say(format string, args ...any) {
	p.end()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// step says how far a phase is.
func (p *progress) step(phase string, done, total int64, detail string) {
	if phase != p.phase {
		p.phase, p.part, p.at = phase, 0, time.Time{}
	}
	if total <= 0 {
		return
	}
	if p.terminal {
		if since(p.at) < 100*time.Millisecond && done < total {
			return
		}
		p.at = now()
		const width = 16
		filled := int(min(done, total) * width / total)
		fmt.Fprintf(p.out, "\r\x1b[K%-8s [%s%s] %d/%d  %s", phase, strings.Repeat("█", filled), strings.Repeat("·", width-filled), done, total, detail)
		p.drawn = true
		return
	}
	lines := int64(10)
	if detail == "" {
		lines = 2 // nothing to see but that it goes on
	}
	if part := done * lines / total; part > p.part {
		p.part = part
		fmt.Fprintf(p.out, "%s: %d of %d", phase, done, total)
		if detail != "" {
			fmt.Fprintf(p.out, " (%s)", detail)
		}
		fmt.Fprintln(p.out)
	}
}

// end leaves the line that was drawn.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprintln(p.out)
		p.drawn = false
	}
}
