package dlq_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

func export(t *testing.T, db *gorm.DB, f dlq.Filter) string {
	t.Helper()
	var b bytes.Buffer
	n, err := dlq.Export(t.Context(), db, &b, f)
	if err != nil {
		t.Fatal(err)
	}
	if int(n) != strings.Count(b.String(), "\n") {
		t.Errorf("%d letters in\n%s", n, b.String())
	}
	return b.String()
}

func imports(t *testing.T, db *gorm.DB, letters iter.Seq2[*dlq.Letter, error], want dlq.Imported) {
	t.Helper()
	got, err := dlq.Import(t.Context(), db, letters, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("imported %+v, want %+v", got, want)
	}
}

func lines(text string) iter.Seq2[*dlq.Letter, error] {
	return dlq.NewLineReader(strings.NewReader(text)).Letters()
}

func these(letters ...*dlq.Letter) iter.Seq2[*dlq.Letter, error] {
	return func(yield func(*dlq.Letter, error) bool) {
		for _, l := range letters {
			if !yield(l, nil) {
				return
			}
		}
	}
}

// A table, its export, a table: the same to the byte, over several portions and between
// the two databases.
func TestExportAndImportRoundTrip(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := open(t)
			r := rand.New(rand.NewPCG(3, 5))
			empty := lettertest.Poison()
			empty.ID, empty.Record.Key, empty.Record.Value = "00", []byte{}, []byte{}
			letters := []*dlq.Letter{everything(t), lettertest.Poison(), empty}
			for range 250 {
				l := anyLetter(r)
				l.Attempts &= 0xffff
				letters = append(letters, l)
			}
			imports(t, first, these(letters...), dlq.Imported{New: int64(len(letters))})
			text := export(t, first, dlq.Filter{Brief: true})
			if n := strings.Count(text, "\n"); n != len(letters) {
				t.Fatalf("%d letters, want %d", n, len(letters))
			}
			for _, open := range databases() {
				second := open(t)
				imports(t, second, lines(text), dlq.Imported{New: int64(len(letters))})
				if line := difference(export(t, second, dlq.Filter{}), text); line != "" {
					t.Errorf("%s", line)
				}
			}
			// The bytes are untouched.
			for _, want := range letters[:50] {
				got, err := dlq.Get(t.Context(), first, want.ID)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(dlq.EncodeHeaders(got.Record.Headers), dlq.EncodeHeaders(want.Record.Headers)) ||
					!same(got.Record.Key, want.Record.Key) || !same(got.Record.Value, want.Record.Value) || got.Stamp.Tie != want.Stamp.Tie {
					t.Errorf("got %+v, want %+v", got.Record, want.Record)
				}
			}
			if got, err := dlq.Get(t.Context(), first, everything(t).ID); err != nil || line(t, got) != line(t, everything(t)) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func TestExportChooses(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			var letters []*dlq.Letter
			for i := range 150 { // more than a list's default
				l := lettertest.Poison()
				l.ID, l.Group = fmt.Sprintf("%04x", 1000-i), []string{"a", "b"}[i%2]
				letters = append(letters, l)
			}
			imports(t, db, these(letters...), dlq.Imported{New: 150})
			for _, c := range []struct {
				f    dlq.Filter
				want int
			}{{dlq.Filter{}, 150}, {dlq.Filter{Group: "a"}, 75}, {dlq.Filter{Group: "a", Limit: 3}, 3}, {dlq.Filter{Group: "c"}, 0}} {
				var ids []string
				for l, err := range lines(export(t, db, c.f)) {
					if err != nil {
						t.Fatal(err)
					}
					ids = append(ids, l.ID)
				}
				if len(ids) != c.want || !slices.IsSorted(ids) {
					t.Errorf("%+v: %v", c.f, ids)
				}
			}
		})
	}
}

type brokenWriter struct{ n int }

var errFull = errors.New("the disk is full")

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.n--; w.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// Export stops where the file does, and does not read on.
func TestExportEndsWithTheWritersError(t *testing.T) {
	t.Parallel()
	db := databases()["sqlite"](t)
	imports(t, db, these(lettertest.Full(), lettertest.Poison()), dlq.Imported{New: 2})
	n, err := dlq.Export(t.Context(), db, &brokenWriter{n: 1}, dlq.Filter{})
	if n != 1 || !errors.Is(err, errFull) {
		t.Errorf("%d letters, %v", n, err)
	}
}

// An import touches no row that is there: a letter that was dealt with stays so.
func TestImportRaisesNothingFromTheDead(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			imports(t, db, these(lettertest.Full()), dlq.Imported{New: 1})
			text := export(t, db, dlq.Filter{})
			if err := db.Exec("UPDATE evenkeel_dead_letters SET state = 'resolved', rev = rev + 1, blocking = false").Error; err != nil {
				t.Fatal(err)
			}
			newer := lettertest.Full()
			newer.Rev += 10
			imports(t, db, lines(text), dlq.Imported{Present: 1})
			imports(t, db, these(lettertest.Full(), newer, lettertest.Poison()), dlq.Imported{New: 1, Present: 1, Copies: 1})
			l, err := dlq.Get(t.Context(), db, lettertest.Full().ID)
			if err != nil || l.State != "resolved" || l.Rev != lettertest.Full().Rev+1 {
				t.Errorf("now %+v, %v", l, err)
			}
		})
	}
}

// Of copies in one import the newest counts, in one portion and across them; a row that
// somebody changed meanwhile is left alone.
func TestImportTakesTheNewestCopy(t *testing.T) {
	t.Parallel()
	copyOf := func(rev int64, text string) *dlq.Letter {
		l := lettertest.Full()
		l.Rev, l.Error = rev, text
		return l
	}
	others := func(from int) []*dlq.Letter {
		var letters []*dlq.Letter
		for i := range 120 {
			l := lettertest.Poison()
			l.ID = fmt.Sprintf("%04x", from+i)
			letters = append(letters, l)
		}
		return letters
	}
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, c := range map[string]struct {
				letters []*dlq.Letter
				want    string
				copies  int64
			}{
				"in one portion":   {[]*dlq.Letter{copyOf(1, "old"), copyOf(3, "new"), copyOf(3, "same"), copyOf(2, "older")}, "new", 3},
				"across portions":  {slices.Concat([]*dlq.Letter{copyOf(1, "old")}, others(0), []*dlq.Letter{copyOf(3, "new")}, others(200), []*dlq.Letter{copyOf(2, "older")}), "new", 2},
				"newest one first": {slices.Concat([]*dlq.Letter{copyOf(3, "new")}, others(0), []*dlq.Letter{copyOf(1, "old")}), "new", 1},
			} {
				db := open(t)
				imports(t, db, these(c.letters...), dlq.Imported{New: int64(len(c.letters)) - c.copies, Copies: c.copies})
				if l, err := dlq.Get(t.Context(), db, copyOf(1, "").ID); err != nil || l.Error != c.want {
					t.Errorf("%s: %+v, %v", name, l, err)
				}
			}
			db := open(t)
			meddle := func(yield func(*dlq.Letter, error) bool) {
				for _, l := range slices.Concat([]*dlq.Letter{copyOf(1, "old")}, others(0)) {
					yield(l, nil)
				}
				if err := db.Exec("UPDATE evenkeel_dead_letters SET rev = 7, state = 'resolved' WHERE rev = 1").Error; err != nil {
					t.Error(err)
				}
				yield(copyOf(3, "new"), nil)
			}
			imports(t, db, meddle, dlq.Imported{New: 121, Copies: 1})
			if l, err := dlq.Get(t.Context(), db, copyOf(1, "").ID); err != nil || l.Rev != 7 || l.State != "resolved" {
				t.Errorf("meanwhile changed: %+v, %v", l, err)
			}
		})
	}
}

// Nobody would carry out a replay that came with a letter, and nobody could ask for another.
func TestImportOpensWhatWasBeingReplayed(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			with := func(id string, rev int64, state dlq.State) *dlq.Letter {
				l := lettertest.Full()
				l.ID, l.Rev, l.State = id, rev, state
				return l
			}
			ended := with("02", 3, dlq.Resolved)
			ended.Outcome = dlq.OutcomeApplied
			var filler []*dlq.Letter // so that the later copy comes in another portion
			for i := range 120 {
				filler = append(filler, with(fmt.Sprintf("f%03d", i), 1, dlq.Open))
			}
			letters := slices.Concat([]*dlq.Letter{with("01", 2, dlq.Replaying), with("02", 2, dlq.Replaying)}, filler, []*dlq.Letter{ended})
			imports(t, db, these(letters...), dlq.Imported{New: 122, Copies: 1, Reopened: 1})
			for id, want := range map[string]dlq.State{"01": dlq.Open, "02": dlq.Resolved} {
				if l, err := dlq.Get(t.Context(), db, id); err != nil || l.State != want {
					t.Errorf("%s is %v (%v), want %s", id, l, err, want)
				}
			}
		})
	}
}

func TestImportGoesOnBehindWhatIsNoLetter(t *testing.T) {
	t.Parallel()
	db := databases()["sqlite"](t)
	text := line(t, lettertest.Full()) + "{}\n[]\n" + line(t, lettertest.Poison())
	var told []string
	got, err := dlq.Import(t.Context(), db, lines(text), func(err error) error { told = append(told, err.Error()); return nil })
	if err != nil || got != (dlq.Imported{New: 2, Refused: 2}) || len(told) != 2 {
		t.Errorf("%+v, %v, %q", got, err, told)
	}
	// The first ends it when nobody listens; what came before is there.
	db = databases()["sqlite"](t)
	got, err = dlq.Import(t.Context(), db, lines(text), nil)
	if n, _ := dlq.Count(t.Context(), db, dlq.Filter{}); n != 1 || got != (dlq.Imported{New: 1, Refused: 1}) || err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
		t.Errorf("%d letters, %+v, %v", n, got, err)
	}
	// So does any error that is not about a letter.
	db = databases()["sqlite"](t)
	broken := func(yield func(*dlq.Letter, error) bool) {
		_ = yield(lettertest.Full(), nil) && yield(nil, errFull)
	}
	got, err = dlq.Import(t.Context(), db, broken, func(error) error { return nil })
	if got != (dlq.Imported{New: 1}) || !errors.Is(err, errFull) {
		t.Errorf("%+v, %v", got, err)
	}
}

// What Postgres refuses stands alone: a name that is too long for an index entry.
func TestImportIsolatesWhatTheDatabaseRefuses(t *testing.T) {
	t.Parallel()
	db := databases()["postgres"](t)
	hostile := lettertest.Full()
	hostile.ID, hostile.Group = "bad0", ""
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		hostile.Group += string(rune('a' + r.IntN(26)))
	}
	var told []error
	got, err := dlq.Import(t.Context(), db, these(lettertest.Full(), hostile, lettertest.Poison()), func(err error) error { told = append(told, err); return nil })
	var refused *dlq.LetterError
	if err != nil || got != (dlq.Imported{New: 2, Refused: 1}) || len(told) != 1 || !errors.As(told[0], &refused) || refused.ID != "bad0" {
		t.Errorf("%+v, %v, %v", got, err, told)
	}
	if _, err := dlq.Import(t.Context(), db, these(hostile), nil); !errors.As(err, &refused) {
		t.Errorf("without a listener: %v", err)
	}
}

// An import can be part of a user's transaction, and goes with it.
func TestImportInATransaction(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			tx := db.Begin()
			imports(t, tx, these(lettertest.Full()), dlq.Imported{New: 1})
			if err := tx.Rollback().Error; err != nil {
				t.Fatal(err)
			}
			if n, err := dlq.Count(t.Context(), db, dlq.Filter{}); n != 0 || err != nil {
				t.Errorf("%d letters, %v", n, err)
			}
		})
	}
}

// No lane's offset waits for an imported letter.
func TestImportedLettersHoldNoOffset(t *testing.T) {
	t.Parallel()
	db := databases()["sqlite"](t)
	imports(t, db, these(lettertest.Full()), dlq.Imported{New: 1})
	var n int64
	if err := db.Raw("SELECT count(*) FROM evenkeel_dead_letters WHERE swept AND claimed_until = 0").Row().Scan(&n); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

// A dead-letter topic in many dialects becomes a table.
func TestImportFromRecords(t *testing.T) {
	t.Parallel()
	own, _ := dlq.Encode(lettertest.Full(), 0)
	large := lettertest.Full()
	large.ID, large.Record.Value = "bb", bytes.Repeat([]byte("v"), 100_000)
	cut, _ := dlq.Encode(large, 50_000)
	damaged := letterOn("dead", "evenkeel-letter", "cc", "evenkeel-state", "open", "evenkeel-offset", "many")
	records := []*event.Record{record(&own), record(&cut), damaged, letterOn("dead", "x", "y")}
	for _, name := range []string{"spring", "kafka-connect", "trendyol", "watermill"} {
		for _, s := range captured(t, name) {
			records = append(records, s.record)
		}
	}
	all := func(yield func(*event.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			var told []string
			now := lettertest.At(9_000_000)
			got, err := dlq.Import(t.Context(), db, dlq.FromRecords(all, now), func(err error) error { told = append(told, err.Error()); return nil })
			want := dlq.Imported{New: int64(len(records)) - 3, Refused: 3}
			if err != nil || got != want {
				t.Errorf("%+v, want %+v, %v", got, want, err)
			}
			for i, part := range []string{
				"partition 1, offset 99: the copy of letter bb lacks parts of the record (no-value",
				"header evenkeel-offset: expected a whole number of 64 bits",
				"no dead letter of a known kind",
			} {
				if i >= len(told) || !strings.Contains(told[i], part) {
					t.Errorf("told %q, want %s", told, part)
				}
			}
			l, err := dlq.Get(t.Context(), db, lettertest.Full().ID)
			if err != nil {
				t.Fatal(err)
			}
			full := lettertest.Full()
			full.PublishedAt = now
			if line(t, l) != line(t, full) {
				t.Errorf("got\n%s\nwant\n%s", line(t, l), line(t, full))
			}
			foreign, err := dlq.List(t.Context(), db, dlq.Filter{Reason: dlq.Foreign})
			if err != nil || len(foreign) != len(records)-4 {
				t.Fatalf("%d foreign letters, %v", len(foreign), err)
			}
			// A second look at the topic finds them all, by the same ids.
			again, err := dlq.Import(t.Context(), db, dlq.FromRecords(all, now), func(error) error { return nil })
			if err != nil || again != (dlq.Imported{Present: want.New, Refused: 3}) {
				t.Errorf("again %+v, %v", again, err)
			}
		})
	}
}
