package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	for _, sql := range []string{
		"CREATE TABLE orders (id text PRIMARY KEY, ek_rev integer, ek_time integer, ek_tie blob, ek_fields text DEFAULT '', ek_gen integer DEFAULT 1, ek_state integer, ek_born integer)",
		"CREATE TABLE stock (sku text PRIMARY KEY, ek_rev integer, ek_time integer, ek_tie blob, ek_fields text DEFAULT '', ek_gen integer DEFAULT 1, ek_state integer, ek_born integer)",
		"INSERT INTO evenkeel_models (tbl, grp, generation, columns, claimed_at, model, key_column, kind) VALUES ('orders', 'shop', 1, '{}', 0, 'Order', 'id', 'timestamp'), ('stock', 'shop', 1, '{}', 0, 'Stock', 'sku', 'version')",
	} {
		require.NoError(t, db.Exec(sql).Error)
	}
	w := world{columns: 0}
	r := w.run(t, "placeholders", "--dsn", dsn)
	require.Equal(t, codeNothing, r.code, r.errOut)
	require.Equal(t, "no placeholders match\n", r.errOut)

	insert := func(table, key, id string, born time.Time, stamp int64) {
		column := map[string]string{"orders": "id", "stock": "sku"}[table]
		var tie []byte
		if id != "" {
			tie = []byte(event.Tie(true, "shop", id))
		}
		require.NoError(t, db.Exec("INSERT INTO "+table+" ("+column+", ek_rev, ek_state, ek_born, ek_time, ek_tie) VALUES (?, 1, 1, ?, ?, ?)", key, born.UnixMicro(), stamp, tie).Error)
	}
	at := lettertest.At(0)
	insert("orders", "o-2\x1b[31m", "paid-2", at.Add(time.Hour), at.UnixMicro())
	insert("orders", "o-1", "paid-1", at, at.Add(time.Minute).UnixMicro())
	insert("stock", "s-1", "", at, 7)
	insert("stock", "s-2", "moved", at.Add(2*time.Hour), 7)

	r = w.run(t, "placeholders", "--dsn", dsn)
	require.Zero(t, r.code, r.errOut)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	require.Len(t, lines, 5)
	for i, want := range []string{
		"TABLE KEY BORN NEWEST SOURCE EVENT",
		"orders o-1 3h ago " + instant(at.Add(time.Minute)) + " shop paid-1",
		`orders o-2\x1b[31m 2h ago ` + instant(at) + " shop paid-2",
		"stock s-1 3h ago - - -",
		"stock s-2 1h ago 7 shop moved",
	} {
		require.Equal(t, want, strings.Join(strings.Fields(lines[i]), " "))
	}

	r = w.run(t, "placeholders", "--dsn", dsn, "--table", "orders", "--before", "2h30m", "-o", "json")
	var list []placeholderJSON
	require.NoError(t, json.Unmarshal([]byte(r.out), &list))
	require.Equal(t, []placeholderJSON{{
		Group: "shop", Table: "orders", Model: "Order", Key: "o-1", Born: instant(at), AgeSeconds: 3 * 60 * 60,
		Kind: "timestamp", Newest: at.Add(time.Minute).UnixMicro(), EventSource: "shop", EventID: "paid-1",
	}}, list)
	r = w.run(t, "placeholders", "--dsn", dsn, "-o", "jsonl", "-n", "2")
	require.Len(t, strings.Split(strings.TrimSpace(r.out), "\n"), 2)
	require.Equal(t, "the first 2; --limit shows more\n", r.errOut)
	r = w.run(t, "placeholders", "--dsn", dsn, "-o", "yaml", "--redact", "key")
	require.Contains(t, r.out, "event_id: paid-1")
	require.NotContains(t, r.out, "o-1")
	r = w.run(t, "placeholders", "--dsn", dsn, "-o", "json", "--group", "nobody")
	require.Equal(t, codeNothing, r.code)
	require.Equal(t, "[]\n", r.out)

	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"--table", "order"}, codeError, `no consumer keeps a table "order"`},
		{[]string{"--before", "soon"}, codeUsage, "--before: expected how long ago"},
		{[]string{"-n", "0"}, codeUsage, "--limit is 1 or more, found 0"},
		{[]string{"-o", "xml"}, codeUsage, "--output is table, json, jsonl or yaml"},
		{[]string{"now"}, codeUsage, "takes no arguments"},
	} {
		r := w.run(t, append([]string{"placeholders", "--dsn", dsn}, c.args...)...)
		require.Equal(t, c.code, r.code, r.errOut)
		require.Contains(t, r.errOut, c.text)
	}
}
