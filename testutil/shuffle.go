package testutil

import (
	"cmp"
	"hash/crc32"
	"math/rand/v2"
	"slices"

	"github.com/evenkeel-go/evenkeel/event"
)

// Shuffle turns a stream as it truly happened into one that a consumer may get. Order is
// lost in four places, and each has its rate here: threads that race to produce (Swaps),
// producers that send again (Duplicates), outboxes and relays that hang (Delays), and
// topics that gained partitions, so that a key's events are in two (Strays).
//
// Rates are shares of the records, from 0 to 1, and exact: a rate of 0.03 on 1,000 records
// duplicates 30. The same seed gives the same stream.
type Shuffle struct {
	Seed uint64
	// Swaps is the share of records that trade places with a later record of the same
	// key, at most SwapDistance of the key's records away. Records without one stay.
	Swaps float64
	// SwapDistance defaults to 3.
	SwapDistance int
	// Duplicates is the share of records that come twice, the copy at most
	// DuplicateDistance records after the place of the first one.
	Duplicates float64
	// DuplicateDistance defaults to 100.
	DuplicateDistance int
	// Delays is the share of records that are held back, by at most DelayDistance
	// records of the stream.
	Delays float64
	// DelayDistance defaults to 1000.
	DelayDistance int
	// Strays is the share of records that are written to another partition than their
	// key's. It needs at least two Partitions.
	Strays float64
	// Partitions is the number of the topic's partitions. With 0 records keep theirs.
	Partitions int32
}

// Place is one record of a shuffled stream.
type Place struct {
	// Index is the record's index in the true order.
	Index int
	// Copy is set for the second of two.
	Copy bool
	// Stray is set for a record that belongs into another partition than its key's.
	Stray bool
}

// Order shuffles a stream whose i-th record has the key keys[i]. The result has one place
// for each record and one more for each copy.
func (s Shuffle) Order(keys []string) []Place {
	rng := rand.New(rand.NewPCG(s.Seed, 0x6576656e6b65656c)) //nolint:gosec // repeatable on purpose
	order := s.swapped(rng, keys)
	n := len(order)

	// What is held back or sent again gets a position between those of others, and one
	// stable sort puts everything in its place.
	type at struct {
		Place
		position int
	}
	ats := make([]at, n, n+n/8)
	for i, index := range order {
		ats[i] = at{Place{Index: index}, 2 * i}
	}
	for _, i := range pick(rng, n, s.Delays) {
		ats[i].position += 2*(1+rng.IntN(defaulted(s.DelayDistance, 1000))) + 1
	}
	for _, i := range pick(rng, n, s.Duplicates) {
		ats = append(ats, at{Place{Index: ats[i].Index, Copy: true}, ats[i].position + 2*rng.IntN(defaulted(s.DuplicateDistance, 100)) + 1})
	}
	slices.SortStableFunc(ats, func(a, b at) int { return cmp.Compare(a.position, b.position) })

	places := make([]Place, len(ats))
	for i := range ats {
		places[i] = ats[i].Place
	}
	if s.Partitions > 1 {
		for _, i := range pick(rng, len(places), s.Strays) {
			places[i].Stray = true
		}
	}
	return places
}

// Records shuffles a stream of records. With Partitions set, each record's partition is
// the one of its key, or another for strays; see [PartitionOf].
func (s Shuffle) Records(records []event.Record) []event.Record {
	keys := make([]string, len(records))
	for i := range records {
		keys[i] = string(records[i].Key)
	}
	places := s.Order(keys)
	out := make([]event.Record, len(places))
	for i, p := range places {
		out[i] = records[p.Index]
		if s.Partitions > 0 {
			out[i].Partition = s.Partition(keys[p.Index], p)
		}
	}
	return out
}

// Partition is where a place's record is written: the key's partition, or for strays the
// one after it.
func (s Shuffle) Partition(key string, p Place) int32 {
	at := PartitionOf(key, s.Partitions)
	if p.Stray {
		at = (at + 1) % s.Partitions
	}
	return at
}

// PartitionOf is the partition of a key as librdkafka's "consistent" partitioner chooses
// it: CRC-32 modulo the number of partitions.
func PartitionOf(key string, partitions int32) int32 {
	return int32(crc32.ChecksumIEEE([]byte(key)) % uint32(partitions)) //nolint:gosec // a remainder of partitions fits
}

func (s Shuffle) swapped(rng *rand.Rand, keys []string) []int {
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	if s.Swaps <= 0 {
		return order
	}
	byKey := make(map[string][]int, len(keys))
	rank := make([]int, len(keys))
	for i, k := range keys {
		rank[i] = len(byKey[k])
		byKey[k] = append(byKey[k], i)
	}
	moved := make([]bool, len(keys))
	left := count(len(keys), s.Swaps)
	// One record trades places once: chains of swaps would move it beyond the bound.
	for _, i := range rng.Perm(len(keys)) {
		if left <= 0 {
			break
		}
		mine := byKey[keys[i]]
		other := rank[i] + 1 + rng.IntN(defaulted(s.SwapDistance, 3))
		if moved[i] || other >= len(mine) || moved[mine[other]] {
			continue
		}
		j := mine[other]
		order[i], order[j] = order[j], order[i]
		moved[i], moved[j] = true, true
		left--
	}
	return order
}

// pick chooses the share of n indexes, ascending.
func pick(rng *rand.Rand, n int, share float64) []int {
	k := count(n, share)
	if k == 0 {
		return nil
	}
	chosen := rng.Perm(n)[:k]
	slices.Sort(chosen)
	return chosen
}

func count(n int, share float64) int {
	return min(max(int(share*float64(n)+0.5), 0), n)
}

func defaulted(n, d int) int {
	if n <= 0 {
		return d
	}
	return n
}
