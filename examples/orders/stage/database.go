package stage

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/examples/orders/service"
)

// database is where the rows are: a SQLite file, or a schema of its own in PostgreSQL.
type database struct {
	*gorm.DB
	dsn    string // what members open
	schema string // empty with SQLite
}

// openDatabase makes an empty place for the run's tables. dir is the run's temporary
// directory.
func openDatabase(ctx context.Context, o *options, dir string) (*database, error) {
	d := &database{dsn: sqliteDSN(dir)}
	if !o.embeddedStorage {
		d.schema = "orders_demo_" + strings.ToLower(rand.Text()[:10])
		admin, err := service.Open(o.dsn)
		if err != nil {
			return nil, fmt.Errorf("the database that --dsn names can't be opened: %w", err)
		}
		err = admin.WithContext(ctx).Exec(`CREATE SCHEMA "` + d.schema + `"`).Error
		closeDB(admin)
		if err != nil {
			return nil, fmt.Errorf("create a schema for the run: %w; --dsn must name a user who may", err)
		}
		if d.dsn, err = withSchema(o.dsn, d.schema); err != nil {
			return nil, err
		}
	}
	db, err := service.Open(d.dsn)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	d.DB = db
	if err := d.migrate(ctx); err != nil {
		return d, err
	}
	return d, nil
}

// others are the models of the consumers beside the service.
func others() []any {
	return []any{&NaiveOrder{}, &NaiveShipment{}, &NaiveCustomer{}, &HandOrder{}, &handLedger{}, &handLetter{}}
}

// migrate makes the tables.
func (d *database) migrate(ctx context.Context) error {
	if err := service.Migrate(ctx, d.DB); err != nil {
		return err
	}
	if err := d.WithContext(ctx).AutoMigrate(others()...); err != nil {
		return fmt.Errorf("make the other consumers' tables: %w", err)
	}
	return nil
}

// drop removes what was made in PostgreSQL; SQLite's file goes with its directory.
func (d *database) drop(ctx context.Context) error {
	if d.schema == "" {
		return nil
	}
	return d.WithContext(ctx).Exec(`DROP SCHEMA "` + d.schema + `" CASCADE`).Error
}

func (d *database) close() {
	if d != nil && d.DB != nil {
		closeDB(d.DB)
	}
}

func closeDB(db *gorm.DB) {
	if pool, err := db.DB(); err == nil {
		pool.Close() //nolint:errcheck // nothing is left to be written
	}
}

// sqliteDSN opens a file for several processes: write-ahead log, and transactions that
// wait for the write lock when they begin instead of failing half-way.
func sqliteDSN(dir string) string {
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(dir, "orders.db")), RawQuery: url.Values{
		"_journal_mode": {"WAL"}, "_busy_timeout": {"20000"}, "_txlock": {"immediate"}, "_synchronous": {"normal"},
	}.Encode()}
	return file.String()
}

// withSchema makes a DSN's sessions work in a schema.
func withSchema(dsn, schema string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		// Not the parser's words: they hold the password.
		return "", &flagError{"dsn", "text that is no URL", "postgres://user:password@host:port/database", "escape special characters in the password"}
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String(), nil
}
