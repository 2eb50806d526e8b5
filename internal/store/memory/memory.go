// Package memory is a store in the process's memory, for what runs thousands of histories:
// the convergence checker and simulations. It keeps what the databases keep and refuses
// what they refuse, statement by statement, but for constraints of the users' tables, of
// which it knows none. The same calls leave the same content.
package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// Store is a store.Store. Its methods may be called from many goroutines; an open Locked
// keeps all others out.
type Store struct {
	now func() time.Time
	// What the tables' columns keep of parked rows and letters.
	parkedFields, reparkFields []tables.Field[store.Parked]
	letterFields               []tables.Field[dlq.Letter]
	originFields               []tables.Field[store.Origin]

	turn chan struct{} // who holds it may touch what is below

	tables  map[string]*table
	topics  map[topicKey]int32
	ledgers map[ledger.Key]ledgerRow

	parked map[string]*store.Parked
	// claims are what sweepers hold, by group and owner.
	claims map[string]map[string]claim
	// queues are what is parked under each entity and in each stream, in the order of
	// places.
	queues map[queueKey][]*store.Parked
	// letters by id, lettersOf by the stream, or else the entity, that they are about.
	letters   map[string]*letter
	lettersOf map[queueKey][]*letter
	verdicts  []verdict
	audit     []*dlq.AuditEntry
	controls  map[store.Scope]store.Control
	beats     map[string]beat
	notes     []dlq.Note
	ids       map[idKey]*store.ID
	memos     map[memoKey]*store.Memo
	outbox    []*outbound // in order
	outFields []tables.Field[store.Outbound]
	origins   map[originKey]*store.Origin
	jobs      map[string]*dlq.Job
	jobOf     map[jobPlace]dlq.JobLetter
}

var _ store.Store = (*Store)(nil)

type topicKey struct{ cluster, topicID, group string }

// ledgerRow is a position, and when it was moved.
type ledgerRow struct {
	ledger.State
	at time.Time
}

// queueKey has a table or a stream.
type queueKey struct{ group, table, stream, entity string }

type idKey struct {
	group string
	store.IDKey
}

type memoKey struct {
	group string
	store.MemoKey
}

type originKey struct {
	group string
	store.OriginKey
	rev int64
	id  string
}

// New makes an empty store; now is its clock.
func New(now func() time.Time) *Store {
	return &Store{
		now: now, turn: make(chan struct{}, 1),
		parkedFields: tables.Parkeds(), reparkFields: tables.Reparks(), letterFields: tables.Letters(), originFields: tables.Origins(),
		tables: map[string]*table{}, topics: map[topicKey]int32{}, ledgers: map[ledger.Key]ledgerRow{},
		parked: map[string]*store.Parked{}, claims: map[string]map[string]claim{}, queues: map[queueKey][]*store.Parked{},
		letters: map[string]*letter{}, lettersOf: map[queueKey][]*letter{},
		ids: map[idKey]*store.ID{}, memos: map[memoKey]*store.Memo{},
		origins: map[originKey]*store.Origin{}, outFields: tables.Outbounds(),
		jobs: map[string]*dlq.Job{}, jobOf: map[jobPlace]dlq.JobLetter{},
		controls: map[store.Scope]store.Control{}, beats: map[string]beat{},
	}
}

// Reset empties the store; the tables stay claimed.
func (s *Store) Reset() {
	s.turn <- struct{}{}
	defer s.leave()
	for _, t := range s.tables {
		clear(t.rows)
	}
	clear(s.topics)
	clear(s.ledgers)
	clear(s.parked)
	clear(s.queues)
	clear(s.letters)
	clear(s.lettersOf)
	s.verdicts = s.verdicts[:0]
	s.audit, s.notes = nil, nil
	clear(s.ids)
	clear(s.memos)
	clear(s.origins)
	clear(s.jobs)
	clear(s.jobOf)
	s.outbox = nil
}

// enter waits for the turn.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) leave() { <-s.turn }

// transaction runs fn and takes back what it did if it fails.
func (s *Store) transaction(ctx context.Context, fn func(*tx) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	t := &tx{}
	err := fn(t)
	if err != nil {
		t.rollback()
	}
	return err
}

// tx remembers how to take back what was done. What is stored is never changed in place,
// only replaced.
type tx struct{ undo []func() }

func (t *tx) rollback() {
	for _, undo := range slices.Backward(t.undo) {
		undo()
	}
}

func put[K comparable, V any](t *tx, m map[K]V, k K, v V) {
	old, had := m[k]
	t.undo = append(t.undo, func() {
		if had {
			m[k] = old
		} else {
			delete(m, k)
		}
	})
	m[k] = v
}

func drop[K comparable, V any](t *tx, m map[K]V, k K) {
	if old, had := m[k]; had {
		t.undo = append(t.undo, func() { m[k] = old })
		delete(m, k)
	}
}

// Claim is store.Store's. Tables need no making here.
func (s *Store) Claim(ctx context.Context, group string, models []*handlers.Model, steal bool) ([]*clocks.Layout, error) {
	return s.claim(ctx, group, models, tables.Claiming{Steal: steal})
}

// ClaimToRebuild is store.Rebuilds'.
func (s *Store) ClaimToRebuild(ctx context.Context, group string, models []*handlers.Model) ([]*clocks.Layout, error) {
	return s.claim(ctx, group, models, tables.Claiming{ToRebuild: true})
}

func (s *Store) claim(ctx context.Context, group string, models []*handlers.Model, how tables.Claiming) ([]*clocks.Layout, error) {
	layouts := make([]*clocks.Layout, len(models))
	err := s.transaction(ctx, func(t *tx) error {
		var problems []string
		for i, m := range models {
			old := s.tables[m.Table]
			fresh := newTable(m, group)
			other := ""
			if old != nil {
				if old.group != group && !how.Steal {
					problems = append(problems, fmt.Sprintf("table %s belongs to the group %q and this consumer is %q; two groups on one table overwrite each other's clocks: use the same group, or take the table over if the other one is gone for good", m.Table, old.group, group))
					continue
				}
				fresh.rows, fresh.generation, fresh.generations = old.rows, old.generation, maps.Clone(old.generations)
				kind, changes := tables.KindOf(m, old.kind)
				switch {
				case !changes || !old.stamped():
				case !how.ToRebuild:
					problems = append(problems, tables.OtherKind(m, old.kind))
					continue
				default:
					kind, other = old.kind, old.kind
				}
				fresh.kind = kind
				fresh.nextGeneration(changes && other == "")
			} else {
				fresh.nextGeneration(false)
			}
			put(t, s.tables, m.Table, fresh)
			layouts[i] = clocks.NewLayout(m, fresh.generations, fresh.generation)
			layouts[i].Purged, layouts[i].Other = s.purged(group, m.Table), other
		}
		if len(problems) > 0 {
			return &store.SetupError{Problems: problems}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return layouts, nil
}

// table returns a claimed table.
func (s *Store) table(m *handlers.Model) (*table, error) {
	t := s.tables[m.Table]
	if t == nil {
		return nil, &store.SetupError{Problems: []string{fmt.Sprintf("table %s of model %s was not claimed; call Claim first", m.Table, m.Name)}}
	}
	return t, nil
}

// Topic is store.Store's.
func (s *Store) Topic(ctx context.Context, cluster, topicID, _, group string, partitions int32) (first int32, known bool, err error) {
	err = s.transaction(ctx, func(t *tx) error {
		k := topicKey{cluster, topicID, group}
		if first, known = s.topics[k]; !known {
			first = partitions
			put(t, s.topics, k, partitions)
		}
		return nil
	})
	return first, known, err
}

// Own is store.Store's.
func (s *Store) Own(ctx context.Context, key ledger.Key, topic, _ string) (state ledger.State, found bool, err error) {
	err = s.transaction(ctx, func(t *tx) error {
		row, there := s.ledgers[key]
		if !there {
			row.State = ledger.State{Key: key, Next: -1, High: -1}
		}
		state = row.Clone()
		state.Epoch++
		state.Topic = topic
		put(t, s.ledgers, key, ledgerRow{state, row.at})
		return nil
	})
	return state.Clone(), state.High >= 0, err
}

// Position is store.Store's.
func (s *Store) Position(ctx context.Context, state ledger.State) (ledger.State, error) {
	if err := s.transaction(ctx, func(t *tx) error { return s.moveLedger(t, &state, s.now()) }); err != nil {
		return state, err
	}
	state.Rev++
	return state, nil
}

// moveLedger is the ledger's compare-and-set (R16).
func (s *Store) moveLedger(t *tx, to *ledger.State, at time.Time) error {
	have, ok := s.ledgers[to.Key]
	if !ok || have.Epoch != to.Epoch || have.Rev != to.Rev {
		return store.ErrFenced
	}
	next := to.Clone()
	next.Topic = have.Topic
	next.Rev++
	put(t, s.ledgers, to.Key, ledgerRow{next, tables.Micros(at)})
	return nil
}

// Settle is store.Store's.
func (s *Store) Settle(ctx context.Context, key ledger.Key) (state ledger.State, err error) {
	err = s.transaction(ctx, func(*tx) error {
		have, ok := s.ledgers[key]
		if !ok {
			return fmt.Errorf("%w: the ledger row is gone", store.ErrFenced)
		}
		state = have.Clone()
		return nil
	})
	return state, err
}

// Lamport is store.Store's.
func (s *Store) Lamport(ctx context.Context, group string) (highest int64, err error) {
	err = s.transaction(ctx, func(*tx) error {
		for k, row := range s.ledgers {
			if k.Group == group {
				highest = max(highest, row.Lamport)
			}
		}
		return nil
	})
	return highest, err
}

// Reached is store.Store's.
func (s *Store) Reached(ctx context.Context, group string, since time.Time) (at int64, ok bool, err error) {
	err = s.transaction(ctx, func(*tx) error {
		for k, row := range s.ledgers {
			if k.Group == group && row.HasWatermark && !row.at.Before(tables.Micros(since)) && (!ok || row.Watermark < at) {
				at, ok = row.Watermark, true
			}
		}
		return nil
	})
	return at, ok, err
}

// Now is store.Store's.
func (s *Store) Now(context.Context) (time.Time, error) {
	return time.UnixMicro(s.now().UnixMicro()).UTC(), nil
}

type verdict struct {
	store.Verdict
	at    time.Time
	group string
}

// Retain is store.Store's.
func (s *Store) Retain(ctx context.Context, before time.Time, _ int) (n int64, err error) {
	err = s.transaction(ctx, func(*tx) error {
		all := len(s.verdicts)
		s.verdicts = slices.DeleteFunc(s.verdicts, func(v verdict) bool { return v.at.Before(before) })
		n = int64(all - len(s.verdicts))
		return nil
	})
	return n, err
}

// byPlace is the order of what waits under one key.
func byPlace(a, b *store.Parked) int {
	return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.ID, b.ID))
}
