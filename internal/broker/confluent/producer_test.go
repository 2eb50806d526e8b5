package confluent

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/seam"
)

// A member has a producer, whether it ever sends anything or not.
func TestAProducerTakesLittleMemory(t *testing.T) { //nolint:paralleltest // it measures the process's heap
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p, err := NewProducer(Settings{Brokers: "127.0.0.1:1"}, seam.System(), &seam.Group{}, func(int, string, string, string) {})
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	require.NoError(t, p.Close(10*time.Second))
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
}
