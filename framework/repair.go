package framework

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

// Edit puts a revision beside an open letter's record; the record stays as it came. A replay
// judges the newest revision, and so does a rebuild once that has resolved the letter. What
// makes the event what it is stays: see [dlq.Edit]. It is checked here as far as the record's
// format is known, and by the member that replays it: an edit that makes another event of it
// fails there, and the letter is open again.
//
//	letter, err := dlq.Get(ctx, db, id)
//	edit := letter.Edit()
//	edit.Value = mended
//	err = framework.Edit(ctx, db, edit, act)
//
// The edit and its line in the audit are one transaction. Errors are a [*ActError], which also
// says that the reason is missing, a [*dlq.RefusedError], a [*dlq.TakenError] when somebody
// was first, a [*dlq.NotFoundError], or the database's.
func Edit(ctx context.Context, db *gorm.DB, edit dlq.Edit, act LetterAct) error {
	return moveOne(ctx, db, edit.Ref, dlq.MoveEdit, act, func(l *dlq.Letter, m *store.LetterMove) (err error) {
		m.Revision, err = edit.Next(l, act.By, act.Reason)
		return err
	})
}

// Reissued is what a letter was reissued as.
type Reissued struct{ ID, Topic string }

// Reissue discards an open letter and sends a new event in its place, with a new id and what
// else [dlq.Reissue] says, in one transaction with one line of the audit. What waited for the
// letter goes on, as after [Discard]. The event goes through the outbox: a running member of
// the group sends it, most often within 15 seconds, and it is consumed like any other event,
// also by other groups. Such a letter can't be restored. Errors are those of [Edit].
func Reissue(ctx context.Context, db *gorm.DB, reissue dlq.Reissue, act LetterAct) (done Reissued, err error) {
	err = moveOne(ctx, db, reissue.Ref, dlq.MoveReissue, act, func(l *dlq.Letter, m *store.LetterMove) error {
		message, id, err := reissue.Message(l)
		if err != nil {
			return err
		}
		done = Reissued{ID: id, Topic: message.Topic}
		m.Send, m.Subject = outbound(l, message), fmt.Sprintf("event %s on %s", id, message.Topic)
		m.Send.EventType = l.EventType
		if reissue.Type != "" {
			m.Send.EventType = reissue.Type
		}
		return nil
	})
	return done, err
}

// Republish sends the records of letters to their topic once more, or to another one, as they
// came and whatever their edits say. They reach every group that reads the topic, also those
// that had no trouble with them, and may have their effect there twice: to judge a letter again
// in this group alone, [Replay] it. The letters stay what they are. In this group a republished
// event most often counts as a duplicate of the letter's.
//
// The records carry dlq.HeaderReplayID and dlq.HeaderHops; one that has been dead-lettered more
// than dlq.MaxHops times is refused. They go through the outbox, as [Reissue] says. A reason
// is required. Transactions and errors are those of [Discard]; the report has also a
// [*dlq.RefusedError] for each that can't be sent.
func Republish(ctx context.Context, db *gorm.DB, letters []dlq.Ref, topic string, act LetterAct) (report LetterReport, err error) {
	for _, ref := range letters {
		err := moveOne(ctx, db, ref, dlq.MoveRepublish, act, func(l *dlq.Letter, m *store.LetterMove) error {
			message, err := l.Republish(topic)
			if err != nil {
				return err
			}
			m.Send, m.Subject = outbound(l, message), fmt.Sprintf("record %s on %s", l.ReplayID(), message.Topic)
			m.Send.EventType = l.EventType
			return nil
		})
		var bad *ActError
		switch {
		case err == nil:
			report.Done++
		case isRefusal(err):
			report.Refused = append(report.Refused, err)
		case errors.As(err, &bad):
			return report, err
		default:
			return report, fmt.Errorf("%s letter %s: %w", dlq.MoveRepublish, ref.ID, err)
		}
	}
	return report, nil
}

// purgePortion is how many letters are purged in one transaction.
const purgePortion = 1000

// Purge takes the bytes of a group's resolved and discarded letters that ended before a time,
// now instead of after Config.KeepLetters: keys, values, headers, errors. What is left, the
// coordinates and how they ended, tells a record that is delivered again that it was dealt
// with. The edits of resolved letters stay, since a rebuild finds them nowhere else; letters
// whose end is not on the dead-letter topic yet stay whole. Open letters are never purged. It
// goes in small portions, each with a line in the audit, and returns how many there were; after
// an error call it again. A reason is required.
func Purge(ctx context.Context, db *gorm.DB, group string, before time.Time, act LetterAct) (int64, error) {
	if err := act.check(true); err != nil {
		return 0, err
	}
	st, err := open.Open(db)
	if err != nil {
		return 0, err
	}
	return st.PurgeLetters(ctx, &store.LetterPurge{Group: group, Before: before, Portion: purgePortion, By: act.By, Reason: act.Reason})
}

// check finds what the audit can't do without.
func (a *LetterAct) check(reason bool) error {
	if strings.TrimSpace(a.By.Name) == "" {
		return &ActError{"By.Name", "who does it"}
	}
	if reason && strings.TrimSpace(a.Reason) == "" {
		return &ActError{"Reason", "why it is done"}
	}
	return nil
}

// moveOne moves a letter as it is read now, if that is what ref names. content says what goes
// with the move, and is not asked where the store will refuse it, and say who was first: for
// the revision that is named, or for the state of this one.
func moveOne(ctx context.Context, db *gorm.DB, ref dlq.Ref, move dlq.Move, act LetterAct, content func(*dlq.Letter, *store.LetterMove) error) error {
	if err := act.check(true); err != nil {
		return err
	}
	l, err := dlq.Get(ctx, db, ref.ID)
	if err != nil {
		return err
	}
	m := &store.LetterMove{Ref: l.Ref(), Move: move, By: act.By, Reason: act.Reason, Selection: act.Selection}
	if _, err := l.State.After(move); err != nil || ref.Rev != 0 && ref.Rev != l.Rev {
		if ref.Rev != 0 {
			m.Rev = ref.Rev
		}
	} else if err := content(l, m); err != nil {
		return err
	}
	st, err := open.Open(db)
	if err != nil {
		return err
	}
	return st.MoveLetter(ctx, m)
}

// outbound is what a letter is sent as. No member has it in hand, so the first that looks for
// leftovers sends it.
func outbound(l *dlq.Letter, m *dlq.Message) *store.Outbound {
	return &store.Outbound{
		ID: l.ReplayID(), Group: l.Group, Origin: l.Record.Coordinates, Swept: true,
		Topic: m.Topic, Key: m.Key, Value: m.Value, Headers: m.Headers, Timestamp: m.Timestamp, CreatedAt: time.UnixMicro(0).UTC(),
	}
}

// isRefusal reports whether an error is about one letter, and the others may go on.
func isRefusal(err error) bool {
	var taken *dlq.TakenError
	var none *dlq.NotFoundError
	var not *dlq.UnreplayableError
	var refused *dlq.RefusedError
	return errors.As(err, &taken) || errors.As(err, &none) || errors.As(err, &not) || errors.As(err, &refused)
}
