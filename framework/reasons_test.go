package framework

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// declared are the words that package guards declares as reasons.
func declared(t *testing.T) (words []guards.Reason) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../guards/verdict.go", nil, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := v.Type.(*ast.Ident); !ok || kind.Name != "Reason" {
			return true
		}
		for _, value := range v.Values {
			word, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			require.NoError(t, err)
			words = append(words, guards.Reason(word))
		}
		return true
	})
	return words
}

// Every reason has an explanation, and those of dead letters say what to do.
func TestEveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	words := declared(t)
	require.Greater(t, len(words), 15)
	for _, word := range append(words, dlq.Foreign) {
		r, ok := reasons[word]
		require.True(t, ok, "%s has no explanation", word)
		require.NotEmpty(t, r.means, word)
		require.False(t, strings.HasSuffix(r.means+r.next, "."), "%s: the sentence goes on", word)
	}
	require.Len(t, reasons, len(words)+1, "an explanation of what is no reason")
	for _, word := range []guards.Reason{
		guards.Late, guards.Future, guards.Poison, guards.Rejected, guards.Exhausted, guards.Constraint, guards.Conflict, guards.Orphaned,
		guards.Gap, guards.Behind, guards.MissingRow, guards.Unhandled, dlq.Foreign,
	} {
		require.NotEmpty(t, reasons[word].next, word)
	}
	own := reasonOf("too-red")
	require.Contains(t, own.means, `was judged "too-red" by a guard of your own`)
	require.NotEmpty(t, own.next)
}

func TestCompared(t *testing.T) {
	t.Parallel()
	const second, hour = int64(1_000_000), 3600 * int64(1_000_000)
	at := time.Date(2026, 10, 14, 10, 2, 3, 0, time.UTC).UnixMicro()
	for want, c := range map[string]guards.Comparison{
		"": {},
		"it is of 2026-10-14T10:02:03Z and its partition had come to 2026-10-15T11:02:03Z: it is 25h late, and 24h is allowed":                                           {What: "watermark", Event: at, Against: at + 25*hour, Bound: 24 * hour},
		"it is of 2026-10-14T10:02:03Z and the clock stood at 2026-10-14T10:01:58Z: it is 5s ahead, and 2s is allowed":                                                   {What: "now", Event: at, Against: at - 5*second, Bound: 2 * second},
		"its timestamp is 2026-10-14T10:02:03Z, and it met 2026-10-14T10:02:07.5Z, which is newer by 4.5s":                                                               {What: "timestamp", Event: at, Against: at + 4*second + second/2},
		"its timestamp is 2026-10-14T10:02:03Z, and it met 2026-10-14T10:02:03Z, which is the same, so that source and id decide, and those of event e of s stand after": {What: "timestamp", Event: at, Against: at, EventTie: "1", AgainstTie: event.Tie(true, "s", "e")},
		"its timestamp is 2026-10-14T10:02:03Z, and it met 2026-10-14T10:02:03Z, which is the same":                                                                      {What: "timestamp", Event: at, Against: at},
		"its version is 3, and it met 5, which is newer by 2":                                                                                                            {What: "version", Event: 3, Against: 5},
		"its number is 5, where the stream stood at 3":                                                                                                                   {What: "sequence", Event: 5, Against: 3},
		"it is of 2026-10-14T10:02:03Z, and ids up to 2026-10-14T10:02:04Z are forgotten":                                                                                {What: "memory", Event: at, Against: at + second},
		"it is of 2026-10-14T10:02:03Z, which is older than the memory of ids":                                                                                           {What: "memory", Event: at},
		"it is of 2026-10-14T10:02:03Z, and tombstones up to 2026-10-14T10:02:04Z have been purged":                                                                      {What: "horizon", Event: at, Against: at + second},
		"the placeholder was made at 2026-10-14T10:02:03Z and removed at 2026-10-14T11:02:03Z, as it may stay for 1h":                                                    {What: "born", Event: at, Against: at + hour, Bound: hour},
	} {
		require.Equal(t, want, compared(c))
	}
}

func TestLength(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{ //nolint:exhaustive // no enumeration
		0: "0s", 1500 * time.Microsecond: "1.5ms", 4 * time.Second: "4s", 90 * time.Second: "1m30s", time.Minute: "1m",
		time.Hour: "1h", 25*time.Hour + time.Second: "25h0m1s", 30 * time.Hour: "30h", 49 * time.Hour: "2d1h", 72 * time.Hour: "3d", -time.Minute: "-1m", 70 * time.Minute: "1h10m",
	} {
		require.Equal(t, want, length(d))
	}
}

// What came from outside must not become a command of whoever copies the line.
func TestQuoted(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"order-17": "order-17", "a b": "'a b'", "$(rm x)": "'$(rm x)'", "it's": `'it'\''s'`, "": "''", "-x": "-- '-x'", "顧客": "'顧客'", "a;b": "'a;b'",
	} {
		require.Equal(t, want, quoted(in))
	}
}
