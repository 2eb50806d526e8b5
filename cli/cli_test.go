package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

var update = flag.Bool("update", false, "write the golden outputs anew")

// result is what a process leaves behind.
type result struct {
	out, errOut string
	code        int
}

// world is where a command runs in a test.
type world struct {
	env     map[string]string
	columns int
	in      string            // what is typed
	config  *framework.Config // of the service that the commands are mounted in
}

// run runs a command line three hours after lettertest.At(0).
func (w world) run(t *testing.T, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	root := command(environment{
		getenv:  func(name string) string { return w.env[name] },
		now:     func() time.Time { return lettertest.At(0).Add(3 * time.Hour) },
		columns: func(io.Writer) int { return w.columns },
		user:    func() string { return "ann" },
	}, WithConfig(w.config))
	root.SetIn(strings.NewReader(w.in))
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	report(&errOut, err)
	return result{out.String(), errOut.String(), ExitCode(err)}
}

// migrated returns the DSN of a new SQLite database with Evenkeel's tables, and the
// database for the test's own use.
func migrated(t *testing.T) (dsn string, db *gorm.DB) {
	t.Helper()
	dsn = testutil.SQLiteDSN(t)
	db = open(t, dsn)
	if err := framework.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return dsn, db
}

func open(t *testing.T, dsn string) *gorm.DB {
	t.Helper()
	a := app{dsn: dsn}
	db, closeDB, err := a.connect(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	return db
}

func insert(t *testing.T, db *gorm.DB, letters ...*dlq.Letter) {
	t.Helper()
	for _, l := range letters {
		if err := lettertest.Insert(t.Context(), db, l); err != nil {
			t.Fatal(err)
		}
	}
}

// hostile has what an attacker would put into a message to take over a terminal.
func hostile() *dlq.Letter {
	l := lettertest.Poison()
	l.ID = "00000000000000000000000000000bad"
	l.CreatedAt = lettertest.At(1)
	l.EventType = "order\x1b]0;owned\x07"
	l.Entity = "a\r\x1b[2Kb\u202egnp.exe"
	l.Error = "\x1b[31mred\u009b2J\nsecond line\x08"
	l.Record.Key = []byte("k\x1b[1m")
	l.Record.Value = []byte("{\"a\":\t\"\u009bm\"}\r\n\u200bx")
	l.Record.Headers = append(l.Record.Headers, lettertest.Full().Record.Headers...)
	l.Record.Headers[0].Key = "h\x1bc"
	return l
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	late := lettertest.Full()
	late.ID, late.Entity = "aaaa0000000000000000000000000001", "顧客-"+strings.Repeat("7", 40)
	late.Verdict = guards.Verdict{Action: guards.DeadLetter, Reason: guards.Late, Numbers: guards.Comparison{
		What: "watermark", Event: 1_792_000_000_000_000, Against: 1_792_090_000_000_000, Bound: 86_400_000_000,
	}}
	late.Error, late.Stack, late.ErrorType, late.Attempts, late.Blocking = "", "", "", 0, false
	late.FirstFailed, late.LastFailed = time.Time{}, time.Time{}
	late.PublishedAt = lettertest.At(7_300_000_000)
	insert(t, db, lettertest.Full(), late, hostile())

	for name, c := range map[string]struct {
		columns int
		args    []string
	}{
		"list":          {0, []string{"dlq", "list"}},
		"list-80":       {80, []string{"dlq", "list"}},
		"list-json":     {0, []string{"dlq", "list", "-n", "1", "-o", "json"}},
		"list-jsonl":    {0, []string{"dlq", "list", "-o", "jsonl", "--full"}},
		"show":          {0, []string{"dlq", "show", "5598"}},
		"show-late":     {80, []string{"dlq", "show", "AAAA"}},
		"show-hostile":  {80, []string{"dlq", "show", "0000"}},
		"show-json":     {0, []string{"dlq", "show", "5598", "-o", "json"}},
		"list-yaml":     {0, []string{"dlq", "list", "-n", "1", "-o", "yaml"}},
		"show-yaml":     {0, []string{"dlq", "show", "5598", "-o", "yaml"}},
		"show-bad-yaml": {0, []string{"dlq", "show", "0000", "-o", "yaml"}},
		"show-redacted": {0, []string{"dlq", "show", "5598", "--redact", "payload.total", "--redact", "header.x", "--redact", "key"}},
		"list-redacted": {0, []string{"dlq", "list", "--redact", "payload.total", "--redact", "error"}},
		"show-bad-json": {0, []string{"dlq", "show", "0000", "-o", "json"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world{env: map[string]string{dsnVariable: dsn, "NO_COLOR": "1"}, columns: c.columns}
			r := w.run(t, c.args...)
			if r.code != 0 {
				t.Fatalf("exit code %d: %s", r.code, r.errOut)
			}
			golden(t, name, r.out)
			for _, line := range strings.Split(r.out, "\n") {
				if strings.HasPrefix(name, "list-80") && cells(line) > 80 {
					t.Errorf("%d columns: %s", cells(line), line)
				}
			}
			if i := strings.IndexFunc(r.out, dangerous); i >= 0 {
				t.Errorf("a terminal would obey %q", r.out[i:min(i+10, len(r.out))])
			}
		})
	}
}

// dangerous is what may change a terminal's state or the direction of its text.
func dangerous(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 ||
		r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfffd
}

func TestJSONKeepsTheBytes(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	insert(t, db, lettertest.Full(), hostile())
	r := world{}.run(t, "dlq", "show", "5598", "-o", "jsonl", "--dsn", dsn)
	if strings.Count(r.out, "\n") != 1 {
		t.Errorf("%d lines", strings.Count(r.out, "\n"))
	}
	var full letterJSON
	if err := json.Unmarshal([]byte(r.out), &full); err != nil {
		t.Fatal(err)
	}
	if got := *full.Record.Value.Text; got != string(lettertest.Full().Record.Value) {
		t.Errorf("value %s", got)
	}
	headers := full.Record.Headers
	if len(headers) != 4 || headers[1].Value != nil || *headers[2].Value.Text != "" || *headers[3].Value.Hex != "ff00" {
		t.Errorf("headers %+v", headers)
	}
	r = world{}.run(t, "dlq", "show", "0000", "-o", "json", "--dsn", dsn)
	var bad letterJSON
	if err := json.Unmarshal([]byte(r.out), &bad); err != nil {
		t.Fatal(err)
	}
	if got, want := *bad.Record.Value.Text, string(hostile().Record.Value); got != want {
		t.Errorf("escaped for the terminal it reads %q, want %q", got, want)
	}
	if bad.Entity != hostile().Entity || bad.LeaderEpoch != nil || bad.OccurredAt != nil {
		t.Errorf("got %+v", bad)
	}
}

func TestListFlagsChoose(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	insert(t, db, lettertest.Full(), hostile())
	for _, c := range []struct {
		args []string
		want int
	}{
		{nil, 2},
		{[]string{"--group", "billing", "--reason", "exhausted", "--state", "open", "--type", "order.paid"}, 1},
		{[]string{"--handler", "order.paid", "--table", "orders", "--entity", "order-17", "--topic", "orders"}, 1},
		{[]string{"--event-id", "e-1", "--fingerprint", "0123456789abcdef"}, 1},
		{[]string{"--since", "70m"}, 1},
		{[]string{"--since", "1d"}, 2},
		{[]string{"--since", "2026-10-14", "--until", "2026-10-14T18:00:00Z"}, 1},
		{[]string{"--limit", "1"}, 1},
		{[]string{"--group", "other"}, 0},
		{[]string{"--until", "2026-10-14"}, 0},
	} {
		r := world{env: map[string]string{dsnVariable: dsn}}.run(t, append([]string{"dlq", "list", "-o", "jsonl"}, c.args...)...)
		code := 0
		if c.want == 0 {
			code = 4
		}
		if got := strings.Count(r.out, "\n"); got != c.want || r.code != code {
			t.Errorf("%v: %d letters, code %d, %s", c.args, got, r.code, r.errOut)
		}
	}
	r := world{}.run(t, "dlq", "list", "--dsn", dsn, "-n", "1")
	if r.errOut != "the newest 1 of 2 letters; --limit shows more\n" {
		t.Errorf("%q", r.errOut)
	}
	r = world{}.run(t, "dlq", "list", "--dsn", dsn, "--group", "other", "-o", "json")
	if r.out != "[]\n" || r.errOut != "no letters match\n" {
		t.Errorf("%q, %q", r.out, r.errOut)
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	dsn := testutil.PostgresDSN(t)
	w := world{env: map[string]string{dsnVariable: dsn}}
	if r := w.run(t, "migrate", "--check"); r.code != 1 || !strings.Contains(r.errOut, "evenkeel migrate") {
		t.Errorf("check before: %+v", r)
	}
	if r := w.run(t, "migrate"); r.code != 0 || r.out != "Evenkeel's tables are made and up to date.\n" {
		t.Errorf("migrate: %+v", r)
	}
	if r := w.run(t, "migrate"); r.code != 0 || r.out != "Evenkeel's tables are up to date.\n" {
		t.Errorf("again: %+v", r)
	}
	if r := w.run(t, "migrate", "--check"); r.code != 0 {
		t.Errorf("check after: %+v", r)
	}
	insert(t, open(t, dsn), lettertest.Full())
	if r := w.run(t, "dlq", "list"); r.code != 0 || strings.Count(r.out, "\n") != 2 {
		t.Errorf("list: %+v", r)
	}
	r := w.run(t, "dlq", "show", lettertest.Full().ID)
	want, err := os.ReadFile(filepath.Join("testdata", "show.txt"))
	if err != nil || r.out != string(want) {
		t.Errorf("show: %v, %+v", err, r)
	}
}
