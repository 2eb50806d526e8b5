//go:build !race

package convergetest_test

// sets is how many random sets each shard plays, samples how many orders of a case at least.
const (
	sets    = 600
	samples = 500
)
