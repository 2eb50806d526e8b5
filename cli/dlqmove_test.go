package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// several inserts so many letters of one cause, a minute apart, the first one first.
func several(n int, cause string) (all []*dlq.Letter) {
	for i := range n {
		l := lettertest.Full()
		l.ID = fmt.Sprintf("%032x", 0xabc000+i)
		l.Fingerprint, l.Stream, l.Blocking, l.Entity = cause, "", false, fmt.Sprintf("order-%d", i)
		l.CreatedAt = lettertest.At(0).Add(time.Duration(i) * time.Minute)
		all = append(all, l)
	}
	return all
}

func TestDiscardAndRestore(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func() string{
		"sqlite":   func() string { dsn, _ := migrated(t); return dsn },
		"postgres": func() string { return testutil.PostgresDSN(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world{env: map[string]string{dsnVariable: dsn()}}
			w.run(t, "migrate")
			db := open(t, w.env[dsnVariable])
			insert(t, db, several(5, "f1")...)
			other := lettertest.Full()
			insert(t, db, other)
			states := func() (states map[string]int64) {
				t.Helper()
				var s statsJSON
				if err := json.Unmarshal([]byte(w.run(t, "dlq", "stats", "-o", "json").out), &s); err != nil {
					t.Fatal(err)
				}
				return s.ByState
			}
			const preview = "5 letters to discard, e.g.\n  000000000000  3h ago  exhausted  order.paid  order-0  card 4242 declined\\nby …\n"
			for _, c := range []struct {
				args      []string
				in        string
				code      int
				out, errs string
				open      int64
			}{
				// Wrong words change nothing.
				{[]string{"discard"}, "y\n", 2, "", "evenkeel: no letters are named: give ids, or flags that choose letters, or --all\n  next: `evenkeel dlq discard --help` shows what it takes\n", 6},
				{[]string{"discard", "--fingerprint", "f1"}, "y\n", 2, "", "--why is required", 6},
				{[]string{"discard", "--fingerprint", "f1", "--why", " "}, "y\n", 2, "", "--why is required", 6},
				{[]string{"discard", "5598", "--reason", "late", "--why", "x"}, "y\n", 2, "", "found both", 6},
				{[]string{"discard", "5598", "--all", "--why", "x"}, "y\n", 2, "", "found both", 6},
				{[]string{"restore", "--since", "x"}, "y\n", 2, "", "--since: expected how long ago", 6},
				{[]string{"discard", "--group", "none", "--why", "x"}, "y\n", 4, "", "no letter that is open matches\n", 6},
				{[]string{"discard", "00ff", "--why", "x"}, "y\n", 4, "", "no letter has an id that begins with", 6},
				{[]string{"restore", "--all"}, "y\n", 4, "", "no letter that is discarded matches\n", 6},
				// Neither do a dry run, a no, and no answer.
				{[]string{"discard", "--fingerprint", "f1", "--dry-run"}, "y\n", 0, "dry run: nothing was changed\n", preview, 6},
				{[]string{"discard", "--fingerprint", "f1", "--why", "x"}, "n\n", 1, "", preview + "discard? [y/N] evenkeel: nothing was changed\n  next: answer y, or give --yes\n", 6},
				{[]string{"discard", "--fingerprint", "f1", "--why", "x"}, "", 1, "", "nothing was changed", 6},
				// These do.
				{[]string{"discard", "--fingerprint", "f1", "--why", "sent twice"}, "yes\n", 0, "5 letters discarded\n", preview, 1},
				{[]string{"discard", other.ID[:6], other.ID, "--why", "x", "-y"}, "", 0, "1 letter discarded\n", "", 0},
				{[]string{"discard", other.ID, "--why", "x", "-y"}, "", 1, "0 letters discarded\nletter " + other.ID + ": can't discard it: it was discarded by ann at ", "evenkeel: 1 letter of 1 left alone", 0},
				{[]string{"restore", "--entity", "order-1", "--as", "bob", "--yes"}, "", 0, "1 letter restored\n", "", 1},
				{[]string{"discard", strings.Repeat("0", 26) + "abc001", strings.Repeat("0", 26) + "abc002", "--why", "x", "-y"}, "", 3, "1 letter discarded\nletter ", "1 letter of 2 left alone", 0},
				{[]string{"restore", "--all", "--why", "all again", "-y", "-o", "json"}, "", 0, "{\n  \"chosen\": 6,\n  \"done\": 6,\n  \"dry_run\": false,\n  \"refused\": []\n}\n", "", 6},
			} {
				w.in = c.in
				r := w.run(t, append([]string{"dlq"}, c.args...)...)
				if r.code != c.code || !strings.HasPrefix(r.out, c.out) || c.out == "" && r.out != "" || !strings.Contains(r.errOut, c.errs) {
					t.Errorf("%v: %+v", c.args, r)
				}
				if got := states()["open"]; got != c.open {
					t.Errorf("%v: %d are open", c.args, got)
				}
			}
			// The audit tells all of it.
			var lines []auditJSON
			if err := json.Unmarshal([]byte(w.run(t, "audit", "-o", "json").out), &lines); err != nil {
				t.Fatal(err)
			}
			counts := map[string]int{}
			for _, l := range lines {
				counts[strings.Join([]string{l.By, l.Via, l.Verb, l.Reason, l.Selection, l.Before, l.After}, "|")]++
			}
			want := map[string]int{
				"ann|cli|discard|sent twice|fingerprint f1|open|discarded": 5,
				"ann|cli|discard|x||open|discarded":                        2,
				"bob|cli|restore||entity order-1|discarded|open":           1,
				"ann|cli|restore|all again|all discarded|discarded|open":   6,
			}
			if fmt.Sprint(counts) != fmt.Sprint(want) {
				t.Errorf("got\n%v\nwant\n%v", counts, want)
			}
			if r := w.run(t, "audit", "--by", "bob", "-o", "jsonl"); strings.Count(r.out, "\n") != 1 {
				t.Errorf("%+v", r)
			}
			if r := w.run(t, "audit", "--by", "eve"); r.code != 4 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	insert(t, db, lettertest.Full())
	w := world{env: map[string]string{dsnVariable: dsn}}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"5598", "the bank\x1b[31m says\nno"}, 0},
		{[]string{"--fingerprint", lettertest.Full().Fingerprint, "mended in v2", "--as", "bob"}, 0},
		{[]string{"5598", "not kept", "--dry-run"}, 0},
		{[]string{"--fingerprint", "none", "x"}, 4},
		{[]string{"--fingerprint", "f", "5598", "x"}, 2},
		{[]string{"5598"}, 2},
		{[]string{"00ff", "x"}, 4},
		{[]string{"5598", " "}, 1},
		{[]string{"5598", strings.Repeat("x", dlq.MaxNoteBytes+1)}, 1},
	} {
		if r := w.run(t, append([]string{"dlq", "note"}, c.args...)...); r.code != c.code {
			t.Errorf("%.80v: %+v", c.args, r)
		}
	}
	r := w.run(t, "dlq", "show", "5598")
	for _, part := range []string{"Notes\n  ann\n    the bank\\x1b[31m says\n    no\n", "  bob           mended in v2\n", ", on all with this cause"} {
		if !strings.Contains(r.out, part) {
			t.Errorf("%q is not in %s", part, r.out)
		}
	}
	if i := strings.IndexFunc(r.out, dangerous); i >= 0 {
		t.Errorf("a terminal would obey %q", r.out[i:min(i+10, len(r.out))])
	}
	var l letterJSON
	if err := json.Unmarshal([]byte(w.run(t, "dlq", "show", "5598", "-o", "json").out), &l); err != nil || len(l.Notes) != 2 || len(l.History) != 1 {
		t.Errorf("%v: %+v", err, l)
	}
	if r := w.run(t, "dlq", "groups"); !strings.Contains(r.out, "[1 notes] card 4242") {
		t.Errorf("%+v", r)
	}
}

// What was done, with times that are the test's.
func TestOutputsOfDecisions(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	ls := several(6, "aaaaaaaaaaaaaaaa")
	ls[0].State, ls[0].Rev = dlq.Discarded, 5
	ls[1].State, ls[1].Outcome, ls[1].Rev = dlq.Resolved, dlq.OutcomeObsolete, 4
	ls[2].CreatedAt = lettertest.At(0).Add(170 * time.Minute)
	insert(t, db, ls...)
	insert(t, db, hostile())
	id := ls[0].ID
	for i, e := range []dlq.AuditEntry{
		{By: dlq.Actor{Name: "ann"}, Verb: "discard", Reason: "the order was a test", Letter: id, Selection: "reason exhausted, since 2026-10-14T00:00:00Z", Before: dlq.Open, After: dlq.Discarded},
		{By: dlq.Actor{Name: "bob"}, Verb: "restore", Letter: id, Before: dlq.Discarded, After: dlq.Open},
		{By: dlq.Actor{Name: "bob"}, Verb: "note", Reason: "asked the shop", Letter: id},
		{By: dlq.Actor{Name: "an\x1bn"}, Verb: "discard", Reason: "it was\u202e, as they say", Letter: id, Before: dlq.Open, After: dlq.Discarded},
		{By: dlq.Actor{Name: "evenkeel"}, Verb: "purge", Selection: "12 letters that ended before 2026-07-14T00:00:00Z"},
	} {
		row := map[string]any{
			"at": lettertest.At(0).Add(time.Duration(60+i) * time.Minute).UnixMicro(), "actor": e.By.Name, "via": "cli", "verb": e.Verb, "reason": e.Reason, "grp": "billing",
			"letter": e.Letter, "subject": "", "selection": e.Selection, "before_state": e.Before, "after_state": e.After, "rev": i + 2, "job": "",
		}
		if err := db.Table("evenkeel_audit").Create(row).Error; err != nil {
			t.Fatal(err)
		}
	}
	note := map[string]any{"at": lettertest.At(0).Add(62 * time.Minute).UnixMicro(), "actor": "bob", "letter": id, "fingerprint": "", "body": "asked the shop"}
	if err := db.Table("evenkeel_notes").Create(note).Error; err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"audit":          {"audit"},
		"audit-json":     {"audit", "-n", "1", "-o", "json"},
		"groups":         {"dlq", "groups"},
		"groups-json":    {"dlq", "groups", "--fingerprint", "aaaaaaaaaaaaaaaa", "-o", "json"},
		"stats":          {"dlq", "stats"},
		"stats-json":     {"dlq", "stats", "-o", "json"},
		"search":         {"dlq", "search", "ORDER-3"},
		"show-discarded": {"dlq", "show", id},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := world{env: map[string]string{dsnVariable: dsn, "NO_COLOR": "1"}, columns: 80}.run(t, args...)
			if r.code != 0 {
				t.Fatalf("%+v", r)
			}
			golden(t, name, r.out)
			if i := strings.IndexFunc(r.out, dangerous); i >= 0 {
				t.Errorf("a terminal would obey %q", r.out[i:min(i+10, len(r.out))])
			}
			for _, line := range strings.Split(r.out, "\n") {
				if !strings.Contains(name, "json") && !strings.HasPrefix(name, "show") && cells(line) > 80 {
					t.Errorf("%d columns: %s", cells(line), line)
				}
			}
		})
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"dlq", "groups", "--group", "other"}, 4},
		{[]string{"dlq", "stats", "--group", "other"}, 4},
		{[]string{"dlq", "search", "nothing like it"}, 4},
		{[]string{"dlq", "search", " "}, 2},
		{[]string{"dlq", "search", "a", "b"}, 2},
		{[]string{"dlq", "groups", "-n", "0"}, 2},
		{[]string{"dlq", "groups", "--until", "x"}, 2},
		{[]string{"audit", "-n", "0"}, 2},
		{[]string{"audit", "--letter", "00ff"}, 4},
	} {
		if r := (world{env: map[string]string{dsnVariable: dsn}}).run(t, c.args...); r.code != c.code {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}
