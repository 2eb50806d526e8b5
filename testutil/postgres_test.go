//go:build unix

package testutil_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/testutil"
)

func TestPostgresGivesEachTestItsOwnDatabase(t *testing.T) {
	t.Parallel()
	one, other := testutil.Postgres(t), testutil.Postgres(t)
	require.NoError(t, one.AutoMigrate(&thing{}))
	require.True(t, one.Migrator().HasTable(&thing{}))
	require.False(t, other.Migrator().HasTable(&thing{}))
}

func TestPostgresServerKeepsDataOverKill(t *testing.T) {
	t.Parallel()
	s := testutil.PostgresServer(t, testutil.PostgresSetting("deadlock_timeout", "50ms"))
	db := s.Open(t)
	require.NoError(t, db.AutoMigrate(&thing{}))
	require.NoError(t, db.Create(&thing{ID: "a", N: 7}).Error)
	var timeout string
	require.NoError(t, db.Raw("SHOW deadlock_timeout").Scan(&timeout).Error)
	require.Equal(t, "50ms", timeout)

	s.Kill(t)
	require.Error(t, db.Exec("SELECT 1").Error)
	s.Start(t)
	var row thing
	require.NoError(t, db.First(&row, "id = ?", "a").Error)
	require.Equal(t, 7, row.N)
}
