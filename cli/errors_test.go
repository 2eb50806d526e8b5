package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// Each error says what is wrong and what to do, and ends with its code.
func TestErrorsNameTheNextStep(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	insert(t, db, lettertest.Full(), hostile())
	other := hostile()
	other.ID = "00000000000000000000000000000ba1"
	insert(t, db, other)
	newer, newerDB := migrated(t)
	if err := newerDB.Exec("INSERT INTO evenkeel_schema (version, applied_at) VALUES (99, 0)").Error; err != nil {
		t.Fatal(err)
	}
	older, olderDB := migrated(t)
	if err := olderDB.Exec("UPDATE evenkeel_schema SET version = version - 1").Error; err != nil {
		t.Fatal(err)
	}
	empty := testutil.SQLiteDSN(t)
	open(t, empty)
	missing := filepath.Join(t.TempDir(), "no.db")

	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"dlq", "list"}, 2, []string{"no database is named", "give --dsn, set EVENKEEL_DSN, or write dsn: into evenkeel.yaml"}},
		{[]string{"dlq", "list", "--dsn", "mysql://u:sesame@h/d"}, 2, []string{"of no kind", "begin it with postgres:// or file:"}},
		{[]string{"dlq", "list", "--dsn", "postgres://u:sesame%@h/d"}, 2, []string{"--dsn is no PostgreSQL DSN", "%25"}},
		{[]string{"dlq", "list", "--dsn", "postgres://u:sesame@h:x/d"}, 2, []string{"--dsn is no PostgreSQL DSN"}},
		{[]string{"dlq", "list", "--dsn", "host=h port=x password=sesame"}, 2, []string{"--dsn is no PostgreSQL DSN"}},
		{[]string{"dlq", "list", "--dsn", "file:" + missing}, 1, []string{"there is no file " + missing, "evenkeel migrate"}},
		{[]string{"dlq", "list", "--dsn", "file::memory:"}, 2, []string{"names no file", "file:/path"}},
		{[]string{"dlq", "list", "--dsn", "file:/x?a=%zz"}, 2, []string{"can't be read"}},
		{[]string{"dlq", "list", "--dsn", empty}, 1, []string{"evenkeel migrate"}},
		{[]string{"dlq", "show", "55", "--dsn", empty}, 1, []string{"evenkeel migrate"}},
		{[]string{"migrate", "--check", "--dsn", empty}, 1, []string{"evenkeel migrate"}},
		{[]string{"dlq", "list", "--dsn", newer}, 1, []string{"version 99", "upgrade"}},
		{[]string{"migrate", "--dsn", newer}, 1, []string{"version 99", "upgrade"}},
		{[]string{"dlq", "show", "dead", "--dsn", dsn}, 4, []string{`no letter has an id that begins with "dead"`, "`evenkeel dlq list`"}},
		{[]string{"dlq", "show", "\x1b[2J%", "--dsn", dsn}, 4, []string{"no letter has an id"}},
		{[]string{"dlq", "show", "0000", "--dsn", dsn}, 1, []string{"beginning of several", "ba1, ", "give more of the id"}},
		{[]string{"dlq", "show", "--dsn", dsn}, 2, []string{"one letter id, found 0"}},
		{[]string{"dlq", "show", "a", "b", "--dsn", dsn}, 2, []string{"found 2"}},
		{[]string{"dlq", "list", "x", "--dsn", dsn}, 2, []string{`takes no arguments, found "x"`}},
		{[]string{"dlq", "list", "--since", "soon", "--dsn", dsn}, 2, []string{"--since: expected", `"soon"`}},
		{[]string{"dlq", "list", "--until", "-1h", "--dsn", dsn}, 2, []string{"--until: expected"}},
		{[]string{"dlq", "list", "-n", "0", "--dsn", dsn}, 2, []string{"--limit is 1 or more"}},
		{[]string{"dlq", "list", "-o", "xml", "--dsn", dsn}, 2, []string{"--output is table, json, jsonl or yaml", `"xml"`}},
		{[]string{"dlq", "show", "55", "-o", "xml", "--dsn", dsn}, 2, []string{"table, json, jsonl or yaml"}},
		{[]string{"version", "-o", "xml"}, 2, []string{"table, json, jsonl or yaml"}},
		{[]string{"dlq", "list", "--state", "closed", "--dsn", dsn}, 2, []string{"--state is one of open, replaying, resolved, discarded, purged", `"closed"`}},
		{[]string{"dlq", "list", "--reason", "broken", "--dsn", dsn}, 2, []string{"--reason is one of behind, conflict,", "your guards", `"broken"`}},
		{[]string{"dlq", "list", "--dsn", older}, 1, []string{"version 3", "run `evenkeel migrate`"}},
		{[]string{"dlq", "list", "--redact", "card", "--dsn", dsn}, 2, []string{"payload.FIELD", `"card"`}},
		{[]string{"dlq", "list", "--config", missing, "--dsn", dsn}, 2, []string{"can't read the settings", missing}},
		{[]string{"dlq", "list", "--context", "test", "--dsn", dsn}, 2, []string{`context "test"`, "--config"}},
		{[]string{"dlq", "list", "--filter", "lettr.attempts > 3", "--dsn", dsn}, 2, []string{"--filter: column 1: there is no lettr.attempts; expected payload, headers, now, or letter. and one of id,", "\n  lettr.attempts > 3\n  ^"}},
		{[]string{"dlq", "list", "--filter", "true && letter.atempts > 3", "--dsn", dsn}, 2, []string{"a letter has no field of this name", " attempts,", "\n          ^"}},
		{[]string{"dlq", "list", "--filter", "letter.attempts +", "--dsn", dsn}, 2, []string{"--filter: column 18"}},
		{[]string{"dlq", "list", "--filter", "letter.attempts", "--dsn", dsn}, 2, []string{"expected something that is true or false, found a value of type int"}},
		{[]string{"dlq", "list", "--filter", "letter.attempts == 'x'", "--dsn", dsn}, 2, []string{"--filter: column 17: found no matching overload"}},
		{[]string{"dlq", "list", "--colour"}, 2, []string{"--colour", "`evenkeel dlq list --help`"}},
		{[]string{"dlq", "lsit"}, 2, []string{`no command "lsit"`, `did you mean "edit" or "list"?`}},
		{[]string{"replay"}, 2, []string{`no command "replay"`, "`evenkeel --help`"}},
		{[]string{"migrate", "--print", "--check"}, 2, []string{"exclude each other"}},
		{[]string{"migrate", "--dialect", "sqlite"}, 2, []string{"goes with --print"}},
		{[]string{"migrate", "--print", "--dialect", "oracle"}, 2, []string{"postgres or sqlite", `"oracle"`}},
	} {
		r := world{}.run(t, c.args...)
		if r.code != c.code {
			t.Errorf("%q: code %d, want %d: %s", c.args, r.code, c.code, r.errOut)
		}
		for _, want := range c.want {
			if !strings.Contains(r.errOut, want) {
				t.Errorf("%q: %q is not in: %s", c.args, want, r.errOut)
			}
		}
		if r.out != "" || strings.Contains(r.errOut, "sesame") || strings.IndexFunc(r.errOut, dangerous) >= 0 {
			t.Errorf("%q: wrote %q and %q", c.args, r.out, r.errOut)
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reading made the file: %v", err)
	}
}

func TestUnreachablePostgres(t *testing.T) {
	t.Parallel()
	server, err := url.Parse(testutil.PostgresDSN(t))
	if err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	noSuchDatabase := *server
	noSuchDatabase.Path = "/nowhere"
	for name, c := range map[string]struct {
		dsn  string
		want []string
	}{
		"nothing listens": {
			"postgres://u:o%70en-sesame@" + closed.Addr().String() + "/orders",
			[]string{closed.Addr().String() + "/orders", "next: check that the database runs there"},
		},
		"no such database": {noSuchDatabase.String(), []string{"nowhere", "next: check the database's name"}},
	} {
		r := world{env: map[string]string{dsnVariable: c.dsn}}.run(t, "dlq", "list")
		if r.code != 1 || strings.Contains(r.errOut, "sesame") {
			t.Errorf("%s: %+v", name, r)
		}
		for _, want := range append(c.want, dsnVariable) {
			if !strings.Contains(r.errOut, want) {
				t.Errorf("%s: %q is not in: %s", name, want, r.errOut)
			}
		}
	}
}

func TestBrokerDown(t *testing.T) {
	t.Parallel()
	dsn, _ := migrated(t)
	r := world{}.run(t, "dlq", "import", "--dsn", dsn, "--brokers", "127.0.0.1:1", "--topic", "orders.dlq", "--kafka", "sasl.password=sesame")
	if r.code != codeError || !strings.Contains(r.errOut, "can't import the topic orders.dlq of 127.0.0.1:1: ") || !strings.Contains(r.errOut, "next: check --brokers") || strings.Contains(r.errOut, "sesame") {
		t.Errorf("%+v", r)
	}
}

// Whatever a driver writes into its error, the password doesn't come through.
func TestPasswordsAreNotShown(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://u:open%20sesame%2F@h/d", "host=h user=u password='open sesame/'",
	} {
		for _, leak := range []string{"open sesame/", "open%20sesame%2F", "open+sesame%2F"} {
			err := unreachable(dsn, "h:5432/d", "--dsn", fmt.Errorf("can't log in with %s", leak))
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("%s: %v", dsn, err)
			}
		}
	}
	err := unreachable("file:/x", "/x", "--dsn", context.DeadlineExceeded)
	if !strings.Contains(err.Error(), "firewall") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	for want, err := range map[int]error{
		0: nil,
		1: errors.New("any"),
		2: fmt.Errorf("wrapped: %w", &problem{code: codeUsage}),
		4: &problem{code: codeNothing},
	} {
		if got := ExitCode(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

func TestExecuteReportsOnce(t *testing.T) {
	t.Parallel()
	var errOut strings.Builder
	root := Command()
	root.SetErr(&errOut)
	root.SetArgs([]string{"replay"})
	if code := Execute(t.Context(), root); code != 2 {
		t.Errorf("code %d", code)
	}
	want := "evenkeel: there is no command \"replay\"\n  next: `evenkeel --help` shows what it takes\n"
	if errOut.String() != want {
		t.Errorf("got %q, want %q", errOut.String(), want)
	}
}
