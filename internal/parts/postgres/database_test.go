package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestWithDatabase(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://me:secret@db:5433/first?sslmode=disable",
		"postgres://me:secret@db:5433?dbname=first&sslmode=disable",
		"host=db port=5433 user=me password=secret dbname=first sslmode=disable",
	} {
		got, err := withDatabase(dsn, "it's")
		require.NoError(t, err, dsn)
		config, err := pgx.ParseConfig(got)
		require.NoError(t, err, dsn)
		require.Equal(t, "it's", config.Database, dsn)
		require.Equal(t, "db", config.Host, dsn)
		require.Equal(t, uint16(5433), config.Port, dsn)
		require.Equal(t, "secret", config.Password, dsn)
	}
	_, err := withDatabase("postgres://me:secret%zz@db/first", "x")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}
