package framework

import (
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/seam"
)

// letterLog says in the log that events become dead letters: the first of each fingerprint
// at once, and then one line a minute with how many there were.
type letterLog struct {
	log    Logger
	clock  seam.Clock
	seldom seam.Seldom
}

const (
	letterLineEvery = time.Minute
	// maxLetterLines bounds the kinds of failures that are told apart.
	maxLetterLines = 1000
)

func newLetterLog(log Logger, clock seam.Clock) *letterLog {
	return &letterLog{log: log, clock: clock, seldom: seam.Seldom{Every: letterLineEvery, Max: maxLetterLines}}
}

func (l *letterLog) letter(letter *dlq.Letter) {
	if l.log == nil {
		return
	}
	silent, ok := l.seldom.Now(letter.Fingerprint, l.clock.Now())
	if !ok {
		return
	}
	l.log.Log(LevelWarn, "dead letter; `evenkeel dlq show` tells more", "id", letter.ID, "reason", string(letter.Verdict.Reason),
		"type", letter.EventType, "handler", letter.Handler, "topic", letter.Record.Topic, "partition", letter.Record.Partition, "offset", letter.Record.Offset,
		"like it since the last line", silent)
}
