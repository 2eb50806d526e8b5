package dlq_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	storeopen "github.com/evenkeel-go/evenkeel/internal/store/open"
)

// hours are letters that were made so many hours before now.
var now = lettertest.At(0).Add(100 * time.Hour)

func made(t *testing.T, db *gorm.DB, cause string, state dlq.State, hours ...float64) {
	t.Helper()
	for i, h := range hours {
		l := lettertest.Full()
		l.ID = fmt.Sprintf("%s-%s-%d", cause, state, i)
		l.Fingerprint, l.State, l.Error = cause, state, cause+" broke"
		l.Verdict.Reason, l.EventType, l.Handler = guards.Reason("reason of "+cause), "type of "+cause, "handler of "+cause
		l.CreatedAt = now.Add(-time.Duration(h * float64(time.Hour)))
		insert(t, db, l)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			made(t, db, "f1", dlq.Open, 0.1, 0.2, 1.5, 11.9, 12.1, 50)
			made(t, db, "f1", dlq.Discarded, 1.1)
			made(t, db, "f2", dlq.Resolved, 0.5, 0.6, 0.7, 0.8, 0.9, 0.91, 0.92, 0.93)
			made(t, db, "f3", dlq.Replaying, 3, 4)
			made(t, db, "f4", dlq.Purged, 3, 4)
			made(t, db, "", dlq.Open, 9)
			ctx := t.Context()
			st, err := storeopen.Open(db)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := st.AddNote(ctx, &dlq.Note{By: dlq.Actor{Name: "ann"}, Fingerprint: "f3", Body: "b"}); err != nil {
					t.Fatal(err)
				}
			}
			groups, err := dlq.Groups(ctx, db, dlq.Filter{}, now)
			if err != nil {
				t.Fatal(err)
			}
			type line struct {
				fingerprint, example, count string
				trend, notes, total         int64
				recent                      [dlq.GroupHours]int64
			}
			want := []line{
				{"f1", "f1-open-0", "map[discarded:1 open:6]", 0, 0, 7, [dlq.GroupHours]int64{0: 1, 10: 2, 11: 2}},
				{"f3", "f3-replaying-0", "map[replaying:2]", 0, 2, 2, [dlq.GroupHours]int64{7: 1, 8: 1}},
				{"", "-open-0", "map[open:1]", 0, 0, 1, [dlq.GroupHours]int64{2: 1}},
				{"f2", "f2-resolved-0", "map[resolved:8]", 8, 0, 8, [dlq.GroupHours]int64{11: 8}},
			}
			var got []line
			for _, g := range groups {
				got = append(got, line{g.Fingerprint, g.Example.ID, fmt.Sprint(g.Count), g.Trend(), g.Notes, g.Total(), g.Recent})
				if g.Reason != g.Example.Verdict.Reason || g.Handler != "handler of "+g.Fingerprint || g.EventType != "type of "+g.Fingerprint || g.ErrorType == "" {
					t.Errorf("%+v", g)
				}
			}
			// 3 and 4 hours ago are the fourth and the fifth hour back.
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, want)
			}
			if g := groups[0]; !g.First.Equal(now.Add(-50*time.Hour)) || !g.Last.Equal(now.Add(-6*time.Minute)) {
				t.Errorf("%s, %s", g.First, g.Last)
			}
			some, err := dlq.Groups(ctx, db, dlq.Filter{Limit: 1, State: dlq.Discarded, Group: "billing"}, now)
			if err != nil || len(some) != 1 || some[0].Total() != 1 || some[0].Example.ID != "f1-discarded-0" {
				t.Errorf("%v, %+v", err, some)
			}
			none, err := dlq.Groups(ctx, db, dlq.Filter{Group: "other"}, now)
			if err != nil || len(none) != 0 {
				t.Errorf("%v, %+v", err, none)
			}
		})
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			made(t, db, "f1", dlq.Open, 1, 2, 3)
			made(t, db, "f1", dlq.Discarded, 90)
			made(t, db, "f2", dlq.Replaying, 4)
			made(t, db, "f3", dlq.Resolved, 80, 81)
			made(t, db, "f3", dlq.Purged, 99)
			got, err := dlq.ReadStats(t.Context(), db, dlq.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			for what, counts := range map[string]any{
				"map[discarded:1 open:3 replaying:1 resolved:2]": got.ByState,
				"map[reason of f1:3 reason of f2:1]":             got.ByReason,
				"map[type of f1:3 type of f2:1]":                 got.ByType,
				"map[handler of f1:3 handler of f2:1]":           got.ByHandler,
			} {
				if fmt.Sprint(counts) != what {
					t.Errorf("got %v, want %s", counts, what)
				}
			}
			if got.Total != 7 || !got.Oldest.Equal(now.Add(-4*time.Hour)) {
				t.Errorf("got %+v", got)
			}
			if got, err = dlq.ReadStats(t.Context(), db, dlq.Filter{Fingerprint: "f3"}); err != nil || got.Total != 2 || !got.Oldest.IsZero() {
				t.Errorf("%v %+v", err, got)
			}
		})
	}
}

func TestTextAndRefs(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			for i, text := range []string{"Card DECLINED", "100% of it", "100 of it", "käse_1!", "Ärger"} {
				l := lettertest.Full()
				l.ID, l.Error, l.CreatedAt = fmt.Sprintf("%032d", i), text, now.Add(-time.Duration(i)*time.Hour)
				l.Rev = int64(10 + i)
				insert(t, db, l)
			}
			for text, want := range map[string][]int{
				"declined": {0}, "100% OF": {1}, "100": {2, 1}, "e_1!": {3}, "_": {3}, "Ärger": {4}, "order-17": {4, 3, 2, 1, 0}, "'; DROP": nil,
			} {
				refs, err := dlq.Refs(t.Context(), db, dlq.Filter{Text: text, Limit: 1})
				if err != nil {
					t.Fatal(err)
				}
				var got []int
				for _, r := range refs {
					got = append(got, int(r.Rev-10))
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%q: %v, want %v", text, got, want)
				}
			}
		})
	}
}
