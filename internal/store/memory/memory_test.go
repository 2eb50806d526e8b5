package memory_test

import (
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
	"github.com/evenkeel-go/evenkeel/internal/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.RunWithoutSQL(t, func() store.Store { return memory.New(time.Now) })
}
