package postgres

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestColumn: one element is sent where all are the same, and only there.
func TestColumn(t *testing.T) {
	t.Parallel()
	text := func(values ...string) func(*array) {
		return func(a *array) {
			for _, v := range values {
				a.addString(v)
			}
		}
	}
	for name, c := range map[string]struct {
		add  func(*array)
		want uint32
	}{
		"none":                   {func(*array) {}, 0},
		"one":                    {text("a"), 1},
		"the same":               {text("ab", "ab", "ab"), 1},
		"empty":                  {text("", "", ""), 1},
		"others":                 {text("ab", "ab", "ac"), 3},
		"the first another":      {text("ac", "ab", "ab"), 3},
		"other lengths":          {text("a", "abc"), 2},
		"bytes that look alike":  {text("\x00\x00\x00\x00", ""), 2},
		"NULL":                   {func(a *array) { a.addNull(); a.addNull() }, 1},
		"NULL among others":      {func(a *array) { a.addInt(1); a.addNull(); a.addInt(1) }, 3},
		"an empty text and NULL": {func(a *array) { a.addString(""); a.addNull() }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a array
			a.reset(wireText)
			c.add(&a)
			whole := append([]byte{}, a.bytes()...)
			got := a.column()
			require.Equal(t, c.want, binary.BigEndian.Uint32(got[12:]))
			require.Equal(t, whole[headerSize:headerSize+len(got)-headerSize], got[headerSize:])
		})
	}
}
