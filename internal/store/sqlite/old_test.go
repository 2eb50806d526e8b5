package sqlite_test

import (
	"database/sql"
	"testing"

	"github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
	gormlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// TestOldSQLite: some drivers bring a SQLite that lacks what the clock needs, and say no more
// than that a column is NULL.
func TestOldSQLite(t *testing.T) {
	t.Parallel()
	for version, good := range map[string]bool{"3.41.2": false, "2.99.0": false, "3.42.0": true, "4.0.0": true} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			driver := "sqlite " + version
			sql.Register(driver, &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
				return c.RegisterFunc("sqlite_version", func() string { return version }, true)
			}})
			db, err := gorm.Open(&gormlite.Dialector{DriverName: driver, DSN: testutil.SQLiteDSN(t)}, &gorm.Config{})
			require.NoError(t, err)
			pool, err := db.DB()
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, pool.Close()) })
			s, err := open.Open(db)
			require.NoError(t, err)
			claim := func() error {
				_, err := s.Claim(t.Context(), "g", nil, false)
				return err
			}
			if good {
				require.NoError(t, migrations.Up(t.Context(), db))
				require.NoError(t, claim())
				return
			}
			for _, err := range []error{migrations.Up(t.Context(), db), migrations.Check(t.Context(), db), claim()} {
				var setup *store.SetupError
				require.ErrorAs(t, err, &setup)
				require.Contains(t, setup.Problems[0], "brings SQLite "+version+", and Evenkeel needs 3.42 or later")
				require.Contains(t, setup.Problems[0], "gorm.io/driver/sqlite")
			}
		})
	}
}
