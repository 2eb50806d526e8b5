package dlq_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
	storeopen "github.com/evenkeel-go/evenkeel/internal/store/open"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// databases opens each kind of database, migrated and empty.
func databases() map[string]func(*testing.T) *gorm.DB {
	migrated := func(open func(testing.TB) *gorm.DB) func(*testing.T) *gorm.DB {
		return func(t *testing.T) *gorm.DB {
			t.Helper()
			db := open(t)
			if err := migrations.Up(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			return db
		}
	}
	return map[string]func(*testing.T) *gorm.DB{"sqlite": migrated(testutil.SQLite), "postgres": migrated(testutil.Postgres)}
}

func insert(t *testing.T, db *gorm.DB, l *dlq.Letter) {
	t.Helper()
	if err := lettertest.Insert(t.Context(), db, l); err != nil {
		t.Fatal(err)
	}
}

func TestGetReturnsEveryField(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			full := lettertest.Full()
			full.PublishedAt, full.Outcome = lettertest.At(7_300_000_000), dlq.OutcomeDuplicate
			full.Verdict.Masked, full.Edits = []string{"status"}, lettertest.Edits()
			full.Verdict.Numbers.AgainstTie = "0/shop\x00\x01e-\xfe\x00\x01\x00" // bytes, not text
			noZero(t, "Letter", reflect.ValueOf(*full), nil)
			empty := lettertest.Poison()
			empty.Record.Key = []byte{}
			for _, want := range []*dlq.Letter{full, lettertest.Poison(), empty} {
				if want == empty {
					want.ID = "00" + want.ID[2:]
				}
				insert(t, db, want)
				got, err := dlq.Get(t.Context(), db, want.ID)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got  %+v\n     %+v\nwant %+v\n     %+v", got, got.Record, want, want.Record)
				}
			}
		})
	}
}

// What the runtime writes is what people read: the store has its own list of columns.
func TestGetReadsWhatTheStoreWrites(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			s, err := storeopen.Open(db)
			if err != nil {
				t.Fatal(err)
			}
			// Its texts are cleaned for Postgres, its ties are not.
			letters := []*dlq.Letter{lettertest.Full(), lettertest.Poison()}
			if err := s.Commit(t.Context(), &store.Batch{Group: "billing", Letters: letters, Now: lettertest.At(0)}); err != nil {
				t.Fatal(err)
			}
			for _, want := range []*dlq.Letter{lettertest.Full(), lettertest.Poison()} {
				got, err := dlq.Get(t.Context(), db, want.ID)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got  %+v\n     %+v\nwant %+v\n     %+v", got, got.Record, want, want.Record)
				}
			}
		})
	}
}

func TestGetByPrefix(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			for _, id := range []string{"aa11", "aa12", "bb00", "aa1", "cc%_"} {
				l := lettertest.Poison()
				l.ID = id
				insert(t, db, l)
			}
			l, err := dlq.Get(t.Context(), db, "b")
			if err != nil || l.ID != "bb00" {
				t.Errorf("b: %+v, %v", l, err)
			}
			var ambiguous *dlq.AmbiguousError
			if _, err = dlq.Get(t.Context(), db, "aa"); !errors.As(err, &ambiguous) || !slices.Equal(ambiguous.IDs, []string{"aa1", "aa11", "aa12"}) {
				t.Errorf("aa: %v", err)
			}
			var missing *dlq.NotFoundError
			for _, id := range []string{"d", "", "%", "_", "cc%", "AA11", "b' OR '1'='1"} {
				if _, err := dlq.Get(t.Context(), db, id); !errors.As(err, &missing) || missing.ID != id {
					t.Errorf("%q: %v", id, err)
				}
			}
		})
	}
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			// Each letter differs from the first in one filtered field.
			change := map[string]func(*dlq.Letter){
				"00": func(*dlq.Letter) {},
				"01": func(l *dlq.Letter) { l.Group = "shipping" },
				"02": func(l *dlq.Letter) { l.State = "closed" },
				"03": func(l *dlq.Letter) { l.Verdict.Reason = guards.Late },
				"04": func(l *dlq.Letter) { l.EventType = "order.made" },
				"05": func(l *dlq.Letter) { l.EventID = "e-2" },
				"06": func(l *dlq.Letter) { l.Handler = "order.made" },
				"07": func(l *dlq.Letter) { l.Table = "customers" },
				"08": func(l *dlq.Letter) { l.Entity = "it's 18" },
				"09": func(l *dlq.Letter) { l.Record.Topic = "orders.v2" },
				"0a": func(l *dlq.Letter) { l.Fingerprint = "ff" },
			}
			var all []string
			for id, f := range change {
				l := lettertest.Full()
				f(l)
				l.ID = id
				l.CreatedAt = lettertest.At(int64(len(all)) * 1_000_000) // in any order
				insert(t, db, l)
				all = append(all, id)
			}
			slices.Reverse(all) // newest first

			for name, c := range map[string]struct {
				filter dlq.Filter
				want   []string
			}{
				"all":         {dlq.Filter{}, all},
				"limit":       {dlq.Filter{Limit: 3}, all[:3]},
				"group":       {dlq.Filter{Group: "shipping"}, []string{"01"}},
				"state":       {dlq.Filter{State: "closed"}, []string{"02"}},
				"reason":      {dlq.Filter{Reason: guards.Late}, []string{"03"}},
				"event type":  {dlq.Filter{EventType: "order.made"}, []string{"04"}},
				"event id":    {dlq.Filter{EventID: "e-2"}, []string{"05"}},
				"handler":     {dlq.Filter{Handler: "order.made"}, []string{"06"}},
				"table":       {dlq.Filter{Table: "customers"}, []string{"07"}},
				"entity":      {dlq.Filter{Entity: "it's 18"}, []string{"08"}},
				"topic":       {dlq.Filter{Topic: "orders.v2"}, []string{"09"}},
				"fingerprint": {dlq.Filter{Fingerprint: "ff"}, []string{"0a"}},
				"since":       {dlq.Filter{Since: lettertest.At(9_000_000)}, all[:2]},
				"until":       {dlq.Filter{Until: lettertest.At(2_000_000)}, all[9:]},
				"none":        {dlq.Filter{Group: "shipping", Reason: guards.Late}, nil},
			} {
				letters, err := dlq.List(t.Context(), db, c.filter)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				var got []string
				for _, l := range letters {
					got = append(got, l.ID)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("%s: got %v, want %v", name, got, c.want)
				}
				n, err := dlq.Count(t.Context(), db, c.filter)
				want := int64(len(c.want))
				if c.filter.Limit > 0 {
					want = int64(len(all))
				}
				if err != nil || n != want {
					t.Errorf("%s: count %d, %v; want %d", name, n, err, want)
				}
			}
		})
	}
}

func TestBriefLeavesBytesInTheDatabase(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			insert(t, db, lettertest.Full())
			letters, err := dlq.List(t.Context(), db, dlq.Filter{Brief: true})
			if err != nil || len(letters) != 1 {
				t.Fatalf("%v, %v", letters, err)
			}
			want := lettertest.Full()
			want.Stack, want.Record.Key, want.Record.Value, want.Record.Headers = "", nil, nil, nil
			if !reflect.DeepEqual(letters[0], want) {
				t.Errorf("got  %+v\nwant %+v", letters[0], want)
			}
		})
	}
}

func TestDamagedRowIsAnErrorWithItsID(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			l := lettertest.Full()
			insert(t, db, l)
			if err := db.Exec("UPDATE evenkeel_dead_letters SET headers = ?", []byte{9}).Error; err != nil {
				t.Fatal(err)
			}
			_, err := dlq.Get(t.Context(), db, l.ID)
			if !errors.Is(err, dlq.ErrHeaderBytes) || !strings.Contains(err.Error(), l.ID) {
				t.Errorf("headers: %v", err)
			}
			if err := db.Exec("UPDATE evenkeel_dead_letters SET masked = 'x'").Error; err != nil {
				t.Fatal(err)
			}
			if _, err = dlq.Get(t.Context(), db, l.ID); err == nil || !strings.Contains(err.Error(), "column masked") {
				t.Errorf("masked: %v", err)
			}
		})
	}
}

func TestDatabaseErrorsComeThrough(t *testing.T) {
	t.Parallel()
	db := testutil.SQLite(t) // without tables
	if _, err := dlq.List(t.Context(), db, dlq.Filter{}); err == nil {
		t.Error("List has no error")
	}
	if _, err := dlq.Count(t.Context(), db, dlq.Filter{}); err == nil {
		t.Error("Count has no error")
	}
	var missing *dlq.NotFoundError
	if _, err := dlq.Get(t.Context(), db, "aa"); err == nil || errors.As(err, &missing) {
		t.Errorf("Get: %v", err)
	}
}
