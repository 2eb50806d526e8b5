package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

// Every command has a help that fits 80 columns and shows how it is used.
func TestHelp(t *testing.T) {
	t.Parallel()
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		words := strings.Fields(c.CommandPath())[1:]
		r := world{}.run(t, append(words, "--help")...)
		if r.code != 0 || r.errOut != "" {
			t.Errorf("%v: %+v", words, r)
		}
		for line := range strings.Lines(r.out) {
			if cells(strings.TrimSuffix(line, "\n")) > 80 {
				t.Errorf("%v: %d columns: %s", words, cells(line), line)
			}
		}
		if !strings.Contains(r.out, "Examples:\n  e") {
			t.Errorf("%v: no example in\n%s", words, r.out)
		}
		if name := strings.Join(append([]string{"help"}, words...), "-"); c.Name() != "completion" {
			golden(t, name, r.out)
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(command(environment{}))
}

func TestGroupsShowTheirHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"consumer"}, {"dlq"}} {
		alone, help := world{}.run(t, args...), world{}.run(t, append(args, "--help")...)
		if alone != help || alone.code != 0 {
			t.Errorf("%v: %+v", args, alone)
		}
	}
}

func TestMigrationSQL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dsn  string
		args []string
		want string
	}{
		{"", nil, "bytea"},
		{"postgres://h/d", nil, "bytea"},
		{"host=h", nil, "bytea"},
		{"file:/nowhere.db", nil, "blob"},
		{"file:/nowhere.db", []string{"--dialect", "postgres"}, "bytea"},
		{"", []string{"--dialect", "sqlite"}, "blob"},
	} {
		r := world{env: map[string]string{dsnVariable: c.dsn}}.run(t, append([]string{"migrate", "--print"}, c.args...)...)
		if r.code != 0 || !strings.Contains(r.out, "CREATE TABLE evenkeel_dead_letters") || !strings.Contains(r.out, c.want) {
			t.Errorf("%q %v: code %d, %s%.200s", c.dsn, c.args, r.code, r.errOut, r.out)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	r := world{}.run(t, "version", "-o", "json")
	var b build
	if err := json.Unmarshal([]byte(r.out), &b); err != nil || b.Version == "" || !strings.HasPrefix(b.Go, "go1.") {
		t.Errorf("%v: %+v", err, b)
	}
	if r := (world{}).run(t, "version"); r.code != 0 || !strings.HasPrefix(r.out, "evenkeel ") {
		t.Errorf("%+v", r)
	}
	own := &debug.BuildInfo{
		Main:     debug.Module{Path: modulePath, Version: "v1.2.3"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}},
	}
	if b := thisBuild(own, true); b.Version != "v1.2.3" || b.Revision != "abc" || !b.Modified {
		t.Errorf("%+v", b)
	}
	mounted := &debug.BuildInfo{
		Main: debug.Module{Path: "example.com/orders", Version: "v9"}, Settings: own.Settings,
		Deps: []*debug.Module{{Path: modulePath, Version: "v1.2.0"}},
	}
	if b := thisBuild(mounted, true); b.Version != "v1.2.0" || b.Revision != "" {
		t.Errorf("%+v", b)
	}
	if b := thisBuild(nil, false); b.Version != "(devel)" {
		t.Errorf("%+v", b)
	}
}

func TestColor(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	insert(t, db, lettertest.Full())
	for _, c := range []struct {
		columns int
		env     map[string]string
		want    bool
	}{
		{120, nil, true},
		{0, nil, false},
		{120, map[string]string{"NO_COLOR": "1"}, false},
		{120, map[string]string{"TERM": "dumb"}, false},
	} {
		for _, args := range [][]string{{"dlq", "list"}, {"dlq", "show", "55"}} {
			r := world{env: c.env, columns: c.columns}.run(t, append(args, "--dsn", dsn)...)
			if got := strings.Contains(r.out, "\x1b[1m"); got != c.want || r.code != 0 {
				t.Errorf("%d columns, %v: color %v in %q", c.columns, c.env, got, r.out)
			}
		}
	}
}

func TestTableFits(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"short", strings.Repeat("顧", 60), strings.Repeat("x", 90)}, {"s", "t", "u"}}
	for _, limit := range []int{200, 100, 80, 41, 30} {
		var b bytes.Buffer
		if err := table(&b, limit, func(s string) string { return s }, []string{"A", "B", "C"}, rows); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := cells(strings.TrimSuffix(line, "\n")); n > limit {
				t.Errorf("limit %d: %d columns: %s", limit, n, line)
			}
		}
		if !strings.Contains(b.String(), "short  顧") {
			t.Errorf("limit %d: the narrow column was cut:\n%s", limit, b.String())
		}
	}
	w := world{env: map[string]string{"COLUMNS": "33"}, columns: 100}
	a := app{environment: environment{getenv: func(s string) string { return w.env[s] }, columns: func(io.Writer) int { return w.columns }}}
	if got := a.width(nil); got != 33 {
		t.Errorf("width %d", got)
	}
	w.env["COLUMNS"] = "wide"
	if got := a.width(nil); got != 100 {
		t.Errorf("width %d", got)
	}
}

func TestNoTerminalHasNoWidth(t *testing.T) {
	t.Parallel()
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if n := terminalColumns(file); n != 0 {
		t.Errorf("a file has %d columns", n)
	}
	if n := terminalColumns(io.Discard); n != 0 {
		t.Errorf("a writer has %d columns", n)
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := lettertest.At(0)
	for _, c := range []struct {
		past time.Duration
		want string
	}{
		{0, "0s ago"},
		{time.Minute - 1, "59s ago"},
		{time.Minute, "1m ago"},
		{time.Hour - time.Second, "59m ago"},
		{47 * time.Hour, "47h ago"},
		{48 * time.Hour, "2d ago"},
		{-90 * time.Second, "in 1m"},
	} {
		if got := ago(now, now.Add(-c.past)); got != c.want {
			t.Errorf("%v: %s, want %s", c.past, got, c.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	now := lettertest.At(0)
	for s, want := range map[string]time.Time{
		"90m":                       now.Add(-90 * time.Minute),
		"2h30m":                     now.Add(-150 * time.Minute),
		"7d":                        now.AddDate(0, 0, -7),
		"0d":                        now,
		"2026-10-14":                time.Date(2026, 10, 14, 0, 0, 0, 0, time.UTC),
		"2026-10-14T12:00:00+02:00": time.Date(2026, 10, 14, 10, 0, 0, 0, time.UTC),
	} {
		if got, err := parseTime(now, s); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"-1h", "-1d", "d", "1.5d", "999999999d", "yesterday", "14.10.2026"} {
		if got, err := parseTime(now, s); err == nil {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("plain text, ünïcödé 顧客")
	f.Add("\x1b[2J\x9b\u009b\u202e\xff\x7f\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, shown := range []string{safe(s), safeLines(s), fit(safe(s), 10), oneLine([]byte(s))} {
			if !utf8.ValidString(shown) {
				t.Errorf("%q is not UTF-8", shown)
			}
			if i := strings.IndexFunc(shown, func(r rune) bool { return r != 0xfffd && dangerous(r) }); i >= 0 {
				t.Errorf("%q became %q", s, shown)
			}
		}
		if strings.ContainsRune(safe(s), '\n') || cells(fit(safe(s), 10)) > 10 {
			t.Errorf("%q: %q", s, fit(safe(s), 10))
		}
	})
}

func FuzzEscapeJSON(f *testing.F) {
	f.Add("a\u009b\u202e\U000e0001\U0001f600\x7f<&>\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		var b bytes.Buffer
		if err := writeJSON(&b, formatLines, s); err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || back != s {
			t.Fatalf("%q came back as %q, %v", s, back, err)
		}
		if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != 0xfffd && dangerous(r) }); i >= 0 {
			t.Errorf("%q", b.String())
		}
	})
}
