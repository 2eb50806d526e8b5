package tables_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

func TestRangesCanBeRead(t *testing.T) {
	t.Parallel()
	rs := ledger.Ranges{{From: 0, To: 5}, {From: 5, To: 6, Watermark: -7, HasWatermark: true}, {From: 9, To: math.MaxInt64, Watermark: math.MinInt64, HasWatermark: true}}
	text := tables.EncodeRanges(rs)
	require.Equal(t, "0-5 5-6@-7 9-9223372036854775807@-9223372036854775808", text)
	back, err := tables.DecodeRanges(text)
	require.NoError(t, err)
	require.Equal(t, rs, back)
	back, err = tables.DecodeRanges(tables.EncodeRanges(nil))
	require.NoError(t, err)
	require.Empty(t, back)
	for _, bad := range []string{"x", "1", "1-", "-1", "2-1", "1-1", "1-2@", "1-2@x", "1-2  3-4", "5-6 1-2", "1-3 2-4", " "} {
		_, err := tables.DecodeRanges(bad)
		require.ErrorContains(t, err, "restore the row", "%q", bad)
	}
}

func FuzzDecodeRanges(f *testing.F) {
	f.Add("0-5 5-6@-7")
	f.Fuzz(func(t *testing.T, s string) {
		rs, err := tables.DecodeRanges(s)
		if err != nil {
			return
		}
		again, err := tables.DecodeRanges(tables.EncodeRanges(rs))
		require.NoError(t, err)
		require.Equal(t, rs, again)
	})
}

func TestParentsComeFirst(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"c", "b", "a", "d"}, tables.Parents(map[string][]string{"a": {"b", "elsewhere"}, "b": {"c"}, "c": nil, "d": {"a", "c"}}))
	require.Equal(t, []string{"b", "a"}, tables.Parents(map[string][]string{"a": {"b"}, "b": {"a"}}), "a circle has an order, too")
}

func TestQuote(t *testing.T) {
	t.Parallel()
	require.Equal(t, `"audit"."or""ders"`, tables.Quote(`audit.or"ders`))
	require.Equal(t, `"a.b"`, tables.QuoteOne("a.b"))
}

func TestLockKeysAreStored(t *testing.T) {
	t.Parallel()
	// Members of two releases must lock the same number.
	require.Equal(t, tables.LockKey("orders", "a"), tables.LockKey("orders", "a"))
	require.NotEqual(t, tables.LockKey("orders", "a"), tables.LockKey("order", "sa"))
}
