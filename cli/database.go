package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/framework"
)

const (
	dsnVariable    = variablePrefix + "DSN"
	connectTimeout = 10 * time.Second
	dsnForms       = "postgres://user:password@host:5432/database or file:/path/to/database.db" //nolint:gosec // an example
)

// The dialects, by GORM's names.
const (
	dialectPostgres = "postgres"
	dialectSQLite   = "sqlite"
)

// keywordDSN is the other form that PostgreSQL's clients take: host=… user=….
var keywordDSN = regexp.MustCompile(`^\s*[a-z_]+\s*=`)

// dialectOf says which database a DSN is for, and "" when it is none.
func dialectOf(dsn string) string {
	switch {
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"), keywordDSN.MatchString(dsn):
		return dialectPostgres
	case strings.HasPrefix(dsn, "file:"):
		return dialectSQLite
	}
	return ""
}

// resolve returns the DSN to use, and who says so.
func (a *app) resolve() (dsn, from string) { return a.dsn, a.source("dsn") }

// connect opens the database and sees that it answers. Only create makes a SQLite file
// that isn't there: a wrong path must not look like a database without letters.
func (a *app) connect(ctx context.Context, create bool) (*gorm.DB, func(), error) {
	dsn, from := a.resolve()
	if dsn == "" {
		return nil, nil, &problem{
			code: codeUsage, what: "no database is named",
			next: "give --dsn, set " + dsnVariable + ", or write dsn: into " + settingsName + ", e.g. " + dsnForms,
		}
	}
	var dialector gorm.Dialector
	var where string
	switch dialectOf(dsn) {
	case dialectPostgres:
		config, err := pgconn.ParseConfig(dsn)
		if err != nil {
			// The parser's text may hold parts of a password, so it isn't shown.
			return nil, nil, &problem{
				code: codeUsage, what: from + " is no PostgreSQL DSN",
				next: "write it as postgres://user:password@host:5432/database; in a password, write @ : / ? # % as %40 %3A %2F %3F %23 %25",
			}
		}
		where = fmt.Sprintf("%s:%d/%s", config.Host, config.Port, config.Database)
		dialector = postgres.Open(dsn)
	case dialectSQLite:
		file, err := sqliteFile(dsn, create)
		if err != nil {
			return nil, nil, err
		}
		where, dialector = file.path, sqlite.Open(file.dsn)
	default:
		return nil, nil, &problem{
			code: codeUsage, what: "the database named by " + from + " is of no kind that Evenkeel knows",
			next: "begin it with postgres:// or file:, e.g. " + dsnForms,
		}
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard, DisableAutomaticPing: true})
	if err != nil {
		return nil, nil, unreachable(dsn, where, from, err)
	}
	pool, err := db.DB()
	if err != nil {
		return nil, nil, unreachable(dsn, where, from, err)
	}
	closeDB := func() { _ = pool.Close() }
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := pool.PingContext(ctx); err != nil {
		closeDB()
		return nil, nil, unreachable(dsn, where, from, err)
	}
	return db, closeDB, nil
}

// migrated is connect for commands that need Evenkeel's tables.
func (a *app) migrated(ctx context.Context) (*gorm.DB, func(), error) {
	db, closeDB, err := a.connect(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	if err := framework.CheckSchema(ctx, db); err != nil {
		closeDB()
		return nil, nil, err
	}
	return db, closeDB, nil
}

// open returns the format that is asked for and the database, ready to be read. The caller
// closes it.
func (a *app) open(c *cobra.Command) (f format, db *gorm.DB, closeDB func(), err error) {
	if f, err = a.format(c); err != nil {
		return f, nil, nil, err
	}
	if db, closeDB, err = a.migrated(c.Context()); err != nil {
		return f, nil, nil, err
	}
	if err := knownReason(c, db); err != nil {
		closeDB()
		return f, nil, nil, err
	}
	return f, db, closeDB, nil
}

type sqliteDSN struct{ path, dsn string }

func sqliteFile(dsn string, create bool) (sqliteDSN, error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(dsn, "file:"), "?")
	path = strings.TrimPrefix(path, "//")
	values, err := url.ParseQuery(query)
	if err != nil {
		return sqliteDSN{}, &problem{code: codeUsage, what: "the part after ? of the SQLite DSN can't be read", next: "write it as file:/path?name=value"}
	}
	if values.Get("mode") == "memory" || path == ":memory:" || path == "" {
		return sqliteDSN{}, &problem{code: codeUsage, what: "the SQLite DSN names no file", next: "write it as file:/path/to/database.db"}
	}
	if !create {
		if plain, err := url.PathUnescape(path); err == nil {
			if _, err := os.Stat(plain); errors.Is(err, os.ErrNotExist) {
				return sqliteDSN{}, &problem{
					code: codeError, what: "there is no file " + plain,
					next: "check the path in the DSN; `evenkeel migrate` makes a new database", err: err,
				}
			}
		}
		if !values.Has("mode") {
			values.Set("mode", "rw")
		}
	}
	return sqliteDSN{path: path, dsn: "file:" + path + "?" + values.Encode()}, nil
}

// unreachable says why a database doesn't answer, and never the password, whatever the
// driver's text holds.
func unreachable(dsn, where, from string, err error) error {
	next := "check that the database runs there and that " + from + " names the right host, port and database"
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code {
		case "28P01", "28000":
			next = "check user and password in " + from
		case "3D000":
			next = "check the database's name in " + from + ", or make the database first"
		case "53300", "57P03":
			next = "the server is up but takes no connection now; try again in a moment"
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		next += ", and that no firewall is in between"
	}
	// One line for each address and way of encrypting that was tried, often the same.
	lines := strings.Split(err.Error(), "\n\t")
	text := strings.Join(slices.Compact(lines), " ")
	for _, secret := range secrets(dsn) {
		text = strings.ReplaceAll(text, secret, "xxxxx")
	}
	return &problem{code: codeError, what: fmt.Sprintf("can't use the database %s: %s", where, text), next: next, err: err}
}

// secrets are the forms in which the password of a DSN could turn up.
func secrets(dsn string) []string {
	var found []string
	if config, err := pgconn.ParseConfig(dsn); err == nil && config.Password != "" {
		found = append(found, config.Password, url.QueryEscape(config.Password), url.PathEscape(config.Password))
	}
	return found
}
