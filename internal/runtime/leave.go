package runtime

import (
	"errors"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/breaker"
)

// probesEach is how many probes in a row are made with one event before its failure is taken
// for its own and goes the way of failures: one that is broken itself must not keep the
// breaker open for ever.
const probesEach = 3

// errShut: nothing was committed, since the breaker of the next event's handler is open.
var errShut = errors.New("the breaker of the handler is open")

// leave waits until nobody has paused the partition and the record's handlers may run, or one
// of them may be probed with it (R22). still is called before the first wait. waited says that there was one.
func (l *lane) leave(it *batch.Item, still func() error) (leave breaker.Leave, waited bool, err error) {
	for {
		// Nothing is probed while it is paused.
		if leave = l.m.controls.ask(l.p); leave.Go {
			leave = l.m.breakers.Ask(it.Handlers(), l.m.Clock.Now())
		}
		if leave.Go || len(leave.Probe) > 0 {
			return leave, waited, nil
		}
		if !waited && still != nil {
			if err := still(); err != nil {
				return leave, waited, err
			}
		}
		waited = true
		if err := l.await(leave.Changed, min(leave.Again, leaveTick)); err != nil {
			return leave, waited, err
		}
		if still != nil {
			l.flushMarks() // no batch will take them along
		}
	}
}

// leaveTick is how often a lane that waits for leave looks after what does not wait.
const leaveTick = time.Second

// await waits for the change, at most so long, unless the lane must stop.
func (l *lane) await(changed <-chan struct{}, most time.Duration) error {
	timer, stop := l.m.Clock.After(most)
	defer stop()
	select {
	case <-changed:
		return nil
	case <-timer:
	case <-l.soft:
		return errAbandoned
	case <-l.term.Done(): // with ctx
		return l.ended()
	}
	if l.remade.Load() {
		return errRemade // what is in hand is of a topic that is gone
	}
	return nil
}

// still lets the partition be while the lane waits for leave: what it has fetched waits in
// Kafka.
func (l *lane) still() error {
	if l.shut.Load() {
		return nil
	}
	l.shut.Store(true)
	return l.halt()
}

// fetchOn fetches again, from where the lane has taken records.
func (l *lane) fetchOn() error {
	return l.exclusively(func() error {
		l.shut.Store(false)
		l.queue.start(l.reached)
		return l.m.Consumer.Start(l.p, l.reached)
	})
}

// attemptWith is attempt, for the first of the items alone if it is a probe.
func (l *lane) attemptWith(leave breaker.Leave, items []*batch.Item) (taken int, split bool, err error) {
	if len(leave.Probe) == 0 {
		if taken, split, err = l.attempt(items); errors.Is(err, errShut) {
			return 0, false, nil
		}
		return taken, split, err
	}
	it := items[0]
	it.Probe = true
	taken, _, err = l.attempt(items[:1])
	it.Probe = false
	now := l.m.Clock.Now()
	for _, h := range leave.Probe {
		result := it.Ran(h)
		if err != nil && !errors.Is(err, errShut) {
			result = breaker.Unknown
		}
		if result == breaker.Failed {
			it.Probes++
		}
		l.m.breakers.Probed(h, result, it.Why(), now)
	}
	if errors.Is(err, errShut) {
		it.Forget()
		err = nil
	}
	return taken, false, err
}

// fell reports whether a probe has failed, so that its event is to stay in the log.
func (m *Member) fell(it *batch.Item) bool {
	if it.Probes >= probesEach-1 {
		return false
	}
	for _, h := range it.Handlers() {
		if it.Ran(h) == breaker.Failed && m.breakers.Open(h) {
			return true
		}
	}
	return false
}

// giveBack returns a leave that was not used.
func (m *Member) giveBack(leave breaker.Leave) {
	for _, h := range leave.Probe {
		m.breakers.Probed(h, breaker.Unknown, "", m.Clock.Now())
	}
}

// probed tells the breakers what came of the probes among parked units.
func (m *Member) probed(units []*batch.Unit, committed bool) {
	for _, u := range units {
		result, why, probe := u.Ran()
		if !probe {
			continue
		}
		if !committed {
			result = breaker.Unknown
		}
		m.breakers.Probed(u.Handler.Name, result, why, m.Clock.Now())
	}
}

func forget(stack [][]*batch.Item) {
	for _, segment := range stack {
		for _, it := range segment {
			it.Forget()
		}
	}
}

// broke tells people that a breaker has opened, or closed again.
func (m *Member) broke(s breaker.Status) {
	if s.State == breaker.Open {
		m.log(Warn, "the breaker of a handler has opened: most of its events fail, so they wait in Kafka from now on, and one is tried now and then", "handler", s.Handler, "failed", s.Failed, "of", s.Of, "error", s.Error)
	} else {
		m.log(Info, "the breaker of a handler has closed: its events run again", "handler", s.Handler)
	}
	m.Observe.Breaker(s)
}
