package runtime

import (
	"sync"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// tracker knows what of a lane's letters and emitted events is not on its topic yet: the
// Kafka offset waits for the first of it (R10). Ids are hashes, so the two share a map.
type tracker struct {
	mu      sync.Mutex
	waiting map[string]unpublished
	bytes   int64
	done    published
}

type unpublished struct {
	rev, offset, bytes int64
}

// published is what is on its topic and not noted in the database yet: letters are marked,
// events removed.
type published struct {
	letters []store.Mark
	events  []string
}

func (p published) empty() bool { return len(p.letters) == 0 && len(p.events) == 0 }

func newTracker() *tracker { return &tracker{waiting: map[string]unpublished{}} }

// add notes letters that were committed and must be published.
func (t *tracker) add(letters []*dlq.Letter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range letters {
		n := size(l.Record)
		t.bytes += n - t.waiting[l.ID].bytes
		t.waiting[l.ID] = unpublished{rev: l.Rev, offset: l.Record.Offset, bytes: n}
	}
}

// emit notes events that were committed and must be published, and returns those that are
// not on their way already.
func (t *tracker) emit(events []*store.Outbound) (fresh []*store.Outbound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var done map[string]bool
	for _, e := range events {
		if e.Swept { // no offset waits for it
			fresh = append(fresh, e)
			continue
		}
		if done == nil {
			done = make(map[string]bool, len(t.done.events))
			for _, id := range t.done.events {
				done[id] = true
			}
		}
		if _, waits := t.waiting[e.ID]; waits || done[e.ID] {
			continue
		}
		t.waiting[e.ID] = unpublished{offset: e.Origin.Offset, bytes: e.Size()}
		t.bytes += e.Size()
		fresh = append(fresh, e)
	}
	return fresh
}

// published notes a delivery report. A letter that has changed since stays.
func (t *tracker) published(id string, rev int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arrived(id, rev)
	t.done.letters = append(t.done.letters, store.Mark{ID: id, Rev: rev})
}

// sent is published for an event.
func (t *tracker) sent(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arrived(id, 0)
	t.done.events = append(t.done.events, id)
}

func (t *tracker) arrived(id string, rev int64) {
	if w, ok := t.waiting[id]; ok && w.rev == rev {
		delete(t.waiting, id)
		t.bytes -= w.bytes
	}
}

// takeMarks returns what to note in the database; giveBack returns it after a failure.
func (t *tracker) takeMarks() published {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.done
	t.done = published{}
	return p
}

func (t *tracker) giveBack(p published) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done.letters = append(t.done.letters, p.letters...)
	t.done.events = append(t.done.events, p.events...)
}

func (t *tracker) hasMarks() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.done.empty()
}

// committable is the offset that Kafka may be told when everything below next is in the
// database.
func (t *tracker) committable(next int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.waiting {
		next = min(next, w.offset)
	}
	return next
}

func (t *tracker) size() (n int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting), t.bytes
}

func (t *tracker) has(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.waiting[id]
	return ok
}
