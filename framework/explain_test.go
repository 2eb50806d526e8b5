package framework_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// onBoth runs a test on a migrated database of each kind.
func onBoth(t *testing.T, test func(t *testing.T, db *gorm.DB)) {
	t.Helper()
	for name, open := range map[string]func(testing.TB) *gorm.DB{
		"SQLite":     func(t testing.TB) *gorm.DB { t.Helper(); return testutil.SQLite(t) },
		"PostgreSQL": func(t testing.TB) *gorm.DB { t.Helper(); return testutil.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			require.NoError(t, framework.Migrate(t.Context(), db))
			test(t, db)
		})
	}
}

func explained(t *testing.T, db *gorm.DB, q framework.EventQuery) *framework.Explanation {
	t.Helper()
	e, err := framework.Explain(t.Context(), db, q)
	require.NoError(t, err)
	return e
}

func TestExplain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *gorm.DB) {
		t.Helper()
		require.NoError(t, lettertest.Story(t.Context(), db))
		for _, c := range []struct {
			q        framework.EventQuery
			standing framework.Standing
			says     string
		}{
			{framework.EventQuery{ID: "washed"}, framework.StandsEnded, "It was superseded: fields `colour`, `price` and `pixels` were already written by event dyed of /shop, of 2026-10-14T17:46:49Z, which is newer by 4s."},
			{framework.EventQuery{ID: "ironed"}, framework.StandsMasked, "It had its effect, but for SoldAt, which newer events had written: `sold_at` is now by event sold of /shop, of 2026-10-14T17:46:45Z; the rest has been written by newer ones since."},
			{framework.EventQuery{ID: "sold"}, framework.StandsApplied, "It had its effect when it came first, and what came again was a duplicate: `sold_at` and whether the row exists of shirts 17 are by it."},
			{framework.EventQuery{ID: "dyed"}, framework.StandsApplied, "It had its effect, which stands: `colour`, `price` and `pixels` of shirts 17 are by it."},
			{framework.EventQuery{ID: "dyed", Source: "/shop", Group: "closet", Entity: "17"}, framework.StandsApplied, "It had its effect, which stands"},
			{framework.EventQuery{ID: "sewn"}, framework.StandsParked, "It waits: an earlier event of its entity waits or is a dead letter, and it stands behind it; it is looked at again at 2026-10-14T17:47:40Z."},
			{framework.EventQuery{ID: "torn"}, framework.StandsAsLetter, "It is a dead letter (open) since 2026-10-14T17:46:53Z: it failed in its handler as often as the retry schedule allows."},
			{framework.EventQuery{ID: "late"}, framework.StandsAsLetter, "it is 25h0m9s late, and 24h is allowed."},
		} {
			e := explained(t, db, c.q)
			require.True(t, e.Found, c.q.ID)
			require.NotEmpty(t, e.Units, c.q.ID)
			require.Equal(t, c.standing, e.Units[0].Standing, c.q.ID)
			require.Contains(t, e.Conclusion, c.says)
			require.Equal(t, "/shop", e.Source)
			require.NotEmpty(t, e.Unknown)
		}
		e := explained(t, db, framework.EventQuery{ID: "washed"})
		require.Equal(t, []framework.PartitionPosition{{
			Group: "closet", Topic: "shirts", Partition: 3, Next: 20, Newest: lettertest.At(9_000_000), Moved: lettertest.At(20_000_000), Skipped: [][2]int64{{2, 4}},
		}}, e.Positions)
		require.Equal(t, "group closet stands at offset 20 of shirts/3, where the newest event is of 2026-10-14T17:46:49Z, and moved last at 2026-10-14T17:47:00Z; offsets 2 to 3 were skipped by an operator", e.Positions[0].String())
		require.Len(t, e.Steps, 1)
		require.Contains(t, e.Steps[0].Text, "its timestamp is 2026-10-14T17:46:45Z, and it met 2026-10-14T17:46:49Z, which is newer by 4s")
		require.Equal(t, lettertest.At(10_000_000), e.Steps[0].At)

		// No trace is told as none, with what it could be.
		e = explained(t, db, framework.EventQuery{ID: "never"})
		require.False(t, e.Found)
		require.Empty(t, e.Units)
		require.Len(t, e.Positions, 1)
		require.Contains(t, strings.Join(e.Unknown, "\n"), "these were looked through: what waits, table shirts")
		e = explained(t, db, framework.EventQuery{ID: "dyed", Source: "/other"})
		require.False(t, e.Found, "another source's event of this id is another event")
		e = explained(t, db, framework.EventQuery{ID: "washed", Group: "other"})
		require.False(t, e.Found)

		// An id that is part of another one is none of its events.
		require.False(t, explained(t, db, framework.EventQuery{ID: "dye"}).Found)
		require.False(t, explained(t, db, framework.EventQuery{ID: "/shop"}).Found, "a source is no id")

		// Once the row has moved on, nobody can tell which event it was.
		newer := event.Stamp{Time: lettertest.At(90_000_000).UnixMicro(), Tie: event.Tie(true, "/shop", "painted")}
		require.NoError(t, db.Exec("UPDATE shirts SET ek_time = ?, ek_tie = ?, ek_fields = ''", newer.Time, []byte(newer.Tie)).Error)
		require.Contains(t, explained(t, db, framework.EventQuery{ID: "washed"}).Conclusion, "the row has been written since, so which event that was can't be told; now `colour`, `price`, `pixels`, `sold_at`, `worn` and whether the row exists are by event painted of /shop")

		// The stamp of a derived event has its root's id: so the root tells what follows from it,
		// and who asks for the event itself hears what to ask for.
		child := event.Stamp{Time: newer.Time + 1, Tie: event.Tie(false, "/shop", "restyled", "0a1b.000001")}
		require.NoError(t, db.Exec("UPDATE shirts SET ek_time = ?, ek_tie = ?", child.Time, []byte(child.Tie)).Error)
		e = explained(t, db, framework.EventQuery{ID: "restyled"})
		require.True(t, e.Found)
		require.Len(t, e.Units, 1)
		require.Equal(t, framework.StandsFollowed, e.Units[0].Standing)
		require.Equal(t, "What was derived from it had its effect, which stands: `colour`, `price`, `pixels`, `sold_at`, `worn` and whether the row exists of shirts 17 are by an event that follows from it.", e.Conclusion)
		require.Equal(t, "/shop", e.Source)
		require.False(t, explained(t, db, framework.EventQuery{ID: "restyled", Source: "/other"}).Found)
		e = explained(t, db, framework.EventQuery{ID: "ironed"})
		require.Equal(t, framework.StandsApplied, e.Units[0].Standing, "the derived stamp may be its own")
		e = explained(t, db, framework.EventQuery{ID: "b1946ac92492d2347c6235b4d2611184"})
		require.Contains(t, strings.Join(e.Unknown, "\n"), "if its record has the header evenkeel-lineage, ask for the id that stands there")

		// Events of two sources with one id are two events.
		other := lettertest.Full()
		other.ID, other.EventID, other.Source = "0000000000000000000000000000000a", "washed", "/laundry"
		require.NoError(t, lettertest.Insert(t.Context(), db, other))
		_, err := framework.Explain(t.Context(), db, framework.EventQuery{ID: "washed"})
		var several *framework.AmbiguousEventError
		require.ErrorAs(t, err, &several)
		require.Equal(t, []string{"/laundry", "/shop"}, several.Sources)
		require.EqualError(t, err, `events of 2 sources have the id "washed": "/laundry", "/shop"`)
	})
}

// What has been decided about a letter is told with who did it.
func TestExplainEndedLetters(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *gorm.DB) {
		t.Helper()
		require.NoError(t, lettertest.Story(t.Context(), db))
		act := framework.LetterAct{By: dlq.Actor{Name: "ann"}, Reason: "it is rags"}
		refs, err := dlq.Refs(t.Context(), db, dlq.Filter{EventID: "torn"})
		require.NoError(t, err)
		report, err := framework.Discard(t.Context(), db, refs, act)
		require.NoError(t, err)
		require.Equal(t, 1, report.Done)
		e := explained(t, db, framework.EventQuery{ID: "torn"})
		require.Equal(t, framework.StandsEnded, e.Units[0].Standing)
		require.Contains(t, e.Conclusion, `somebody has decided that it is not to be applied: discarded by ann at`)
		require.Len(t, e.Steps, 2)
		require.True(t, strings.HasSuffix(e.Steps[1].Text, "was discarded by ann: it is rags"))

		x, err := framework.ExplainLetter(t.Context(), db, refs[0].ID, lettertest.At(0))
		require.NoError(t, err)
		require.Equal(t, []string{"evenkeel dlq restore " + refs[0].ID[:12]}, x.Commands)
		require.Zero(t, x.Behind, "it holds up nobody any more")
	})
}

func TestExplainLetter(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *gorm.DB) {
		t.Helper()
		require.NoError(t, lettertest.Story(t.Context(), db))
		find := func(id string) *framework.LetterExplanation {
			t.Helper()
			refs, err := dlq.Refs(t.Context(), db, dlq.Filter{EventID: id})
			require.NoError(t, err)
			x, err := framework.ExplainLetter(t.Context(), db, refs[0].ID[:12], lettertest.At(0))
			require.NoError(t, err)
			return x
		}
		x := find("torn")
		require.Equal(t, "It failed in its handler as often as the retry schedule allows.", x.Means)
		require.Empty(t, x.Compared)
		require.Equal(t, [2]string{"main.paid", "/app/main.go:12"}, [2]string{x.Frame, x.File})
		require.Equal(t, []string{"shirts 17 is live, and newer events have written `colour`, `price` and `pixels` (event dyed of /shop, of 2026-10-14T17:46:49Z): a replay leaves that as it is, and can still write `sold_at`, whether the row exists and `worn`."}, x.Now)
		require.EqualValues(t, 1, x.Behind)
		require.Equal(t, lettertest.At(8_000_000), x.Since)
		require.EqualValues(t, 1, x.Alike.Total())
		short := x.Letter.ID[:12]
		require.Equal(t, []string{
			"evenkeel dlq replay " + short + ` --why "what was mended"`,
			"evenkeel dlq discard " + short + ` --why "why it is not needed"`,
			"evenkeel entity show shirts 17", "evenkeel explain torn",
		}, x.Commands)

		// A replay of what all columns have seen newer events of would come to nothing.
		x = find("late")
		require.Contains(t, x.Compared, "it is 25h0m9s late, and 24h is allowed")
		require.Len(t, x.Now, 1, "the row of its own key")
		require.NoError(t, db.Exec("UPDATE shirts SET ek_fields = ''").Error)
		x = find("late")
		require.Equal(t, []string{"shirts 17 is live, and newer events have written all of it (event dyed of /shop, of 2026-10-14T17:46:49Z): a replay would be obsolete."}, x.Now)
		require.Contains(t, x.Next, "a replay only tidies up")

		_, err := framework.ExplainLetter(t.Context(), db, "00", lettertest.At(0))
		var none *dlq.NotFoundError
		require.ErrorAs(t, err, &none)
	})
}

func TestShowEntity(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *gorm.DB) {
		t.Helper()
		require.NoError(t, lettertest.Story(t.Context(), db))
		require.NoError(t, stream(db, "closet", "moves", "17", `{"next":3,"begun":true}`))
		for _, table := range []string{"shirts", "Shirt"} {
			s, err := framework.ShowEntity(t.Context(), db, table, "17")
			require.NoError(t, err)
			require.Equal(t, guards.Alive, s.Existence)
			require.EqualValues(t, 12, s.Rev)
			got := map[string]string{}
			for i := range s.Columns {
				c := &s.Columns[i]
				got[c.Name] = c.String()
				if c.Clock != nil {
					got[c.Name] += " by " + c.Clock.ID
				}
			}
			price, worn := "123456789012345678901234.5678", "true"
			if db.Name() == "sqlite" {
				price, worn = "1.2345678901234569e+23", "1" // what SQLite keeps of it
			}
			require.Equal(t, map[string]string{
				"id": "17", "colour": "bl\x1bue by dyed", "price": price + " by dyed", "pixels": "0x00ff41 by dyed",
				"sold_at": "2026-10-14T17:46:45Z by sold", "worn": worn, "total": "9007199254740993",
			}, got)
			require.Equal(t, "sold", s.Lived.ID)
			require.Len(t, s.Parked, 1)
			require.Len(t, s.Letters, 2, "also the one that failed before any handler was asked")
			require.Len(t, s.Verdicts, 4)
			require.Equal(t, "torn", s.Verdicts[0].ID, "the newest first")
			require.Zero(t, s.JournalRead)
			require.Equal(t, []framework.NumberStream{{Group: "closet", Name: "moves", Entity: "17", Next: 3, Changed: time.UnixMicro(5000).UTC()}}, s.Streams)
		}
		s, err := framework.ShowEntity(t.Context(), db, "shirts", "18")
		require.NoError(t, err)
		require.False(t, s.Known())
		s, err = framework.ShowEntity(t.Context(), db, "shirts", "x'; DROP TABLE shirts; --")
		require.NoError(t, err)
		require.False(t, s.Known())
		if db.Name() == "postgres" {
			require.Contains(t, s.KeyError, "none that the column id, a int8, can hold")
		}
		_, err = framework.ShowEntity(t.Context(), db, "shirt", "17")
		var none *framework.NoTableError
		require.ErrorAs(t, err, &none)
		require.Equal(t, []string{"shirts"}, none.Known)
		require.ErrorContains(t, err, "there are: shirts")

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = framework.ShowEntity(ctx, db, "shirts", "17")
		require.Error(t, err)
	})
}

func ExampleExplain() {
	ctx := context.Background()
	db, remove := openDatabase()
	defer remove()
	check(errors.Join(framework.Migrate(ctx, db), lettertest.Story(ctx, db)))

	why, err := framework.Explain(ctx, db, framework.EventQuery{ID: "washed", Source: "/shop"})
	check(err)
	fmt.Println(why.Conclusion)
	// Output:
	// It was superseded: fields `colour`, `price` and `pixels` were already written by event dyed of /shop, of 2026-10-14T17:46:49Z, which is newer by 4s.
}

func ExampleExplainLetter() {
	ctx := context.Background()
	db, remove := openDatabase()
	defer remove()
	check(errors.Join(framework.Migrate(ctx, db), lettertest.Insert(ctx, db, lettertest.Full())))

	why, err := framework.ExplainLetter(ctx, db, lettertest.Full().ID, time.Now())
	check(err)
	fmt.Println(why.Means)
	fmt.Println("failed in", why.Frame)
	fmt.Println("next:", why.Commands[0])
	// Output:
	// It failed in its handler as often as the retry schedule allows.
	// failed in main.paid
	// next: evenkeel dlq replay 5598dac7329c --why "what was mended"
}

func ExampleShowEntity() {
	ctx := context.Background()
	db, remove := openDatabase()
	defer remove()
	check(errors.Join(framework.Migrate(ctx, db), lettertest.Story(ctx, db)))

	shirt, err := framework.ShowEntity(ctx, db, "Shirt", "17")
	check(err)
	for i := range shirt.Columns {
		if c := &shirt.Columns[i]; c.Name == "sold_at" {
			fmt.Println(c.Name, "=", c.String(), "by", c.Clock)
		}
	}
	fmt.Println(len(shirt.Parked), "waits")
	// Output:
	// sold_at = 2026-10-14T17:46:45Z by event sold of /shop, of 2026-10-14T17:46:45Z
	// 1 waits
}
