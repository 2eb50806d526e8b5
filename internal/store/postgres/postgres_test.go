package postgres_test

import (
	"testing"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/internal/store/storetest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) *gorm.DB { t.Helper(); return testutil.Postgres(t) })
}
