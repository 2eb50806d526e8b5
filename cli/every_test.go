package cli

import (
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

// leaves are all commands that do something, whoever adds one.
func leaves(c *cobra.Command) (all []*cobra.Command) {
	if !c.HasSubCommands() {
		return []*cobra.Command{c}
	}
	for _, sub := range c.Commands() {
		all = append(all, leaves(sub)...)
	}
	return all
}

func pathOf(c *cobra.Command) []string { return strings.Fields(c.CommandPath())[1:] }

// every says how each command is called in these tests. A command that is missing here
// fails them.
var every = map[string]struct {
	empty []string // arguments on a database without anything
	code  int      // and what it ends with
	full  []string // arguments on a database with one letter, whose id begins with 5598
	// offline: it needs no database.
	offline bool
	// endless: it goes on until somebody ends it.
	endless bool
}{
	"audit":           {empty: nil, code: codeNothing},
	"consumer list":   {empty: nil, code: codeNothing},
	"consumer pause":  {empty: []string{"g", "--why", "x"}, code: codeNothing, full: []string{"billing", "--why", "x", "--dry-run"}},
	"consumer resume": {empty: []string{"g"}, code: codeNothing, full: []string{"billing", "--dry-run"}},
	"consumer show":   {empty: []string{"g"}, code: codeNothing, full: []string{"billing"}},
	"dlq cancel":      {empty: []string{"--all"}, code: codeNothing, full: []string{"--all", "--dry-run"}},
	"dlq discard":     {empty: []string{"--all", "--why", "x"}, code: codeNothing, full: []string{"5598", "--why", "x", "--dry-run"}},
	"dlq edit":        {empty: []string{"55", "--why", "x"}, code: codeNothing, full: []string{"5598", "--set", "/n=1", "--dry-run"}},
	"dlq explain":     {empty: []string{"55"}, code: codeNothing, full: []string{"5598"}},
	"dlq export":      {empty: nil, code: codeNothing},
	"dlq groups":      {empty: nil, code: codeNothing},
	"dlq import":      {empty: []string{"--file", "-"}, full: []string{"--file", "-"}},
	"dlq list":        {empty: nil, code: codeNothing},
	"dlq note":        {empty: []string{"55", "x"}, code: codeNothing, full: []string{"5598", "x"}},
	"dlq purge":       {empty: []string{"--group", "g", "--older-than", "0d", "--why", "x"}, code: codeNothing, full: []string{"--group", "billing", "--older-than", "0d", "--dry-run"}},
	"dlq reissue":     {empty: []string{"55", "--why", "x"}, code: codeNothing, full: []string{"5598", "--dry-run"}},
	"dlq replay":      {empty: []string{"--all"}, code: codeNothing, full: []string{"5598", "--dry-run"}},
	"dlq republish":   {empty: []string{"--all", "--why", "x"}, code: codeNothing, full: []string{"5598", "--dry-run"}},
	"dlq restore":     {empty: []string{"--all"}, code: codeNothing, full: []string{"--all", "--dry-run"}},
	"dlq search":      {empty: []string{"x"}, code: codeNothing, full: []string{"declined"}},
	"dlq show":        {empty: []string{"55"}, code: codeNothing, full: []string{"5598"}},
	"dlq stats":       {empty: nil, code: codeNothing},
	"dlq tail":        {empty: nil, endless: true},
	"dlq topics":      {empty: nil, code: codeNothing},
	"doctor":          {empty: nil, offline: true}, // it looks at the rest without one
	"entity show":     {empty: []string{"orders", "order-17"}, code: codeError, full: []string{"orders", "order-17"}},
	"explain":         {empty: []string{"e-1"}, code: codeNothing, full: []string{"e-1"}},
	"jobs cancel":     {empty: []string{"8c"}, code: codeNothing, full: []string{"8c", "--dry-run"}},
	"jobs list":       {empty: nil, code: codeNothing},
	"jobs pause":      {empty: []string{"8c"}, code: codeNothing, full: []string{"8c", "--dry-run"}},
	"jobs resume":     {empty: []string{"8c"}, code: codeNothing, full: []string{"8c", "--dry-run"}},
	"jobs show":       {empty: []string{"8c"}, code: codeNothing, full: []string{"8c", "--letters"}},
	"migrate":         {empty: []string{"--check"}, full: []string{"--check"}},
	"parked":          {empty: nil, code: codeNothing},
	"placeholders":    {empty: nil, code: codeNothing},
	"rebuild":         {empty: []string{"--status", "--group", "g"}, code: codeNothing, full: []string{"--status", "--group", "g"}},
	"streams":         {empty: nil, code: codeNothing},
	"version":         {empty: nil, offline: true},
}

// The codes are the same for all: 2 for wrong words, 1 for what is not there, 4 for nothing,
// and a help that says so.
func TestExitCodesOfEveryCommand(t *testing.T) {
	t.Parallel()
	dsn, _ := migrated(t)
	missing := "file:" + filepath.Join(t.TempDir(), "no.db")
	for _, c := range leaves(command(environment{})) {
		path := pathOf(c)
		call, known := every[strings.Join(path, " ")]
		if !known {
			t.Errorf("%q is not in the table of this test", path)
			continue
		}
		run := func(want int, args ...string) {
			t.Helper()
			if r := (world{}).run(t, slices.Concat(path, args)...); r.code != want || want != 0 && r.errOut == "" {
				t.Errorf("%q %q: code %d, want %d: %s%s", path, args, r.code, want, r.out, r.errOut)
			}
		}
		run(codeUsage, "--no-such-flag")
		run(codeUsage, slices.Concat(call.empty, []string{"--dsn", dsn, "--config", filepath.Join(t.TempDir(), "none.yaml")})...)
		if path[0] != "migrate" {
			run(codeUsage, slices.Concat(call.empty, []string{"--dsn", dsn, "-o", "xml"})...)
		}
		if !call.offline {
			run(codeUsage, call.empty...) // no database is named
			run(codeError, slices.Concat(call.empty, []string{"--dsn", missing})...)
		}
		if !call.endless {
			run(call.code, slices.Concat(call.empty, []string{"--dsn", dsn})...)
		}
		if call.code == codeNothing && !strings.Contains(strings.ReplaceAll(c.Long, "\n", " "), "exit code is 4") && !strings.Contains(c.Long, "4 no") {
			t.Errorf("%q: its help does not say that the exit code may be 4", path)
		}
	}
}

// Whatever a command shows, what rules hide is not in it.
func TestEveryCommandRedacts(t *testing.T) {
	t.Parallel()
	const secret = "s3same-4242"
	for _, c := range leaves(command(environment{})) {
		path := pathOf(c)
		for _, f := range formats() {
			dsn, db := migrated(t)
			l := lettertest.Full()
			l.Record.Value = []byte(`{"card":{"number":"` + secret + `"},"n":9007199254740993}`)
			l.Record.Headers = []event.Header{{Key: "Authorization", Value: []byte(secret)}}
			l.Error, l.Stack, l.Verdict.Detail = "declined "+secret, "paid("+secret+")", "with "+secret
			insert(t, db, l)
			park(t, db, "p", "order-17", "retry", "", 1, lettertest.At(0), 1, "declined "+secret)
			args := slices.Concat(path, every[strings.Join(path, " ")].full, []string{"--dsn", dsn, "-o", f})
			if slices.Contains(path, "list") || slices.Contains(path, "search") {
				args = append(args, "--full")
			}
			rules := []string{"--redact", "payload.card.number", "--redact", "header.authorization"}
			run := world{}.run
			if every[strings.Join(path, " ")].endless {
				run = func(t *testing.T, args ...string) result {
					t.Helper()
					return follow(t, dsn, func(_ int, ctrlC func()) { ctrlC() }, args...)
				}
			}
			open, hidden := run(t, args...), run(t, slices.Concat(args, rules)...)
			if strings.Contains(hidden.out+hidden.errOut, secret) {
				t.Errorf("%q shows what is hidden: %s%s", args, hidden.out, hidden.errOut)
			}
			shows := []string{"dlq show", "dlq explain", "dlq list", "dlq groups", "dlq edit", "dlq discard", "dlq tail", "explain", "parked"}
			if slices.Contains(shows, strings.Join(path, " ")) && open.code != codeUsage && !strings.Contains(open.out+open.errOut, secret) {
				t.Errorf("%q: the test itself shows nothing: %s", args, open.out)
			}
		}
	}
}

// A help is read at 80 columns, and says what each flag is.
func TestEveryHelpIsWhole(t *testing.T) {
	t.Parallel()
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" || cells(c.Short) > 72 || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: Short is %q", c.CommandPath(), c.Short)
		}
		if c.Long == "" || c.Example == "" {
			t.Errorf("%s: Long and Example are needed", c.CommandPath())
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if cells(strings.TrimSuffix(line, "\n")) > 80 {
				t.Errorf("%s: more than 80 columns: %s", c.CommandPath(), line)
			}
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s says nothing", c.CommandPath(), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(command(environment{}))
}

// Completion knows the words that flags take, in every shell.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"dlq list --state |":    "open\nreplaying\nresolved\ndiscarded\npurged\n:4\n",
		"dlq replay --reason |": "behind\nconflict\nconstraint\nexhausted\nforeign\nfuture\ngap\nlate\nmissing\norphaned\npoison\nrejected\nunhandled\n:4\n",
		"audit -o |":            "table\njson\njsonl\nyaml\n:4\n",
		"parked --cause |":      "gap\nretry\nbehind\nmissing\nreplay\nseen\n:4\n",
		"dlq li":                "list\tList dead letters, newest first\n:4\n",
		"dlq list |":            ":4\n",
	} {
		args := strings.Split(strings.TrimSuffix(line, "|"), " ") // the last one is begun
		if r := (world{}).run(t, append([]string{"__complete"}, args...)...); r.code != 0 || r.out != want {
			t.Errorf("%s: got %q, want %q", line, r.out, want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := (world{}).run(t, "completion", shell); r.code != 0 || !strings.Contains(r.out, "evenkeel") {
			t.Errorf("%s: %+v", shell, r)
		}
	}
}

func TestFilterFlag(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	small, large := lettertest.Full(), lettertest.Full()
	small.ID, small.Record.Value = "aa", []byte(`{"total": 7}`)
	large.ID, large.Record.Value = "bb", []byte(`{"total": 700}`)
	insert(t, db, small, large, hostile())
	w := world{env: map[string]string{dsnVariable: dsn}}
	const missed = "--filter could not be asked about 1 letter, which count as not chosen, e.g. letter 00000000000000000000000000000bad: no such attribute"
	for _, path := range [][]string{{"dlq", "list"}, {"dlq", "search", "declined"}, {"dlq", "groups"}, {"dlq", "stats"}, {"dlq", "export"}, {"dlq", "replay", "--dry-run"}, {"dlq", "discard", "--why", "x", "--yes"}} {
		r := w.run(t, append(path, "-o", "jsonl", "--filter", "payload.total > 100")...)
		told, code := path[1] == "search" || strings.Contains(r.errOut, missed), 0
		if path[1] == "replay" {
			code = codePartly // without handlers
		}
		if r.code != code || !told || strings.Count(r.out, "\n") != 1 || strings.Contains(r.out, `"aa"`) {
			t.Errorf("%q: %+v", path, r)
		}
	}
	if r := w.run(t, "audit", "-o", "jsonl"); strings.Count(r.out, "\n") != 1 || !strings.Contains(r.out, `"letter":"bb"`) || !strings.Contains(r.out, `"selection":"filter payload.total > 100"`) {
		t.Errorf("%+v", r)
	}
	if r := w.run(t, "dlq", "discard", "--why", "x", "--yes", "--filter", "payload.total > 100"); r.code != codeNothing {
		t.Errorf("nothing is left: %+v", r)
	}
}

// A job's letters are those that an expression chose, and a tail shows no others.
func TestFilterOfJobsAndTails(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	small, large := lettertest.Full(), lettertest.Full()
	small.ID, small.Record.Value = "aa", []byte(`{"total": 7}`)
	large.ID, large.Record.Value, large.CreatedAt = "bb", []byte(`{"total": 700}`), small.CreatedAt.Add(-time.Hour)
	insert(t, db, small, large)
	for _, args := range [][]string{{"-o", "jsonl"}, {"-o", "jsonl", "--full"}, nil} {
		r := follow(t, dsn, func(_ int, ctrlC func()) { ctrlC() }, slices.Concat([]string{"dlq", "tail", "--filter", "payload.total > 100"}, args)...)
		if r.code != 0 || strings.Count(r.out, "\n") != 1 || !strings.Contains(r.out, "bb") {
			t.Errorf("tail %q: %+v", args, r)
		}
	}
	var out strings.Builder
	c := &cobra.Command{}
	c.SetContext(t.Context())
	c.SetOut(&out)
	chosen := letterFlags{expr: "payload.total > 100"}
	if err := chosen.read(c, lettertest.At(0)); err != nil {
		t.Fatal(err)
	}
	from := func(yield func(*dlq.Letter, error) bool) { _ = yield(small, nil) && yield(large, nil) }
	if err := (&app{hide: &redactor{}}).tailRecords(c, formatLines, from, &chosen.filter, false); err != nil || strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), `"bb"`) {
		t.Errorf("tail of a topic: %v, %s", err, out.String())
	}
	w := world{env: map[string]string{dsnVariable: dsn}}
	if r := w.run(t, "dlq", "replay", "--filter", "payload.total > 100", "--yes"); r.code != 0 || r.out != "1 letter waiting\n" {
		t.Errorf("%+v", r)
	}
	r := w.run(t, "jobs", "show", lastJob(t, w), "--letters", "-o", "json")
	if !strings.Contains(r.out, `"id": "bb"`) || strings.Contains(r.out, `"id": "aa"`) || !strings.Contains(r.out, `"selection": "filter payload.total > 100"`) {
		t.Errorf("%+v", r)
	}
}

// What the settings choose narrows a change, is kept in the audit, and is never the choice.
func TestSettingsDontChoose(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	other := lettertest.Full()
	other.ID, other.Group = "bb", "shipping"
	insert(t, db, lettertest.Full(), other)
	w := world{env: map[string]string{dsnVariable: dsn, "EVENKEEL_GROUP": "shipping", "EVENKEEL_AS": "bob"}}
	if r := w.run(t, "dlq", "discard", "--why", "x", "--yes"); r.code != codeUsage {
		t.Errorf("the group alone: %+v", r)
	}
	if r := w.run(t, "dlq", "discard", "--why", "x", "--yes", "--reason", "exhausted"); r.code != 0 || r.out != "1 letter discarded\n" {
		t.Errorf("%+v", r)
	}
	if r := w.run(t, "dlq", "restore", "--all", "--yes"); r.code != 0 || r.out != "1 letter restored\n" {
		t.Errorf("%+v", r)
	}
	r := world{}.run(t, "audit", "--dsn", dsn, "-o", "jsonl")
	for _, want := range []string{`"selection":"group shipping, reason exhausted"`, `"selection":"all discarded, group shipping"`, `"by":"bob"`} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%s is not in %s", want, r.out)
		}
	}
	if r := w.run(t, "dlq", "show", "5598"); r.code != 0 {
		t.Errorf("an id of another group: %+v", r)
	}
}

func TestRedactedExportIsNotImported(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	insert(t, db, lettertest.Full())
	r := world{}.run(t, "dlq", "export", "--dsn", dsn, "--redact", "payload.id")
	if r.code != 0 || !strings.Contains(r.errOut, "can't be imported") || strings.Contains(r.out, "9007199254740993") {
		t.Errorf("%+v", r)
	}
	r = world{in: r.out}.run(t, "dlq", "import", "--dsn", dsn, "--file", "-")
	if r.code != codeError || !strings.Contains(r.errOut, "field redacted: expected a letter with all that it had") {
		t.Errorf("%+v", r)
	}
}

// Somebody who looks sees how far it is; nobody else gets a byte of it.
func TestProgress(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	insert(t, db, lettertest.Full(), hostile())
	file := filepath.Join(t.TempDir(), "letters.jsonl")
	if r := (world{}).run(t, "dlq", "export", "--dsn", dsn, "--file", file); r.errOut != "2 letters written to "+file+"\n" {
		t.Errorf("%+v", r)
	}
	r := world{columns: 60}.run(t, "dlq", "import", "--dsn", dsn, "--file", file)
	if !strings.Contains(r.errOut, "\r\x1b[K") || strings.Contains(r.out, "\r") || r.code != 0 {
		t.Errorf("%+v", r)
	}
	p := &progress{w: io.Discard, columns: 60, verb: "read", total: 200, done: 50, letters: 3}
	if got := p.text(); got != "[#####               ]  25%  read 3 letters" {
		t.Errorf("%q", got)
	}
	p.total = 0
	if got := p.text(); got != "read 3 letters" {
		t.Errorf("%q", got)
	}
}
