//go:build unix

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/testutil"
)

// Each question finds what it must.
func TestLetters(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, command(t.Context(), []string{"-n", "3000", "-dsn", testutil.PostgresDSN(t)}, &out))
	for _, want := range []string{
		`import .* letters/s, RSS`, `groups .* 40 groups`, `stats .* 2 states`, `list .* 100 shown`,
		`list --event-id .* 1 shown`, `list --group --table --entity .* 10 shown`, `list --type .* 0 shown`,
		`search TEXT .* 0 counted`, `export .* 3000 letters`,
	} {
		require.Regexp(t, want, out.String())
	}
}
