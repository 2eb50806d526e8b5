package dlq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

// topic is a producer that keeps what it took and refuses what the test tells it to.
type topic struct {
	limit    int
	refuse   func(m *dlq.Message) error
	messages []dlq.Message
	calls    int
}

func (p *topic) Produce(ctx context.Context, messages []dlq.Message) []error {
	p.calls++
	errs := make([]error, len(messages))
	for i := range messages {
		m := &messages[i]
		switch {
		case ctx.Err() != nil:
			errs[i] = ctx.Err()
		case p.limit > 0 && m.Size() > p.limit:
			errs[i] = fmt.Errorf("broker: %w", dlq.ErrTooLarge)
		case p.refuse != nil:
			errs[i] = p.refuse(m)
		}
		if errs[i] == nil {
			p.messages = append(p.messages, *m)
		}
	}
	return errs
}

func (p *topic) ids() []string {
	var ids []string
	for _, m := range p.messages {
		ids = append(ids, m.LetterID)
	}
	return ids
}

func letter(id, key string) *dlq.Letter {
	l := lettertest.Poison()
	l.ID, l.Rev = id, 3
	if key != "" {
		l.Record.Key = []byte(key)
	}
	return l
}

func TestPublish(t *testing.T) {
	t.Parallel()
	p := &topic{}
	results := dlq.NewPublisher(p, "orders.dlq", 0).Publish(t.Context(), []*dlq.Letter{letter("a", "k"), letter("b", "l")})
	if len(results) != 2 || results[0] != (dlq.Result{ID: "a", Rev: 3}) || results[1] != (dlq.Result{ID: "b", Rev: 3}) {
		t.Errorf("results %+v", results)
	}
	if !slices.Equal(p.ids(), []string{"a", "b"}) || p.messages[0].Topic != "orders.dlq" || p.calls != 1 {
		t.Errorf("messages %+v in %d calls", p.messages, p.calls)
	}
}

func TestPublishNothing(t *testing.T) {
	t.Parallel()
	p := &topic{}
	if results := dlq.NewPublisher(p, "orders.dlq", 0).Publish(t.Context(), nil); len(results) != 0 || p.calls != 0 {
		t.Errorf("%v in %d calls", results, p.calls)
	}
}

func TestLettersBehindAFailedOneCountAsFailed(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	down := true
	p := &topic{refuse: func(m *dlq.Message) error {
		if down && m.LetterID == "k1" {
			return refused
		}
		return nil
	}}
	publisher := dlq.NewPublisher(p, "orders.dlq", 0)
	otherPartition := letter("k@8", "k")
	otherPartition.Record.Partition = 8
	letters := []*dlq.Letter{
		letter("k0", "k"), letter("k1", "k"), letter("l0", "l"), letter("k2", "k"),
		letter("n0", ""), letter("k3", "k"), letter("n1", ""), otherPartition,
	}
	results := publisher.Publish(t.Context(), letters)
	var failed []*dlq.Letter
	for i, r := range results {
		switch r.ID {
		case "k1":
			if !errors.Is(r.Err, refused) || errors.Is(r.Err, dlq.ErrBehind) {
				t.Errorf("k1: %v", r.Err)
			}
		case "k2", "k3":
			if !errors.Is(r.Err, dlq.ErrBehind) || !errors.Is(r.Err, refused) {
				t.Errorf("%s: %v", r.ID, r.Err)
			}
		default:
			if r.Err != nil {
				t.Errorf("%s: %v", r.ID, r.Err)
			}
		}
		if r.Err != nil {
			failed = append(failed, letters[i])
		}
	}
	down = false
	for _, r := range publisher.Publish(t.Context(), failed) {
		if r.Err != nil {
			t.Errorf("second try: %s: %v", r.ID, r.Err)
		}
	}
	want := []string{"k0", "l0", "k2", "n0", "k3", "n1", "k@8", "k1", "k2", "k3"}
	if !slices.Equal(p.ids(), want) {
		t.Errorf("on the topic: %v, want %v", p.ids(), want)
	}
}

func TestNullKeysHaveNoOrderAndDoNotHoldTheEmptyKey(t *testing.T) {
	t.Parallel()
	p := &topic{refuse: func(m *dlq.Message) error {
		if m.LetterID == "n0" {
			return errors.New("refused")
		}
		return nil
	}}
	empty := letter("e", "")
	empty.Record.Key = []byte{}
	results := dlq.NewPublisher(p, "d", 0).Publish(t.Context(), []*dlq.Letter{letter("n0", ""), letter("n1", ""), empty})
	if results[0].Err == nil || results[1].Err != nil || results[2].Err != nil {
		t.Errorf("%+v", results)
	}
}

func TestTooLargeForTheTopicIsSentSmaller(t *testing.T) {
	t.Parallel()
	large := letter("large", "k")
	large.Record.Value = bytes.Repeat([]byte("v"), 50_000)
	p := &topic{limit: 20_000}
	results := dlq.NewPublisher(p, "orders.dlq", 0).Publish(t.Context(), []*dlq.Letter{
		letter("before", "k"), large, letter("after", "k"), letter("other", "l"),
	})
	for _, r := range results {
		if r.Err != nil {
			t.Errorf("%s: %v", r.ID, r.Err)
		}
	}
	if results[1].Fit != dlq.FitNoValue || results[2].Fit != dlq.FitWhole {
		t.Errorf("fits %v, %v", results[1].Fit, results[2].Fit)
	}
	ids := p.ids()
	last := func(id string) int { return len(ids) - 1 - slices.Index(reversed(ids), id) }
	if last("before") > last("large") || last("large") > last("after") {
		t.Errorf("last copies out of order: %v", ids)
	}
	if n := len(slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id != "other" })); n != 1 {
		t.Errorf("the other key's letter was sent %d times", n)
	}
}

func reversed(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Reverse(ids)
	return ids
}

func TestTooLargeInAnyFormIsAnError(t *testing.T) {
	t.Parallel()
	p := &topic{limit: 10}
	results := dlq.NewPublisher(p, "orders.dlq", 0).Publish(t.Context(), []*dlq.Letter{letter("a", "k"), letter("b", "k")})
	if !errors.Is(results[0].Err, dlq.ErrTooLarge) || results[0].Fit != dlq.FitNoKey || results[1].Err == nil {
		t.Errorf("%+v", results)
	}
}

func TestPublishStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &topic{}
	for _, r := range dlq.NewPublisher(p, "d", 0).Publish(ctx, []*dlq.Letter{letter("a", "k"), letter("b", "k")}) {
		if !errors.Is(r.Err, context.Canceled) {
			t.Errorf("%s: %v", r.ID, r.Err)
		}
	}
}

type silent struct{}

func (silent) Produce(context.Context, []dlq.Message) []error { return nil }

func TestAMissingReportIsAFailure(t *testing.T) {
	t.Parallel()
	results := dlq.NewPublisher(silent{}, "d", 0).Publish(t.Context(), []*dlq.Letter{letter("a", "k")})
	if results[0].Err == nil {
		t.Error("counts as published")
	}
}

func TestLetterWithoutRecordIsRefused(t *testing.T) {
	t.Parallel()
	p := &topic{}
	results := dlq.NewPublisher(p, "d", 0).Publish(t.Context(), []*dlq.Letter{{ID: "a"}, letter("b", "k")})
	if results[0].Err == nil || results[1].Err != nil || !slices.Equal(p.ids(), []string{"b"}) {
		t.Errorf("%+v, %v", results, p.ids())
	}
}

// Whatever fails and whatever is too large: when everything has been published, the last
// copies of each key stand in the letters' order.
func TestLastCopiesKeepOrderUnderFaults(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		p := &topic{limit: 9_000, refuse: func(*dlq.Message) error {
			if rnd.IntN(4) == 0 {
				return errors.New("refused")
			}
			return nil
		}}
		var letters, pending []*dlq.Letter
		for n := range 12 {
			l := letter(fmt.Sprintf("%02d", n), fmt.Sprint("k", rnd.IntN(3)))
			l.Record.Value = make([]byte, rnd.IntN(2)*20_000)
			letters = append(letters, l)
		}
		publisher := dlq.NewPublisher(p, "d", 0)
		pending = letters
		for round := 0; len(pending) > 0; round++ {
			if round > 1000 {
				t.Fatalf("seed %d: no end", seed)
			}
			var failed []*dlq.Letter
			for i, r := range publisher.Publish(t.Context(), pending) {
				if r.Err != nil {
					failed = append(failed, pending[i])
				}
			}
			pending = failed
		}
		last := map[string]int{}
		for i, id := range p.ids() {
			last[id] = i
		}
		previous := map[string]int{}
		for _, l := range letters {
			i, there := last[l.ID]
			if !there || i < previous[string(l.Record.Key)] {
				t.Fatalf("seed %d: letter %s at %d (%v), the one before at %d", seed, l.ID, i, there, previous[string(l.Record.Key)])
			}
			previous[string(l.Record.Key)] = i
		}
	}
}
