package runtime

import (
	"slices"

	"github.com/evenkeel-go/evenkeel/internal/batch"
)

// mostTx bounds how many records run inside one transaction with their handlers (R19): it
// holds the locks of all their entities meanwhile.
const mostTx = 100

// cut takes the records from the first to the last whose handlers have SQL of their own out
// of a batch, so that those before and after them run as fast as ever. The segments come last
// first: they are a stack.
func cut(items []*batch.Item) [][]*batch.Item {
	var segments [][]*batch.Item
	for len(items) > 0 {
		n := len(items)
		if first := slices.IndexFunc(items, (*batch.Item).UsesTx); first > 0 {
			n = first
		} else if first == 0 {
			for n = min(n, mostTx); !items[n-1].UsesTx(); {
				n--
			}
		}
		segments = append(segments, items[:n])
		items = items[n:]
	}
	slices.Reverse(segments)
	return segments
}
