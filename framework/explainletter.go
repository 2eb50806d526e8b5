package framework

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

// LetterExplanation tells a dead letter in plain words.
type LetterExplanation struct {
	Letter *dlq.Letter // whole
	// Means says what the letter's reason means, Compared the numbers in human terms; the
	// second is empty where nothing was compared.
	Means, Compared string
	// Frame is the place in the user's code where it failed, and File its file and line;
	// empty where none is known.
	Frame, File string
	// Now says what the entity's row and stream say today, and what a replay would come to.
	Now []string
	// Behind is how many events wait for the letter, Since when the oldest of these
	// happened; 0 for a letter that holds up nobody.
	Behind int64
	Since  time.Time
	// Alike are the letters with its fingerprint, itself among them.
	Alike *dlq.Group
	Notes []dlq.Note // oldest first
	// Next is what to do, and Commands the commands for it; both are empty for letters that
	// have ended.
	Next     string
	Commands []string
}

// ExplainLetter tells why a letter is one and what to do about it; now is for counting those
// like it by hours. The id may be the beginning of one. Errors are those of [dlq.Get], and the
// driver's.
func ExplainLetter(ctx context.Context, db *gorm.DB, id string, now time.Time) (*LetterExplanation, error) {
	l, err := dlq.Get(ctx, db, id)
	if err != nil {
		return nil, err
	}
	r := reasonOf(l.Verdict.Reason)
	x := &LetterExplanation{Letter: l, Means: "It " + r.means + ".", Compared: compared(l.Verdict.Numbers)}
	x.Frame, x.File = l.Frame()
	if x.Now, err = standsNow(ctx, db, l); err != nil {
		return nil, err
	}
	if err := x.waiting(ctx, db); err != nil {
		return nil, err
	}
	if l.Fingerprint != "" {
		alike, err := dlq.Groups(ctx, db, dlq.Filter{Fingerprint: l.Fingerprint}, now)
		if err != nil {
			return nil, err
		}
		if len(alike) == 1 {
			x.Alike = alike[0]
		}
	}
	if x.Notes, err = dlq.Notes(ctx, db, l.ID, l.Fingerprint); err != nil {
		return nil, err
	}
	x.advise(r)
	return x, nil
}

// waiting counts what waits for the letter (R9).
func (x *LetterExplanation) waiting(ctx context.Context, db *gorm.DB) error {
	l := x.Letter
	if !l.Blocking || !l.State.Unresolved() {
		return nil
	}
	where, args := "tbl = ? AND stream = ''", []any{l.Table}
	if l.Stream != "" {
		where, args = "stream = ? AND stream <> ''", []any{l.Stream}
	}
	var since int64
	err := db.WithContext(ctx).Raw("SELECT count(*), coalesce(min(occurred_at), 0) FROM evenkeel_parked WHERE grp = ? AND entity = ? AND place > ? AND cause IN ('behind', 'gap') AND "+where,
		append([]any{l.Group, l.Entity, l.Place}, args...)...).Row().Scan(&x.Behind, &since)
	if err != nil {
		return fmt.Errorf("count what waits for letter %s: %w", l.ID, err)
	}
	if since != 0 {
		x.Since = time.UnixMicro(since).UTC()
	}
	return nil
}

// standsNow says what the rows that the letter is about say today.
func standsNow(ctx context.Context, db *gorm.DB, l *dlq.Letter) (now []string, err error) {
	if l.Entity == "" || l.Verdict.Reason == dlq.Foreign {
		return nil, nil
	}
	st, err := open.Open(db)
	if err != nil {
		return nil, err
	}
	all, err := st.Tables(ctx, l.Group)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		// A record that failed before any handler was asked has only its own key.
		if l.Table != "" && t.Name != l.Table || t.Key == "" {
			continue
		}
		s, err := readEntity(ctx, db, t, l.Entity)
		if err != nil {
			return nil, err
		}
		if text := against(s, l); text != "" {
			now = append(now, text)
		}
	}
	if l.Stream == "" {
		return now, nil
	}
	streams, err := streamsOf(ctx, db, l.Group, l.Entity)
	for i := range streams {
		if s := &streams[i]; s.Name == l.Stream {
			text := fmt.Sprintf("Stream %s of %s waits for number %d; this event has %d.", s.Name, s.Entity, s.Next, l.Place)
			switch {
			case l.Verdict.Reason != guards.Gap:
			case s.Next >= l.Place:
				text += " What was missing has come."
			default:
				text += " A replay goes on without the numbers between."
			}
			now = append(now, text)
		}
	}
	return now, err
}

// against says how a letter's event stands to a row; "" where the row tells nothing.
func against(s *EntityState, l *dlq.Letter) string {
	row := s.Table + " " + s.Key
	switch {
	case s.KeyError != "":
		return fmt.Sprintf("Table %s has no row for it: %s.", s.Table, s.KeyError)
	case s.Existence == guards.Missing && l.Table == "":
		return "" // one of many tables
	case s.Existence == guards.Missing:
		return row + " has no row."
	}
	text := fmt.Sprintf("%s is %s", row, s.Existence)
	if len(s.clocks()) == 0 || l.Stream != "" || !sameKind(s, l) {
		return text + "."
	}
	newer := s.fields(func(o event.Stamp) bool { return o.After(l.Stamp) })
	same := s.fields(func(o event.Stamp) bool { return o == l.Stamp })
	open := s.fields(func(o event.Stamp) bool { return l.Stamp.After(o) })
	for i := range s.Columns {
		if c := &s.Columns[i]; c.Clocked && c.Clock == nil {
			open = append(open, "`"+c.Name+"`")
		}
	}
	by := s.writers(func(o event.Stamp) bool { return o.After(l.Stamp) })
	switch {
	case len(same) > 0:
		return fmt.Sprintf("%s, and %s %s by this very event: a replay would be a duplicate.", text, list(same), are(same))
	case len(newer) == 0:
		return text + ", and nothing newer has written it: a replay would count in full."
	case len(open) == 0:
		return fmt.Sprintf("%s, and newer events have written all of it (%s): a replay would be obsolete.", text, by)
	}
	return fmt.Sprintf("%s, and newer events have written %s (%s): a replay leaves that as it is, and can still write %s.", text, list(newer), by, list(open))
}

// sameKind reports whether the letter's stamp is of the kind that the row has.
func sameKind(s *EntityState, l *dlq.Letter) bool {
	if l.Stamp.IsZero() {
		return false
	}
	return l.Table != "" || s.Kind == guards.KindTimestamp.String() && l.Stamp.Time == event.Micros(l.OccurredAt)
}

// advise says what to do, by the letter's state and reason.
func (x *LetterExplanation) advise(r reason) {
	l, id := x.Letter, short(x.Letter.ID)
	switch l.State {
	case dlq.Open:
	case dlq.Replaying:
		x.Next = "a running member of its group replays it; take it back if none is there"
		x.Commands = []string{"evenkeel dlq cancel " + id}
		return
	case dlq.Discarded:
		x.Next = "somebody has decided that it is not to be applied; it can be opened again"
		x.Commands = []string{"evenkeel dlq restore " + id}
		return
	case dlq.Resolved, dlq.Purged:
		return
	}
	x.Next = r.next
	if x.Next == "" {
		x.Next = "replay the letter, or discard it"
	}
	replay, why := "evenkeel dlq replay ", ` --why "what was mended"`
	if l.Verdict.Reason == guards.Late && l.Verdict.Numbers.What == "memory" {
		x.Next = "find out whether it counted before, since nobody remembers; replay it if not, else discard it"
		why = " --accept-forgotten" + ` --why "it did not count"`
	}
	if slices.ContainsFunc(x.Now, func(s string) bool { return strings.HasSuffix(s, "a replay would be obsolete.") }) {
		x.Next += "; newer events have made it pointless, so that a replay only tidies up"
	}
	if l.Verdict.Reason != dlq.Foreign {
		x.Commands = append(x.Commands, replay+id+why)
		if x.Alike != nil && x.Alike.Count[dlq.Open] > 1 {
			x.Commands = append(x.Commands, replay+"--fingerprint "+l.Fingerprint+why)
		}
	}
	x.Commands = append(x.Commands, "evenkeel dlq discard "+id+` --why "why it is not needed"`)
	if l.Entity != "" && l.Table != "" {
		x.Commands = append(x.Commands, "evenkeel entity show "+quoted(l.Table)+" "+quoted(l.Entity))
	}
	if l.EventID != "" {
		x.Commands = append(x.Commands, "evenkeel explain "+quoted(l.EventID))
	}
}

// quoted is an argument as a shell takes it: what came from outside must not become a command
// when somebody copies it.
func quoted(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:@,+", r)
	}
	if s != "" && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool { return !safe(r) }) {
		return s
	}
	text := "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	if strings.HasPrefix(s, "-") {
		text = "-- " + text
	}
	return text
}
