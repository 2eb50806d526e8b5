package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func outboxCases() []testCase {
	return []testCase{
		{"what is to be sent comes back whole and in order", outboxRoundTrip},
		{"an event is to be sent once", outboxAgain},
		{"a batch that is refused sends nothing", outboxRefused},
		{"what is sent is removed, with a batch or alone", outboxSent},
		{"a key's leftovers go to one claimer, the first first", outboxLeftovers},
		{"claimers at once share keys and not what is in them", outboxClaimers},
		{"what a lane has in hand is left to the lane", outboxAbandoned},
	}
}

func (b *bench) outbound(id, key string) *store.Outbound {
	o := &store.Outbound{
		ID: id, Group: group, EventType: "stock.reserved", Topic: "stock", Key: []byte(key), Value: []byte("\x00\xff " + id),
		Headers:   []event.Header{{Key: "a", Value: nil}, {Key: "b", Value: []byte{}}, {Key: "a", Value: []byte{0, 1}}},
		CreatedAt: start, Origin: b.record(40).Coordinates,
	}
	return o
}

func (b *bench) swept(id, key string) *store.Outbound {
	o := b.outbound(id, key)
	o.Swept = true
	return o
}

func (b *bench) unsent() (ids []string) {
	out, err := b.s.Unsent(b.t.Context(), key(0))
	require.NoError(b.t, err)
	for _, o := range out {
		ids = append(ids, o.ID)
	}
	return ids
}

// leftovers claims for a minute what is older than a minute.
func (b *bench) leftovers(at time.Time, limit int) (ids []string) {
	out, err := b.s.UnsentLeftovers(b.t.Context(), group, at, at.Add(-time.Minute), time.Minute, limit)
	require.NoError(b.t, err)
	for _, o := range out {
		ids = append(ids, o.ID)
	}
	return ids
}

func outboxRoundTrip(b *bench) {
	t := b.t
	full, bare := b.outbound("z", "k"), b.outbound("a", "")
	bare.Key, bare.Value, bare.Headers = nil, nil, nil
	empty := b.outbound("m", "")
	empty.Value = []byte{}
	other := b.outbound("other partition", "k")
	other.Origin.Partition = 7
	stranger := b.outbound("other group", "k")
	stranger.Group = "strangers"
	require.NoError(t, b.commit(t, &store.Batch{Outbox: []*store.Outbound{full, bare, other, stranger, b.swept("swept", "k"), empty}}))
	require.NoError(t, b.commit(t, &store.Batch{Outbox: []*store.Outbound{b.outbound("0", "k")}}))
	got, err := b.s.Unsent(t.Context(), key(0))
	require.NoError(t, err)
	require.Len(t, got, 4)
	require.Equal(t, full, got[0], "in the order of the batch and not of ids")
	require.Equal(t, bare, got[1])
	require.Equal(t, empty, got[2])
	require.Equal(t, "0", got[3].ID)
	require.Nil(t, got[1].Key)
	require.Nil(t, got[1].Value)
	require.NotNil(t, got[2].Value)
	got, err = b.s.Unsent(t.Context(), ledger.Key{Cluster: "cluster", TopicID: "topic-id", Group: group, Partition: 7})
	require.NoError(t, err)
	require.Len(t, got, 1)
}

func outboxAgain(b *bench) {
	t := b.t
	again := b.outbound("a", "k")
	again.Value = []byte("said otherwise")
	require.NoError(t, b.commit(t, &store.Batch{Outbox: []*store.Outbound{b.outbound("a", "k"), b.outbound("b", "k")}}))
	require.NoError(t, b.commit(t, &store.Batch{Outbox: []*store.Outbound{b.outbound("c", "k"), again}}))
	got, err := b.s.Unsent(t.Context(), key(0))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c"}, b.unsent(), "it keeps its place")
	require.Equal(t, b.outbound("a", "k").Value, got[0].Value)
}

func outboxRefused(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Outbox: []*store.Outbound{b.outbound("a", "k")}}))
	old := b.ledger
	_, _, err := b.s.Own(t.Context(), key(0), "orders", "somebody else")
	require.NoError(t, err)
	b.ledger = old
	require.ErrorIs(t, b.commit(t, &store.Batch{Sent: []string{"a"}, Outbox: []*store.Outbound{b.outbound("b", "k")}}), store.ErrFenced)
	require.Equal(t, []string{"a"}, b.unsent())
}

func outboxSent(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Outbox: []*store.Outbound{b.outbound("a", "k"), b.outbound("b", "k"), b.outbound("c", "k"), b.outbound("d", "k")}}))
	require.NoError(t, b.commit(t, &store.Batch{Sent: []string{"b", "gone long ago"}}))
	require.Equal(t, []string{"a", "c", "d"}, b.unsent())
	require.NoError(t, b.s.Sent(t.Context(), []string{"a", "gone long ago"}))
	require.NoError(t, b.s.Sent(t.Context(), nil))
	require.Equal(t, []string{"c", "d"}, b.unsent())
	require.NoError(t, b.commit(t, &store.Batch{Sent: []string{"c"}, Outbox: []*store.Outbound{b.outbound("c", "k")}}))
	require.ElementsMatch(t, []string{"c", "d"}, b.unsent(), "what was sent, and is to be sent again, is there")
}

func outboxLeftovers(b *bench) {
	t := b.t
	late := b.swept("k4, younger", "k")
	late.CreatedAt = start.Add(time.Hour)
	stranger := b.swept("stranger", "k")
	stranger.Group = "strangers"
	elsewhere := b.swept("k on another topic", "k")
	elsewhere.Topic = "elsewhere"
	free := b.swept("no key", "")
	free.Key = nil
	bound := b.swept("no key either", "")
	bound.Key = nil
	require.NoError(t, b.commit(t, &store.Batch{Outbox: []*store.Outbound{
		stranger, b.swept("k1", "k"), b.swept("k2", "k"), free, b.swept("j1", "j"), b.swept("k3", "k"), late, elsewhere, bound,
	}}))
	at := start.Add(2 * time.Minute)
	require.Empty(t, b.leftovers(start.Add(time.Minute), 10), "too young")
	require.Equal(t, []string{"k1", "k2", "no key"}, b.leftovers(at, 3))
	require.Equal(t, []string{"j1", "k on another topic", "no key either"}, b.leftovers(at, 10), "k3 is behind what somebody has claimed")
	require.Empty(t, b.leftovers(at, 10))
	require.NoError(t, b.s.Sent(t.Context(), []string{"k1"}))
	require.Empty(t, b.leftovers(at.Add(59*time.Second), 10), "k2 is claimed")
	require.NoError(t, b.s.Sent(t.Context(), []string{"k2", "no key", "no key either", "k on another topic"}))
	require.Equal(t, []string{"k3"}, b.leftovers(at.Add(59*time.Second), 10))
	require.Equal(t, []string{"j1"}, b.leftovers(at.Add(time.Minute), 10), "a claim ends by itself")
	require.Equal(t, []string{"j1", "k3", "k4, younger"}, b.leftovers(start.Add(2*time.Hour), 10))
}

func outboxClaimers(b *bench) {
	t := b.t
	const keys, each = 20, 5
	var all []*store.Outbound
	for n := range each {
		for k := range keys {
			all = append(all, b.swept(fmt.Sprintf("%02d-%d", k, n), fmt.Sprintf("key-%02d", k)))
		}
	}
	require.NoError(t, b.commit(t, &store.Batch{Outbox: all}))
	at := start.Add(time.Hour)
	var mu sync.Mutex
	owner := map[string]int{}
	last := map[string]string{}
	var g errgroup.Group
	for claimer := range 4 {
		g.Go(func() error {
			for range 3 {
				out, err := b.s.UnsentLeftovers(t.Context(), group, at, at.Add(-time.Minute), time.Minute, 13)
				if err != nil {
					return err
				}
				mu.Lock()
				for _, o := range out {
					k := string(o.Key)
					if who, taken := owner[k]; taken && who != claimer {
						t.Errorf("%s has two claimers", k)
					}
					if o.ID <= last[k] {
						t.Errorf("%s came after %s", o.ID, last[k])
					}
					owner[k], last[k] = claimer, o.ID
				}
				mu.Unlock()
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	require.NotEmpty(t, owner)
}

func outboxAbandoned(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Outbox: []*store.Outbound{b.outbound("a", "k"), b.swept("b", "k"), b.swept("c", "j")}}))
	require.Equal(t, []string{"c"}, b.leftovers(start.Add(59*time.Minute), 10), "b stands behind a lane's")
	require.Equal(t, []string{"a", "b", "c"}, b.leftovers(start.Add(2*time.Hour), 10), "nobody seems to read the topic any more")
}
