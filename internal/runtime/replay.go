package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// replay is the second phase: it reads the log again, up to where the ledger stood.
func (r *Rebuild) replay(ctx context.Context) error {
	m := newMerge(r.state.Partitions)
	var at []broker.Offset
	for _, p := range m.parts {
		if !p.exhausted {
			at = append(at, broker.Offset{Partition: p.Partition, Next: p.fetched})
		}
	}
	if err := r.Reader.Assign(at); err != nil {
		return err
	}
	for !m.finished() {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries := m.take(r.BatchSize)
		if len(entries) == 0 {
			if err := r.fetch(m); err != nil {
				return err
			}
			if r.Clock.Now().Sub(time.UnixMicro(r.state.Seen)) > rebuildBeat {
				if err := r.beat(ctx); err != nil {
					return err
				}
			}
			continue
		}
		if err := r.play(ctx, entries); err != nil {
			return err
		}
	}
	_, err := r.step(ctx, func() *store.Want { return &store.Want{} }, func(_ *store.Loaded, next *RebuildState, now time.Time) (*store.Batch, error) {
		for i := range next.Partitions {
			next.Partitions[i].Next = next.Partitions[i].End
		}
		next.Phase = RebuildEnding
		return &store.Batch{Group: r.Group, Now: now}, nil
	})
	return err
}

// beat says that this process is still there.
func (r *Rebuild) beat(ctx context.Context) error {
	_, err := r.step(ctx, func() *store.Want { return &store.Want{} }, func(_ *store.Loaded, _ *RebuildState, now time.Time) (*store.Batch, error) {
		return &store.Batch{Group: r.Group, Now: now}, nil
	})
	return err
}

var errLogMoved = errors.New("evenkeel: the log has lost records that the rebuild still had to read; keep them longer, and call it again")

// fetch polls until something has come, and holds back partitions that are far ahead.
func (r *Rebuild) fetch(m *merge) error {
	full := m.bytes() > r.MaxBytes
	for _, p := range m.parts {
		if p.exhausted {
			continue
		}
		pause := len(p.queue) >= 2*r.BatchSize || full && len(p.queue) > 0
		if pause == p.paused || !pause && len(p.queue) > r.BatchSize {
			continue
		}
		act := r.Reader.Resume
		if pause {
			act = r.Reader.Pause
		}
		if err := act(p.Partition); err != nil {
			return err
		}
		p.paused = pause
	}
	polled := r.Reader.Poll(pollTimeout)
	for n := 0; ; n++ {
		switch {
		case polled.Record != nil:
			m.offer(polled.Record)
		case polled.End != nil:
			m.reached(polled.End.Partition, polled.End.Next)
		case polled.OutOfRange:
			return errLogMoved
		case polled.Fatal:
			return fmt.Errorf("evenkeel: the Kafka client can't go on: %w", polled.Err)
		case polled.Err != nil:
			r.Log(Debug, "Kafka reports an error", "error", polled.Err)
			return nil //nolint:nilerr // the client tries again
		default:
			return nil
		}
		if n >= r.BatchSize {
			return nil
		}
		polled = r.Reader.Poll(0)
	}
}

// entry is a record on its way, with nil for an item that is none of the scope's.
type entry struct {
	taken
	item *batch.Item
}

// play commits the records, in one step if the database takes it, else in halves until the
// culprit stands alone (R18).
func (r *Rebuild) play(ctx context.Context, records []taken) error {
	entries := make([]entry, len(records))
	for i, t := range records {
		p := &r.state.Partitions[t.part]
		t.record.Cluster, t.record.TopicID = p.Cluster, p.TopicID
		entries[i].taken = t
		if it := r.Prepare.Prepare(t.record); r.Scope.Limit(it) {
			entries[i].item = it
		}
	}
	stack := [][]entry{entries}
	for len(stack) > 0 {
		segment := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		split, err := r.attempt(ctx, segment)
		if err != nil {
			return err
		}
		if split {
			half := len(segment) / 2
			stack = append(stack, segment[half:], segment[:half])
		}
	}
	return nil
}

func (r *Rebuild) attempt(ctx context.Context, entries []entry) (split bool, err error) {
	var items []*batch.Item
	for _, e := range entries {
		if e.item != nil {
			items = append(items, e.item)
		}
	}
	suspects := newSuspects(items)
	for {
		refusal, err := r.once(ctx, entries, items)
		if err != nil || refusal == nil {
			return false, err
		}
		switch {
		case len(entries) > 1:
			return true, nil
		case len(items) == 0:
			return false, refusal
		case !items[0].Alone:
			items[0].Alone = true
		case !suspects.accuse(refusal):
			rec := items[0].Record
			return false, fmt.Errorf("evenkeel: the database refuses offset %d of %s/%d even without its effects: %w", rec.Offset, rec.Topic, rec.Partition, refusal)
		}
	}
}

func (r *Rebuild) once(ctx context.Context, entries []entry, items []*batch.Item) (refusal, err error) {
	if err := r.revise(ctx, items); err != nil {
		return nil, err
	}
	again := false
	gather := func() *store.Want {
		if len(items) == 0 {
			return &store.Want{}
		}
		return batch.Gather(r.Group, items, r.Layouts, func(int64) bool { return false })
	}
	return r.step(ctx, gather, func(loaded *store.Loaded, next *RebuildState, now time.Time) (*store.Batch, error) {
		b := &store.Batch{Group: r.Group, Now: now}
		if len(items) > 0 {
			out, err := r.Judge.Replay(ctx, items, r.Layouts, loaded, now)
			if err != nil {
				return nil, err
			}
			if out.Incomplete && !again {
				again = true
				return nil, nil //nolint:nilnil // more must be loaded
			}
			b = out.Batch
			next.Parked += int64(len(b.Park))
			next.Letters += int64(len(b.Letters) + len(b.SweptLetters))
		}
		for _, e := range entries {
			next.Partitions[e.part].Next = e.record.Offset + 1
		}
		next.Read += int64(len(entries))
		return b, nil
	})
}

// revise gives records whose letters were edited, and resolved so, the bytes that had their
// effect.
func (r *Rebuild) revise(ctx context.Context, items []*batch.Item) error {
	if len(items) == 0 {
		return nil
	}
	at := make([]event.Coordinates, len(items))
	for i, it := range items {
		at[i] = it.Record.Coordinates
	}
	edited, err := r.Store.Edited(ctx, r.Group, at)
	if err != nil || len(edited) == 0 {
		return err
	}
	type place struct {
		partition int32
		topicID   string
		offset    int64
	}
	edits := map[place][]*store.EditedLetter{}
	for _, e := range edited {
		c := &e.Coordinates
		p := place{c.Partition, c.TopicID, c.Offset}
		edits[p] = append(edits[p], e)
	}
	for _, it := range items {
		c := &it.Record.Coordinates
		if r.Prepare.Revise(r.Group, it, edits[place{c.Partition, c.TopicID, c.Offset}]) {
			r.Scope.Limit(it)
		}
	}
	return nil
}
