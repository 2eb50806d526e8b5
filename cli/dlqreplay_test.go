package cli

import (
	"strings"
	"testing"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/internal/store"
	stores "github.com/evenkeel-go/evenkeel/internal/store/open"
)

func TestReplay(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	w := world{env: map[string]string{dsnVariable: dsn}}
	foreign := lettertest.Full()
	foreign.Verdict.Reason = dlq.Foreign
	insert(t, db, append(several(3, "f1"), foreign)...)
	first := strings.Repeat("0", 26) + "abc000"
	for _, c := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"replay"}, 2, ""},
		{[]string{"replay", "--fingerprint", "f1", "--dry-run"}, 0, "dry run: nothing was changed\n"},
		{[]string{"replay", "--fingerprint", "f1", "--why", "fixed", "-y"}, 0, "3 letters taken for a replay\n"},
		{[]string{"replay", first, "-y"}, 1, "it was taken for a replay by ann"},
		{[]string{"discard", first, "--why", "x", "-y"}, 1, "it was taken for a replay by ann"},
		{[]string{"cancel", first, "-y"}, 0, "1 letter opened again\n"},
		{[]string{"replay", first, "-y", "--accept-forgotten", "--wait", "1ms"}, 0, "1 letter taken for a replay\n  1 not replayed yet\n"},
		{[]string{"replay", foreign.ID, "-y"}, 1, "another system has written it"},
		{[]string{"cancel", "--all", "-y", "-o", "json"}, 0, `"done": 3`},
	} {
		r := w.run(t, append([]string{"dlq"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.out, c.out) {
			t.Fatalf("%q: code %d, out %q, err %q", c.args, r.code, r.out, r.errOut)
		}
	}

	// Somebody who waits hears what became of them.
	st, err := stores.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			err := st.Commit(t.Context(), &store.Batch{Group: "billing", Resolve: []*store.Resolution{{ID: first, Outcome: dlq.OutcomeObsolete, Why: "superseded"}}})
			if err == nil || t.Context().Err() != nil {
				return
			}
		}
	}()
	r := w.run(t, "dlq", "replay", first, "-y", "--wait", "1m", "-o", "json")
	if r.code != 0 || !strings.Contains(r.out, `"obsolete": 1`) {
		t.Fatalf("code %d, out %q, err %q", r.code, r.out, r.errOut)
	}
}
