package event_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
)

func TestStampIdentity(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"shop", "e-1"}, {"", "@c/t/0/7"}, {"a\x00b", "\x00\x01\xff"}, {"", ""}} {
		source, id := event.Stamp{Tie: event.Tie(true, c[0], c[1])}.Identity()
		require.Equal(t, c, [2]string{source, id})
	}
	source, id := event.Stamp{Tie: event.Tie(false, strings.Repeat("s", 200), "e")}.Identity()
	require.True(t, strings.HasPrefix(source, "sha256:"))
	require.Equal(t, "e", id)
	for _, odd := range []string{"", "1", "1abc", "1abc\x00", "1abc\x00\x02", "1abc\x00\x01", "1a\x00\x01b\x00\x03"} {
		source, id := event.Stamp{Tie: odd}.Identity()
		require.Equal(t, [2]string{}, [2]string{source, id}, "%q", odd)
	}
}

func TestStampDepth(t *testing.T) {
	t.Parallel()
	require.Zero(t, event.Stamp{}.Depth())
	require.Zero(t, event.Stamp{Tie: "~"}.Depth(), "a horizon is no event's")
	for depth, path := range [][]string{nil, {"a"}, {"a", "b\x00c"}} {
		s := event.Stamp{Tie: event.Tie(true, "s\x00", "e-1", path...)}
		require.Equal(t, depth, s.Depth())
		require.Contains(t, s.Tie, event.IdentityPart("e-1"))
		require.NotContains(t, s.Tie, event.IdentityPart("e-"))
	}
	long := strings.Repeat("x", 200)
	require.Contains(t, event.Tie(false, "s", long), event.IdentityPart(long))
}
