// Package open chooses the store that fits a database handle.
package open

import (
	"fmt"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/postgres"
	"github.com/evenkeel-go/evenkeel/internal/store/sqlite"
)

// Open returns the store for the handle's dialect, or a *store.SetupError when there is
// none. It does not connect.
func Open(db *gorm.DB) (store.Store, error) {
	switch name := db.Name(); name {
	case "postgres":
		return postgres.New(db)
	case "sqlite":
		return sqlite.New(db)
	default:
		return nil, &store.SetupError{Problems: []string{fmt.Sprintf("the database handle's dialect is %q; Evenkeel knows \"postgres\" (gorm.io/driver/postgres) and \"sqlite\" (gorm.io/driver/sqlite)", name)}}
	}
}
