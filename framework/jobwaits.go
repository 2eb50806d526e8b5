package framework

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// JobWaitCause is what a replay job waits for.
type JobWaitCause string

// The causes, those first that stop the whole job.
const (
	// WaitsForMembers: no member of the group runs.
	WaitsForMembers JobWaitCause = "members"
	// WaitsForResume: the whole group is paused.
	WaitsForResume JobWaitCause = "pause"
	// WaitsForPace: Plan.Rate lets the next letter go later.
	WaitsForPace JobWaitCause = "pace"
	// WaitsForBreaker: the breaker of its letters' handler is open.
	WaitsForBreaker JobWaitCause = "breaker"
	// WaitsForLetter: an open letter, which the job has not in hand, stands before one of its own.
	WaitsForLetter JobWaitCause = "letter"
	// WaitsForParked: a parked event stands before one of its letters.
	WaitsForParked JobWaitCause = "parked"
	// WaitsForRebuild: the row of one of its letters is being made anew ([Rebuild]).
	WaitsForRebuild JobWaitCause = "rebuild"
	// WaitsForRetry: the handler has failed for now, and is tried again.
	WaitsForRetry JobWaitCause = "retry"
)

// JobWait is one thing that a job waits for.
type JobWait struct {
	Cause JobWaitCause
	// Text says it in a sentence, Next what can be done.
	Text, Next string
	// Since is when it began, and Until when the job goes on by itself, or tries to; zero where
	// that is not known.
	Since, Until time.Time
	// Error is the handler's, where that is the cause. It may quote an event.
	Error string
}

// paceTold is how long the next letter has to be away for that to be told.
const paceTold = 5 * time.Second

// JobWaits returns what keeps a job from going on, by what its group's members last said, what
// people have told them, and what its letters under way stand behind; nothing if it goes on,
// or has ended, or was paused itself. Errors are the database's.
func JobWaits(ctx context.Context, db *gorm.DB, job *dlq.Job) ([]JobWait, error) {
	under := job.Count(dlq.ResultReplaying)
	if !job.Ended.IsZero() || job.State == dlq.JobSelecting || job.State == dlq.JobPaused && under == 0 {
		return nil, nil
	}
	st, err := open.Open(db)
	if err != nil {
		return nil, err
	}
	now, err := st.Now(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := Consumers(ctx, db, job.Group)
	if err != nil {
		return nil, err
	}
	group := ConsumerGroup{Group: job.Group}
	if len(groups) > 0 {
		group = groups[0]
	}
	waits := group.stops()
	if len(waits) > 0 {
		return waits, nil // all else is as it was when it stopped
	}
	if job.Plan.Rate > 0 && job.State == dlq.JobRunning && job.Count(dlq.ResultWaiting) > 0 && job.Paced.Sub(now) > paceTold {
		waits = append(waits, JobWait{Cause: WaitsForPace, Text: fmt.Sprintf("it takes at most %g letters a second, and the next one is not due yet", job.Plan.Rate), Next: "cancel the job and start one with another rate, if that is too slow", Until: job.Paced})
	}
	if under == 0 {
		return waits, nil
	}
	letters, err := underWay(ctx, db, job.ID, now)
	if err != nil {
		return nil, fmt.Errorf("read what letters of job %s wait for: %w", job.ID, err)
	}
	rebuild, err := openRebuild(ctx, st, job.Group)
	if err != nil {
		return nil, err
	}
	waits = append(waits, group.shut(letters)...)
	return append(waits, waitsOf(letters, rebuild)...), nil
}

// stops is what keeps a group's members from carrying out any job.
func (g *ConsumerGroup) stops() (waits []JobWait) {
	for _, p := range g.Pauses {
		if p.Topic == "" {
			text := fmt.Sprintf("group %s was paused by %s", g.Group, p.By)
			if p.Reason != "" {
				text += fmt.Sprintf(" (%q)", p.Reason)
			}
			waits = append(waits, JobWait{Cause: WaitsForResume, Text: text, Next: "`evenkeel consumer resume " + quoted(g.Group) + "` lets it go on", Since: p.Since})
		}
	}
	var seen time.Time
	for _, m := range g.Members {
		if !m.Silent {
			return waits
		}
		if m.Seen.After(seen) {
			seen = m.Seen
		}
	}
	text := "no member of group " + g.Group + " runs"
	if n := len(g.Members); n > 0 {
		text = fmt.Sprintf("no member of group %s has said anything for half a minute: %d have died, or can't reach the database", g.Group, n)
	}
	return append(waits, JobWait{Cause: WaitsForMembers, Text: text, Next: "start the service; `evenkeel consumer show " + quoted(g.Group) + "` shows who runs", Since: seen})
}

// shut is which handlers of the letters don't run. A letter of a whole record may be for any.
func (g *ConsumerGroup) shut(letters []underWayLetter) (waits []JobWait) {
	type breaker struct {
		BreakerStats
		members int
	}
	open, living := map[string]*breaker{}, 0
	for _, m := range g.Members {
		if m.Silent {
			continue
		}
		living++
		for _, s := range m.Breakers {
			if s.State != BreakerOpen {
				continue
			}
			b := open[s.Handler]
			if b == nil {
				b = &breaker{BreakerStats: s}
				open[s.Handler] = b
			}
			b.members++
			if s.Since.Before(b.Since) {
				b.Since = s.Since
			}
			if s.NextProbe.Before(b.NextProbe) {
				b.NextProbe = s.NextProbe
			}
		}
	}
	for name, b := range open {
		is := func(l underWayLetter) bool { return l.handler == name || l.handler == "" }
		if !slices.ContainsFunc(letters, is) {
			continue
		}
		text := fmt.Sprintf("the breaker of handler %s is open", name)
		if living > 1 {
			text += fmt.Sprintf(" in %d of %d members", b.members, living)
		}
		waits = append(waits, JobWait{
			Cause: WaitsForBreaker, Text: text, Since: b.Since, Until: b.NextProbe, Error: b.Error,
			Next: "when the handler is mended it goes on by itself; `evenkeel consumer resume " + quoted(g.Group) + "` tries at once",
		})
	}
	slices.SortFunc(waits, func(a, b JobWait) int { return strings.Compare(a.Text, b.Text) })
	return waits
}

// underWayLetter is a letter that is being replayed.
type underWayLetter struct {
	id, handler, table string
	due                time.Time
	attempts           int
	err                string
	// letter, which is open, and parked stand before it; empty for none.
	letter, parked string
	later          bool // it is not due
}

// underWay reads the letters of a job that are being replayed; a job has at most a window of these.
func underWay(ctx context.Context, db *gorm.DB, job string, now time.Time) (letters []underWayLetter, err error) {
	// Under a stream of numbers the queue is the stream's, else that of the table's row (R9).
	before := func(from, condition string) string {
		first := func(key string) string {
			return "(SELECT b.id FROM " + from + " b WHERE b.grp = p.grp AND " + key + " AND b.entity = p.entity AND b.place < p.place AND b.id <> p.id AND " + condition + " ORDER BY b.place LIMIT 1)"
		}
		return "COALESCE(CASE WHEN p.stream <> '' THEN " + first("b.stream = p.stream AND b.stream <> ''") + " ELSE " + first("b.tbl = p.tbl") + " END, '')"
	}
	query := "SELECT p.id, p.handler, p.tbl, p.due, p.attempts, p.error, " +
		before("evenkeel_dead_letters", tables.Blocks("b.")+" AND b.state = '"+string(dlq.Open)+"'") + ", " +
		before("evenkeel_parked", "b.cause <> '"+string(store.CauseReplay)+"'") +
		" FROM evenkeel_job_letters x JOIN evenkeel_parked p ON p.id = x.letter WHERE x.job = ? AND x.result = ? AND p.cause = ? ORDER BY x.place"
	rows, err := db.WithContext(ctx).Raw(query, job, string(dlq.ResultReplaying), string(store.CauseReplay)).Rows()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var l underWayLetter
		var due sql.NullInt64
		if err := rows.Scan(&l.id, &l.handler, &l.table, &due, &l.attempts, &l.err, &l.letter, &l.parked); err != nil {
			return nil, err
		}
		l.due = time.UnixMicro(due.Int64).UTC()
		l.later = l.due.After(now)
		letters = append(letters, l)
	}
	return letters, rows.Err()
}

// waitsOf is what single letters wait for: a sentence for each cause, with one of them as an
// example. What is due is about to be judged. The rebuild is the group's, or nil.
func waitsOf(letters []underWayLetter, rebuild *RebuildStatus) (waits []JobWait) {
	var retried, parked, behind, remade []underWayLetter
	for _, l := range letters {
		switch {
		case !l.later:
		case l.attempts > 0:
			retried = append(retried, l)
		case l.letter != "":
			behind = append(behind, l)
		case l.parked != "":
			parked = append(parked, l)
		case rebuild != nil && slices.Contains(rebuild.Tables, l.table):
			remade = append(remade, l)
		}
	}
	of := func(some []underWayLetter) string {
		if len(some) == 1 {
			return "letter " + short(some[0].id)
		}
		return fmt.Sprintf("%d letters, e.g. %s,", len(some), short(some[0].id))
	}
	verb := func(some []underWayLetter, one, more string) string {
		if len(some) == 1 {
			return one
		}
		return more
	}
	if len(behind) > 0 {
		first := behind[0]
		waits = append(waits, JobWait{
			Cause: WaitsForLetter, Text: fmt.Sprintf("%s %s behind letter %s, which is open", of(behind), verb(behind, "stands", "stand"), short(first.letter)),
			Next: fmt.Sprintf("replay or discard that one; `evenkeel dlq explain %s` tells about it", short(first.letter)),
		})
	}
	if len(parked) > 0 {
		waits = append(waits, JobWait{
			Cause: WaitsForParked, Text: fmt.Sprintf("%s %s behind an event that is parked", of(parked), verb(parked, "stands", "stand")),
			Next: fmt.Sprintf("`evenkeel dlq show %s` names its entity, and `evenkeel parked --entity` shows what waits there", short(parked[0].id)),
		})
	}
	if len(remade) > 0 {
		waits = append(waits, JobWait{
			Cause: WaitsForRebuild, Text: fmt.Sprintf("%s %s while rebuild %s makes rows of %s table anew", of(remade), verb(remade, "waits", "wait"), rebuild.ID, verb(remade, "its", "their")),
			Next: "it goes on by itself after that; `evenkeel rebuild --status --group " + quoted(rebuild.Group) + "` tells how far it is", Since: rebuild.Began,
		})
	}
	if len(retried) > 0 {
		first := slices.MinFunc(retried, func(a, b underWayLetter) int { return cmp.Or(a.due.Compare(b.due), strings.Compare(a.id, b.id)) })
		waits = append(waits, JobWait{
			Cause: WaitsForRetry, Text: fmt.Sprintf("%s %s failed for now, and %s tried again", of(retried), verb(retried, "has", "have"), verb(retried, "is", "are")),
			Next: "it goes on by itself, on the schedule of Config.Retry", Until: first.due, Error: first.err,
		})
	}
	return waits
}
