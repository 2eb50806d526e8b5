package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/dlq"
)

// standard stands for standard input and output where a file is asked for.
const standard = "-"

func (a *app) exportCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "export",
		Short: "Write dead letters to a file, byte for byte",
		Long: `Write dead letters as JSON Lines, one letter a line, in the order of their ids.
Nothing is lost: bytes that are no text are in base64, null and empty differ,
and headers keep order and repetitions, so that ` + "`evenkeel dlq import`" + ` makes
the same letters of it.

The flags that choose letters are those of ` + "`evenkeel dlq list`" + `; without them
all are written. A file that exists is not written over. When no letter is
chosen no file is made and the exit code is 4.

Where rules hide fields (--redact, or the settings), the lines are marked, and
import refuses them: what is hidden is not in the file.`,
		Example: `  evenkeel dlq export --file letters.jsonl
  evenkeel dlq export --group orders --since 7d | gzip > letters.jsonl.gz`,
		Args: noArguments,
	}
	var chosen letterFlags
	chosen.flags(c, true)
	c.Flags().StringVarP(&file, "file", "f", standard, "write to this `file`; - is standard output")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := chosen.read(c, a.now()); err != nil {
			return err
		}
		_, db, closeDB, err := a.open(c)
		if err != nil {
			return err
		}
		defer closeDB()
		if a.hide.any() {
			fmt.Fprintln(c.ErrOrStderr(), "fields are hidden, so that this export can't be imported; without rules that hide it can")
		}
		bar := a.progress(c, "exported", 0)
		defer bar.end()
		if bar.seen() && chosen.filter.Match == nil {
			if bar.total, err = dlq.Count(c.Context(), db, chosen.filter); err != nil {
				return err
			}
		}
		export := func(w io.Writer) error {
			lines := dlq.NewLineWriter(bar.lines(w))
			if a.hide.any() {
				lines.Redact = a.hide.letter
			}
			n, err := dlq.ExportLines(c.Context(), db, lines, chosen.filter)
			bar.end()
			if err == nil && n == 0 {
				return &problem{code: codeNothing, what: "no letters match"}
			}
			if err == nil && file != standard {
				fmt.Fprintf(c.ErrOrStderr(), "%s written to %s\n", count(n, "letter"), safe(file))
			}
			return err
		}
		if file == standard {
			if a.columns(c.OutOrStdout()) > 0 {
				bar.end() // the letters themselves are to be seen
			}
			return export(terminalSafe{c.OutOrStdout()})
		}
		return newFile(file, export)
	}
	return c
}

// terminalSafe is for lines of JSON that may be shown on a terminal.
type terminalSafe struct{ w io.Writer }

func (s terminalSafe) Write(line []byte) (int, error) {
	if _, err := s.w.Write(escapeJSON(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// newFile makes a file of what write writes, whole or not at all. Only its owner can read
// it: letters hold what events hold.
func newFile(name string, write func(io.Writer) error) (err error) {
	if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
		if err != nil {
			return fileProblem(name, err)
		}
		return &problem{code: codeError, what: "the file " + name + " exists", next: "give --file another name, or remove it first"}
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fileProblem(name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreClosed(temporary.Close()), os.Remove(temporary.Name()))
		}
	}()
	if err := write(temporary); err != nil {
		return err
	}
	if err := errors.Join(temporary.Sync(), temporary.Close()); err != nil {
		return fileProblem(name, err)
	}
	// Link and not Rename, which would write over a file that was made meanwhile.
	if err := os.Link(temporary.Name(), name); err != nil {
		return fileProblem(name, err)
	}
	return os.Remove(temporary.Name())
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

func fileProblem(name string, err error) error {
	return &problem{code: codeError, what: fmt.Sprintf("can't use the file %s: %v", name, err), next: "check the path in --file and who may write there", err: err}
}

// count is a number with its noun.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
