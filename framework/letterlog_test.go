package framework

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/seam"
)

type lines []string

func (l *lines) Log(_ Level, text string, fields ...any) {
	*l = append(*l, text+" "+fields[1].(string))
	if n := fields[len(fields)-1].(int); n > 0 {
		(*l)[len(*l)-1] += " and more"
	}
}

type frozenClock struct {
	seam.Clock
	now time.Time
}

func (c *frozenClock) Now() time.Time { return c.now }

// The first letter of each kind shows at once, the others once a minute: a bad deploy must
// be seen, and must not fill the log.
func TestLettersAreLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	var got lines
	clock := &frozenClock{now: time.Unix(1_800_000_000, 0)}
	l := newLetterLog(&got, clock)
	say := func(id, fingerprint string) {
		l.letter(&dlq.Letter{ID: id, Fingerprint: fingerprint, Record: &event.Record{}})
	}
	say("1", "a")
	say("2", "a")
	say("3", "b")
	clock.now = clock.now.Add(letterLineEvery)
	say("4", "a")
	say("5", "a")
	say("6", "b")
	const text = "dead letter; `evenkeel dlq show` tells more "
	require.Equal(t, lines{text + "1", text + "3", text + "4 and more", text + "6"}, got)
}
