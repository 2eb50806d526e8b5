// Package convergetest_test holds the cases by which the convergence checker is known: what
// it must find, with the story that it tells, and what it must let pass.
package convergetest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/testutil"
)

var update = flag.Bool("update", false, "write the stories anew")

// fake is a test that may fail.
type fake struct {
	testing.TB
	failed []string
}

func (f *fake) Helper() {}

func (f *fake) Errorf(format string, args ...any) {
	f.failed = append(f.failed, fmt.Sprintf(format, args...))
}

func (f *fake) Fatalf(format string, args ...any) { f.Errorf(format, args...) }

func verdictOf(c *check) string {
	f := &fake{}
	testutil.Converges(f, c.registry(), c.events, append(c.opts, testutil.Samples(samples))...)
	return strings.Join(f.failed, "\n")
}

// TestDependentHandlersAreFound: each story is kept in testdata, to be read. Run with -update
// after a change, and read them again.
func TestDependentHandlersAreFound(t *testing.T) {
	t.Parallel()
	all := append(append(dependent(), dependentByGuard()...), dependentEmitters()...)
	require.GreaterOrEqual(t, len(all), 20)
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			story := verdictOf(&c)
			require.NotEmpty(t, story, "not found")
			file := filepath.Join("testdata", strings.ReplaceAll(c.name, " ", "-")+".txt")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(story), 0o600))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), story)
		})
	}
}

func TestConvergentHandlersPass(t *testing.T) {
	t.Parallel()
	all := append(append(convergent(), convergentByGuard()...), convergentEmitters()...)
	require.GreaterOrEqual(t, len(all), 20)
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Empty(t, verdictOf(&c))
		})
	}
}
