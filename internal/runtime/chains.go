package runtime

import (
	"cmp"
	"slices"
	"sync"

	"github.com/evenkeel-go/evenkeel/internal/batch"
)

// chains hold the records of a lane that were taken and are not finished, while slow ones are
// among them. A record waits for the earlier ones that share a key with it; what can go on
// its own is given out, the slow ones one by one, the others as a batch.
type chains struct {
	mu   sync.Mutex
	last map[batch.Key]*link // the last that is not finished
	held int
	// bytes are those of the held records.
	bytes int64
	// slow and rest can go. under counts the slow ones that were given out.
	slow, rest []*link
	under      int
}

// link is a record in its chains.
type link struct {
	item *batch.Item
	keys []batch.Key
	slow bool
	// before is how many records it waits for, given how many of these are in the batch
	// that was given out.
	before, given int
	after         []*link
	out           bool // it was given out
}

func newChains() *chains { return &chains{last: map[batch.Key]*link{}} }

// add holds a record that comes after all that are held.
func (c *chains) add(it *batch.Item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &link{item: it, keys: it.Keys(), slow: it.Slow()}
	for _, key := range k.keys {
		if b := c.last[key]; b != nil && b != k && !slices.Contains(b.after, k) {
			b.after = append(b.after, k)
			k.before++
		}
		c.last[key] = k
	}
	c.held++
	c.bytes += size(it.Record)
	if k.before == 0 {
		c.ready(k)
	}
}

func (c *chains) ready(k *link) {
	if k.slow {
		c.slow = append(c.slow, k)
	} else {
		c.rest = append(c.rest, k)
	}
}

// batch gives out what can be judged together now, in the order of the log: what waits for
// nothing, and what waits for nothing but that.
func (c *chains) batch() []*link {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.rest
	c.rest = nil
	for i := 0; i < len(out); i++ {
		for _, k := range out[i].after {
			if k.given++; k.given == k.before && !k.slow {
				out = append(out, k)
			}
		}
		out[i].out = true
	}
	slices.SortFunc(out, func(a, b *link) int { return cmp.Compare(a.item.Record.Offset, b.item.Record.Offset) })
	return out
}

// next gives out a slow record that waits for nothing, nil if there is none.
func (c *chains) next() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.slow) == 0 {
		return nil
	}
	k := c.slow[0]
	c.slow = c.slow[1:]
	c.under++
	return k
}

// finished lets go what waited for records, and returns the bytes that these took.
func (c *chains) finished(ks ...*link) (bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range ks {
		bytes += size(k.item.Record)
		for _, key := range k.keys {
			if c.last[key] == k {
				delete(c.last, key)
			}
		}
		for _, a := range k.after {
			a.before--
			if !k.slow {
				a.given--
			}
			if a.before == 0 && !a.out {
				c.ready(a)
			}
		}
	}
	c.held -= len(ks)
	c.bytes -= bytes
	return bytes
}

// ended notes that a slow record which was given out is not under way any more.
func (c *chains) ended() {
	c.mu.Lock()
	c.under--
	c.mu.Unlock()
}

func (c *chains) size() (held int, bytes int64, under int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held, c.bytes, c.under
}

// drop forgets everything and returns the bytes that it took. Nothing may be under way.
func (c *chains) drop() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.bytes
	c.last, c.slow, c.rest, c.held, c.bytes = map[batch.Key]*link{}, nil, nil, 0, 0
	return n
}
