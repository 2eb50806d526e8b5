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
		err := p.Tx(ctx, func(q Querier) error { return p.move(ctx, q, m, noRow) })
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
func (p *Plain) move(ctx context.Context, q Querier, m *store.LetterMove, noRow bool) error {
	if p.Dialect.Bounds != "" {
		if _, err := q.ExecContext(ctx, p.Dialect.Bounds); err != nil {
			return err
		}
	}
	l, err := p.head(ctx, q, m.ID)
	if err != nil {
		return err
	}
	after, err := l.State.After(m.Move)
	if err != nil || m.Rev != 0 && m.Rev != l.Rev {
		return p.taken(ctx, q, l, m.Move)
	}
	if err := m.Refuse(l); err != nil {
		return &ownError{err}
	}
	if l.Blocking && l.State.Unresolved() != after.Unresolved() {
		if err := p.through(ctx, q, m, l, noRow); err != nil {
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
	if m.LetsGo() && l.Blocking {
		if err := p.wakeBehind(ctx, q, l); err != nil {
			return err
		}
	}
	if err := p.parkReplay(ctx, q, m, l); err != nil {
		return err
	}
	change := ""
	if m.Move == dlq.MoveFail {
		change = ", attempts = attempts + 1, last_failed = " + p.Dialect.Now
	}
	n, err := p.exec(ctx, q, "UPDATE evenkeel_dead_letters SET state = $3, outcome = $4, rev = rev + 1, published_at = NULL, claimed_until = 0, swept = TRUE, changed_at = "+p.Dialect.Now+change+" WHERE id = $1 AND rev = $2",
		m.ID, l.Rev, string(after), string(m.Outcome))
	if err != nil {
		return err
	}
	if n == 0 {
		return store.ErrConflict
	}
	return p.audit(ctx, q, m.Entry(l.Group, l.State, after, l.Rev+1))
}

// head reads what a move must know of a letter.
func (p *Plain) head(ctx context.Context, q Querier, id string) (*dlq.Letter, error) {
	l := &dlq.Letter{ID: id, Record: &event.Record{}}
	r := l.Record
	err := q.QueryRowContext(ctx, p.Dialect.Rebind("SELECT rev, state, blocking, place, stream, grp, handler, tbl, entity, reason, compared, source, event_id, cluster, topic_id, partition, log_offset FROM evenkeel_dead_letters WHERE id = $1"), id).
		Scan(&l.Rev, &l.State, &l.Blocking, &l.Place, &l.Stream, &l.Group, &l.Handler, &l.Table, &l.Entity, &l.Verdict.Reason, &l.Verdict.Numbers.What, &l.Source, &l.EventID, &r.Cluster, &r.TopicID, &r.Partition, &r.Offset)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &ownError{&dlq.NotFoundError{ID: id}}
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
	var rev int64
	var body string
	err := q.QueryRowContext(ctx, p.Dialect.Rebind("SELECT rev, body FROM evenkeel_memos WHERE grp = $1 AND kind = $2 AND scope = $3 AND entity = $4"), l.Group, string(k.Kind), k.Scope, k.Entity).Scan(&rev, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // taken away by hand: nobody can have decided anything on it
	}
	if err != nil {
		return err
	}
	if body, err = SkipGap(m, l, body); err != nil {
		return &ownError{err}
	}
	n, err := p.exec(ctx, q, "UPDATE evenkeel_memos SET rev = rev + 1, body = $6, updated_at = "+p.Dialect.Now+" WHERE grp = $1 AND kind = $2 AND scope = $3 AND entity = $4 AND rev = $5",
		l.Group, string(k.Kind), k.Scope, k.Entity, rev, body)
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
// further on has to begin its time.
func (p *Plain) wakeBehind(ctx context.Context, q Querier, l *dlq.Letter) (err error) {
	const wake = "UPDATE evenkeel_parked SET due = 0, rev = rev + 1 WHERE grp = $1 AND entity = $2 AND "
	if l.Stream != "" {
		_, err = p.exec(ctx, q, wake+"stream = $3 AND stream <> '' AND cause IN ('behind', 'gap', 'replay')", l.Group, l.Entity, l.Stream)
	} else {
		_, err = p.exec(ctx, q, wake+"tbl = $3 AND stream = '' AND cause IN ('behind', 'replay')", l.Group, l.Entity, l.Table)
	}
	return err
}

// taken says why the letter can't be moved. Only a line about the revision that it has
// tells who was first.
func (p *Plain) taken(ctx context.Context, q Querier, l *dlq.Letter, move dlq.Move) error {
	e := &dlq.TakenError{ID: l.ID, Move: move, State: l.State}
	last, err := p.lastMove(ctx, q, l.ID)
	if err != nil {
		return err
	}
	if last != nil && last.Rev == l.Rev {
		e.First = last
	}
	return &ownError{e}
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
		e, err = p.lastMove(ctx, conn, letter)
		return p.Dialect.Classify(err)
	})
	return e, err
}

func (p *Plain) lastMove(ctx context.Context, q Querier, letter string) (e *dlq.AuditEntry, err error) {
	fields := Audits()
	err = p.query(ctx, q, "SELECT "+Names(fields)+" FROM evenkeel_audit WHERE letter = $1 AND letter <> '' AND after_state <> '' ORDER BY id DESC LIMIT 1", []any{letter}, func(rows *sql.Rows) error {
		e, err = Scan(rows, fields)
		return err
	})
	return e, err
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
func (p *Plain) PurgeLetters(ctx context.Context, group string, before time.Time, portion int) (total int64, err error) {
	const chosen = "SELECT id FROM evenkeel_dead_letters WHERE grp = $1 AND state IN ('resolved', 'discarded') AND changed_at < $2 AND published_at IS NOT NULL ORDER BY changed_at, id LIMIT $3"
	for {
		var n int64
		err := p.Tx(ctx, func(q Querier) error {
			n, err = p.exec(ctx, q, "UPDATE evenkeel_dead_letters SET state = 'purged', rev = rev + 1, changed_at = "+p.Dialect.Now+
				", record_key = NULL, record_value = NULL, headers = $4, error = '', stack = '', detail = '' WHERE id IN ("+chosen+p.Dialect.SkipLocked+")",
				group, before.UnixMicro(), portion, dlq.EncodeHeaders(nil))
			if err != nil || n == 0 {
				return err
			}
			return p.audit(ctx, q, store.PurgeEntry(group, n, before))
		})
		total += n
		if err != nil || n < int64(portion) {
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
