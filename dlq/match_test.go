package dlq_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

// With a Match that is always true everything answers as without one, in the same order,
// over many portions, among letters of equal and of unknown times.
func TestMatchAnswersAsTheDatabase(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, ctx := open(t), t.Context()
			const n = 2700 // a fifth is purged, and half of the others are more than a portion
			letters := func(yield func(*dlq.Letter, error) bool) {
				for i := range n {
					l := lettertest.Full()
					l.ID = fmt.Sprintf("%08x", i*1009%n)
					l.CreatedAt = now.Add(-time.Duration(i/9) * 20 * time.Second)
					l.Fingerprint, l.State = fmt.Sprint("f", i%3), dlq.States()[i%5]
					if i%2 == 1 { // more than a portion of both kinds
						l.CreatedAt = time.Time{}
					}
					if !yield(l, nil) {
						return
					}
				}
			}
			if done, err := dlq.Import(ctx, db, letters, nil); err != nil || done.New != n {
				t.Fatalf("%+v, %v", done, err)
			}
			all := func(*dlq.Letter) (bool, error) { return true, nil }
			for _, f := range []dlq.Filter{{}, {Limit: 1999, Brief: true}, {State: dlq.Open, Limit: 3}, {Since: now.Add(-time.Hour)}, {Group: "none"}} {
				with := f
				with.Match = all
				same := func(what string, ask func(dlq.Filter) (any, error)) {
					t.Helper()
					want, err := ask(f)
					got, err2 := ask(with)
					if err != nil || err2 != nil || !reflect.DeepEqual(got, want) {
						t.Errorf("%s of %+v: %v, %v; got %.200v, want %.200v", what, f, err, err2, fmt.Sprint(got), fmt.Sprint(want))
					}
				}
				ids := func(letters []*dlq.Letter) (ids []string) {
					for _, l := range letters {
						ids = append(ids, fmt.Sprint(l.ID, l.Record.Value == nil, l.Stack == ""))
					}
					return ids
				}
				same("List", func(f dlq.Filter) (any, error) { l, err := dlq.List(ctx, db, f); return ids(l), err })
				same("Count", func(f dlq.Filter) (any, error) { return dlq.Count(ctx, db, f) })
				same("ReadStats", func(f dlq.Filter) (any, error) { return dlq.ReadStats(ctx, db, f) })
				same("Refs", func(f dlq.Filter) (any, error) {
					refs, err := dlq.Refs(ctx, db, f)
					// Databases differ in where unknown times stand.
					slices.SortStableFunc(refs, func(a, b dlq.Ref) int { return strings.Compare(a.ID, b.ID) })
					return append([]dlq.Ref{}, refs...), err
				})
				same("Groups", func(f dlq.Filter) (any, error) { f.Brief = true; return dlq.Groups(ctx, db, f, now) })
				same("Export", func(f dlq.Filter) (any, error) {
					var b bytes.Buffer
					n, err := dlq.Export(ctx, db, &b, f)
					return fmt.Sprint(n, b.String()), err
				})
			}
		})
	}
}

func TestMatchChooses(t *testing.T) {
	t.Parallel()
	for name, open := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, ctx := open(t), t.Context()
			made(t, db, "f1", dlq.Open, 3, 2, 1)
			made(t, db, "f2", dlq.Open, 5, 4)
			f := dlq.Filter{Match: func(l *dlq.Letter) (bool, error) {
				if l.Record.Value == nil || l.Stack == "" {
					return false, errors.New("it was not read whole")
				}
				return !strings.HasSuffix(l.ID, "-1"), nil
			}}
			refs, err := dlq.Refs(ctx, db, f)
			if err != nil || fmt.Sprint(refs) != "[{f2-open-0 2} {f1-open-0 2} {f1-open-2 2}]" {
				t.Errorf("%v, %v", refs, err)
			}
			f.Brief, f.Limit = true, 2
			found, err := dlq.List(ctx, db, f)
			if err != nil || len(found) != 2 || found[0].ID != "f1-open-2" || found[1].ID != "f1-open-0" || found[0].Record.Value != nil {
				t.Errorf("%v, %v", found, err)
			}
			if n, err := dlq.Count(ctx, db, f); n != 3 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			if s, err := dlq.ReadStats(ctx, db, f); err != nil || s.Total != 3 || !s.Oldest.Equal(now.Add(-5*time.Hour)) {
				t.Errorf("%+v, %v", s, err)
			}
			if g, err := dlq.Groups(ctx, db, f, now); err != nil || len(g) != 2 || g[0].Total() != 2 || g[0].Example.ID != "f1-open-2" {
				t.Errorf("%+v, %v", g, err)
			}
			var b bytes.Buffer
			if n, err := dlq.Export(ctx, db, &b, f); n != 2 || err != nil || strings.Count(b.String(), "\n") != 2 {
				t.Errorf("%d, %v", n, err)
			}
			broken := errors.New("broken")
			f.Match = func(*dlq.Letter) (bool, error) { return false, broken }
			if _, err := dlq.List(ctx, db, f); !errors.Is(err, broken) {
				t.Errorf("%v", err)
			}
			if _, err := dlq.Export(ctx, db, &b, f); !errors.Is(err, broken) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestRedactedLinesAreRefused(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := dlq.NewLineWriter(&b)
	w.Redact = func(l *dlq.Letter) *dlq.Letter {
		l.Record.Value = []byte("hidden")
		return l
	}
	if err := w.Write(lettertest.Full()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "1e400") || !strings.HasPrefix(b.String(), `{"v":1,"redacted":true,`) {
		t.Errorf("%s", b.String())
	}
	var bad *dlq.LineError
	if _, err := dlq.NewLineReader(&b).Read(); !errors.As(err, &bad) || bad.Field != "redacted" || !strings.Contains(err.Error(), "export it again") {
		t.Errorf("%v", err)
	}
}
