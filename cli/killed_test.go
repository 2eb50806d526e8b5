package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

const (
	childVariable = "EVENKEEL_TEST_CHILD" // what the child does: import, or edit
	fileVariable  = "EVENKEEL_TEST_FILE"
)

// child is this test as a process of its own, which is killed at work.
func child(t *testing.T) {
	t.Helper()
	db := open(t, os.Getenv(dsnVariable))
	if os.Getenv(childVariable) == "import" {
		r := world{env: map[string]string{dsnVariable: os.Getenv(dsnVariable)}}.run(t, "dlq", "import", "--file", os.Getenv(fileVariable))
		t.Fatalf("it came to its end: %+v", r)
	}
	refs, err := dlq.Refs(t.Context(), db, dlq.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 1000 {
		for _, ref := range refs {
			l, err := dlq.Get(t.Context(), db, ref.ID)
			if err != nil {
				t.Fatal(err)
			}
			e := l.Edit()
			e.Value = fmt.Appendf(nil, "round %d of %s", round, ref.ID)
			if err := framework.Edit(t.Context(), db, e, framework.LetterAct{By: dlq.Actor{Name: "ann"}, Reason: "again"}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// An import and an edit are killed at work, as `kill -9` does: after the next start each letter
// is there once, byte for byte, and each edit is whole or not at all.
func TestKilledAtWork(t *testing.T) { //nolint:tparallel // the child does its work alone
	if os.Getenv(childVariable) != "" {
		child(t)
		return
	}
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
			const letters = 10_000
			var file bytes.Buffer
			lines := dlq.NewLineWriter(&file)
			for i := range letters {
				l := lettertest.Full()
				l.ID, l.Record.Offset, l.Stream = fmt.Sprintf("%032x", i), int64(i), ""
				if i%3 == 0 {
					l.Edits = []dlq.Revision{{N: 1, At: lettertest.At(0), By: dlq.Actor{Name: "bob"}, Value: fmt.Appendf(nil, "\xff%d", i)}}
				}
				if err := lines.Write(l); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(t.TempDir(), "letters.jsonl")
			if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			killed(t, "import", w.env[dsnVariable], path, func() bool { n := rows(t, db, "evenkeel_dead_letters"); return n > 1000 && n < letters })
			some := rows(t, db, "evenkeel_dead_letters")
			if some == 0 || some >= letters {
				t.Fatalf("%d letters are there, expected some and not all", some)
			}
			if r := w.run(t, "dlq", "import", "--file", path); r.code != 0 {
				t.Fatalf("%+v", r)
			}
			r := w.run(t, "dlq", "export")
			if r.out != file.String() {
				t.Fatalf("%d bytes were exported, expected the %d that were imported", len(r.out), file.Len())
			}

			killed(t, "edit", w.env[dsnVariable], path, func() bool { return rows(t, db, "evenkeel_audit") > 50 })
			lines2, err := dlq.Audit(t.Context(), db, dlq.AuditFilter{Verb: "edit", Limit: 100_000})
			if err != nil {
				t.Fatal(err)
			}
			told := map[string]int{}
			for _, line := range lines2 {
				told[line.Letter]++
			}
			all, err := dlq.List(t.Context(), db, dlq.Filter{Limit: letters})
			if err != nil || len(all) != letters {
				t.Fatalf("%v: %d letters", err, len(all))
			}
			for _, l := range all {
				made := 0
				for i := range l.Edits {
					if l.Edits[i].By.Name == "ann" {
						made++
					}
				}
				if made != told[l.ID] || l.Rev != lettertest.Full().Rev+int64(made) || l.State != dlq.Open {
					t.Errorf("letter %s is %s with revision %d and %d edits, the audit has %d", l.ID, l.State, l.Rev, made, told[l.ID])
				}
			}
		})
	}
}

func rows(t *testing.T, db *gorm.DB, table string) (n int) {
	t.Helper()
	if err := db.Raw("SELECT count(*) FROM " + table).Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

// killed runs a child until the condition holds, and kills it.
func killed(t *testing.T, what, dsn, path string, when func() bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestKilledAtWork$", "-test.count=1")
	cmd.Env = append(os.Environ(), childVariable+"="+what, dsnVariable+"="+dsn, fileVariable+"="+path)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !when() {
		select {
		case <-tick.C:
		case <-deadline.C:
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("the child did not come that far: %s", out.String())
		}
	}
	if err := cmd.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the child came to its end before it was killed: %v, %s", err, out.String())
	}
}
