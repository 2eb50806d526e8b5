package runtime

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// In the pictures t is a record whose handler has SQL of its own.
func TestCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("t.", 120)
	for picture, want := range map[string]string{
		"":         "",
		".....":    ".....",
		"t":        "t",
		"..t..":    ".. t ..",
		"..t.t..":  ".. t.t ..",
		"t...t":    "t...t",
		"tttt....": "tttt ....",
		long:       long[:99] + " . " + long[100:199] + " . " + long[200:239] + " .",
	} {
		var items []*batch.Item
		for _, c := range picture {
			items = append(items, &batch.Item{Units: []*batch.Unit{{}, {Handler: &handlers.Handler{UsesTx: c == 't'}}}})
		}
		var got []string
		for _, segment := range cut(items) {
			s := ""
			for _, it := range segment {
				if it.UsesTx() {
					s += "t"
				} else {
					s += "."
				}
			}
			got = append([]string{s}, got...) // it is a stack
		}
		require.Equal(t, want, strings.Join(got, " "), picture)
	}
}

func TestOverran(t *testing.T) {
	t.Parallel()
	away := &store.TransientError{Err: errors.New("terminated")}
	var tx *batch.TxError
	require.Equal(t, error(away), overran(away, patience))
	require.Equal(t, store.ErrConflict, overran(store.ErrConflict, time.Hour))
	require.NoError(t, overran(nil, time.Hour))
	err := overran(away, 70*time.Second)
	require.ErrorAs(t, err, &tx)
	require.ErrorContains(t, err, "have run for 1m10s")
	s, _ := next(err, 1)
	require.Equal(t, stepSplit, s)
}
