package framework

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

// LetterAct says who changes dead letters, and why. It is kept in the audit ([dlq.Audit]).
type LetterAct struct {
	By dlq.Actor
	// Reason is required where the act ends or changes something: by [Discard], [Edit],
	// [Reissue], [Republish] and [Purge].
	Reason string
	// Selection tells in words how the letters were chosen, e.g. "reason late since 1h";
	// it may be empty.
	Selection string
	// AcceptForgotten goes with [Replay]: letters whose events are older than the memory of
	// guards.Once are applied although nobody can tell whether they were (R8).
	AcceptForgotten bool
}

// LetterReport says what became of letters that were to be changed.
type LetterReport struct {
	// Done is how many were changed.
	Done int
	// Refused has a [*dlq.TakenError] for each that somebody else had changed before, and
	// a [*dlq.NotFoundError] for each that is none; after [Replay] also a
	// [*dlq.UnreplayableError] for each that another system has written, after [Restore] a
	// [*dlq.RefusedError] for each that was reissued.
	Refused []error
}

// ActError says that an act can't be recorded as it is.
type ActError struct{ Field, Expected string }

// Error names the field.
func (e *ActError) Error() string {
	return fmt.Sprintf("LetterAct.%s is empty, expected %s; it is kept in the audit", e.Field, e.Expected)
}

// Discard decides that the events of open letters are not to be applied. Each letter is a
// transaction of its own, which goes through the row of its entity, or the state of its
// stream, so that a running consumer sees it at once: events that waited for the letter go
// on; behind a letter for a gap, without the numbers that are missing. The event stays known:
// a record that is delivered again, or a duplicate of it, is discarded as before, for a
// duplicate as long as its handler's memory goes back. The handle must be one that may write
// the entities' tables.
//
// The error is a [*ActError], or the database's, and then the report says how far it came:
// call it again with the same letters, which refuses those that are done.
func Discard(ctx context.Context, db *gorm.DB, letters []dlq.Ref, act LetterAct) (LetterReport, error) {
	if strings.TrimSpace(act.Reason) == "" {
		return LetterReport{}, &ActError{"Reason", "why the events are not to be applied"}
	}
	return moveLetters(ctx, db, letters, act, dlq.MoveDiscard)
}

// Restore opens discarded letters again; a blocking one holds up its entity's later events
// as before. What has gone on meanwhile stays so, and a stream does not go back to the
// numbers that it passed over. Transactions and errors are those of [Discard].
func Restore(ctx context.Context, db *gorm.DB, letters []dlq.Ref, act LetterAct) (LetterReport, error) {
	return moveLetters(ctx, db, letters, act, dlq.MoveRestore)
}

// Replay hands open letters to the running members of their group, which judge their events
// once more by their guards and handlers, as they judge events that wait: this group's
// handlers only, in the order of each entity, and each letter in the transaction that ends it.
// It returns once the letters are taken in hand, which nobody else can do then; [dlq.Get] tells
// what became of them. Without a running member they stay as they are, and [CancelReplay]
// opens them again.
//
// A replayed event is not judged late, but guards.MaxFuture holds. One that has nothing more
// to do, since newer events have written it all, resolves its letter as obsolete, and the
// audit has the numbers. A failure that may heal is tried again by the retry schedule; after
// the last, and at any other, the letter is open again, with more attempts. Until then it
// holds up whoever waited for it. A letter for a gap lets its stream go on without the
// missing numbers. A letter whose record was refused before its entities were known resolves
// as soon as each of these has its event, has it parked, or has a letter of its own for it.
//
// Transactions and errors are those of [Discard].
func Replay(ctx context.Context, db *gorm.DB, letters []dlq.Ref, act LetterAct) (LetterReport, error) {
	return moveLetters(ctx, db, letters, act, dlq.MoveReplay)
}

// CancelReplay opens letters again whose replay nobody has carried out yet. One that is being
// carried out at this moment is not stopped: who commits first decides, and the other is
// refused. Transactions and errors are those of [Discard].
func CancelReplay(ctx context.Context, db *gorm.DB, letters []dlq.Ref, act LetterAct) (LetterReport, error) {
	return moveLetters(ctx, db, letters, act, dlq.MoveCancel)
}

func moveLetters(ctx context.Context, db *gorm.DB, letters []dlq.Ref, act LetterAct, move dlq.Move) (report LetterReport, err error) {
	if err := named(act); err != nil {
		return report, err
	}
	st, err := open.Open(db)
	if err != nil {
		return report, err
	}
	for _, ref := range letters {
		err := st.MoveLetter(ctx, &store.LetterMove{Ref: ref, Move: move, By: act.By, Reason: act.Reason, Selection: act.Selection, AcceptForgotten: act.AcceptForgotten})
		switch {
		case err == nil:
			report.Done++
		case isRefusal(err):
			report.Refused = append(report.Refused, err)
		default:
			return report, fmt.Errorf("%s letter %s: %w", move, ref.ID, err)
		}
	}
	return report, nil
}

// NoteError says that a note can't be kept as it is.
type NoteError struct{ Text string }

// Error says what is expected.
func (e *NoteError) Error() string { return e.Text }

// AddNote keeps a note about a letter, or about all letters with a fingerprint, with a line in
// the audit; its time is the database's. It changes nothing about the letter. Errors are a
// [*NoteError], a [*dlq.NotFoundError], or the database's.
func AddNote(ctx context.Context, db *gorm.DB, n dlq.Note) error {
	switch {
	case strings.TrimSpace(n.By.Name) == "":
		return &NoteError{"Note.By.Name is empty, expected who writes it"}
	case (n.Letter == "") == (n.Fingerprint == ""):
		return &NoteError{fmt.Sprintf("a note is about a letter or a fingerprint, found letter %q and fingerprint %q", n.Letter, n.Fingerprint)}
	case strings.TrimSpace(n.Body) == "":
		return &NoteError{"Note.Body is empty, expected a text"}
	case len(n.Body) > dlq.MaxNoteBytes:
		return &NoteError{fmt.Sprintf("Note.Body has %d bytes, expected at most %d; keep the rest elsewhere and note where", len(n.Body), dlq.MaxNoteBytes)}
	}
	st, err := open.Open(db)
	if err != nil {
		return err
	}
	return st.AddNote(ctx, &n)
}
