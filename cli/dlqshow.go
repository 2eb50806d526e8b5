package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/dlq"
)

// maxShown bounds how many bytes of a value people are shown; programs get all.
const maxShown = 64 << 10

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one dead letter with its bytes",
		Long: `Show everything about one dead letter: why the event was not applied, what was
compared, the error, and the record as it came, byte for byte. ID is the
letter's id or its beginning, as long as no other begins so.

Text is shown as it is, with control characters escaped; bytes that are no text
are shown in hexadecimal. When there is no such letter the exit code is 4.`,
		Example: `  evenkeel dlq show 5598dac7
  evenkeel dlq show 5598dac7 -o json | jq -r .record.value.text`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(c, "show takes one letter id, found %d arguments", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			format, db, closeDB, err := a.open(c)
			if err != nil {
				return err
			}
			defer closeDB()
			l, err := dlq.Get(c.Context(), db, strings.ToLower(args[0]))
			if err != nil {
				return explain(c, err)
			}
			told := &story{letter: a.hide.letter(l)}
			if told.notes, err = dlq.Notes(c.Context(), db, l.ID, l.Fingerprint); err != nil {
				return err
			}
			if told.history, err = dlq.Audit(c.Context(), db, dlq.AuditFilter{Letter: l.ID, Limit: maxHistory}); err != nil {
				return err
			}
			a.hideAudit(told.history)
			if format != formatTable {
				return writeJSON(c.OutOrStdout(), format, told.json())
			}
			return a.show(c, told)
		},
	}
}

// maxHistory bounds the lines of the audit that go with a letter.
const maxHistory = 1000

// story is a letter with what people did and found out.
type story struct {
	letter  *dlq.Letter
	notes   []dlq.Note
	history []dlq.AuditEntry // newest first
}

func (s *story) json() *letterJSON {
	j := newLetterJSON(s.letter, true)
	j.Notes, j.History = []noteJSON{}, []auditJSON{}
	for i := range s.notes {
		n := &s.notes[i]
		j.Notes = append(j.Notes, noteJSON{At: instant(n.At), By: n.By.Name, Fingerprint: n.Fingerprint, Body: n.Body})
	}
	for _, e := range s.history {
		j.History = append(j.History, newAuditJSON(e))
	}
	return j
}

func explain(c *cobra.Command, err error) error {
	var missing *dlq.NotFoundError
	var ambiguous *dlq.AmbiguousError
	switch {
	case errors.As(err, &missing):
		return &problem{
			code: codeNothing, what: err.Error(), err: err,
			next: "`" + c.Parent().CommandPath() + " list` shows the letters of this database; is it the right one?",
		}
	case errors.As(err, &ambiguous):
		return &problem{code: codeError, what: err.Error(), err: err, next: "give more of the id"}
	}
	return err
}

// page writes named facts below each other, and leaves out those that aren't known.
type page struct {
	strings.Builder
	now      time.Time
	emphasis func(string) string
	columns  int // how wide sentences are; only those who write some need it
}

func (a *app) show(c *cobra.Command, s *story) error {
	w, l := c.OutOrStdout(), s.letter
	p := &page{now: a.now(), emphasis: a.emphasis(w)}
	p.facts(l)
	p.people(s)
	p.failure(l)
	p.foreign(l.Foreign())
	p.record(l)
	p.edits(l)
	_, err := fmt.Fprint(w, p.String())
	return err
}

func (p *page) facts(l *dlq.Letter) {
	r := l.Record
	p.heading("Letter " + safe(l.ID))
	p.fact("verdict", l.Verdict.Action.String()+" ("+string(l.Verdict.Reason)+")")
	p.fact("compared", l.Verdict.Numbers.String())
	p.fact("detail", l.Verdict.Detail)
	p.fact("state", strings.TrimSpace(string(l.State)+" "+string(l.Outcome)))
	if l.Blocking && l.State.Unresolved() {
		p.fact("blocking", "yes: later events of this entity wait for it (place "+strconv.FormatInt(l.Place, 10)+")")
	}
	p.time("made", l.CreatedAt)
	if l.PublishedAt.IsZero() {
		p.fact("on the topic", "not yet")
	} else {
		p.time("on the topic", l.PublishedAt)
	}
	p.fact("cause", l.Fingerprint)
	p.fact("service", l.ServiceVersion)

	p.heading("Event")
	p.fact("type", l.EventType)
	p.fact("id", l.EventID)
	p.fact("source", l.Source)
	p.time("occurred", l.OccurredAt)
	if l.Entity != "" {
		p.fact("entity", strings.TrimSpace(l.Table+" "+l.Entity))
	}
	p.fact("handler", l.Handler)
	p.fact("group", l.Group)
	p.fact("from", fmt.Sprintf("topic %s, partition %s, offset %s", told(r.Topic), number(int64(r.Partition)), number(r.Offset)))
	p.fact("topic id", r.TopicID)
	p.fact("cluster", r.Cluster)
}

// people tells what they found out and did, the first of it first.
func (p *page) people(s *story) {
	if len(s.notes) > 0 {
		p.heading("Notes")
	}
	for i := range s.notes {
		n := &s.notes[i]
		about := ""
		if n.Fingerprint != "" {
			about = ", on all with this cause"
		}
		p.block(n.By.Name, n.Body)
		p.fact("", p.when(n.At)+about)
	}
	heading := false
	for _, e := range slices.Backward(s.history) {
		if e.Verb == dlq.VerbNote {
			continue
		}
		if !heading {
			p.heading("History")
			heading = true
		}
		text := dlq.Move(e.Verb).Past() + " by " + e.By.Name
		if e.Reason != "" {
			text += ": " + e.Reason
		}
		p.fact(ago(p.now, e.At), text)
		if e.Selection != "" {
			p.fact("", "chosen by "+e.Selection)
		}
	}
}

func (p *page) failure(l *dlq.Letter) {
	if l.Attempts == 0 && l.Error == "" && l.ErrorType == "" && l.Stack == "" {
		return
	}
	p.heading("Failure")
	if l.Attempts > 0 {
		p.fact("attempts", strconv.Itoa(l.Attempts))
	}
	p.time("first", l.FirstFailed)
	p.time("last", l.LastFailed)
	p.fact("error type", l.ErrorType)
	p.block("error", l.Error)
	p.block("stack", l.Stack)
}

// foreign is what another library's letter tells beside what every letter has.
func (p *page) foreign(told *dlq.Reading) {
	if told == nil {
		return
	}
	p.heading("As told by " + safe(told.Dialect))
	if told.Exception != nil && told.Cause != nil && *told.Exception != *told.Cause {
		p.fact("exception", *told.Exception)
	}
	if told.Retries != nil {
		p.fact("retries", strconv.Itoa(*told.Retries))
	}
	if o := told.Origin; o != nil {
		p.fact("first from", fmt.Sprintf("topic %s, partition %s, offset %s", orUnknown(o.Topic), orUnknown(o.Partition), orUnknown(o.Offset)))
	}
	if told.Hops != nil && *told.Hops > 1 {
		p.fact("failures", strconv.Itoa(*told.Hops))
	}
	for _, f := range told.Facts {
		p.fact("", f.Name+": "+f.Value)
	}
	for _, part := range [...]struct {
		name string
		is   dlq.Fidelity
	}{{"key", told.Key}, {"value", told.Value}} {
		switch part.is {
		case dlq.Original:
		case dlq.Uncertain:
			p.fact(part.name, "may not be the original's bytes")
		case dlq.Absent:
			p.fact(part.name, "is not in the letter")
		}
	}
	if len(told.Also) > 0 {
		p.fact("headers of", strings.Join(told.Also, ", "))
	}
	for i := range told.Malformed {
		p.fact("malformed", told.Malformed[i].Error())
	}
}

const unknown = "unknown"

func told(s string) string {
	if s == "" {
		return unknown
	}
	return s
}

func number(n int64) string {
	if n == dlq.Unknown {
		return unknown
	}
	return strconv.FormatInt(n, 10)
}

func orUnknown[T any](v *T) string {
	if v == nil {
		return unknown
	}
	return fmt.Sprint(*v)
}

func (p *page) record(l *dlq.Letter) {
	r := l.Record
	p.heading("Record")
	if !r.Timestamp.IsZero() {
		p.fact("timestamp", p.when(r.Timestamp)+", "+timestampType(r.TimestampType))
	}
	p.fact("key", oneLine(r.Key))
	for _, h := range r.Headers {
		p.fact("header", oneLine([]byte(h.Key))+" = "+oneLine(h.Value))
	}
	switch shown := r.Value[:min(len(r.Value), maxShown)]; {
	case len(r.Value) == 0:
		p.fact("value", oneLine(r.Value))
	case isText(r.Value):
		p.block("value", string(shown))
	default:
		p.block("value", strings.TrimSuffix(hex.Dump(shown), "\n"))
	}
	if missing := len(r.Value) - maxShown; missing > 0 {
		p.fact("", fmt.Sprintf("and %d bytes more; -o json has all", missing))
	}
}

// edits tells what people have made of the record, each revision against the one before.
func (p *page) edits(l *dlq.Letter) {
	was := l.Record
	for i := range l.Edits {
		e := &l.Edits[i]
		p.heading(fmt.Sprintf("Revision %d, by %s", e.N, safe(e.By.Name)))
		p.fact("made", p.when(e.At))
		p.fact("why", e.Reason)
		if e.Lost {
			p.fact("record", "was too large for the topic that the letter came from; edit it again")
			continue
		}
		is := *l.Record
		is.Value, is.Headers = e.Value, e.Headers
		text := diff(was, &is)
		if text == "" { // an edit changes something
			text = allHidden
		}
		for line := range strings.Lines(text) {
			p.WriteString("    " + line)
		}
		was = &is
	}
}

func (p *page) heading(s string) {
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
	p.WriteString(p.emphasis(s) + "\n")
}

const factWidth = 14

func (p *page) fact(name, value string) {
	if value != "" {
		fmt.Fprintf(p, "  %-*s%s\n", factWidth, safe(name), safe(value))
	}
}

func (p *page) time(name string, t time.Time) {
	if !t.IsZero() {
		p.fact(name, p.when(t))
	}
}

func (p *page) when(t time.Time) string { return instant(t) + " (" + ago(p.now, t) + ")" }

// block is a fact that may have lines: one stands beside its name, more stand below it.
func (p *page) block(name, value string) {
	if !strings.ContainsRune(value, '\n') {
		p.fact(name, value)
		return
	}
	fmt.Fprintf(p, "  %s\n", safe(name))
	for line := range strings.Lines(value) {
		p.WriteString("    " + safeLines(strings.TrimSuffix(line, "\n")) + "\n")
	}
}
