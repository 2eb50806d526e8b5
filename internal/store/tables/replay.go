package tables

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// parkReplay parks the event of a letter that is to be replayed, or of a whole record whose
// event is to count as seen, due at once whatever anybody's clock says. Any other move takes
// away what was parked for that.
func (p *Plain) parkReplay(ctx context.Context, q Querier, m *store.LetterMove, l *dlq.Letter) error {
	cause, replay := store.CauseReplay, store.ReplayOf(m, l).String()
	switch {
	case m.Move == dlq.MoveReplay:
	case m.LetsGo() && WaitedForByAny(l):
		cause, replay = store.CauseSeen, ""
	default:
		_, err := p.exec(ctx, q, "DELETE FROM evenkeel_parked WHERE id = $1 AND cause IN ('replay', 'seen')", l.ID)
		return err
	}
	own := map[string]string{
		"rev": "1", "cause": "$3", "due": "0", "expires": "NULL", "attempts": "0", "first_failed": "NULL", "last_failed": "NULL",
		"error_type": "''", "error": "''", "stack": "''", "codec": "''", "replay": "$2",
	}
	var values []string
	fields := Parkeds()
	for i := range fields {
		value, ok := own[fields[i].Name]
		if !ok {
			value = "l." + fields[i].Name
		}
		values = append(values, value)
	}
	_, err := p.exec(ctx, q, fmt.Sprintf("INSERT INTO evenkeel_parked (%s) SELECT %s FROM evenkeel_dead_letters l WHERE l.id = $1%s", Names(fields), strings.Join(values, ", "), ParkedConflict()),
		l.ID, replay, string(cause))
	return err
}

// Resolutions are the columns of a resolution: those that say of which letter and how, why,
// how many attempts there were, and what a letter takes over from a replay that failed.
func Resolutions() []Field[store.Resolution] {
	type r = store.Resolution
	return slices.Concat(
		[]Field[r]{
			text("id", func(t *r) *string { return &t.ID }),
			text("outcome", func(t *r) *dlq.Outcome { return &t.Outcome }),
			text("why", func(t *r) *string { return &t.Why }),
			number("attempts", func(t *r) *int { return &t.Failed.Attempts }),
			text("error_type", func(t *r) *string { return &t.Failed.ErrorType }),
			text("error", func(t *r) *string { return &t.Failed.Error }),
			text("stack", func(t *r) *string { return &t.Failed.Stack }),
			text("fingerprint", func(t *r) *string { return &t.Failed.Fingerprint }),
			text("service_version", func(t *r) *string { return &t.Failed.ServiceVersion }),
		},
		verdictFields(func(t *r) *guards.Verdict { return &t.Failed.Verdict }),
	)
}

// ResolveSet is what a resolution changes of its letter, now being the time. have is the
// prefix of the letter's columns, and value the place of a column of the resolution.
func ResolveSet(now, have string, value func(column string) string) string {
	failed := func(column, failed, resolved string) string {
		return fmt.Sprintf("%s = CASE WHEN %s = '' THEN %s ELSE %s END", column, value("outcome"), failed, resolved)
	}
	sets := []string{
		failed("state", "'open'", "'resolved'"), "outcome = " + value("outcome"), "rev = " + have + "rev + 1", "published_at = NULL", "claimed_until = 0", "swept = TRUE",
		"changed_at = " + now, failed("last_failed", now, have+"last_failed"), "attempts = " + have + "attempts + " + value("attempts"),
	}
	fields := Resolutions()
	for i := range fields {
		if name := fields[i].Name; i > 3 {
			sets = append(sets, failed(name, value(name), have+name))
		}
	}
	return strings.Join(sets, ", ")
}

// ResolveEntry inserts the lines of the audit; source is what follows FROM, named r, with the
// columns id, grp, rev and outcome of the letters, and why.
func ResolveEntry(now, why, source string) string {
	by := store.Replayer()
	return fmt.Sprintf(`INSERT INTO evenkeel_audit (at, actor, via, verb, reason, grp, letter, subject, selection, before_state, after_state, rev, job)
SELECT %s, '%s', '%s', CASE WHEN outcome = '' THEN 'fail' ELSE 'resolve' END, %s, grp, id, '', '', 'replaying', CASE WHEN outcome = '' THEN 'open' ELSE 'resolved' END, rev, COALESCE((SELECT x.job FROM evenkeel_job_letters x WHERE x.letter = r.id AND x.rev = r.rev - 1 AND x.result = 'replaying'), '') FROM %s`,
		now, by.Name, by.Via, why, source)
}
