package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// park writes a parked event as the migration's comments say; the others of its columns are
// the same for all.
func park(t *testing.T, db *gorm.DB, id, entity, cause, stream string, place int64, due time.Time, attempts int, text string) {
	t.Helper()
	row := map[string]any{
		"id": id, "grp": "billing", "tbl": "orders", "entity": entity, "handler": "order.paid→Order", "cause": cause, "place": place, "rev": 1,
		"due": due.UnixMicro(), "attempts": attempts, "error_type": "", "error": text, "stack": "",
		"event_type": "order.paid", "source": "/shop", "event_id": "e-" + id, "occurred_at": lettertest.At(1).UnixMicro(), "codec": "cloudevents",
		"cluster": "c", "topic": "orders", "topic_id": "t", "partition": 7, "log_offset": 40 + place, "leader_epoch": 3,
		"headers": []byte{}, "record_time_type": 0, "stream": stream,
	}
	if cause == "gap" {
		row["expires"] = due.UnixMicro()
	}
	if attempts > 0 {
		row["first_failed"], row["last_failed"], row["error_type"] = lettertest.At(2).UnixMicro(), lettertest.At(3).UnixMicro(), "*billing.DeclinedError"
	}
	if err := db.Table("evenkeel_parked").Create(row).Error; err != nil {
		t.Fatal(err)
	}
}

func TestParked(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	now := lettertest.At(0).Add(3 * time.Hour)
	park(t, db, "a", "order-17", "retry", "", 1, now.Add(90*time.Second), 3, "card 4242 declined\nby the bank")
	park(t, db, "b", "order-17", "behind", "", 2, now.Add(-time.Second), 0, "")
	park(t, db, "c", "order-18", "gap", "orders", 12, now.Add(30*time.Second), 0, "")
	park(t, db, "d", "a\r\x1b[2Kb\u202e", "missing", "", 1, now.Add(5*time.Minute), 0, "")
	park(t, db, "e", "order-19", "seen", "", 1, now.Add(-time.Second), 0, "")
	run := func(args ...string) result {
		return world{env: map[string]string{dsnVariable: dsn, "NO_COLOR": "1"}}.run(t, append([]string{"parked"}, args...)...)
	}
	for name, args := range map[string][]string{"parked": nil, "parked-json": {"--cause", "retry", "-o", "json"}} {
		r := run(args...)
		if r.code != 0 {
			t.Fatalf("%+v", r)
		}
		golden(t, name, r.out)
		if i := strings.IndexFunc(r.out, dangerous); i >= 0 {
			t.Errorf("a terminal would obey %q", r.out[i:min(i+10, len(r.out))])
		}
	}
	for _, c := range []struct {
		args []string
		want int
	}{
		{nil, 5},
		{[]string{"--group", "billing", "--cause", "gap", "--table", "orders"}, 1},
		{[]string{"--entity", "order-17", "--handler", "order.paid→Order"}, 2},
		{[]string{"--limit", "1"}, 1},
		{[]string{"--group", "other"}, 0},
		{[]string{"--cause", "replay"}, 0},
		{[]string{"--cause", "seen"}, 1},
	} {
		r, code := run(append(c.args, "-o", "jsonl")...), 0
		if c.want == 0 {
			code = 4
		}
		if got := strings.Count(r.out, "\n"); got != c.want || r.code != code {
			t.Errorf("%v: %d events, code %d, %s", c.args, got, r.code, r.errOut)
		}
	}
	if r := run("-n", "1"); r.errOut != "the first 1 of 5 events; --limit shows more\n" {
		t.Errorf("%q", r.errOut)
	}
	if r := run("--entity", "none", "-o", "json"); r.out != "[]\n" || r.errOut != "no events wait\n" {
		t.Errorf("%+v", r)
	}
	for _, args := range [][]string{{"--cause", "late"}, {"--limit", "0"}, {"order-17"}} {
		if r := run(args...); r.code != 2 {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// The words and what they mean stand in one list here, and it is that of the store.
func TestCausesAreThoseOfTheStore(t *testing.T) {
	t.Parallel()
	var stored []string
	files, err := filepath.Glob("../internal/store/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Cause" && len(spec.Values) == 1 {
				if v, ok := spec.Values[0].(*ast.BasicLit); ok {
					stored = append(stored, strings.Trim(v.Value, `"`))
				}
			}
			return true
		})
	}
	if !slices.Contains(stored, string(store.CauseSeen)) {
		t.Fatalf("the constants of type store.Cause were not found: %q", stored)
	}
	if words := causeWords(); !slices.Equal(words, stored) {
		t.Errorf("--cause takes %q, and the store has %q", words, stored)
	}
}

// TestParkedCountsToAnEnd: a look must not take the longer the more there is.
func TestParkedCountsToAnEnd(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	park(t, db, "a", "order-17", "retry", "", 1, lettertest.At(0), 3, "declined")
	var columns []string
	if err := db.Raw("SELECT name FROM pragma_table_info('evenkeel_parked') WHERE name <> 'id'").Scan(&columns).Error; err != nil {
		t.Fatal(err)
	}
	names := strings.Join(columns, ", ")
	err := db.Exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO evenkeel_parked (id, "+names+") SELECT 'more ' || n.i, "+names+" FROM n CROSS JOIN evenkeel_parked WHERE id = 'a'", framework.MaxParkedCount+5).Error
	if err != nil {
		t.Fatal(err)
	}
	r := world{env: map[string]string{dsnVariable: dsn}}.run(t, "parked", "-n", "1")
	if r.errOut != "the first 1 of 100000 or more events; --limit shows more\n" {
		t.Errorf("%+v", r)
	}
}
