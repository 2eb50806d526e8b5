package stage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// members is how many there are at the start.
const members = 3

// consume lets the group read the stream to its end. Members settle first: a rate is one
// of three members only if three have partitions. When they have come some way into the
// first part of the stream, one is killed and another added, and the rest is produced, so
// that all this happens while events flow. It returns the records per second before the
// kill.
func (s *performance) consume(ctx context.Context, stream []message) (rate float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, rest := stream[:len(stream)*7/10], stream[len(stream)*7/10:]
	s.say("%d members, each a process", members)
	for range members {
		if _, err := s.group.start(); err != nil {
			return 0, err
		}
	}
	w := &watch{performance: s, total: int64(len(stream))}
	if err := w.until(ctx, s.settled); err != nil {
		return 0, err
	}
	s.say("producing %d of %d records to %d partitions", len(first), len(stream), len(s.topics())*s.partitions)
	produced := make(chan error, 1)
	go func() { produced <- s.cluster.produce(ctx, first) }()
	w.samples = append(w.samples, sample{now(), 0})
	err = w.until(ctx, func() (bool, error) { return w.done >= int64(len(first))*2/5, nil })
	if err != nil {
		cancel()
		return 0, errors.Join(err, <-produced)
	}
	victim := s.group.busiest()
	if err := victim.kill(); err != nil {
		return 0, err
	}
	rate = w.rate()
	if err := <-produced; err != nil {
		return 0, err
	}
	s.say("%s killed (SIGKILL) after %d records", victim.name, w.done)
	added, err := s.group.start()
	if err != nil {
		return 0, err
	}
	s.say("%s added; producing the other %d records", added.name, len(rest))
	if err := s.cluster.produce(ctx, rest); err != nil {
		return 0, err
	}
	if s.ends, err = s.cluster.ends(ctx, s.partitions, s.topics()...); err != nil {
		return 0, err
	}
	if err := w.until(ctx, w.finished(ctx)); err != nil {
		return 0, err
	}
	if err := s.waits.look(ctx, s.db.DB, s.options.group, true); err != nil {
		return 0, err
	}
	s.say("everything is read and committed: %s; stopping the members", s.waits.now)
	return rate, s.group.stop()
}

// settled reports whether all partitions are assigned and no member goes without that
// could have one.
func (s *performance) settled() (bool, error) {
	sum, _ := s.group.sum()
	busy := 0
	for _, p := range s.group.all() {
		if p.report().Partitions > 0 {
			busy++
		}
	}
	all := len(s.topics()) * s.partitions
	return sum.Partitions == all && busy == min(members, all), nil
}

// watch follows the group through its ledger: what is in there has happened, whoever did
// it and whoever has died since.
type watch struct {
	*performance
	total   int64
	done    int64
	samples []sample
}

type sample struct {
	at   time.Time
	done int64
}

var errStalled = errors.New("the group does not move")

// until looks at the ledger every few milliseconds until it is as wanted. It gives up
// when nothing has moved for long, and when a member has ended by itself.
func (w *watch) until(ctx context.Context, wanted func() (bool, error)) error {
	tick, stop := every(20 * time.Millisecond)
	defer stop()
	moved, mark := now(), int64(-1)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick:
		}
		var done int64
		err := w.db.WithContext(ctx).Raw("SELECT COALESCE(SUM(next_offset), 0) FROM evenkeel_ledger WHERE grp = ? AND next_offset > 0", w.options.group).Scan(&done).Error
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		if done != w.done {
			w.samples = append(w.samples, sample{now(), done})
		}
		w.done = done
		ok, err := wanted()
		if err != nil || ok {
			return err
		}
		if err := w.group.failed(); err != nil {
			return err
		}
		if err := w.waits.look(ctx, w.db.DB, w.options.group, false); err != nil {
			return err
		}
		w.step("evenkeel", done, w.total, w.waits.now.String())
		if done != mark {
			moved, mark = now(), done
		}
		if since(moved) > stallTimeout {
			return w.stalled()
		}
	}
}

// sweepBound is how long parked events may stay when everything is read: what was not
// applied by the event that it waited for is the sweepers', who come every second.
const sweepBound = 15 * time.Second

// finished reports whether Kafka has been told that everything is done, which comes after
// the rows, and after the letters' copies on the dead-letter topic; and whether nothing
// waits any more.
func (w *watch) finished(ctx context.Context) func() (bool, error) {
	asked, read := time.Time{}, time.Time{}
	return func() (bool, error) {
		if w.done < w.ends.sum() || since(asked) < 100*time.Millisecond {
			return false, nil
		}
		asked = now()
		committed, err := w.cluster.committed(ctx, w.options.group, w.ends)
		if err != nil {
			return false, err
		}
		for p, e := range w.ends {
			if committed[p] < e {
				return false, nil
			}
		}
		if read.IsZero() {
			read = now()
		}
		err = w.waits.look(ctx, w.db.DB, w.options.group, true)
		return w.waits.now.Parked == 0 || since(read) > sweepBound, err
	}
}

func (w *watch) stalled() error {
	err := fmt.Errorf("%w: %d of %d records are done, and nothing has moved for %s", errStalled, w.done, w.total, stallTimeout)
	for _, p := range w.group.all() {
		err = fmt.Errorf("%w\n%s (%d records, %d partitions) says:\n%s", err, p.name, p.report().Records, p.report().Partitions, tail(p.log))
	}
	return err
}

// rate is the records per second from the first sample on, which is taken when the first
// record is produced.
func (w *watch) rate() float64 {
	first, last := w.samples[0], w.samples[len(w.samples)-1]
	return float64(last.done-first.done) / last.at.Sub(first.at).Seconds()
}
