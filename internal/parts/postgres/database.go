package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// CreateDatabase makes a database on the server that the DSN names and returns the new
// one's DSN. The DSN's user needs CREATEDB.
func CreateDatabase(ctx context.Context, dsn, name string) (string, error) {
	if err := exec1(ctx, dsn, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	return withDatabase(dsn, name)
}

// DropDatabase drops a database on the server that the DSN names, whoever still uses it.
func DropDatabase(ctx context.Context, dsn, name string) error {
	err := exec1(ctx, dsn, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
	if err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

func exec1(ctx context.Context, dsn, sql string) (err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// withDatabase returns the DSN, a URL or keywords and values, with another database.
func withDatabase(dsn, name string) (string, error) {
	if !strings.Contains(dsn, "://") {
		// The last of several values counts.
		return dsn + " dbname='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(name) + "'", nil
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("the PostgreSQL DSN is not a URL") // url's error shows the password
	}
	u.Path = "/" + name
	query := u.Query()
	query.Del("dbname") // would win over the path
	u.RawQuery = query.Encode()
	return u.String(), nil
}
