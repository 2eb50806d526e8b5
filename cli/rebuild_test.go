package cli

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRebuildWithoutHandlers(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	w := world{}
	r := w.run(t, "rebuild", "Order", "--dsn", dsn)
	require.Equal(t, codeError, r.code)
	require.Contains(t, r.errOut, "a rebuild runs your handlers, and this binary has none")
	require.Contains(t, r.errOut, "cli.Command(cli.WithConfig(config()))")
	for _, words := range [][]string{
		{"rebuild"}, {"rebuild", "--status", "Order"}, {"rebuild", "--cancel", "--status"}, {"rebuild", "Order", "--allow", "everything"}, {"rebuild", "--status", "--dsn", dsn},
	} {
		require.Equal(t, codeUsage, w.run(t, words...).code, "%v", words)
	}
	r = w.run(t, "rebuild", "--status", "--group", "orders", "--dsn", dsn)
	require.Equal(t, codeNothing, r.code)
	require.Equal(t, "no rebuild is under way\n", r.errOut)

	body := `{"id":"abc","owner":"host pid 1","began":1760000000000000,"seen":1760000060000000,"phase":"replaying","tables":[{"table":"orders","keys":2}],"cleared":2,"read":10,"partitions":[{"topic":"t","next":10,"end":30}]}`
	require.NoError(t, db.Exec("INSERT INTO evenkeel_memos (grp, kind, scope, entity, rev, body, updated_at) VALUES ('orders', 'rebuild', '', '', 1, ?, 1)", body).Error)
	r = w.run(t, "rebuild", "--status", "--group", "orders", "--dsn", dsn, "-o", "jsonl")
	require.Zero(t, r.code, r.errOut)
	require.JSONEq(t, `{"id":"abc","group":"orders","owner":"host pid 1","began":"2025-10-09T08:53:20Z","seen":"2025-10-09T08:54:20Z","phase":"replaying","cancelled":false,"tables":["orders"],"keys":2,"cleared":2,"read":10,"records":30,"ended":0,"parked":0,"letters":0}`, r.out)
	r = w.run(t, "rebuild", "--status", "--group", "orders", "--dsn", dsn)
	require.Contains(t, r.out, "orders (2 keys)")
}
