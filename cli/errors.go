package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	codeError   = 1
	codeUsage   = 2
	codePartly  = 3
	codeNothing = 4
)

// problem is an error with the step that mends it.
type problem struct {
	code int
	what string
	next string
	err  error // may be nil
}

func (p *problem) Error() string {
	if p.next == "" {
		return p.what
	}
	return p.what + "\n  next: " + p.next
}

func (p *problem) Unwrap() error { return p.err }

// usage is an error about the words on the command line.
func usage(c *cobra.Command, format string, args ...any) error {
	return &problem{
		code: codeUsage,
		what: fmt.Sprintf(format, args...),
		next: "`" + c.CommandPath() + " --help` shows what it takes",
	}
}

// ExitCode says how a process ends that got err from a command of this package: 0 for
// none, 2 for wrong usage, 3 when only a part was done, 4 when nothing was found, 1 for
// everything else.
func ExitCode(err error) int {
	var p *problem
	switch {
	case err == nil:
		return 0
	case errors.As(err, &p):
		return p.code
	}
	return codeError
}

// report writes err as people read it. Texts of errors may quote what came from outside.
func report(w io.Writer, err error) {
	if err == nil {
		return
	}
	text := err.Error()
	var p *problem
	if errors.As(err, &p) && p.code == codeNothing {
		fmt.Fprintln(w, safeLines(text))
		return
	}
	if !strings.HasPrefix(text, "evenkeel: ") {
		text = "evenkeel: " + text
	}
	fmt.Fprintln(w, safeLines(text))
}
