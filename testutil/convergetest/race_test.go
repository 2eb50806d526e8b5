//go:build race

package convergetest_test

// The race detector makes each order some ten times slower. sets is how many random sets each
// shard plays, samples how many orders of a case at least.
const (
	sets    = 150
	samples = 100
)
