package runtime

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/broker"
)

// A lane is paused when enough waits in memory: by number, but not sooner because its batches
// are small, and by bytes whatever their number is.
func TestALaneIsPausedWhenEnoughWaits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		batch, bytes, parts, most int
	}{
		"small batches":              {batch: 2, parts: 1, most: leastAhead},
		"small batches, resumed":     {batch: 2, parts: 2, most: leastAhead / 2},
		"large batches":              {batch: 500, parts: 1, most: 4000},
		"large batches, resumed":     {batch: 500, parts: 2, most: 2000},
		"large records, small batch": {batch: 2, bytes: 1 << 16, parts: 1, most: 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &Member{Options: Options{BatchSize: tt.batch, MaxBytes: 1 << 20}, hard: t.Context()}
			if tt.bytes == 0 {
				m.MaxBytes = 1 << 30
			}
			l := newLane(m, broker.Partition{Topic: "o"})
			l.queue.start(0)
			n := 0
			for ; !m.full(l, int64(tt.parts)); n++ {
				l.queue.offer(&event.Record{Coordinates: event.Coordinates{Topic: "o", Offset: int64(n)}, Value: make([]byte, tt.bytes)})
			}
			require.Equal(t, tt.most, n)
		})
	}
}
