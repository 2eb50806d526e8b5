//go:build unix

package postgres

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestServerSurvivesStopAndKill(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	s, err := Start(t.Context(), Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	t.Log("start", time.Since(begin))
	dsn, err := CreateDatabase(t.Context(), s.DSN(), "It's \"odd\"")
	require.NoError(t, err)

	query := func(sql string) (n int) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
		defer conn.Close(t.Context())
		require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&n))
		return n
	}
	require.Equal(t, 1, query("WITH a AS (SELECT 1 AS n) SELECT n FROM a"))
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE a AS SELECT 7 AS n")
	require.NoError(t, err)

	begin = time.Now()
	require.NoError(t, s.Restart(t.Context()))
	t.Log("restart", time.Since(begin))
	require.Error(t, conn.Ping(t.Context()))
	require.Equal(t, 7, query("SELECT n FROM a"))

	conn, err = pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	begin = time.Now()
	require.NoError(t, s.Kill(t.Context()))
	t.Log("kill", time.Since(begin))
	require.Error(t, conn.Ping(t.Context()))
	require.NoError(t, s.Start(t.Context()))
	t.Log("start after kill", time.Since(begin))
	require.Equal(t, 7, query("SELECT n FROM a"))
	require.NoError(t, DropDatabase(t.Context(), s.DSN(), "It's \"odd\""))
	t.Log("drop", time.Since(begin))
}
