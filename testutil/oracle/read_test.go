package oracle_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

type guarded struct {
	ID       int64 `gorm:"primaryKey"`
	Customer string
	PaidAt   *time.Time
	Gone     gorm.DeletedAt
	guards.Guarded
}

type bare struct {
	ID string `gorm:"primaryKey"`
	N  int
}

func TestReadRows(t *testing.T) {
	t.Parallel()
	db := testutil.SQLite(t)
	require.NoError(t, db.AutoMigrate(&guarded{}, &bare{}))
	require.NoError(t, db.Create(&[]guarded{{ID: 1, Customer: "ann", PaidAt: &noon}, {ID: 2, Gone: gorm.DeletedAt{Time: noon, Valid: true}}}).Error)
	require.NoError(t, db.Exec("UPDATE guardeds SET ek_state = 2, ek_time = 7, ek_tie = ?, ek_fields = '- = paid_at' WHERE id = 1", []byte("1s\x00\x01i\x00\x01\x00")).Error)
	require.NoError(t, db.Create(&bare{ID: "x", N: 5}).Error)

	rows, err := oracle.ReadRows[guarded](t.Context(), db, "customer", "paid_at")
	require.NoError(t, err)
	require.Len(t, rows, 2, "soft-deleted rows are rows")
	stamp := oracle.Stamp{Number: 7, Source: "s", ID: "i"}
	require.Equal(t, guards.Alive, rows["1"].State)
	require.Equal(t, map[string]oracle.Stamp{"customer": stamp, "paid_at": {}, oracle.Exists: stamp}, rows["1"].Clocks)
	require.Equal(t, "ann", rows["1"].Fields["customer"])
	require.Len(t, rows["1"].Fields, 3, "the key and the ek_ columns are not fields")

	plain, err := oracle.ReadRows[bare](t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, map[string]oracle.Row{"x": {Fields: map[string]any{"n": 5}}}, plain)

	require.NoError(t, db.Exec("UPDATE guardeds SET ek_fields = 'nonsense' WHERE id = 1").Error)
	_, err = oracle.ReadRows[guarded](t.Context(), db, "customer")
	require.ErrorContains(t, err, "ek_fields")
}

func TestReadGroup(t *testing.T) {
	t.Parallel()
	db := testutil.SQLite(t)
	require.NoError(t, framework.Migrate(t.Context(), db))
	require.NoError(t, db.Exec(`INSERT INTO evenkeel_ledger (cluster, topic_id, grp, partition, topic, epoch, rev, next_offset, high_offset, gaps, done, owner, owned_at)
		VALUES ('c', 't', 'g', 3, 'orders', 1, 1, 42, 42, '', '', 'me', 0), ('c', 't', 'other', 0, 'orders', 1, 1, 1, 1, '', '', 'me', 0)`).Error)
	letters, parked, positions, err := oracle.ReadGroup(t.Context(), db, "g")
	require.NoError(t, err)
	require.Empty(t, letters)
	require.Empty(t, parked)
	require.Equal(t, []oracle.Position{{Partition: oracle.Partition{Topic: "orders", Partition: 3}, Next: 42, Committed: -1}}, positions)

	_, _, _, err = oracle.ReadGroup(t.Context(), testutil.SQLite(t), "g")
	require.Error(t, err)
}
