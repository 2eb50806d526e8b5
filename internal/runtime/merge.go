package runtime

import (
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
)

// merge brings the records of several partitions into one order: that of the partitions, and
// among their heads that of the records' times. It is the nearest that can be had to how they
// came, for entities whose events have moved to another partition. It is pure.
type merge struct {
	parts []*mergePart
	at    map[broker.Partition]*mergePart
}

// mergePart is one partition on its way.
type mergePart struct {
	broker.Partition
	index int
	// fetched is the offset after the last record that was offered; at end, the rest is
	// somebody else's.
	fetched, end int64
	skip         ledger.Ranges
	queue        []*event.Record
	bytes        int64
	exhausted    bool
	paused       bool
}

// taken is a record in its turn.
type taken struct {
	record *event.Record
	part   int
}

func newMerge(parts []RebuildPart) *merge {
	m := &merge{at: map[broker.Partition]*mergePart{}}
	for i := range parts {
		p := &mergePart{
			Partition: broker.Partition{Topic: parts[i].Topic, Number: parts[i].Partition},
			index:     i, fetched: parts[i].Next, end: parts[i].End, exhausted: parts[i].Next >= parts[i].End,
		}
		for _, s := range parts[i].Skip {
			p.skip = append(p.skip, ledger.Range{From: s[0], To: s[1]})
		}
		m.parts = append(m.parts, p)
		m.at[p.Partition] = p
	}
	return m
}

// offer takes what was read.
func (m *merge) offer(r *event.Record) {
	p := m.at[broker.Partition{Topic: r.Topic, Number: r.Partition}]
	if p == nil || p.exhausted || r.Offset < p.fetched {
		return
	}
	if r.Offset < p.end && !p.skip.Contains(r.Offset) {
		p.queue = append(p.queue, r)
		p.bytes += size(r)
	}
	p.fetched = r.Offset + 1
	p.exhausted = p.fetched >= p.end
}

// reached says that the log ends at next.
func (m *merge) reached(at broker.Partition, next int64) {
	if p := m.at[at]; p != nil && next >= p.fetched {
		p.exhausted = true
	}
}

// take returns up to n records, none while some partition might still have an earlier one.
func (m *merge) take(n int) (out []taken) {
	for len(out) < n {
		var first *mergePart
		for _, p := range m.parts {
			if len(p.queue) == 0 {
				if !p.exhausted {
					return out
				}
				continue
			}
			if first == nil || p.queue[0].Timestamp.Before(first.queue[0].Timestamp) {
				first = p
			}
		}
		if first == nil {
			return out
		}
		r := first.queue[0]
		first.queue = first.queue[1:]
		first.bytes -= size(r)
		out = append(out, taken{r, first.index})
	}
	return out
}

// finished reports whether everything was taken.
func (m *merge) finished() bool {
	for _, p := range m.parts {
		if !p.exhausted || len(p.queue) > 0 {
			return false
		}
	}
	return true
}

// bytes is what waits in memory.
func (m *merge) bytes() (n int64) {
	for _, p := range m.parts {
		n += p.bytes
	}
	return n
}
