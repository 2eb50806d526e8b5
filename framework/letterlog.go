package framework

import (
	"sync"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/seam"
)

// letterLog says in the log that events become dead letters: the first of each fingerprint
// at once, and then one line a minute with how many there were.
type letterLog struct {
	log   Logger
	clock seam.Clock

	mu   sync.Mutex
	seen map[string]*letterLine
}

type letterLine struct {
	next   time.Time
	silent int
}

const (
	letterLineEvery = time.Minute
	// maxLetterLines bounds what is remembered; failures of more kinds than that at once
	// share what is left of the minute.
	maxLetterLines = 1000
)

func (l *letterLog) letter(letter *dlq.Letter) {
	if l.log == nil {
		return
	}
	now := l.clock.Now()
	l.mu.Lock()
	line := l.seen[letter.Fingerprint]
	if line == nil {
		if len(l.seen) >= maxLetterLines {
			clear(l.seen)
		}
		line = &letterLine{}
		l.seen[letter.Fingerprint] = line
	}
	if now.Before(line.next) {
		line.silent++
		l.mu.Unlock()
		return
	}
	silent := line.silent
	line.next, line.silent = now.Add(letterLineEvery), 0
	l.mu.Unlock()
	l.log.Log(LevelWarn, "dead letter; `evenkeel dlq show` tells more", "id", letter.ID, "reason", string(letter.Verdict.Reason),
		"type", letter.EventType, "handler", letter.Handler, "topic", letter.Record.Topic, "partition", letter.Record.Partition, "offset", letter.Record.Offset,
		"like it since the last line", silent)
}
