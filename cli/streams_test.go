package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

func TestStreams(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	run := func(args ...string) result {
		return world{env: map[string]string{dsnVariable: dsn, "NO_COLOR": "1"}}.run(t, append([]string{"streams"}, args...)...)
	}
	r := run()
	require.Equal(t, codeNothing, r.code)
	require.Equal(t, "all streams are in order\n", r.errOut)

	now := lettertest.At(0).Add(3 * time.Hour)
	memo := func(entity, body string) {
		require.NoError(t, db.Exec("INSERT INTO evenkeel_memos (grp, kind, scope, entity, rev, body, updated_at) VALUES ('billing', 'sequence', 'orders', ?, 1, ?, ?)",
			entity, body, lettertest.At(4).UnixMicro()).Error)
	}
	memo("order-16", `{"next":7,"begun":true}`)
	memo("order-17", `{"next":11,"begun":true,"ahead":[[12,13]]}`)
	memo("order-18\x1b[2K", `{"next":40,"begun":true,"skipped":[[3,3],[31,33]],"incomplete":true}`)
	park(t, db, "a", "order-17", "gap", "orders", 12, now.Add(30*time.Second), 0, "")
	park(t, db, "b", "order-17", "gap", "orders", 13, now.Add(50*time.Second), 0, "")
	park(t, db, "c", "order-16", "retry", "", 1, now, 1, "of no stream")

	for name, args := range map[string][]string{"streams": nil, "streams-json": {"-o", "json"}} {
		r := run(args...)
		require.Zero(t, r.code, r.errOut)
		golden(t, name, r.out)
		require.Negative(t, strings.IndexFunc(r.out, dangerous))
	}
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"--group", "billing", "--name", "orders"}, 2},
		{[]string{"--waiting"}, 1},
		{[]string{"--incomplete"}, 1},
		{[]string{"--entity", "order-17"}, 1},
		{[]string{"--limit", "1"}, 1},
		{[]string{"--waiting", "--incomplete"}, 0},
		{[]string{"--entity", "order-16"}, 0},
	} {
		r := run(append(c.args, "-o", "jsonl")...)
		require.Equal(t, c.want, strings.Count(r.out, "\n"), c.args)
	}
	require.Equal(t, "the first 1; --limit shows more\n", run("-n", "1").errOut)
	require.Equal(t, codeUsage, run("-n", "0").code)
}
