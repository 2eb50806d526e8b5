package dlq_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	storeopen "github.com/evenkeel-go/evenkeel/internal/store/open"
)

// A letter is returned once, also one that commits long after others with later times.
func TestTail(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			now := lettertest.At(0)
			put := func(n int, at time.Time) {
				t.Helper()
				l := lettertest.Full()
				l.ID, l.CreatedAt = fmt.Sprintf("%032d", n), at
				insert(t, db, l)
			}
			next := func(tail *dlq.Tail) (got []string) {
				t.Helper()
				letters, err := tail.Next(t.Context(), db, now)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range letters {
					got = append(got, strings.TrimLeft(l.ID, "0"))
				}
				return got
			}
			want := func(tail *dlq.Tail, want ...string) {
				t.Helper()
				if got := next(tail); !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			}
			ago := func(d time.Duration) time.Time { return now.Add(-d) }
			put(1, ago(time.Hour))
			alone := dlq.NewTail(dlq.Filter{Limit: 1})
			want(alone, "1")
			want(alone) // although there is nothing newer
			put(2, ago(20*time.Second))
			put(3, ago(10*time.Second))
			last, none, since := dlq.NewTail(dlq.Filter{Limit: 2}), dlq.NewTail(dlq.Filter{Limit: -1}), dlq.NewTail(dlq.Filter{Since: ago(2 * time.Hour)})
			far := dlq.NewTail(dlq.Filter{Limit: 3})
			want(far, "1", "2", "3")
			want(far)
			want(last, "2", "3")
			want(none)
			want(since, "1", "2", "3")
			for range 3 {
				now = now.Add(time.Second)
				put(4+now.Second(), now)
				id := fmt.Sprint(4 + now.Second())
				for _, tail := range []*dlq.Tail{last, none, since} {
					want(tail, id)
					want(tail)
				}
			}
			put(100, ago(50*time.Second)) // its batch took long
			want(last, "100")
			put(101, ago(10*time.Minute)) // much longer: it is found within a minute
			want(last)
			now = now.Add(time.Minute)
			want(last, "101")
			want(none, "101", "100")
			want(since, "101", "100")

			// A letter whose record fails anew has a new time, and is told again.
			if err := db.Exec("UPDATE evenkeel_dead_letters SET created_at = ?, rev = rev + 1 WHERE id = ?", now.UnixMicro(), fmt.Sprintf("%032d", 3)).Error; err != nil {
				t.Fatal(err)
			}
			want(last, "3")
			want(last)
			now = now.Add(time.Hour)
			want(last)
			put(102, ago(14*time.Minute))
			put(103, ago(30*time.Second))
			want(none, "102", "103")
			if other := dlq.NewTail(dlq.Filter{Limit: 5, Group: "other"}); next(other) != nil {
				t.Error("a letter of another group")
			}
		})
	}
}

// Matches is the filter's condition without a database.
func TestMatches(t *testing.T) {
	t.Parallel()
	db := databases()["sqlite"](t)
	full, poison, purged := lettertest.Full(), lettertest.Poison(), lettertest.Full()
	poison.CreatedAt = lettertest.At(5)
	purged.ID, purged.State = "000000000000000000000000000000ff", dlq.Purged
	letters := []*dlq.Letter{full, poison, purged}
	for _, l := range letters {
		insert(t, db, l)
	}
	filters := []dlq.Filter{
		{},
		{Group: "billing"},
		{Group: "b"},
		{State: dlq.Open},
		{State: dlq.Purged},
		{Reason: guards.Poison},
		{EventType: "order.paid"},
		{EventID: "e-1"},
		{Handler: "order.paid"},
		{Table: "orders"},
		{Entity: "order-17"},
		{Topic: "orders"},
		{Topic: "x"},
		{Fingerprint: "0123456789abcdef"},
		{Text: "DECLINED"},
		{Text: "json"},
		{Since: full.CreatedAt},
		{Until: full.CreatedAt},
		{Since: lettertest.At(5), Until: lettertest.At(6)},
	}
	chosen := map[int]bool{}
	for i := range filters {
		f := &filters[i]
		found, err := dlq.List(t.Context(), db, *f)
		if err != nil {
			t.Fatal(err)
		}
		chosen[len(found)] = true
		for _, l := range letters {
			in := slices.ContainsFunc(found, func(o *dlq.Letter) bool { return o.ID == l.ID })
			if got, err := f.Matches(l); err != nil || got != in {
				t.Errorf("%+v: letter %s matches: %v, %v, the database says %v", *f, l.ID, got, err, in)
			}
		}
	}
	if len(chosen) < 3 {
		t.Errorf("the filters choose %v letters", chosen)
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			st, err := storeopen.Open(db)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // each start says so
				for _, at := range [][2]string{{"billing", "billing.dlq"}, {"orders", "orders.dlq"}, {"orders", "older.dlq"}} {
					if err := st.LetterTopic(t.Context(), at[0], at[1]); err != nil {
						t.Fatal(err)
					}
				}
			}
			done := lettertest.Poison()
			done.ID, done.State, done.PublishedAt = "0000000000000000000000000000000d", dlq.Discarded, lettertest.At(0)
			imported := lettertest.Poison()
			imported.Group, imported.PublishedAt = "elsewhere", lettertest.At(0)
			insert(t, db, lettertest.Full())
			insert(t, db, done)
			insert(t, db, imported)
			topics, err := dlq.Topics(t.Context(), db)
			if err != nil {
				t.Fatal(err)
			}
			for i := range topics {
				if topics[i].Name != "" && time.Since(topics[i].Seen) > time.Hour {
					t.Errorf("seen at %s", topics[i].Seen)
				}
				topics[i].Seen = time.Time{}
			}
			want := []dlq.Topic{
				{Group: "billing", Name: "billing.dlq", Left: 1, Unpublished: 1},
				{Group: "elsewhere", Left: 1},
				{Group: "orders", Name: "older.dlq"},
				{Group: "orders", Name: "orders.dlq"},
			}
			if !reflect.DeepEqual(topics, want) {
				t.Errorf("got %+v, want %+v", topics, want)
			}
		})
	}
}
