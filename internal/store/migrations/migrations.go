// Package migrations makes and checks Evenkeel's own tables. The framework's columns in
// a user's tables (guards.Guarded) are the user's migrations.
package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

//go:embed *.sql
var files embed.FS

// Version is the schema version that this code needs.
const Version = 4

// lockKey is the advisory lock that processes starting at once wait for: "evenkeel" in
// ASCII.
const lockKey = 0x6576656e6b65656c

type dialect struct {
	begin, lock, present, now string
	// check, if any, finds what the database itself lacks.
	check func(ctx context.Context, conn *sql.Conn) (problem string, err error)
}

func dialectOf(name string) (dialect, error) {
	switch name {
	case "postgres":
		return dialect{
			begin: "BEGIN",
			lock:  "SELECT pg_advisory_xact_lock(" + strconv.FormatInt(lockKey, 10) + ")",
			// Naming a table makes the session hear of what others have done meanwhile:
			// after a wait for the lock, to_regclass alone may still see the old catalog.
			present: "SELECT count(*) FROM pg_catalog.pg_class WHERE oid = to_regclass('evenkeel_schema')",
			now:     "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
		}, nil
	case "sqlite":
		return dialect{
			begin:   "BEGIN IMMEDIATE",
			present: "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'evenkeel_schema'",
			now:     "CAST(unixepoch('now', 'subsec') * 1000000 AS integer)",
			check:   oldSQLite,
		}, nil
	}
	return dialect{}, &store.SetupError{Problems: []string{unknown(name)}}
}

func unknown(name string) string {
	return fmt.Sprintf("the database handle's dialect is %q; Evenkeel knows \"postgres\" (gorm.io/driver/postgres) and \"sqlite\" (gorm.io/driver/sqlite)", name)
}

// Up brings the schema to Version in one transaction. Processes that start at once wait
// for each other. It does nothing when the schema is there and returns a
// *store.SetupError when it is newer than this code.
func Up(ctx context.Context, db *gorm.DB) error {
	name := db.Name()
	d, err := dialectOf(name)
	if err != nil {
		return err
	}
	return onConn(ctx, db, func(conn *sql.Conn) (err error) {
		if err := d.ready(ctx, conn); err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, d.begin); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				rollback(ctx, conn)
			}
		}()
		if d.lock != "" {
			if _, err := conn.ExecContext(ctx, d.lock); err != nil {
				return err
			}
		}
		have, err := current(ctx, conn, d)
		if err != nil {
			return err
		}
		if have > Version {
			return &store.SetupError{Problems: []string{newer(have)}}
		}
		for v := have + 1; v <= Version; v++ {
			text, err := read(name, v)
			if errors.Is(err, fs.ErrNotExist) {
				continue // no release had this version
			}
			if err != nil {
				return err
			}
			if _, err := conn.ExecContext(ctx, text+stamp(d, v)); err != nil {
				return fmt.Errorf("evenkeel's migration %d: %w", v, err)
			}
		}
		_, err = conn.ExecContext(ctx, "COMMIT")
		return err
	})
}

// Print returns the SQL that Up would run on an empty database, for teams that run
// migrations themselves. The dialect is "postgres" or "sqlite".
func Print(name string) (string, error) {
	d, err := dialectOf(name)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("BEGIN;\n\n")
	for v := 1; v <= Version; v++ {
		text, err := read(name, v)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		b.WriteString(stamp(d, v))
		b.WriteString("\n")
	}
	b.WriteString("COMMIT;\n")
	return b.String(), nil
}

// ready returns a *store.SetupError when the database can't be used at all.
func (d dialect) ready(ctx context.Context, conn *sql.Conn) error {
	if d.check == nil {
		return nil
	}
	problem, err := d.check(ctx, conn)
	if err == nil && problem != "" {
		err = &store.SetupError{Problems: []string{problem}}
	}
	return err
}

// oldSQLite finds a SQLite before 3.42, which came with unixepoch's 'subsec': older ones
// answer NULL. A driver brings its SQLite along, and may have done so for years.
func oldSQLite(ctx context.Context, conn *sql.Conn) (problem string, err error) {
	var version string
	if err := conn.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return "", err
	}
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return "", fmt.Errorf("sqlite_version() is %q, expected numbers and dots: %w", version, err)
	}
	if major > 3 || major == 3 && minor >= 42 {
		return "", nil
	}
	return fmt.Sprintf("the driver of the database handle brings SQLite %s, and Evenkeel needs 3.42 or later, for clocks in microseconds; open the handle with gorm.io/driver/sqlite, or take a newer release of the driver", version), nil
}

// Check returns a *store.SetupError with what to run when the schema's version is not
// Version.
func Check(ctx context.Context, db *gorm.DB) error {
	d, err := dialectOf(db.Name())
	if err != nil {
		return err
	}
	have := 0
	err = onConn(ctx, db, func(conn *sql.Conn) error {
		if err := d.ready(ctx, conn); err != nil {
			return err
		}
		have, err = current(ctx, conn, d)
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case have == 0:
		return &store.SetupError{Problems: []string{"the database has none of Evenkeel's tables; run `evenkeel migrate`, call framework.Migrate(ctx, db) before framework.New, or run the SQL that `evenkeel migrate --print` shows"}}
	case have < Version:
		return &store.SetupError{Problems: []string{fmt.Sprintf("Evenkeel's tables have version %d and this service needs %d; before it starts, run `evenkeel migrate` of the service's own release, or let it call framework.Migrate(ctx, db)", have, Version)}}
	case have > Version:
		return &store.SetupError{Problems: []string{newer(have)}}
	}
	return nil
}

func newer(have int) string {
	return fmt.Sprintf("Evenkeel's tables have version %d and this service knows up to %d; upgrade the service, since an older one could write what the newer ones can't read", have, Version)
}

func current(ctx context.Context, conn *sql.Conn, d dialect) (version int, err error) {
	var n int
	if err := conn.QueryRowContext(ctx, d.present).Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	err = conn.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM evenkeel_schema").Scan(&version)
	return version, err
}

func read(name string, version int) (string, error) {
	b, err := fs.ReadFile(files, fmt.Sprintf("%s_%04d.sql", name, version))
	return string(b), err
}

func stamp(d dialect, version int) string {
	return fmt.Sprintf("\nINSERT INTO evenkeel_schema (version, applied_at) VALUES (%d, %s);\n", version, d.now)
}

// onConn runs fn on one connection: a session lock or BEGIN means nothing to a pool.
func onConn(ctx context.Context, db *gorm.DB, fn func(*sql.Conn) error) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // returns the connection to the pool
	return fn(conn)
}

// rollback ends the transaction also when ctx has ended, or drops the connection.
func rollback(ctx context.Context, conn *sql.Conn) {
	if _, err := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}
