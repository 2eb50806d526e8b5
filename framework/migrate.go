package framework

import (
	"context"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
)

// Migrate makes Evenkeel's own tables (evenkeel_*) in db, or brings them to the version
// that this release needs, in one transaction. Processes that start at once wait for each
// other, and it does nothing when there is nothing to do, so a service may call it before
// [New]. Tables of a newer release are an error that says so. The ek_* columns of
// guards.Guarded are part of your models and of your migrations.
func Migrate(ctx context.Context, db *gorm.DB) error { return migrations.Up(ctx, db) }

// CheckSchema returns an error that says what to run when Evenkeel's own tables aren't
// there, or aren't of the version that this release needs. It changes nothing.
func CheckSchema(ctx context.Context, db *gorm.DB) error { return migrations.Check(ctx, db) }

// MigrationSQL returns the SQL that [Migrate] would run on a database without Evenkeel's
// tables, for teams that run migrations themselves. The dialect is "postgres" or "sqlite",
// GORM's names; any other is an error.
func MigrationSQL(dialect string) (string, error) { return migrations.Print(dialect) }
