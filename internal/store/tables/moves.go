package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/sequence"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Blocks is the condition on letters that later events wait for; the prefix is that of the
// table's name, with its dot.
func Blocks(prefix string) string {
	return prefix + "blocking AND " + prefix + "state IN ('" + string(dlq.Open) + "', '" + string(dlq.Replaying) + "')"
}

// HadEffect is store.HadEffect as a condition; the prefix is that of the table's name, with
// its dot.
func HadEffect(prefix string) string {
	return prefix + "outcome NOT IN ('', '" + string(dlq.OutcomeReissued) + "')"
}

// rowError is a failure of the change of a user's row.
type rowError struct {
	table string
	err   error
}

func (e *rowError) Error() string { return fmt.Sprintf("table %s: %v", e.table, e.err) }
func (e *rowError) Unwrap() error { return e.err }

// ownError is what we have to say ourselves, and not the driver.
type ownError struct{ error }

// ours returns what we have said, else err.
func ours(err error) error {
	var own *ownError
	if errors.As(err, &own) {
		return own.error
	}
	return err
}

// MoveLetter is store.LetterKeeper's.
func (p *Plain) MoveLetter(ctx context.Context, m *store.LetterMove) error {
	const tries = 10
	noRow := false
	for try := 1; ; try++ {
		err := p.Tx(ctx, func(q Querier) error {
			if p.Dialect.Bounds != "" {
				if _, err := q.ExecContext(ctx, p.Dialect.Bounds); err != nil {
					return err
				}
			}
			return p.move(ctx, q, m, noRow, p.audit)
		})
		var broken *rowError
		switch {
		case err == nil:
			return nil
		case errors.Is(err, store.ErrConflict):
			if try == tries {
				return err
			}
		case errors.As(err, &broken) && !noRow:
			if noRow = p.cantBe(ctx, broken.table, err); !noRow {
				return err
			}
		default:
			return ours(err)
		}
	}
}

// cantBe reports whether the error says that there can be no row under the key: it is none
// of the column's type, or the table is gone. Letters outlive tables.
func (p *Plain) cantBe(ctx context.Context, table string, err error) (gone bool) {
	var data *store.DataError
	if errors.As(err, &data) {
		return len(data.State) == 5 && strings.HasPrefix(data.State, "22")
	}
	_ = p.Conn(ctx, func(conn *sql.Conn) error {
		columns, ok, err := p.Dialect.Table(ctx, conn, table)
		_, ours := columns["ek_rev"]
		gone = err == nil && (!ok || !ours)
		return nil
	})
	return gone
}

// move does all in the order of a batch: key, row, memo, ids, what is parked, the letter.
// So the two can't wait for each other in a circle.
func (p *Plain) move(ctx context.Context, q Querier, m *store.LetterMove, noRow bool, audit func(context.Context, Querier, *dlq.AuditEntry) error) error {
	if m.Take != nil { // the job before all else, so that whoever cancels it waits for us
		if err := p.taking(ctx, q, m.Take, dlq.ResultReplaying, ""); err != nil {
			return err
		}
	}
	l, after, err := p.movable(ctx, q, m)
	if err != nil {
		return err
	}
	if l.Blocking && l.State.Unresolved() != after.Unresolved() {
		if err := p.through(ctx, q, m, l, noRow); err != nil {
			return err
		}
	}
	if m.LetsGo() && WaitedFor(l) {
		if err := p.changeMemo(ctx, q, l.Group, store.MemoOf(CausesOf(l)), func(body string) (string, error) { return SeenAfter(l, body) }); err != nil {
			return err
		}
	}
	if m.LetsGo() && l.Handler != "" {
		e := &event.Event{Source: l.Source, ID: l.EventID, Record: l.Record}
		_, err := p.exec(ctx, q, "UPDATE evenkeel_ids SET held = FALSE WHERE grp = $1 AND scope = $2 AND entity = $3 AND id = $4 AND held",
			l.Group, store.OnceScope(l.Handler), l.Entity, store.EventID(e.Identity()))
		if err != nil {
			return err
		}
	}
	if m.LetsGo() && (l.Blocking || WaitedFor(l)) {
		if err := p.wakeBehind(ctx, q, l); err != nil {
			return err
		}
	}
	if err := p.parkReplay(ctx, q, m, l); err != nil {
		return err
	}
	change, args := "", []any{m.ID, l.Rev, string(after), string(m.OutcomeOf(l))}
	if after != l.State {
		change = ", changed_at = " + p.Dialect.Now
	}
	if m.Move == dlq.MoveFail {
		change += ", attempts = attempts + 1, last_failed = " + p.Dialect.Now
	}
	if m.Revision != nil {
		edits, err := p.revised(ctx, q, m, l)
		if err != nil {
			return err
		}
		change, args = change+", edits = $5", append(args, edits)
	}
	n, err := p.exec(ctx, q, "UPDATE evenkeel_dead_letters SET state = $3, outcome = $4, rev = rev + 1, published_at = NULL, claimed_until = 0, swept = TRUE"+change+" WHERE id = $1 AND rev = $2", args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return store.ErrConflict
	}
	if m.Send != nil {
		if err := p.post(ctx, q, m.Send); err != nil {
			return err
		}
	}
	return audit(ctx, q, m.Entry(l.Group, l.State, after, l.Rev+1))
}

// movable reads the letter of a move, and what it is after that; the error says why it
// can't be moved.
func (p *Plain) movable(ctx context.Context, q Querier, m *store.LetterMove) (l *dlq.Letter, after dlq.State, err error) {
	if l, err = p.head(ctx, q, m.ID); err != nil {
		return nil, "", err
	}
	after, err = l.State.After(m.Move)
	if err != nil || m.Rev != 0 && m.Rev != l.Rev {
		return nil, "", p.taken(ctx, q, l, m.Move)
	}
	if err := m.Refuse(l); err != nil {
		return nil, "", &ownError{err}
	}
	return l, after, nil
}

// revised are the letter's edits with the move's.
func (p *Plain) revised(ctx context.Context, q Querier, m *store.LetterMove, l *dlq.Letter) (string, error) {
	var now int64
	if err := q.QueryRowContext(ctx, "SELECT "+p.Dialect.Now).Scan(&now); err != nil {
		return "", err
	}
	return dlq.EncodeEdits(m.Revised(l.Edits, Time(now))), nil
}

// head reads what a move must know of a letter.
func (p *Plain) head(ctx context.Context, q Querier, id string) (*dlq.Letter, error) {
	l := &dlq.Letter{ID: id, Record: &event.Record{}}
	r := l.Record
	var edits, vector string
	err := q.QueryRowContext(ctx, p.Dialect.Rebind("SELECT rev, state, outcome, edits, blocking, place, stream, grp, handler, tbl, entity, reason, compared, source, event_id, vector, cluster, topic_id, partition, log_offset FROM evenkeel_dead_letters WHERE id = $1"), id).
		Scan(&l.Rev, &l.State, &l.Outcome, &edits, &l.Blocking, &l.Place, &l.Stream, &l.Group, &l.Handler, &l.Table, &l.Entity, &l.Verdict.Reason, &l.Verdict.Numbers.What, &l.Source, &l.EventID, &vector, &r.Cluster, &r.TopicID, &r.Partition, &r.Offset)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &ownError{&dlq.NotFoundError{ID: id}}
	}
	if err == nil {
		if l.Vector, err = vectorOf(vector); err != nil {
			return nil, &ownError{fmt.Errorf("evenkeel_dead_letters: the vector of letter %s: %w", id, err)}
		}
		if l.Edits, err = dlq.DecodeEdits(edits); err != nil {
			err = &ownError{fmt.Errorf("letter %s: column edits: expected %w", id, err)}
		}
	}
	return l, err
}

// through makes the move known to batches that have loaded the letter, or its absence (R9).
func (p *Plain) through(ctx context.Context, q Querier, m *store.LetterMove, l *dlq.Letter, noRow bool) error {
	if l.Stream != "" {
		return p.throughStream(ctx, q, m, l)
	}
	if l.Table == "" {
		return nil
	}
	key := ""
	if !noRow {
		err := q.QueryRowContext(ctx, p.Dialect.Rebind("SELECT key_column FROM evenkeel_models WHERE tbl = $1"), l.Table).Scan(&key)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	bump := func() (int64, error) {
		if key == "" {
			return 0, nil
		}
		n, err := p.exec(ctx, q, fmt.Sprintf("UPDATE %s SET ek_rev = ek_rev + 1 WHERE %s = $1", Quote(l.Table), QuoteOne(key)), l.Entity)
		if err != nil {
			err = &rowError{table: l.Table, err: err}
		}
		return n, err
	}
	if n, err := bump(); err != nil || n > 0 || p.Dialect.LockKey == "" {
		return err
	}
	if _, err := q.ExecContext(ctx, p.Dialect.LockKey, LockKey(l.Table, l.Entity)); err != nil {
		return err
	}
	_, err := bump() // somebody may have made it before the lock was ours
	return err
}

// throughStream also moves the stream over the numbers that an event waited for which will
// not be applied: each that waits behind it would be the next letter (R7).
func (p *Plain) throughStream(ctx context.Context, q Querier, m *store.LetterMove, l *dlq.Letter) error {
	k := store.MemoOf(store.StreamKey{Stream: l.Stream, Entity: l.Entity})
	return p.changeMemo(ctx, q, l.Group, k, func(body string) (string, error) { return SkipGap(m, l, body) })
}

// changeMemo writes a memo anew, also where its body stays: who has loaded it is to notice.
// One that is not there has been taken away by hand, or nobody has decided anything on it.
func (p *Plain) changeMemo(ctx context.Context, q Querier, group string, k store.MemoKey, change func(body string) (string, error)) error {
	var rev int64
	var body string
	err := q.QueryRowContext(ctx, p.Dialect.Rebind("SELECT rev, body FROM evenkeel_memos WHERE grp = $1 AND kind = $2 AND scope = $3 AND entity = $4"), group, string(k.Kind), k.Scope, k.Entity).Scan(&rev, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if body, err = change(body); err != nil {
		return &ownError{err}
	}
	n, err := p.exec(ctx, q, "UPDATE evenkeel_memos SET rev = rev + 1, body = $6, updated_at = "+p.Dialect.Now+" WHERE grp = $1 AND kind = $2 AND scope = $3 AND entity = $4 AND rev = $5",
		group, string(k.Kind), k.Scope, k.Entity, rev, body)
	if err == nil && n == 0 {
		err = store.ErrConflict
	}
	return err
}

// SkipGap is the body of the stream's memo after the move.
func SkipGap(m *store.LetterMove, l *dlq.Letter, body string) (string, error) {
	if !m.LetsGo() || l.Verdict.Reason != guards.Gap || strings.HasPrefix(l.Stream, handlers.CausalStreams) {
		return body, nil
	}
	state, err := sequence.Parse(body)
	if err != nil {
		return "", err
	}
	state.Forgo(l.Place)
	return state.String(), nil
}

// wakeBehind makes due what waits behind the letter. The due time is long past, whatever
// anybody's clock says. In a stream all that waits is looked at: what does so for a gap
// further on has to begin its time. What waits for causes may do so for this one.
func (p *Plain) wakeBehind(ctx context.Context, q Querier, l *dlq.Letter) error {
	const wake = "UPDATE evenkeel_parked SET due = 0, rev = rev + 1 WHERE grp = $1 AND entity = $2 AND "
	stream := l.Stream
	if WaitedFor(l) {
		stream = CausesOf(l).Stream
	}
	if stream != "" {
		if _, err := p.exec(ctx, q, wake+"stream = $3 AND stream <> '' AND cause IN ('behind', 'gap', 'replay')", l.Group, l.Entity, stream); err != nil {
			return err
		}
	}
	if l.Stream != "" {
		return nil
	}
	_, err := p.exec(ctx, q, wake+"tbl = $3 AND stream = '' AND cause IN ('behind', 'replay')", l.Group, l.Entity, l.Table)
	return err
}

// taken says why the letter can't be moved.
func (p *Plain) taken(ctx context.Context, q Querier, l *dlq.Letter, move dlq.Move) error {
	lines, err := p.lastMoves(ctx, q, l.ID, 2)
	if err != nil {
		return err
	}
	return &ownError{store.Taken(l, move, lines)}
}

// LetterTopic is store.LetterKeeper's.
func (p *Plain) LetterTopic(ctx context.Context, group, topic string) error {
	return p.Tx(ctx, func(q Querier) error {
		_, err := p.exec(ctx, q, "INSERT INTO evenkeel_letter_topics (grp, topic, seen_at) VALUES ($1, $2, "+p.Dialect.Now+") ON CONFLICT (grp, topic) DO UPDATE SET seen_at = excluded.seen_at", group, topic)
		return err
	})
}

// LastMove is store.LetterKeeper's.
func (p *Plain) LastMove(ctx context.Context, letter string) (e *dlq.AuditEntry, err error) {
	err = p.Conn(ctx, func(conn *sql.Conn) error {
		lines, err := p.lastMoves(ctx, conn, letter, 1)
		if len(lines) > 0 {
			e = lines[0]
		}
		return p.Dialect.Classify(err)
	})
	return e, err
}

// lastMoves are the lines of a letter's last changes of state, the newest first.
func (p *Plain) lastMoves(ctx context.Context, q Querier, letter string, n int) (lines []*dlq.AuditEntry, err error) {
	fields := Audits()
	err = p.query(ctx, q, "SELECT "+Names(fields)+" FROM evenkeel_audit WHERE letter = $1 AND letter <> '' AND after_state <> '' ORDER BY id DESC LIMIT $2", []any{letter, n}, func(rows *sql.Rows) error {
		e, err := Scan(rows, fields)
		lines = append(lines, e)
		return err
	})
	return lines, err
}

// audit writes a line at the database's time.
func (p *Plain) audit(ctx context.Context, q Querier, e *dlq.AuditEntry) error {
	fields := Audits()[1:] // all but at
	marks, args := make([]string, len(fields)), make([]any, len(fields))
	for i := range fields {
		marks[i], args[i] = fmt.Sprintf("$%d", i+1), fields[i].Arg(e)
	}
	_, err := p.exec(ctx, q, "INSERT INTO evenkeel_audit (at, "+Names(fields)+") VALUES ("+p.Dialect.Now+", "+strings.Join(marks, ", ")+")", args...)
	return err
}

// AddNote is store.LetterKeeper's.
func (p *Plain) AddNote(ctx context.Context, n *dlq.Note) error {
	err := p.Tx(ctx, func(q Querier) error {
		e := &dlq.AuditEntry{By: n.By, Verb: dlq.VerbNote, Reason: n.Body, Letter: n.Letter, Subject: n.Fingerprint}
		if n.Letter != "" {
			l, err := p.head(ctx, q, n.Letter)
			if err != nil {
				return err
			}
			e.Group, e.Rev = l.Group, l.Rev
		}
		if _, err := p.exec(ctx, q, "INSERT INTO evenkeel_notes (at, actor, letter, fingerprint, body) VALUES ("+p.Dialect.Now+", $1, $2, $3, $4)",
			clean(n.By.Name), n.Letter, n.Fingerprint, clean(n.Body)); err != nil {
			return err
		}
		return p.audit(ctx, q, e)
	})
	return ours(err)
}

// PurgeLetters is store.LetterKeeper's.
func (p *Plain) PurgeLetters(ctx context.Context, purge *store.LetterPurge) (total int64, err error) {
	const chosen = "SELECT id FROM evenkeel_dead_letters WHERE grp = $1 AND state IN ('resolved', 'discarded') AND changed_at < $2 AND published_at IS NOT NULL ORDER BY changed_at, id LIMIT $3"
	for {
		var n int64
		err := p.Tx(ctx, func(q Querier) error {
			n, err = p.exec(ctx, q, "UPDATE evenkeel_dead_letters SET state = 'purged', rev = rev + 1, changed_at = "+p.Dialect.Now+
				", record_key = NULL, record_value = NULL, headers = $4, error = '', stack = '', detail = '', edits = CASE WHEN state = 'resolved' THEN edits ELSE '' END WHERE id IN ("+chosen+p.Dialect.SkipLocked+")",
				purge.Group, purge.Before.UnixMicro(), purge.Portion, dlq.EncodeHeaders(nil))
			if err != nil || n == 0 {
				return err
			}
			return p.audit(ctx, q, purge.Entry(n))
		})
		total += n
		if err != nil || n < int64(purge.Portion) {
			return total, err
		}
	}
}

// Audits are the columns of evenkeel_audit but its id, the time first.
func Audits() []Field[dlq.AuditEntry] {
	type a = dlq.AuditEntry
	return []Field[a]{
		instant("at", func(t *a) *time.Time { return &t.At }),
		text("actor", func(t *a) *string { return &t.By.Name }),
		text("via", func(t *a) *string { return &t.By.Via }),
		text("verb", func(t *a) *string { return &t.Verb }),
		text("reason", func(t *a) *string { return &t.Reason }),
		text("grp", func(t *a) *string { return &t.Group }),
		text("letter", func(t *a) *string { return &t.Letter }),
		text("subject", func(t *a) *string { return &t.Subject }),
		text("selection", func(t *a) *string { return &t.Selection }),
		text("before_state", func(t *a) *dlq.State { return &t.Before }),
		text("after_state", func(t *a) *dlq.State { return &t.After }),
		number("rev", func(t *a) *int64 { return &t.Rev }),
		text("job", func(t *a) *string { return &t.Job }),
	}
}
