//go:build !race

package convergetest_test

// sets is how many random sets each shard plays.
const sets = 600
