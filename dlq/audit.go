package dlq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
)

// Actor is who changes letters.
type Actor struct {
	// Name is a person, or a job. It must not be empty.
	Name string
	// Via is what they used, e.g. "cli"; it may be empty.
	Via string
}

// Verbs of the audit beside those of [Move].
const (
	// VerbNote: somebody wrote a [Note].
	VerbNote = "note"
	// VerbPause and VerbResume: somebody told the members of a group to let things be, or to
	// go on (evenkeel consumer). Selection says what.
	VerbPause  = "pause"
	VerbResume = "resume"
)

// AuditEntry is one line of the audit: who did what, when and why.
type AuditEntry struct {
	ID int64
	At time.Time // by the database's clock
	By Actor
	// Verb is a [Move], or one of the other verbs.
	Verb   string
	Reason string
	Group  string
	// Letter is empty for what is about many, and Subject then the fingerprint that it is
	// about, if it is about one. With a letter Subject is what was sent of it.
	Letter, Subject string
	// Selection is how the letter was chosen among others, in words.
	Selection string
	// Before and After are empty where no state changed.
	Before, After State
	// Rev is the letter's, after the change.
	Rev int64
	// Job is the id of the job that did it, empty for none.
	Job string
}

// ByReplay reports whether the entry tells what a replay came to. Its reason then is no
// operator's, but the verdict's or the handler's words, which may quote the event.
func (e *AuditEntry) ByReplay() bool {
	return e.Verb == string(MoveFail) || e.Verb == string(MoveResolve)
}

// String tells the line in a sentence, without its id and selection.
func (e *AuditEntry) String() string {
	s := fmt.Sprintf("%s by %s at %s", Move(e.Verb).Past(), e.By.Name, e.At.UTC().Format(time.RFC3339))
	if e.Letter != "" && e.Job != "" {
		s += " in job " + e.Job
	}
	if e.Letter != "" && e.Subject != "" {
		s += " as " + e.Subject
	}
	if e.Reason != "" {
		s += fmt.Sprintf(" (%q)", clip(e.Reason, 200))
	}
	return s
}

// AuditFilter chooses lines of the audit. Zero fields choose all; the others must all hold.
type AuditFilter struct {
	Actor, Verb, Group, Letter, Subject, Job string
	// Since and Until bound when it was: at or after Since, before Until.
	Since, Until time.Time
	// Limit is the most that [Audit] returns. Defaults to 100.
	Limit int
}

// Audit returns the lines that f chooses, newest first. Lines are written in the
// transaction of what they tell, and the database refuses to change them or take them away.
// Errors are the driver's.
func Audit(ctx context.Context, db *gorm.DB, f AuditFilter) (entries []AuditEntry, err error) {
	var conditions []string
	var args []any
	for _, c := range [...]struct{ column, value string }{
		{"actor", f.Actor}, {"verb", f.Verb}, {"grp", f.Group}, {"letter", f.Letter}, {"subject", f.Subject}, {"job", f.Job},
	} {
		if c.value != "" {
			conditions, args = append(conditions, c.column+" = ?"), append(args, c.value)
		}
	}
	if f.Letter != "" {
		conditions = append(conditions, "letter <> ''") // as the index says
	}
	if !f.Since.IsZero() {
		conditions, args = append(conditions, "at >= ?"), append(args, f.Since.UnixMicro())
	}
	if !f.Until.IsZero() {
		conditions, args = append(conditions, "at < ?"), append(args, f.Until.UnixMicro())
	}
	where := ""
	if len(conditions) > 0 {
		where = " WHERE " + strings.Join(conditions, " AND ")
	}
	limit := f.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	rows, err := db.WithContext(ctx).Raw("SELECT "+auditColumns+" FROM evenkeel_audit"+where+" ORDER BY id DESC LIMIT ?", append(args, limit)...).Rows()
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		e, err := scanAudit(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("read the audit: %w", err)
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// auditColumns are those that scanAudit expects, in its order.
const auditColumns = "id, at, actor, via, verb, reason, grp, letter, subject, selection, before_state, after_state, rev, job"

// scanAudit reads a row of auditColumns.
func scanAudit(scan func(...any) error) (e AuditEntry, err error) {
	var at int64
	err = scan(&e.ID, &at, &e.By.Name, &e.By.Via, &e.Verb, &e.Reason, &e.Group, &e.Letter, &e.Subject, &e.Selection, &e.Before, &e.After, &e.Rev, &e.Job)
	e.At = time.UnixMicro(at).UTC()
	return e, err
}

// TakenError says that a letter is not any more what a change was based on: somebody was
// first. Nothing was changed.
type TakenError struct {
	ID    string
	Move  Move
	State State
	// First is what was done to it last, nil where no line of the audit says: then its
	// event was delivered once more and has failed again. Of a replay that has ended it is the
	// beginning, which tells who asked for it, and Then what it came to; else Then is nil.
	First, Then *AuditEntry
	// Outcome is the letter's.
	Outcome Outcome
}

// Error says who was first, what they did and when.
func (e *TakenError) Error() string {
	s := fmt.Sprintf("letter %s: can't %s it: ", e.ID, e.Move)
	if e.First == nil {
		if _, err := e.State.After(e.Move); err != nil {
			return s + err.Error()
		}
		return s + "it has changed since it was looked at, and is " + string(e.State) + "; look at it again"
	}
	s += "it was " + e.First.String()
	if e.Then == nil {
		return s
	}
	s += ", and " + Move(e.Then.Verb).Past() // why may quote the event
	if e.Outcome != "" {
		s += " as " + string(e.Outcome)
	}
	return s + " at " + e.Then.At.UTC().Format(time.RFC3339)
}
