package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

func TestExplanations(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	if err := lettertest.Story(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	insert(t, db, hostile())
	run := func(columns int, args ...string) result {
		return world{env: map[string]string{dsnVariable: dsn, "NO_COLOR": "1"}, columns: columns}.run(t, args...)
	}
	r := run(0, "dlq", "list", "-o", "jsonl", "--event-id", "torn")
	_, id, _ := strings.Cut(r.out, `"id":"`)
	id = id[:12]
	for name, c := range map[string]struct {
		columns int
		args    []string
		code    int
	}{
		"explain":            {80, []string{"explain", "washed"}, 0},
		"explain-json":       {0, []string{"explain", "washed", "-o", "json"}, 0},
		"explain-letter":     {80, []string{"explain", "torn"}, 0},
		"explain-none":       {80, []string{"explain", "never"}, 4},
		"entity":             {80, []string{"entity", "show", "shirts", "17"}, 0},
		"entity-json":        {0, []string{"entity", "show", "Shirt", "17", "-o", "json"}, 0},
		"dlq-explain":        {80, []string{"dlq", "explain", id}, 0},
		"dlq-explain-json":   {0, []string{"dlq", "explain", id, "-o", "json"}, 0},
		"dlq-explain-poison": {80, []string{"dlq", "explain", hostile().ID}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(c.columns, c.args...)
			if r.code != c.code {
				t.Fatalf("exit code %d: %s", r.code, r.errOut)
			}
			golden(t, name, r.out)
			if i := strings.IndexFunc(r.out, dangerous); i >= 0 {
				t.Errorf("a terminal would obey %q", r.out[i:min(i+10, len(r.out))])
			}
			for line := range strings.Lines(r.out) {
				// A command is never cut, since it is to be typed again.
				if c.columns > 0 && cells(strings.TrimSuffix(line, "\n")) > c.columns && !strings.HasPrefix(line, "    evenkeel ") {
					t.Errorf("%d columns: %s", cells(line), line)
				}
			}
		})
	}
	for _, c := range []struct {
		args   []string
		rule   string
		hidden string
	}{
		{[]string{"entity", "show", "shirts", "17"}, "column.pixels", "00ff41"},
		{[]string{"entity", "show", "shirts", "17"}, "payload.shirt.price", "1.23456789"},
		{[]string{"entity", "show", "shirts", "17"}, "error", "4242"},
		{[]string{"entity", "show", "shirts", "17"}, "key", "17 "},
		{[]string{"explain", "torn"}, "key", "shirts 17"},
		{[]string{"dlq", "explain", id}, "error", "4242"},
		{[]string{"dlq", "explain", id}, "key", "shirts 17"},
	} {
		for _, f := range formats() {
			r := run(0, slices.Concat(c.args, []string{"-o", f, "--redact", c.rule})...)
			if r.code != 0 || strings.Contains(r.out, c.hidden) || f == "table" && !strings.Contains(r.out, "[redacted]") {
				t.Errorf("%q -o %s --redact %s: %+v", c.args, f, c.rule, r)
			}
		}
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"explain"}, 2, "explain takes the id of one event"},
		{[]string{"explain", ""}, 2, "explain takes the id of one event"},
		{[]string{"explain", "e", "--look-for", "0s"}, 2, "--look-for is above 0"},
		{[]string{"explain", "never"}, 4, "there is no trace of the event never"},
		{[]string{"entity"}, 0, ""},
		{[]string{"entity", "show", "shirts"}, 2, "show takes a model and a key"},
		{[]string{"entity", "show", "shirt", "17"}, 1, "there are: shirts\n  next: name one of these tables"},
		{[]string{"entity", "show", "shirts", "18"}, 4, "nothing is known of shirts 18"},
		{[]string{"dlq", "explain"}, 2, "explain takes one letter id"},
		{[]string{"dlq", "explain", "fff"}, 4, "no letter has an id that begins with \"fff\""},
	} {
		if r := run(0, c.args...); r.code != c.code || !strings.Contains(r.errOut, c.says) {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}
