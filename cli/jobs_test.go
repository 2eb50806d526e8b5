package cli

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/internal/store"
	stores "github.com/evenkeel-go/evenkeel/internal/store/open"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// carry does as a member would with the job's next letters: each of the outcomes is that of one,
// and "" a failure.
func carry(t *testing.T, db *gorm.DB, job string, outcomes ...dlq.Outcome) {
	t.Helper()
	st, err := stores.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	j, err := st.LeaseJob(t.Context(), job, "member", time.Minute)
	if err != nil || j == nil {
		t.Fatalf("%+v, %v", j, err)
	}
	waiting, err := st.JobLetters(t.Context(), store.JobLetterQuery{Job: job, Result: dlq.ResultWaiting, Limit: len(outcomes)})
	if err != nil || len(waiting) != len(outcomes) {
		t.Fatalf("%v, %v", waiting, err)
	}
	var ends []*store.Resolution
	for i, l := range waiting {
		if err := st.TakeJobLetter(t.Context(), &store.JobTake{Job: j, Letter: l, Owner: "member"}); err != nil {
			t.Fatal(err)
		}
		end := &store.Resolution{ID: l.ID, Outcome: outcomes[i], Why: "judged"}
		if outcomes[i] == "" {
			end.Why, end.Failed = "still\x1b[1m broken", dlq.Letter{Fingerprint: "f2", Error: "still\x1b[1m broken"}
		}
		ends = append(ends, end)
	}
	if err := st.Commit(t.Context(), &store.Batch{Group: "billing", Resolve: ends}); err != nil {
		t.Fatal(err)
	}
	j, err = st.GatherJob(t.Context(), job)
	if err == nil && j.State == dlq.JobRunning && j.Count(dlq.ResultWaiting) == 0 {
		_, err = st.MoveJob(t.Context(), &store.JobMove{ID: job, Move: dlq.JobEnd, By: dlq.Actor{Name: "member"}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lastJob is the id of the last job that was started.
func lastJob(t *testing.T, w world) string {
	t.Helper()
	var jobs []jobJSON
	if err := json.Unmarshal([]byte(w.run(t, "jobs", "list", "-o", "json").out), &jobs); err != nil || len(jobs) == 0 {
		t.Fatalf("%v, %v", jobs, err)
	}
	return jobs[0].ID
}

type commandCase struct {
	args      []string
	code      int
	out, errs string
}

func (w world) all(t *testing.T, cases []commandCase) {
	t.Helper()
	for _, c := range cases {
		if r := w.run(t, c.args...); r.code != c.code || !strings.Contains(r.out, c.out) || !strings.Contains(r.errOut, c.errs) {
			t.Fatalf("%q: code %d, out %q, err %q", c.args, r.code, r.out, r.errOut)
		}
	}
}

func TestReplayIsAJob(t *testing.T) {
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
			foreign, other := lettertest.Full(), several(1, "f3")[0]
			foreign.Verdict.Reason = dlq.Foreign
			other.ID, other.Group = "000000000000000000000000000000ff", "other"
			insert(t, db, append(several(3, "f1"), foreign, other)...)
			first := strings.Repeat("0", 26) + "abc000"
			w.all(t, []commandCase{
				{[]string{"dlq", "replay"}, 2, "", "no letters are named"},
				{[]string{"dlq", "replay", first, "--stop-after", "-1"}, 2, "", "--stop-after is a number of failures"},
				{[]string{"dlq", "replay", first, "--ramp", "5,x"}, 2, "", `--ramp is percentages that rise, e.g. 1,5,20,100, found "5,x"`},
				{[]string{"dlq", "replay", first, "--ramp", "5,5"}, 2, "", "--ramp is percentages that rise, of which none is above 100"},
				{[]string{"dlq", "replay", first, "--rate", "-1"}, 2, "", "--rate is letters a second"},
				{[]string{"dlq", "replay", first, "--limit", "-1"}, 2, "", "--limit is a number of letters"},
				{[]string{"dlq", "replay", "--fingerprint", "none"}, 4, "", "no letter that is open matches"},
				{[]string{"dlq", "replay", "--fingerprint", "f1", "--dry-run"}, 3, "dry run: nothing was changed\n", "3 letters to replay, e.g."},
				{[]string{"dlq", "replay", "--all", "-y"}, 1, "", `letters of the groups "`},
				{[]string{"jobs", "list", "--state", "running"}, 4, "", "no job matches"},
				{[]string{"dlq", "replay", foreign.ID, "-y"}, 1, "another system has written it", "1 letter of 1 left alone"},
				{[]string{"dlq", "replay", "--fingerprint", "f1", "--why", "fixed", "-y"}, 0, "3 letters waiting\n", "replays 3 letters of billing\nit waits: no member of group billing runs\n"},
			})
			job := lastJob(t, w)
			w.all(t, []commandCase{
				{[]string{"dlq", "replay", first, "-y"}, 1, "it is in job " + job + ", started by ann at ", "1 letter of 1 left alone"},
				{[]string{"dlq", "discard", "--all", "--why", "x"}, 1, "", "\n3 letters of these would be replayed by job " + job + " (running, started by ann), which would leave them alone then\ndiscard? [y/N] \n"},
				{[]string{"dlq", "discard", strings.Repeat("0", 26) + "abc001", "--why", "x", "-y"}, 0, "1 letter discarded", "\n1 letter of these would be replayed by job " + job},
				{[]string{"dlq", "replay", strings.Repeat("0", 26) + "abc001", "-y"}, 1, "", "1 letter of 1 left alone\n  next: `evenkeel dlq restore` opens discarded letters again\n"},
				{[]string{"dlq", "discard", strings.Repeat("0", 26) + "abc001", "--why", "x", "-y"}, 1, "", "1 letter of 1 left alone\n  next: `evenkeel dlq restore` opens discarded letters again\n"},
				{[]string{"jobs", "pause", job, "--dry-run"}, 0, "dry run: nothing was changed\n", "started by ann, is running: 0 of 3 letters"},
				{[]string{"jobs", "pause", job}, 1, "", "pause? [y/N] \nevenkeel: nothing was changed"},
				{[]string{"jobs", "pause", job[:6], "--why", "lunch", "-y"}, 0, "job " + job + " is paused: 0 of 3 letters (0%), 0 failed\n", ""},
				{[]string{"jobs", "pause", job, "-y"}, 1, "", "can't pause it: pause takes a job that is running, found paused: it was paused by ann (lunch) at "},
				{[]string{"jobs", "resume", job, "--as", "bob", "-y", "-o", "json"}, 0, `"state_why": "resumed by bob"`, ""},
			})
			carry(t, db, job, dlq.OutcomeApplied)
			w.in = "n\n"
			w.all(t, []commandCase{{[]string{"jobs", "cancel", job}, 1, "", "started by ann, is running: 1 of 3 letters (33%), 0 failed\ncancel? [y/N] evenkeel: nothing was changed"}})
			w.in = "y\n"
			w.all(t, []commandCase{
				{[]string{"jobs", "cancel", job}, 0, "job " + job + " is cancelled: 1 of 3 letters (33%), 0 failed\n", ""},
				{[]string{"jobs", "cancel", job, "-y"}, 1, "", "it was cancelled by ann at "},
				{[]string{"jobs", "show", "ffffffffffffffffff"}, 4, "", "no job has an id that begins with"},
				{[]string{"jobs", "show", job, "--result", "failed"}, 2, "", "--result goes with --letters"},
				{[]string{"jobs", "show", job, "--letters", "--result", "x"}, 2, "", `--result is one of applied, obsolete, duplicate, failed, refused, cancelled, replaying, waiting, found "x"`},
				{[]string{"jobs", "list", "--state", "x"}, 2, "", "--state is selecting"},
				{[]string{"jobs", "list", "-n", "0"}, 2, "", "--limit is 1 or more"},
				{[]string{"jobs", "show"}, 2, "", "show takes one job id"},
				{[]string{"jobs", "stop"}, 2, "", `there is no command "stop"`},
				{[]string{"audit", "--job", job, "-o", "jsonl"}, 0, `"verb":"job resume"`, ""},
				// Those that nobody took are free again; what is resolved is not chosen.
				{[]string{"dlq", "replay", "--fingerprint", "f1", "--limit", "2", "-y"}, 0, "1 letter waiting\n", ""},
			})
			carry(t, db, lastJob(t, w), dlq.OutcomeObsolete)
			w.all(t, []commandCase{{[]string{"dlq", "replay", "--fingerprint", "f1", "-y"}, 4, "", "no letter that is open matches"}})
		})
	}
}

// Whoever looks on hears how it ends, and what to do.
func TestReplayIsLookedOn(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	insert(t, db, several(4, "f1")...)
	w := world{env: map[string]string{dsnVariable: dsn, "NO_COLOR": "1"}, columns: 80}
	w.all(t, []commandCase{
		{[]string{"dlq", "replay", "--entity", "order-0", "-y", "--wait", "1ms"}, 3, "1 letter waiting\n", "] 0 of 1 letters (0%), 0 failed\x1b[K\nevenkeel: the job has not ended yet, and waits as said above"},
	})
	carry(t, db, lastJob(t, w), dlq.OutcomeApplied)
	st, err := stores.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	// member carries out what is started from now on.
	member := func(outcomes ...dlq.Outcome) <-chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for t.Context().Err() == nil {
				jobs, err := st.Jobs(t.Context(), store.JobQuery{State: dlq.JobRunning})
				if err == nil && len(jobs) == 1 {
					carry(t, db, jobs[0].ID, outcomes...)
					return
				}
			}
		}()
		return done
	}
	for _, c := range []struct {
		commandCase
		outcomes []dlq.Outcome
	}{
		{commandCase{[]string{"dlq", "replay", "--entity", "order-1", "-y", "--wait", "1m", "-o", "json"}, 0, `"obsolete": 1`, "(100%), 0 failed"}, []dlq.Outcome{dlq.OutcomeObsolete}},
		{commandCase{[]string{"dlq", "replay", "--fingerprint", "f1", "-y", "--wait", "1m"}, 3, "1 letter applied\n1 letter failed\n", "1 letter failed again"}, []dlq.Outcome{"", dlq.OutcomeApplied}},
		{commandCase{[]string{"dlq", "replay", "--fingerprint", "f2", "-y", "--wait", "1m"}, 1, "1 letter failed\n", "1 letter failed again"}, []dlq.Outcome{""}},
	} {
		done := member(c.outcomes...)
		w.all(t, []commandCase{c.commandCase})
		<-done
	}
	r := w.run(t, "jobs", "show", lastJob(t, w), "--letters")
	text := regexp.MustCompile(`Job [0-9a-f]{16}`).ReplaceAllString(r.out, "Job X")
	for _, part := range []string{"Job X\n", "  state         done\n", "  plan          pauses after 10 failures\n", "1 of 1 letters (100%), 1 failed", "1 letter failed\n", "FAILED  CAUSE  E.G.          ERROR\n1       f2     000000000000  still\\x1b[1m broken\n", "failed     "} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
	if i := strings.IndexFunc(r.out, dangerous); i >= 0 {
		t.Errorf("a terminal would obey %q", r.out[i:min(i+10, len(r.out))])
	}
	var one jobLetterJSON
	if err := json.Unmarshal([]byte(w.run(t, "jobs", "show", lastJob(t, w), "--letters", "--result", "failed", "-o", "jsonl").out), &one); err != nil || one.Result != "failed" || one.Why != "still\x1b[1m broken" {
		t.Errorf("%+v, %v", one, err)
	}
	for _, args := range [][]string{{"jobs", "show", lastJob(t, w)}, {"jobs", "show", lastJob(t, w), "--letters"}, {"dlq", "show", one.ID}, {"audit"}} {
		for _, f := range formats() {
			open, hidden := w.run(t, append(args, "-o", f)...), w.run(t, append(args, "-o", f, "--redact", "error")...)
			causes := f != "jsonl" || len(args) != 3 // a job's lines may be without
			if causes && !strings.Contains(open.out, "still") || strings.Contains(hidden.out, "broken") || hidden.code != 0 {
				t.Errorf("%q -o %s: %+v", args, f, hidden)
			}
		}
	}
	var j jobJSON
	if err := json.Unmarshal([]byte(w.run(t, "jobs", "show", lastJob(t, w), "--letters", "-o", "json").out), &j); err != nil || len(j.Letters) != 1 || len(j.Failures) != 1 || j.Results["failed"] != 1 {
		t.Errorf("%+v, %v", j, err)
	}
	if r := w.run(t, "jobs", "list"); r.code != 0 || strings.Count(r.out, "\n") != 5 {
		t.Errorf("%+v", r)
	}
}

// Whoever looks at a job that stands still is told why, in every form.
func TestJobSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	insert(t, db, several(2, "f1")...)
	w := world{env: map[string]string{dsnVariable: dsn, "NO_COLOR": "1"}}
	const nobody = "it waits: no member of group billing runs\n  next: start the service; `evenkeel consumer show billing` shows who runs\n"
	w.all(t, []commandCase{
		{[]string{"dlq", "replay", "--entity", "order-0", "-y"}, 0, "1 letter waiting\n", nobody},
		{[]string{"dlq", "replay", "--entity", "order-1", "-y", "--wait", "1ms"}, 3, "1 letter waiting\n", nobody + "evenkeel: the job has not ended yet, and waits as said above\n"},
	})
	beat(t, db, "a", "billing", "host-1", time.Now(), "{}")
	w.all(t, []commandCase{
		{[]string{"jobs", "list", "-o", "json"}, 0, `"waits": [],`, ""},
		{[]string{"consumer", "pause", "billing", "--why", "lunch", "-y"}, 0, "paused", ""},
	})
	job := lastJob(t, w)
	const wait = `"cause": "pause",
      "text": "group billing was paused by ann (\"lunch\")",
      "next": "` + "`evenkeel consumer resume billing`" + ` lets it go on",
      "since": "`
	w.all(t, []commandCase{
		{[]string{"jobs", "list"}, 0, "running  pause      billing", ""},
		{[]string{"jobs", "list", "-o", "json"}, 0, strings.ReplaceAll(wait, "\n      ", "\n        "), ""},
		{[]string{"jobs", "show", job}, 0, "\n                next: `evenkeel consumer resume billing` lets it go on\n", ""},
		{[]string{"jobs", "show", job, "-o", "json"}, 0, wait, ""},
		{[]string{"jobs", "show", job, "-o", "yaml"}, 0, "waits:\n- cause: pause\n", ""},
		{[]string{"jobs", "pause", job, "-y", "-o", "json"}, 0, `"waits": [],`, ""},
		{[]string{"jobs", "show", job}, 0, "  next          `evenkeel jobs resume " + job + "` lets it go on, `evenkeel jobs cancel " + job + "` ends it\n", ""},
		{[]string{"jobs", "resume", job, "-y", "-o", "json"}, 0, wait, `it waits: group billing was paused by ann ("lunch")`},
		{[]string{"consumer", "resume", "billing", "-y"}, 0, "1 taken back", ""},
	})
	st, err := stores.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	j, _ := st.LeaseJob(t.Context(), job, "member", time.Minute)
	waiting, err := st.JobLetters(t.Context(), store.JobLetterQuery{Job: job, Result: dlq.ResultWaiting, Limit: 1})
	if err != nil || len(waiting) != 1 {
		t.Fatalf("%v, %v", waiting, err)
	}
	if err := st.TakeJobLetter(t.Context(), &store.JobTake{Job: j, Letter: waiting[0], Owner: "member"}); err != nil {
		t.Fatal(err)
	}
	beat(t, db, "b", "billing", "host-2", time.Now(), `{"breakers": [{"handler": "order.paid", "state": "open", "next_probe": 4000000000000000, "error": "card \u001b[31m 4242"}]}`)
	w.all(t, []commandCase{
		{[]string{"jobs", "show", job}, 0, `  waits         the breaker of handler order.paid is open in 1 of 2 members (`, ""},
		{[]string{"jobs", "show", job}, 0, `): card \x1b[31m 4242`, ""},
		{[]string{"jobs", "show", job, "--redact", "error"}, 0, "): [redacted]\n", ""},
		{[]string{"jobs", "list", "-o", "jsonl", "--redact", "error"}, 0, `"error":"[redacted]"`, ""},
	})
}

func TestProgressFitsTheTerminal(t *testing.T) {
	t.Parallel()
	j := &dlq.Job{Total: 1000, Counts: map[dlq.JobResult]int64{dlq.ResultApplied: 400, dlq.ResultFailed: 100, dlq.ResultReplaying: 20}}
	for columns, want := range map[int]string{
		0:  "500 of 1000 letters (50%), 100 failed",
		40: "500 of 1000 letters (50%), 100 failed",
		61: "[##########          ] 500 of 1000 letters (50%), 100 failed",
	} {
		if got := jobProgress(j, columns); got != want {
			t.Errorf("%d columns: %q", columns, got)
		}
	}
	if err := explainJob(errors.New("x")); ExitCode(err) != codeError {
		t.Error(err)
	}
}
