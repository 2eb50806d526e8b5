//go:build unix

package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJavaVersion(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]int{
		"openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime": 17,
		"openjdk version \"21\" 2023-09-19":                       21,
		"java version \"1.8.0_392\"":                              8,
	} {
		got, ok := javaVersion(out)
		require.True(t, ok, out)
		require.Equal(t, want, got, out)
	}
	_, ok := javaVersion("The operation couldn't be completed. Unable to locate a Java Runtime.")
	require.False(t, ok)
}
