package testutil

import (
	"net/url"
	"path/filepath"
	"testing"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// SQLite returns a new SQLite database in a temporary file, which is gone when the test
// ends. It is opened as the framework wants it: write-ahead log, so that readers don't
// wait for the writer; transactions that take the write lock when they begin, so that two
// of them wait (10 seconds at most) for each other instead of failing half-way; foreign
// keys checked.
func SQLite(t testing.TB) *gorm.DB {
	t.Helper()
	return open(t, sqlite.Open(SQLiteDSN(t)))
}

// SQLiteDSN returns the DSN of a new database as [SQLite] opens it, for a test that opens
// it itself.
func SQLiteDSN(t testing.TB) string {
	t.Helper()
	file := url.URL{Scheme: "file", Path: filepath.Join(t.TempDir(), "test.db"), RawQuery: url.Values{
		"_journal_mode": {"WAL"},
		"_busy_timeout": {"10000"},
		"_txlock":       {"immediate"},
		"_foreign_keys": {"on"},
		// The data need not survive the machine, and do survive the process.
		"_synchronous": {"off"},
	}.Encode()}
	return file.String()
}

// idleConns is how many connections a test keeps.
const idleConns = 20

// open opens the database quietly and closes it when the test ends.
func open(t testing.TB, dialector gorm.Dialector) *gorm.DB {
	t.Helper()
	// What fails in a test fails the test; GORM's log would only hide it.
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatalf("testutil: open database: %v", err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatalf("testutil: open database: %v", err)
	}
	// database/sql keeps two connections else, and a login at PostgreSQL takes its time.
	pool.SetMaxIdleConns(idleConns)
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Errorf("testutil: close database: %v", err)
		}
	})
	return db
}
