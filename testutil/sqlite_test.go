package testutil_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/testutil"
)

type thing struct {
	ID string `gorm:"primaryKey"`
	N  int
}

func TestSQLiteIsSetUpForOneWriterAndManyReaders(t *testing.T) {
	t.Parallel()
	db := testutil.SQLite(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "busy_timeout": "10000", "foreign_keys": "1"} {
		var got string
		require.NoError(t, db.Raw("PRAGMA "+pragma).Scan(&got).Error)
		require.Equal(t, want, got, pragma)
	}
	require.NoError(t, db.AutoMigrate(&thing{}))
	require.NoError(t, db.Create(&thing{ID: "a"}).Error)

	// Deferred transactions would both read and one would fail to write.
	const writers, each = 4, 10
	errs := make(chan error, writers)
	for range writers {
		go func() {
			for range each {
				err := db.Transaction(func(tx *gorm.DB) error {
					var row thing
					if err := tx.First(&row, "id = ?", "a").Error; err != nil {
						return err
					}
					row.N++
					return tx.Save(&row).Error
				})
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range writers {
		require.NoError(t, <-errs)
	}
	var row thing
	require.NoError(t, db.First(&row).Error)
	require.Equal(t, writers*each, row.N)
}
