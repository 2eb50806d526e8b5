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

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil"
)

type crate struct {
	Number int64 `gorm:"primaryKey"`
	guards.Guarded
}

// claimed makes a database as a consumer leaves it: tables with placeholders.
func claimed(t *testing.T, db *gorm.DB, early int) {
	t.Helper()
	require.NoError(t, framework.Migrate(t.Context(), db))
	require.NoError(t, db.AutoMigrate(&crate{}))
	require.NoError(t, db.Exec("CREATE TABLE boxes AS SELECT * FROM crates").Error)
	for _, table := range []string{"crates", "boxes"} {
		require.NoError(t, db.Exec("INSERT INTO evenkeel_models (tbl, grp, generation, columns, claimed_at, model, key_column, kind) VALUES (?, ?, 1, '{}', 0, 'Crate', 'number', 'timestamp')", table, "group of "+table).Error)
	}
	for i := range early {
		require.NoError(t, db.Exec("INSERT INTO crates (number, ek_rev, ek_state, ek_born, ek_time, ek_tie) VALUES (?, 1, 1, ?, 77, ?)", i+1, 1000+i/2, []byte(event.Tie(true, "shop", fmt.Sprint("e-", i)))).Error)
	}
	require.NoError(t, db.Exec("INSERT INTO crates (number, ek_state, ek_born) VALUES (-1, 2, 5)").Error)
	require.NoError(t, db.Exec("INSERT INTO boxes (number, ek_state, ek_born, ek_rev, ek_time, ek_tie, ek_fields, ek_gen) VALUES (9, 1, 5, 1, 0, '', '', 1)").Error)
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *gorm.DB{
		"SQLite":     func(t testing.TB) *gorm.DB { t.Helper(); return testutil.SQLite(t) },
		"PostgreSQL": func(t testing.TB) *gorm.DB { t.Helper(); return testutil.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			const early = 1203 // three pages
			claimed(t, db, early)
			list := func(f framework.PlaceholderFilter) (all []framework.Placeholder) {
				for p, err := range framework.Placeholders(t.Context(), db, f) {
					require.NoError(t, err)
					all = append(all, p)
				}
				return all
			}
			all := list(framework.PlaceholderFilter{})
			require.Len(t, all, early+1)
			require.Equal(t, framework.Placeholder{Group: "group of boxes", Table: "boxes", Model: "Crate", Key: "9", Born: time.UnixMicro(5).UTC(), Kind: "timestamp"}, all[0])
			for i, p := range all[1:] {
				require.Equal(t, framework.Placeholder{
					Group: "group of crates", Table: "crates", Model: "Crate", Key: fmt.Sprint(i + 1), Born: time.UnixMicro(int64(1000 + i/2)).UTC(),
					Kind: "timestamp", Newest: 77, Source: "shop", ID: fmt.Sprint("e-", i),
				}, p)
			}
			require.Len(t, list(framework.PlaceholderFilter{Table: "boxes"}), 1)
			require.Len(t, list(framework.PlaceholderFilter{Group: "group of crates"}), early)
			require.Len(t, list(framework.PlaceholderFilter{Table: "crates", Before: time.UnixMicro(1002)}), 4)

			seen := 0
			for _, err := range framework.Placeholders(t.Context(), db, framework.PlaceholderFilter{}) {
				require.NoError(t, err)
				if seen++; seen == 3 {
					break
				}
			}
			require.Equal(t, 3, seen)
			var none *framework.NoTableError
			for _, err := range framework.Placeholders(t.Context(), db, framework.PlaceholderFilter{Table: "box", Group: "g"}) {
				require.ErrorAs(t, err, &none)
				require.ErrorContains(t, err, `no consumer of the group "g" keeps a table "box"`)
			}
			require.NotNil(t, none)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for _, err := range framework.Placeholders(ctx, db, framework.PlaceholderFilter{}) {
				require.Error(t, err)
			}
		})
	}
}

// early is a database with an order that was paid and never created.
func early() (db *gorm.DB, remove func()) {
	db, remove = openDatabase()
	err := errors.Join(
		framework.Migrate(context.Background(), db), db.AutoMigrate(&Order{}),
		db.Exec("INSERT INTO evenkeel_models (tbl, grp, generation, columns, claimed_at, model, key_column, kind) VALUES ('orders', 'orders', 1, '{}', 0, 'Order', 'id', 'timestamp')").Error,
		db.Exec("INSERT INTO orders (id, ek_rev, ek_state, ek_born, ek_time, ek_tie) VALUES ('o-17', 5, 1, 5, 7, ?)", []byte(event.Tie(true, "shop", "paid-1"))).Error,
	)
	if err != nil {
		log.Panic(err)
	}
	return db, remove
}

func ExamplePlaceholders() {
	db, remove := early()
	defer remove()
	old := framework.PlaceholderFilter{Before: time.Now().Add(-time.Hour)}
	for p, err := range framework.Placeholders(context.Background(), db, old) {
		if err != nil {
			log.Panic(err)
		}
		fmt.Printf("%s %s waits for its creating event; the newest so far is %s of %s\n", p.Model, p.Key, p.ID, p.Source)
	}
	// Output:
	// Order o-17 waits for its creating event; the newest so far is paid-1 of shop
}
