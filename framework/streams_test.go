package framework_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// stream writes a stream's memo as a consumer leaves it, and what waits in it.
func stream(db *gorm.DB, group, name, entity, body string, waiting ...int64) error {
	err := db.Exec("INSERT INTO evenkeel_memos (grp, kind, scope, entity, rev, body, updated_at) VALUES (?, 'sequence', ?, ?, 1, ?, 5000)", group, name, entity, body).Error
	for _, n := range waiting {
		err = errors.Join(err, db.Table("evenkeel_parked").Create(map[string]any{
			"id": fmt.Sprint(group, name, entity, n), "grp": group, "tbl": "accounts", "entity": entity, "handler": "h", "cause": "gap", "place": n, "rev": 1,
			"due": 9000 + n, "expires": 9000 + n, "attempts": 0, "error_type": "", "error": "", "stack": "", "event_type": "t", "source": "s", "event_id": "e",
			"occurred_at": 1000 + n, "codec": "c", "cluster": "c", "topic": name, "topic_id": "t", "partition": 0, "log_offset": n, "leader_epoch": 0,
			"headers": []byte{}, "record_time_type": 0, "stream": name,
		}).Error)
	}
	return err
}

func TestStreams(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *gorm.DB{
		"SQLite":     func(t testing.TB) *gorm.DB { t.Helper(); return testutil.SQLite(t) },
		"PostgreSQL": func(t testing.TB) *gorm.DB { t.Helper(); return testutil.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			require.NoError(t, framework.Migrate(t.Context(), db))
			list := func(f framework.StreamFilter) (all []framework.NumberStream) {
				for s, err := range framework.Streams(t.Context(), db, f) {
					require.NoError(t, err)
					all = append(all, s)
				}
				return all
			}
			require.Empty(t, list(framework.StreamFilter{}))
			micros := func(n int64) time.Time { return time.UnixMicro(n).UTC() }
			require.NoError(t, errors.Join(
				stream(db, "g", "moves", "a", `{"next":3,"begun":true}`),
				stream(db, "g", "moves", "b", `{"next":3,"begun":true,"ahead":[[5,6]]}`, 6, 5),
				stream(db, "g", "moves", "c", `{"next":9,"begun":true,"skipped":[[2,4],[7,7]],"incomplete":true}`),
				stream(db, "g", "walks", "c", `{"next":4,"begun":true,"ahead":[[6,6]],"skipped":[[1,1]],"incomplete":true}`, 6),
				stream(db, "h", "moves", "b", `{"next":1,"begun":true,"ahead":[[2,2]]}`, 2),
				db.Exec("INSERT INTO evenkeel_memos (grp, kind, scope, entity, rev, body, updated_at) VALUES ('g', 'horizon', 'moves', 'b', 1, '{}', 1)").Error,
			))
			all := list(framework.StreamFilter{})
			require.Equal(t, []framework.NumberStream{
				{Group: "g", Name: "moves", Entity: "b", Next: 3, Parked: 2, Since: micros(1005), Expires: micros(9005), Changed: micros(5000)},
				{Group: "g", Name: "moves", Entity: "c", Next: 9, Incomplete: true, Skipped: []framework.NumberSpan{{From: 2, To: 4}, {From: 7, To: 7}}, Changed: micros(5000)},
				{Group: "g", Name: "walks", Entity: "c", Next: 4, Parked: 1, Since: micros(1006), Expires: micros(9006), Incomplete: true, Skipped: []framework.NumberSpan{{From: 1, To: 1}}, Changed: micros(5000)},
				{Group: "h", Name: "moves", Entity: "b", Next: 1, Parked: 1, Since: micros(1002), Expires: micros(9002), Changed: micros(5000)},
			}, all)
			for _, c := range []struct {
				filter framework.StreamFilter
				want   []framework.NumberStream
			}{
				{framework.StreamFilter{Group: "h"}, all[3:]},
				{framework.StreamFilter{Name: "walks"}, all[2:3]},
				{framework.StreamFilter{Group: "g", Entity: "b"}, all[:1]},
				{framework.StreamFilter{Incomplete: true}, all[1:3]},
				{framework.StreamFilter{Waiting: true, Group: "g"}, []framework.NumberStream{all[0], all[2]}},
				{framework.StreamFilter{Waiting: true, Incomplete: true}, all[2:3]},
			} {
				require.Equal(t, c.want, list(c.filter), c.filter)
			}

			const many = 1203 // three pages
			require.NoError(t, db.Transaction(func(tx *gorm.DB) (err error) {
				for i := range many {
					err = errors.Join(err, stream(tx, "k", "moves", fmt.Sprintf("%05d", i), `{"next":9,"begun":true,"skipped":[[2,4]],"incomplete":true}`))
				}
				return err
			}))
			for i, s := range list(framework.StreamFilter{Group: "k"}) {
				require.Equal(t, fmt.Sprintf("%05d", i), s.Entity)
			}
			require.Len(t, list(framework.StreamFilter{Group: "k"}), many)
			require.NoError(t, stream(db, "l", "moves", "x", `{"incomplete":true`))
			for _, err := range framework.Streams(t.Context(), db, framework.StreamFilter{Group: "l"}) {
				require.ErrorContains(t, err, "stream moves of x: the memo of a stream")
			}
		})
	}
}

func ExampleStreams() {
	db, remove := openDatabase()
	defer remove()
	err := errors.Join(
		framework.Migrate(context.Background(), db),
		stream(db, "accounts", "moves", "account-7", `{"next":12,"begun":true,"ahead":[[13,14]]}`, 13, 14),
		stream(db, "accounts", "moves", "account-9", `{"next":40,"begun":true,"skipped":[[31,33]],"incomplete":true}`),
	)
	if err != nil {
		log.Panic(err)
	}
	for s, err := range framework.Streams(context.Background(), db, framework.StreamFilter{Group: "accounts"}) {
		if err != nil {
			log.Panic(err)
		}
		fmt.Println(s.Entity, "next", s.Next, "parked", s.Parked, "without", s.Skipped)
	}
	// Output:
	// account-7 next 12 parked 2 without []
	// account-9 next 40 parked 0 without [{31 33}]
}
