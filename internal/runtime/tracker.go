package runtime

import (
	"sync"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// tracker knows which letters of a lane are not on the dead-letter topic yet: the Kafka
// offset waits for the first of them (R10).
type tracker struct {
	mu      sync.Mutex
	waiting map[string]waitingLetter
	bytes   int64
	marks   []store.Mark
}

type waitingLetter struct {
	rev, offset, bytes int64
}

func newTracker() *tracker { return &tracker{waiting: map[string]waitingLetter{}} }

// add notes letters that were committed and must be published.
func (t *tracker) add(letters []*dlq.Letter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range letters {
		n := size(l.Record)
		t.bytes -= t.waiting[l.ID].bytes
		t.waiting[l.ID] = waitingLetter{rev: l.Rev, offset: l.Record.Offset, bytes: n}
		t.bytes += n
	}
}

// published notes a delivery report. A letter that has changed since stays.
func (t *tracker) published(id string, rev int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w, ok := t.waiting[id]; ok && w.rev == rev {
		delete(t.waiting, id)
		t.bytes -= w.bytes
	}
	t.marks = append(t.marks, store.Mark{ID: id, Rev: rev})
}

// takeMarks returns the letters to mark; giveBack returns them after a failure.
func (t *tracker) takeMarks() []store.Mark {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.marks
	t.marks = nil
	return m
}

func (t *tracker) giveBack(marks []store.Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.marks = append(marks, t.marks...)
}

func (t *tracker) hasMarks() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.marks) > 0
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

func (t *tracker) size() (letters int, bytes int64) {
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
