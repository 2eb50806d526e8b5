package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
)

// repairFlags are those of a command that repairs one letter.
type repairFlags struct {
	yes, dryRun bool
	as, why     string
}

func (f *repairFlags) flags(c *cobra.Command) {
	flags := c.Flags()
	flags.BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only show what would be done")
	flags.StringVar(&f.as, "as", "", "`name` for the audit (default your user name)")
	flags.StringVar(&f.why, "why", "", "`text` for the audit that says why (required)")
}

// act is what the audit gets; a dry run needs no reason.
func (f *repairFlags) act(a *app, c *cobra.Command) (act framework.LetterAct, err error) {
	if strings.TrimSpace(f.why) == "" && !f.dryRun {
		return act, usage(c, "--why is required: it is kept in the audit")
	}
	act.By, err = a.actor(c, f.as)
	act.Reason = f.why
	return act, err
}

// actor is who runs the command.
func (a *app) actor(c *cobra.Command, as string) (dlq.Actor, error) {
	by := dlq.Actor{Name: strings.TrimSpace(as), Via: "cli"}
	if by.Name == "" {
		by.Name = a.user()
	}
	if by.Name == "" {
		return by, usage(c, "your user has no name; give one with --as, for the audit")
	}
	return by, nil
}

// repair is a letter that is to be repaired, with what it takes to do so.
type repair struct {
	act     framework.LetterAct
	format  format
	db      *gorm.DB
	closeDB func()
	letter  *dlq.Letter
}

// begin opens the database and reads the letter.
func (f *repairFlags) begin(a *app, c *cobra.Command, id string) (r repair, err error) {
	if r.act, err = f.act(a, c); err != nil {
		return r, err
	}
	if r.format, r.db, r.closeDB, err = a.open(c); err != nil {
		return r, err
	}
	if r.letter, err = dlq.Get(c.Context(), r.db, strings.ToLower(id)); err != nil {
		r.closeDB()
		return r, explain(c, err)
	}
	return r, nil
}

// goAhead asks, unless nothing is to be done or nobody wants to be asked.
func (f *repairFlags) goAhead(c *cobra.Command, verb string) (bool, error) {
	if f.dryRun {
		return false, nil
	}
	if f.yes || confirmed(c.InOrStdin(), c.ErrOrStderr(), verb) {
		return true, nil
	}
	return false, &problem{code: codeError, what: "nothing was changed", next: "answer y, or give --yes"}
}

// repairedJSON is what became of a letter that was to be repaired. Names and meanings are
// stable; new ones may come.
type repairedJSON struct {
	Letter string `json:"letter"`
	Done   bool   `json:"done"`
	DryRun bool   `json:"dry_run"`
	// EventID and Topic are those of the event that stands for it, "" without any.
	EventID string `json:"event_id"`
	Topic   string `json:"topic"`
}

// refusal tells why a letter was left alone.
func refusal(c *cobra.Command, err error) error {
	var taken *dlq.TakenError
	var refused *dlq.RefusedError
	switch {
	case errors.As(err, &taken):
		return &problem{code: codeError, what: err.Error(), next: "look at it again with `evenkeel dlq show`", err: err}
	case errors.As(err, &refused):
		return &problem{code: codeError, what: err.Error(), next: "nothing was changed; `" + c.CommandPath() + " --help` shows what it takes", err: err}
	}
	return explain(c, err)
}

// codecFor is the codec of a letter's topic, if the command is mounted in a service; else nil.
func (a *app) codecFor(l *dlq.Letter) event.Codec {
	if a.config == nil {
		return nil
	}
	if codec, ok := a.config.Codecs[l.Record.Topic]; ok {
		return codec
	}
	return a.config.Codec
}

// editFlags say what the record is to be.
type editFlags struct {
	repairFlags
	file          string
	set           []string
	headers, drop []string
}

func (a *app) editCommand() *cobra.Command {
	var f editFlags
	c := &cobra.Command{
		Use:   "edit ID",
		Short: "Put a mended revision beside a letter's record",
		Long: `Edit the value and the headers of an open letter. What came stays as it was: the
edit is a revision beside it, which ` + "`evenkeel dlq replay`" + ` judges in its place.

Without --value-file and --set your editor opens on the value: $VISUAL, else
$EDITOR. You see the difference and are asked before anything is written.

What makes the event what it is can't be edited: its type, source, id, key, time
and number. That is another event: ` + "`evenkeel dlq reissue`" + `.

When there is no such letter the exit code is 4.`,
		Example: `  evenkeel dlq edit 5598dac7 --why "total was a text"
  evenkeel dlq edit 5598dac7 --set /data/total=12.50 --why "total was a text"
  evenkeel dlq edit 5598dac7 --value-file mended.json --why "see ticket 4711"`,
	}
	flags := c.Flags()
	flags.StringVar(&f.file, "value-file", "", "take the value from this `file`, - for standard input")
	flags.StringArrayVar(&f.set, "set", nil, "set the JSON at a `/pointer=value`; may be repeated")
	flags.StringArrayVar(&f.headers, "header", nil, "set a header, `name=text`; may be repeated")
	flags.StringArrayVar(&f.drop, "drop-header", nil, "leave out the headers of this `name`; may be repeated")
	f.flags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage(c, "edit takes one letter id, found %d arguments", len(args))
		}
		if f.file != "" && len(f.set) > 0 {
			return usage(c, "the value is --value-file's or made with --set, found both")
		}
		if f.file == "-" && !f.yes && !f.dryRun {
			return usage(c, "with the value on standard input nobody can be asked; give --yes, or a file")
		}
		return a.edit(c, &f, args[0])
	}
	return c
}

func (a *app) edit(c *cobra.Command, f *editFlags, id string) error {
	begun, err := f.begin(a, c, id)
	if err != nil {
		return err
	}
	defer begun.closeDB()
	l := begun.letter
	if l.State != dlq.Open {
		return &problem{code: codeError, what: fmt.Sprintf("letter %s is %s, and only an open one can be edited", l.ID, l.State), next: "`evenkeel dlq show` tells who did what"}
	}
	edit := l.Edit()
	edit.Codec = a.codecFor(l)
	if f.inEditor() && !bytes.Equal(edit.Value, a.hide.value(edit.Value)) {
		return &problem{code: codeError, what: "an editor would show what is hidden of this letter", next: "give --set or --value-file, or take back what --redact and the settings hide"}
	}
	if err := f.apply(c, &edit); err != nil {
		return err
	}
	was, is := l.Revised(), *l.Record
	is.Value, is.Headers = edit.Value, edit.Headers
	if _, err := edit.Next(l, begun.act.By, begun.act.Reason); err != nil {
		return refusal(c, err)
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s\n%s", a.line(l), a.diff(was, &is))
	out := repairedJSON{Letter: l.ID, DryRun: f.dryRun}
	if ok, err := f.goAhead(c, "edit"); err != nil {
		return err
	} else if !ok {
		return writeDone(c, begun.format, out, dryRunText)
	}
	if err := framework.Edit(c.Context(), begun.db, edit, begun.act); err != nil {
		return refusal(c, err)
	}
	out.Done = true
	return writeDone(c, begun.format, out, fmt.Sprintf("edited; `evenkeel dlq replay %s` judges it", l.ID[:min(shortID, len(l.ID))]))
}

// inEditor reports whether somebody is to write the value.
func (f *editFlags) inEditor() bool {
	return f.file == "" && len(f.set)+len(f.headers)+len(f.drop) == 0
}

// apply makes the edit of what the flags say, or of what somebody writes.
func (f *editFlags) apply(c *cobra.Command, e *dlq.Edit) (err error) {
	for _, name := range f.drop {
		n := len(e.Headers)
		if e.Headers = slices.DeleteFunc(e.Headers, func(h event.Header) bool { return h.Key == name }); len(e.Headers) == n {
			return usage(c, "--drop-header: the letter has no header %q", name)
		}
	}
	for _, text := range f.headers {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return usage(c, "--header: expected name=text, found %q", text)
		}
		e.Headers = slices.DeleteFunc(e.Headers, func(h event.Header) bool { return h.Key == name })
		e.Headers = append(e.Headers, event.Header{Key: name, Value: []byte(value)})
	}
	for _, text := range f.set {
		pointer, value, ok := strings.Cut(text, "=")
		if !ok {
			return usage(c, "--set: expected /pointer=value, found %q", text)
		}
		if e.Value, err = setJSON(e.Value, pointer, value); err != nil {
			return usage(c, "--set: %v", err)
		}
	}
	switch {
	case f.file == "-":
		e.Value, err = io.ReadAll(io.LimitReader(c.InOrStdin(), dlq.MaxEditsBytes+1))
	case f.file != "":
		e.Value, err = os.ReadFile(f.file)
	case f.inEditor():
		e.Value, err = inEditor(c.Context(), e.Value)
	}
	if err != nil {
		return &problem{code: codeError, what: err.Error(), next: "nothing was changed", err: err}
	}
	return nil
}

// inEditor lets somebody change bytes in a file of their own. The line feed that editors put
// behind the last line is taken away again where there was none.
func inEditor(ctx context.Context, value []byte) (_ []byte, err error) {
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		return nil, errors.New("no editor: $VISUAL and $EDITOR are empty; set one, or give --value-file or --set")
	}
	dir, err := os.MkdirTemp("", "evenkeel-edit-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := dir + "/value.json"
	if err := os.WriteFile(file, value, 0o600); err != nil {
		return nil, err
	}
	words := append(strings.Fields(editor), file)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // the user's own editor
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("the editor %s: %w", editor, err)
	}
	changed, err := os.ReadFile(file) //nolint:gosec // written above
	if n := len(changed); err == nil && n > 0 && changed[n-1] == '\n' && (len(value) == 0 || value[len(value)-1] != '\n') {
		changed = changed[:n-1]
	}
	return changed, err
}
