package batch

import (
	"encoding/json"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/sequence"
)

// ask requests a replay of the numbers that are missing before head (R7). No lane's offset
// waits for the request: who claims what is left behind finds it.
func (sw *streamWork) ask(head *wait, why string) error {
	to := head.Place - 1
	if ahead := sw.state.Ahead; len(ahead) > 0 {
		to = min(to, ahead[0][0]-1)
	}
	from, at := sw.state.Next, head.unit.Item.Record.Coordinates
	text := func(n int64) string { return numberKey(sw.key, n).ID }
	payload, err := json.Marshal(event.ReplayRequest{Group: sw.Group, Stream: sw.key.Stream, Key: sw.key.Entity, From: from, To: to, Reason: why})
	if err != nil {
		return err
	}
	o, err := sw.Outbox.record(&event.Event{
		ID: digest("replay", sw.Group, sw.key.Stream, sw.key.Entity, text(from), text(to))[:32], Source: sw.Group,
		Type: event.ReplayRequestType, Key: sw.key.Entity, OccurredAt: sw.now, Data: payload,
	}, sw.spec.ReplayTopic, nil)
	if err != nil {
		return err
	}
	o.Group, o.Origin, o.Swept, o.CreatedAt = sw.Group, at, true, sw.now
	sw.out.Batch.Outbox = append(sw.out.Batch.Outbox, o)
	sw.state.Asked = &sequence.Asked{Missing: from, Until: sw.now.Add(sw.spec.GapTimeout).UnixMicro()}
	return nil
}

// answerable returns until when an answer to a request may come; it is zero where none was
// made for the gap at hand.
func (sw *streamWork) answerable() time.Time {
	if a := sw.state.Asked; a != nil && sw.spec.OnGap == guards.GapReplay {
		return time.UnixMicro(a.Until).UTC()
	}
	return time.Time{}
}
