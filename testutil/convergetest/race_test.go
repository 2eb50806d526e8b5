//go:build race

package convergetest_test

// sets is how many random sets each shard plays; the race detector makes each some ten times
// slower.
const sets = 300
