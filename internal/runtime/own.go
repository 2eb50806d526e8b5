package runtime

import (
	"errors"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// own takes the partition over: it raises the owner epoch, decides where to start, and
// starts fetching (R16, R17). It tries until it works or the lane must stop.
func (l *lane) own() error {
	for try := 1; ; try++ {
		part, err := l.tryOwn()
		if err == nil {
			return nil
		}
		if l.stopping() {
			return errAbandoned
		}
		if errors.Is(err, store.ErrFenced) {
			return err
		}
		var moved *broker.RedeliveredError
		if !errors.As(err, &moved) { // a rebalance on the way is no failure
			l.m.health.down(part, err)
		}
		if err := l.wait(backoff(20*time.Millisecond, 5*time.Second, try)); err != nil {
			return err
		}
	}
}

const (
	partBroker   = "the broker"
	partDatabase = "the database"
)

func (l *lane) tryOwn() (part string, err error) {
	topic, err := l.m.Consumer.Describe(l.ctx, l.p.Topic)
	if err != nil {
		return partBroker, err
	}
	l.m.health.up(partBroker)
	first, known, err := l.m.Store.Topic(l.ctx, topic.Cluster, topic.ID, l.p.Topic, l.m.Group, topic.Partitions)
	if err != nil {
		return partDatabase, err
	}
	key := ledger.Key{Cluster: topic.Cluster, TopicID: topic.ID, Group: l.m.Group, Partition: l.p.Number}
	state, found, err := l.m.Store.Own(l.ctx, key, l.p.Topic, l.m.Owner)
	if err != nil {
		return partDatabase, err
	}
	state.Topic = l.p.Topic
	l.m.health.up(partDatabase)
	pos, err := l.m.Consumer.Find(l.ctx, l.p)
	if err != nil {
		return partBroker, err
	}
	d := ledger.Decide(ledger.Found{
		Ledger: state, HasLedger: found,
		Committed: pos.Committed, HasCommitted: pos.HasCommitted, Metadata: pos.Metadata,
		LogStart: pos.LogStart, LogEnd: pos.LogEnd,
		NewPartition: known && l.p.Number >= first, StartLatest: l.m.StartLatest,
	})
	l.alarms(d.Alarms)
	if d.Moved {
		if d.State, err = l.m.Store.Position(l.ctx, d.State); err != nil {
			return partDatabase, err
		}
	}
	letters, err := l.m.Store.Unpublished(l.ctx, key)
	if err != nil {
		return partDatabase, err
	}
	events, err := l.m.Store.Unsent(l.ctx, key)
	if err != nil {
		return partDatabase, err
	}
	l.out.add(letters)
	l.unsent = append(l.unsent, l.out.emit(events)...)
	l.setPosition(d.State)
	if err := l.commitNow(); err != nil {
		return partBroker, err
	}
	if err := l.begin(d.State.Next); err != nil {
		return partBroker, err
	}
	l.m.relay.enqueue(letterParcels(l, letters))
	l.m.events.enqueue(eventParcels(l, l.unsent))
	l.unsent = nil
	now := l.m.Clock.Now()
	l.m.reading.Store(&now)
	l.m.log(Info, "partition assigned", "topic", l.p.Topic, "partition", l.p.Number, "next", d.State.Next, "epoch", d.State.Epoch)
	l.m.Observe.Assigned(l.p, d.State.Next)
	return "", nil
}

// commitNow tells Kafka the position, so that the next owner finds our token and not the
// offset that was obeyed just now.
func (l *lane) commitNow() error {
	o, ok := l.committable()
	if !ok {
		return nil
	}
	if err := l.m.Consumer.Commit(l.ctx, []broker.Offset{o}); err != nil {
		return err
	}
	l.setCommitted(o.Next)
	return nil
}

func (l *lane) alarms(as []ledger.Alarm) {
	for _, a := range as {
		l.m.log(Warn, "alarm: "+a.Detail, "alarm", string(a.Kind), "topic", l.p.Topic, "partition", l.p.Number)
		l.m.Observe.Alarm(l.p, a)
	}
}

// reposition sees to a partition that the broker has stopped delivering, because its
// position is out of range: the log has lost its beginning, or its end, or the topic was
// deleted and made again. What is in memory is worked off first, unless it may be the
// records of another topic.
func (l *lane) reposition() error {
	if !l.remade.Load() {
		if !l.recheck.Load() {
			return nil
		}
		queued, _ := l.queue.held()
		if held, _, _ := l.held.size(); queued > 0 || held > 0 {
			return nil
		}
	} else {
		l.endTerm(errRemade)
		l.quiesce()
		l.newTerm()
	}
	// Others' partitions are asked too, and go on being fed meanwhile: what comes now
	// is dropped and comes again after the seek.
	if err := l.halt(); err != nil {
		return err
	}
	at := l.position()
	topic, err := l.m.Consumer.Describe(l.ctx, l.p.Topic)
	if err != nil {
		l.m.health.down(partTopic(l.p.Topic), err)
		return l.wait(time.Second)
	}
	l.m.health.up(partTopic(l.p.Topic))
	l.remade.Store(false)
	l.recheck.Store(false)
	if topic.ID != at.TopicID {
		l.mu.Lock()
		l.owned, l.committed = false, -1
		l.mu.Unlock()
		return l.own()
	}
	again := func() error {
		l.recheck.Store(true)
		return l.wait(time.Second)
	}
	pos, err := l.m.Consumer.Find(l.ctx, l.p)
	if err != nil {
		return again()
	}
	d := ledger.Decide(ledger.Found{Ledger: at, HasLedger: true, LogStart: pos.LogStart, LogEnd: pos.LogEnd})
	l.alarms(d.Alarms)
	if d.Moved {
		state, err := l.m.Store.Position(l.ctx, d.State)
		if errors.Is(err, store.ErrFenced) {
			return err
		}
		if err != nil {
			return again()
		}
		l.setPosition(state)
	}
	// The error does not say whose position it was; for the others this is a seek to
	// where they are.
	next := l.position().Next
	if err := l.begin(next); err != nil {
		if errors.Is(err, errAbandoned) {
			return err
		}
		l.m.log(Debug, "taking a partition up again failed", "topic", l.p.Topic, "partition", l.p.Number, "error", err)
		return again()
	}
	return nil
}

var errRemade = errors.New("the topic was made again")

func partTopic(topic string) string { return "the topic " + topic }
