package testutil_test

import (
	"testing"

	"go.uber.org/goleak"
)

// The servers that the package starts for the whole process must not look like leaks to
// a user's own check.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
