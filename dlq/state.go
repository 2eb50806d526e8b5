package dlq

import (
	"fmt"
	"strings"
)

// State is where a letter stands.
type State string

// The states of a letter. The words are stored. A letter that is open or replaying is
// unresolved: later events of its entity wait for it if it is blocking.
const (
	// Open: nobody has dealt with it.
	Open State = "open"
	// Replaying: a replay has it in hand, and nobody else may.
	Replaying State = "replaying"
	// Resolved: its event has come to its end, as [Outcome] says.
	Resolved State = "resolved"
	// Discarded: somebody has decided that its event is not to be applied.
	Discarded State = "discarded"
	// Purged: it ended so long ago that its bytes are gone. What is left tells a record
	// that is delivered again that its event was dealt with.
	Purged State = "purged"
)

// States are all states, in the order of a letter's life.
func States() []State { return []State{Open, Replaying, Resolved, Discarded, Purged} }

// Unresolved reports whether the letter is still to be dealt with.
func (s State) Unresolved() bool { return s == Open || s == Replaying }

// Outcome is how a replayed or reissued letter ended.
type Outcome string

// The outcomes. The words are stored.
const (
	// OutcomeApplied: its event has had its effect.
	OutcomeApplied Outcome = "applied"
	// OutcomeObsolete: newer events had written all that it would have.
	OutcomeObsolete Outcome = "obsolete"
	// OutcomeDuplicate: its event had been applied before.
	OutcomeDuplicate Outcome = "duplicate"
	// OutcomeReissued: of a discarded letter, that a new event was sent in place of its own.
	// It can't be restored, or both might have their effect.
	OutcomeReissued Outcome = "reissued"
)

// Move is what changes a letter's state.
type Move string

// The moves. The words are stored.
const (
	// MoveDiscard ends an open letter without its event's effect.
	MoveDiscard Move = "discard"
	// MoveRestore opens a discarded letter again.
	MoveRestore Move = "restore"
	// MoveReplay takes an open letter in hand.
	MoveReplay Move = "replay"
	// MoveCancel opens a letter again whose replay nobody has carried out yet.
	MoveCancel Move = "cancel"
	// MoveFail opens a letter whose replay has failed: the same letter, with one more
	// attempt.
	MoveFail Move = "fail"
	// MoveResolve ends a letter whose replay has come to an [Outcome].
	MoveResolve Move = "resolve"
	// MovePurge takes the bytes of a letter that ended.
	MovePurge Move = "purge"
	// MoveEdit puts a [Revision] beside an open letter's record.
	MoveEdit Move = "edit"
	// MoveReissue discards an open letter and sends a new event in place of its own.
	MoveReissue Move = "reissue"
	// MoveRepublish sends the record that came once more. The letter stays what it is.
	MoveRepublish Move = "republish"
)

// step is one way from a state to another.
type step struct {
	move     Move
	from, to State
}

// steps are the whole of a letter's life: any other is refused.
func steps() []step {
	return []step{
		{MoveDiscard, Open, Discarded},
		{MoveRestore, Discarded, Open},
		{MoveReplay, Open, Replaying},
		{MoveCancel, Replaying, Open},
		{MoveFail, Replaying, Open},
		{MoveResolve, Replaying, Resolved},
		{MovePurge, Resolved, Purged},
		{MovePurge, Discarded, Purged},
		{MoveEdit, Open, Open},
		{MoveReissue, Open, Discarded},
		{MoveRepublish, Open, Open},
		{MoveRepublish, Resolved, Resolved},
		{MoveRepublish, Discarded, Discarded},
	}
}

// After returns the state that the move makes of s, or a [*MoveError].
func (s State) After(m Move) (State, error) {
	for _, st := range steps() {
		if st.move == m && st.from == s {
			return st.to, nil
		}
	}
	return s, &MoveError{From: s, Move: m}
}

// Past is the move as people tell it afterwards: discarded, restored.
func (m Move) Past() string {
	switch m {
	case MoveDiscard:
		return "discarded"
	case MoveRestore:
		return "restored"
	case MoveReplay:
		return "taken for a replay"
	case MoveCancel:
		return "opened again before its replay"
	case MoveFail:
		return "opened again after a failed replay"
	case MoveResolve:
		return "resolved"
	case MovePurge:
		return "purged"
	case MoveEdit:
		return "edited"
	case MoveReissue:
		return "discarded and reissued"
	case MoveRepublish:
		return "republished"
	}
	return string(m)
}

// MoveError says that a move does not start from the state that a letter is in.
type MoveError struct {
	From State
	Move Move
}

// Error names the states that the move starts from.
func (e *MoveError) Error() string {
	var from []string
	for _, st := range steps() {
		if st.move == e.Move {
			from = append(from, string(st.from))
		}
	}
	if len(from) == 0 {
		return fmt.Sprintf("there is no move %q", e.Move)
	}
	return fmt.Sprintf("%s takes a letter that is %s, found %s", e.Move, strings.Join(from, " or "), e.From)
}
