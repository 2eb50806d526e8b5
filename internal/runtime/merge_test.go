package runtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/broker"
)

func readAt(partition int32, offset, second int64) *event.Record {
	return &event.Record{Coordinates: event.Coordinates{Topic: "t", Partition: partition, Offset: offset}, Timestamp: time.Unix(second, 0)}
}

func inOrder(ts []taken) string {
	var out []string
	for _, x := range ts {
		out = append(out, fmt.Sprintf("%d/%d", x.record.Partition, x.record.Offset))
	}
	return strings.Join(out, " ")
}

func TestMergeGoesByTimeAndKeepsThePartitionsOrder(t *testing.T) {
	t.Parallel()
	m := newMerge([]RebuildPart{{Topic: "t", Partition: 0, Next: 2, End: 6, Skip: [][2]int64{{3, 4}}}, {Topic: "t", Partition: 1, End: 3}, {Topic: "t", Partition: 2, Next: 4, End: 4}})
	m.offer(readAt(0, 1, 1)) // before its position
	m.offer(readAt(0, 2, 10))
	require.Empty(t, m.take(9), "the other partition might still have an earlier one")
	m.offer(readAt(1, 0, 20))
	require.Equal(t, "0/2", inOrder(m.take(9)), "then 0 has to be waited for")
	m.offer(readAt(0, 3, 11)) // skipped
	require.Empty(t, m.take(9))
	m.offer(readAt(0, 4, 5)) // out of time, but its place is after 2
	m.offer(readAt(0, 4, 5)) // once more
	m.offer(readAt(0, 5, 30))
	m.offer(readAt(1, 1, 25))
	require.Equal(t, "0/4 1/0 1/1", inOrder(m.take(9)))
	require.False(t, m.finished())
	m.reached(broker.Partition{Topic: "t", Number: 1}, 2)
	require.Equal(t, "0/5", inOrder(m.take(9)))
	m.offer(readAt(0, 6, 31)) // at its end
	m.offer(readAt(3, 0, 1))  // of nobody
	require.Empty(t, m.take(9))
	require.True(t, m.finished())
	require.Zero(t, m.bytes())
}

func TestMergeTakesNoMoreThanIsAsked(t *testing.T) {
	t.Parallel()
	m := newMerge([]RebuildPart{{Topic: "t", Partition: 0, End: 3}})
	for o := range int64(3) {
		m.offer(readAt(0, o, o))
	}
	require.Equal(t, "0/0 0/1", inOrder(m.take(2)))
	require.Positive(t, m.bytes())
	require.Equal(t, "0/2", inOrder(m.take(2)))
	require.True(t, m.finished())
}
