package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
)

// Replay is what must be known of the letter whose event is parked to be replayed.
type Replay struct {
	Reason guards.Reason `json:"reason"`
	// Compared names the numbers of the letter's verdict.
	Compared string `json:"compared,omitempty"`
	// AcceptForgotten: somebody has said that the event is to be applied although it is so
	// old that nobody remembers whether it was (R8).
	AcceptForgotten bool `json:"accept_forgotten,omitempty"`
	// Edit is the revision that is judged in place of the record that came, nil for none. The
	// parked row has the record as it came.
	Edit *dlq.Revision `json:"-"`
}

// replayJSON is a Replay as it is stored.
type replayJSON struct {
	Replay
	Edit json.RawMessage `json:"edit,omitempty"` // as dlq.EncodeEdits writes it
}

// String is what is stored; it is empty for nil.
func (r *Replay) String() string {
	if r == nil {
		return ""
	}
	j := replayJSON{Replay: *r}
	if r.Edit != nil {
		j.Edit = json.RawMessage(dlq.EncodeEdits([]dlq.Revision{*r.Edit}))
	}
	b, err := json.Marshal(j)
	if err != nil {
		panic("evenkeel: " + err.Error()) // texts always marshal
	}
	return string(b)
}

// ParseReplay reads what String has written.
func ParseReplay(text string) (*Replay, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // none is no error
	}
	var j replayJSON
	err := json.Unmarshal([]byte(text), &j)
	r := &j.Replay
	if err == nil && len(j.Edit) > 0 {
		var edits []dlq.Revision
		if edits, err = dlq.DecodeEdits(string(j.Edit)); err == nil {
			r.Edit = &edits[0]
		}
	}
	if err != nil {
		return nil, fmt.Errorf("evenkeel_parked: replay is %.40q, expected what an Evenkeel of this version writes: %w", text, err)
	}
	return r, nil
}

// ReplayOf is the Replay of a letter that the move takes.
func ReplayOf(m *LetterMove, l *dlq.Letter) *Replay {
	r := &Replay{Reason: l.Verdict.Reason, Compared: l.Verdict.Numbers.What, AcceptForgotten: m.AcceptForgotten}
	if n := len(l.Edits); n > 0 {
		r.Edit = &l.Edits[n-1]
	}
	return r
}

// ParkedOf is what parks the event of a letter that the move takes, due at once whatever
// anybody's clock says.
func ParkedOf(m *LetterMove, l *dlq.Letter) *Parked {
	return &Parked{
		ID: l.ID, Group: l.Group, Table: l.Table, Entity: l.Entity, Handler: l.Handler, Stream: l.Stream, Cause: CauseReplay,
		Place: l.Place, Rev: 1, Due: time.UnixMicro(0).UTC(), EventType: l.EventType, Source: l.Source, EventID: l.EventID, OccurredAt: l.OccurredAt,
		Record: l.Record, Replay: ReplayOf(m, l),
	}
}

// SeenOf is what parks the event of a whole record's letter that the move gives up.
func SeenOf(m *LetterMove, l *dlq.Letter) *Parked {
	p := ParkedOf(m, l)
	p.Cause, p.Replay = CauseSeen, nil
	return p
}

// Resolution ends the replay of a letter.
type Resolution struct {
	ID string
	// Outcome is how the letter ends. Empty: the replay has failed, and the letter opens again.
	Outcome dlq.Outcome
	// Why is for the audit.
	Why string
	// Failed has of a replay that failed the verdict, the error, the fingerprint and the
	// version; Attempts is how many there were more. All else of the letter stays.
	Failed dlq.Letter
}

// Replayer is who ends replays, for the audit.
func Replayer() dlq.Actor { return dlq.Actor{Name: "evenkeel", Via: "replay"} }

// Entry is the resolution's line of the audit.
func (r *Resolution) Entry(group string, rev int64) *dlq.AuditEntry {
	m := LetterMove{Ref: dlq.Ref{ID: r.ID}, Move: dlq.MoveResolve, By: Replayer(), Reason: r.Why}
	after := dlq.Resolved
	if r.Outcome == "" {
		m.Move, after = dlq.MoveFail, dlq.Open
	}
	return m.Entry(group, dlq.Replaying, after, rev)
}

// HadEffect reports whether a letter's outcome says that its event was judged to the end, so
// that a rebuild judges it once more (R20). Where a new event was sent in its place, that one
// is in the log, and both would have their effect.
func HadEffect(o dlq.Outcome) bool { return o != "" && o != dlq.OutcomeReissued }

// Refuse says why the move can't be made of a letter in a state that it starts from.
func (m *LetterMove) Refuse(l *dlq.Letter) error {
	if m.Move == dlq.MoveReplay && len(l.Edits) > 0 && l.Edits[len(l.Edits)-1].Lost {
		return &dlq.UnreplayableError{ID: l.ID, Why: "it was imported from a topic for which its edit was too large; edit it again, or import it from an export of the table"}
	}
	if m.Move == dlq.MoveRestore && l.Outcome == dlq.OutcomeReissued {
		return &dlq.RefusedError{ID: l.ID, Move: m.Move, Why: "a new event was sent in place of its own, and both would have their effect; `evenkeel audit --letter` tells which"}
	}
	if m.Move == dlq.MoveReplay && l.Verdict.Reason == dlq.Foreign {
		return &dlq.UnreplayableError{ID: l.ID, Why: "another system has written it, and no handler of this one ever had its event; send its record to a topic that is consumed here"}
	}
	return nil
}
