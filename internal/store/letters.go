package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// LetterKeeper changes what becomes of dead letters. What batches write of them is in Batch.
type LetterKeeper interface {
	// MoveLetter moves one letter to its next state, in one transaction with its line in
	// the audit. Where the move begins or ends that later events wait for the letter, it
	// goes through the entity's row or its stream, so that a batch that loaded the old
	// state is refused (R9); where it ends that, they become due, and the event's id may
	// be forgotten (R8). The letter's copy is to be published again.
	//
	// Errors are a *dlq.NotFoundError, a *dlq.TakenError when the letter is not any more
	// what the move is based on, and those of this package.
	MoveLetter(ctx context.Context, m *LetterMove) error
	// AddNote keeps a note, with a line in the audit. A letter that is none is a
	// *dlq.NotFoundError.
	AddNote(ctx context.Context, n *dlq.Note) error
	// LetterTopic notes that a member of the group starts with this dead-letter topic, which
	// nothing else in the database tells.
	LetterTopic(ctx context.Context, group, topic string) error
	// LastMove is the line of the letter's last change of state, nil for none.
	LastMove(ctx context.Context, letter string) (*dlq.AuditEntry, error)
	// PurgeLetters takes the bytes of the group's resolved and discarded letters that
	// ended before, in small ordered portions, and returns how many there were. Their
	// coordinates stay, so that their records are known when they are delivered again
	// (R6); so do those that are still to be published, and the edits of resolved ones,
	// which a rebuild finds nowhere else (R20).
	PurgeLetters(ctx context.Context, p *LetterPurge) (int64, error)
}

// LetterPurge is a purge of letters. With its portions the audit has a line each.
type LetterPurge struct {
	Group   string
	Before  time.Time
	Portion int
	By      dlq.Actor
	Reason  string
}

// Retention is who purges letters when their time has come.
func Retention() dlq.Actor { return dlq.Actor{Name: "evenkeel", Via: "retention"} }

// LetterMove is a change of one letter's state. MoveReplay also parks the event with
// CauseReplay, due at once, and what gives up a whole record whose event others may wait for
// parks it with CauseSeen; any other move takes that away.
type LetterMove struct {
	dlq.Ref
	Move dlq.Move
	// AcceptForgotten goes with MoveReplay: see Replay.
	AcceptForgotten bool
	// Outcome goes with MoveResolve.
	Outcome dlq.Outcome
	// Revision goes with MoveEdit; its number and time are the store's to set.
	Revision *dlq.Revision
	// Send goes with MoveReissue and MoveRepublish: what is sent, by whichever member of the
	// group finds it. Its ID must be new.
	Send *Outbound
	// Subject names what was made of the letter, for the audit.
	Subject   string
	By        dlq.Actor
	Reason    string
	Selection string
	Job       string
	// Take goes with MoveReplay, where a job does it.
	Take *JobTake
}

// LetsGo reports whether what waits behind the letter may go on after the move.
func (m *LetterMove) LetsGo() bool {
	return m.Move == dlq.MoveDiscard || m.Move == dlq.MoveReissue || m.Move == dlq.MoveResolve
}

// OutcomeOf is the letter's outcome after the move.
func (m *LetterMove) OutcomeOf(l *dlq.Letter) dlq.Outcome {
	if m.Move == dlq.MoveReissue {
		return dlq.OutcomeReissued
	}
	if m.Move == dlq.MoveRepublish {
		return l.Outcome
	}
	return m.Outcome
}

// Revised are a letter's edits with the move's behind them.
func (m *LetterMove) Revised(edits []dlq.Revision, now time.Time) []dlq.Revision {
	next := *m.Revision
	next.N, next.At = 1, now
	if n := len(edits); n > 0 {
		next.N = edits[n-1].N + 1
	}
	return append(slices.Clone(edits), next)
}

// Entry is the move's line of the audit.
func (m *LetterMove) Entry(group string, before, after dlq.State, rev int64) *dlq.AuditEntry {
	return &dlq.AuditEntry{
		By: m.By, Verb: string(m.Move), Reason: m.Reason, Group: group, Letter: m.ID, Subject: m.Subject, Selection: m.Selection,
		Before: before, After: after, Rev: rev, Job: m.Job,
	}
}

// Entry is the line of the audit about a portion of purged letters.
func (p *LetterPurge) Entry(letters int64) *dlq.AuditEntry {
	return &dlq.AuditEntry{
		By: p.By, Verb: string(dlq.MovePurge), Reason: p.Reason, Group: p.Group,
		Selection: fmt.Sprintf("%d letters that ended before %s", letters, p.Before.UTC().Format(time.RFC3339)),
	}
}

// Taken says that a letter is not in the state, or of the revision, that a move starts from.
// Lines are those of its last changes, the newest first. Only one about the revision that it
// has, or about a later one, tells who was first: it may have been moved once more just now.
func Taken(l *dlq.Letter, move dlq.Move, lines []*dlq.AuditEntry) *dlq.TakenError {
	e := &dlq.TakenError{ID: l.ID, Move: move, State: l.State, Outcome: l.Outcome}
	if len(lines) == 0 || lines[0].Rev < l.Rev {
		return e
	}
	e.First = lines[0]
	if len(lines) > 1 && lines[0].ByReplay() && lines[1].Verb == string(dlq.MoveReplay) {
		e.First, e.Then = lines[1], lines[0]
	}
	return e
}

// KindSequence is the kind of a stream's memo, whose body is a sequence.State (R7).
const KindSequence MemoKind = "sequence"

// KindCausal is the kind of the memo that says what an entity has seen (R14).
const KindCausal MemoKind = "causal"

// MemoOf names the memo that what is decided about a stream depends on: of numbers, or of
// causes.
func MemoOf(k StreamKey) MemoKey {
	kind := KindSequence
	if strings.HasPrefix(k.Stream, handlers.CausalStreams) {
		kind = KindCausal
	}
	return MemoKey{Kind: kind, Scope: k.Stream, Entity: k.Entity}
}

// OnceScope is the scope of a handler's ids under guards.Once (R8).
func OnceScope(handler string) string { return "once:" + handler }

// EventID tells whether an event is the same again: 32 hexadecimal digits of its identity,
// so that it takes one size whatever producers send.
func EventID(source, id string) string {
	b := make([]byte, 0, 128)
	b = binary.AppendUvarint(b, uint64(len(source))) // so that source does not run into id
	b = append(b, source...)
	b = append(b, id...)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
