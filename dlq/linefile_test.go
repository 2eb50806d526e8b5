package dlq_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

// everything has no field that is zero.
func everything(t testing.TB) *dlq.Letter {
	t.Helper()
	l := lettertest.Full()
	l.PublishedAt = lettertest.At(7_300_000_000)
	l.Verdict.Masked, l.Edits = []string{"status", "total"}, lettertest.Edits()
	l.State, l.Outcome = dlq.Resolved, dlq.OutcomeApplied
	return l
}

func line(t testing.TB, letters ...*dlq.Letter) string {
	t.Helper()
	var b bytes.Buffer
	w := dlq.NewLineWriter(&b)
	for _, l := range letters {
		if err := w.Write(l); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestLinesKeepEveryField(t *testing.T) {
	t.Parallel()
	full := everything(t)
	noZero(t, "Letter", reflect.ValueOf(*full), nil)
	letters := []*dlq.Letter{full, lettertest.Poison()}
	// One byte at a time, with white space between, and no line feed at the end.
	text := "\n \r\n" + strings.TrimSuffix(strings.ReplaceAll(line(t, letters...), "\n", "\r\n\n"), "\r\n\n")
	r := dlq.NewLineReader(iotest.OneByteReader(strings.NewReader(text)))
	for _, want := range letters {
		got, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\n     %+v\nwant %+v\n     %+v", got, got.Record, want, want.Record)
		}
	}
	if l, err := r.Read(); l != nil || !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %+v, %v", l, err)
	}
}

// The form stands in users' files.
func TestLineFormIsStored(t *testing.T) {
	t.Parallel()
	l := lettertest.Full()
	l.Record.Value = nil
	l.Record.Headers = []event.Header{{Key: "a"}, {Key: "a", Value: []byte{}}, {Key: "\xfe", Value: []byte("<ü>\x00")}}
	got := line(t, l)
	for _, part := range []string{
		`{"v":1,"id":"5598dac7329c9deddaa9cbb505306433","rev":2,"state":"open"`,
		`"created_at":1792007200001000,"published_at":null`,
		`"timestamp":1792000000005000,"timestamp_type":"create","key":"order-17","value":null,` +
			`"headers":[{"key":"a","value":null},{"key":"a","value":""},{"key":{"base64":"/g=="},"value":"<ü>\u0000"}]}` + "\n",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in\n%s", part, got)
		}
	}
}

// Any letter comes back, whatever its bytes.
func TestAnyLetterComesBackFromItsLine(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 11))
	for range 2000 {
		want := anyLetter(r)
		text := line(t, want)
		got, err := dlq.NewLineReader(strings.NewReader(text)).Read()
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\n     %+v\nwant %+v\n     %+v", got, got.Record, want, want.Record)
		}
		if strings.Count(text, "\n") != 1 {
			t.Fatalf("not one line:\n%s", text)
		}
	}
}

func anyLetter(r *rand.Rand) *dlq.Letter {
	alphabet := []string{"", "a", "ü", "\x00", "\xff", "\"", "\\", "\n", "\r\n", "<", "\u2028", "\ufffd", "😀", "{", "\xed\xa0\x80"}
	text := func() string {
		var b strings.Builder
		for range r.IntN(6) {
			b.WriteString(alphabet[r.IntN(len(alphabet))])
		}
		return b.String()
	}
	raw := func() []byte {
		if r.IntN(4) == 0 {
			return nil
		}
		return append([]byte{}, text()...)
	}
	number := func() int64 {
		return []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 9007199254740993}[r.IntN(6)]
	}
	at := func() time.Time {
		if r.IntN(3) == 0 {
			return time.Time{}
		}
		return time.UnixMicro([]int64{0, -1, 1, math.MaxInt64, math.MinInt64, 1_792_000_000_000_001}[r.IntN(6)]).UTC()
	}
	l := &dlq.Letter{
		ID: strconv.FormatUint(r.Uint64(), 16), Rev: number(), State: dlq.Open, Blocking: r.IntN(2) == 0, Place: number(), Stream: text(),
		Group: text(), Handler: text(), Table: text(), Entity: text(),
		Verdict: guards.Verdict{
			Action: guards.Action(r.IntN(int(guards.DeadLetter)-int(guards.Apply)+1)) + guards.Apply, Reason: guards.Reason(text()), Detail: text(),
			Numbers: guards.Comparison{What: text(), Event: number(), Against: number(), Bound: number(), EventTie: text(), AgainstTie: text()},
			Masked:  [][]string{nil, {}, {"a"}, {"", "b"}}[r.IntN(4)],
		},
		EventType: text(), Source: text(), EventID: text(), OccurredAt: at(), Stamp: event.Stamp{Time: number(), Tie: text()},
		Attempts: r.Int(), FirstFailed: at(), LastFailed: at(), ErrorType: text(), Error: text(), Stack: text(),
		Fingerprint: text(), ServiceVersion: text(), CreatedAt: at(), PublishedAt: at(),
		Record: &event.Record{
			Coordinates: event.Coordinates{Cluster: text(), Topic: text(), TopicID: text(), Partition: r.Int32() - 1<<30, Offset: number(), LeaderEpoch: -1},
			Key:         raw(), Value: raw(), Timestamp: at(), TimestampType: event.TimestampType(r.IntN(3)),
		},
	}
	for range r.IntN(4) {
		l.Record.Headers = append(l.Record.Headers, event.Header{Key: text(), Value: raw()})
	}
	return l
}

func TestMalformedLines(t *testing.T) {
	t.Parallel()
	good := strings.TrimSuffix(line(t, everything(t)), "\n")
	with := func(old, replacement string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s", old)
		}
		return strings.Replace(good, old, replacement, 1)
	}
	for name, c := range map[string]struct{ line, want string }{
		"no JSON":             {`{"v":1,`, `line 2: expected a JSON object (unexpected end of JSON input at byte 7), found {"v":1,`},
		"two objects":         {good + good, "line 2: expected a JSON object (invalid character"},
		"no object":           {`[1]`, "line 2: expected a JSON object, found [1]"},
		"null":                {`null`, "line 2: expected a JSON object, found null"},
		"not UTF-8":           {with(`"order-17"`, "\"\xff\""), "line 2: expected JSON in UTF-8"},
		"other version":       {with(`"v":1`, `"v":2`), "line 2: field v: expected 1, the version that this Evenkeel reads, found 2"},
		"no version":          {with(`"v":1,`, ``), "line 2: field v: expected 1, the version that this Evenkeel reads, found none"},
		"a field is missing":  {with(`"blocking":true,`, ``), "line 2: field blocking: expected it in every line"},
		"a field too many":    {with(`"v":1,`, `"v":1,"colour":"red",`), `line 2: field colour: expected no field of this name; a newer Evenkeel may have written it, found "red"`},
		"no id":               {with(`"id":"5598`, `"id":"xyz`), "line 2: field id: expected a letter's id"},
		"unknown state":       {with(`"state":"resolved"`, `"state":"opne"`), `line 2: field state: expected a state of a letter, one of open, replaying, resolved, discarded, purged; a newer Evenkeel may have others, found "opne"`},
		"number as text":      {with(`"rev":2`, `"rev":"2"`), `line 2: field rev: expected a whole number that fits into int64, found "2"`},
		"a fraction":          {with(`"rev":2`, `"rev":2.5`), "line 2: field rev: expected a whole number"},
		"number too large":    {with(`"partition":7`, `"partition":2147483648`), "line 2: field partition: expected a whole number that fits into int32, found 2147483648"},
		"null text":           {with(`"group":"billing"`, `"group":null`), "line 2: field group: expected text"},
		"no boolean":          {with(`"blocking":true`, `"blocking":1`), "line 2: field blocking: expected true or false, found 1"},
		"no time":             {with(`"created_at":1792007200001000`, `"created_at":"today"`), "line 2: field created_at: expected microseconds since 1970, or null"},
		"no action":           {with(`"action":"dead-letter"`, `"action":"drop"`), "line 2: field action: expected apply, discard, park or dead-letter"},
		"no timestamp type":   {with(`"timestamp_type":"create"`, `"timestamp_type":1`), "line 2: field timestamp_type: expected none, create or log-append"},
		"base64":              {with(`"key":"order-17"`, `"key":{"base64":"/w"}`), "line 2: field key: expected base64 with its padding"},
		"two encodings":       {with(`"key":"order-17"`, `"key":{"base64":"/w==","hex":"ff"}`), `line 2: field key: expected text, {"base64": "…"} or null`},
		"null in base64":      {with(`"key":"order-17"`, `"key":{"base64":null}`), "line 2: field key: expected text"},
		"a number":            {with(`"key":"order-17"`, `"key":17`), "line 2: field key: expected text"},
		"headers":             {with(`"headers":[`, `"headers":null,"x":[`), "line 2: field headers: expected a list of"},
		"header without key":  {with(`{"key":"x","value":null}`, `{"value":null}`), `line 2: field headers: expected at 1: an object with "key" and "value"`},
		"header with null":    {with(`{"key":"x","value":null}`, `{"key":null,"value":null}`), "line 2: field headers: expected at 1: key: text"},
		"header with a field": {with(`{"key":"x","value":null}`, `{"key":"x","value":null,"n":1}`), "line 2: field headers: expected at 1: an object"},
		"masked":              {with(`"masked":["status","total"]`, `"masked":"status"`), "line 2: field masked: expected a list of columns, or null"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := dlq.NewLineReader(strings.NewReader(good + "\n" + c.line + "\n" + good + "\n"))
			var errs []error
			n := 0
			for l, err := range r.Letters() {
				if err != nil {
					errs = append(errs, err)
				} else if n++; l == nil {
					t.Fatal("neither letter nor error")
				}
			}
			if n != 2 || len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), c.want) {
				t.Errorf("%d letters, errors %v, want %s", n, errs, c.want)
			}
			if len(errs) == 1 && len(errs[0].Error()) > 500 {
				t.Errorf("an error of %d bytes", len(errs[0].Error()))
			}
		})
	}
}

func TestReadingEndsWithTheReadersError(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	r := dlq.NewLineReader(io.MultiReader(strings.NewReader(line(t, lettertest.Poison())+`{"v"`), iotest.ErrReader(broken)))
	n := 0
	var last error
	for l, err := range r.Letters() {
		if l != nil {
			n++
		}
		last = err
	}
	if n != 1 || !errors.Is(last, broken) {
		t.Errorf("%d letters, %v", n, last)
	}
}

func FuzzLines(f *testing.F) {
	f.Add(line(f, lettertest.Full(), lettertest.Poison()))
	f.Add(line(f, everything(f)) + `{"v":1}` + "\n\n[]")
	f.Fuzz(func(t *testing.T, text string) {
		for l, err := range dlq.NewLineReader(strings.NewReader(text)).Letters() {
			var bad *dlq.LineError
			if (l == nil) == (err == nil) || err != nil && (!errors.As(err, &bad) || len(bad.Error()) > 1000) {
				t.Fatalf("%+v, %v", l, err)
			}
			if l != nil {
				sameAgain(t, l)
			}
		}
	})
}

// The parts of a letter that are most likely to break its line.
func FuzzLineOfAnyBytes(f *testing.F) {
	l := lettertest.Full()
	f.Add(l.Record.Key, l.Record.Value, dlq.EncodeHeaders(l.Record.Headers), l.Error, l.Stamp.Tie, int64(1), true)
	f.Fuzz(func(t *testing.T, key, value, headers []byte, text, tie string, n int64, null bool) {
		l := lettertest.Full()
		hs, err := dlq.DecodeHeaders(headers)
		if err != nil {
			return
		}
		l.Record.Key, l.Record.Value, l.Record.Headers, l.Error, l.Stamp.Tie, l.Place = key, value, hs, text, tie, n
		l.CreatedAt = time.UnixMicro(n).UTC()
		if null {
			l.Record.Value = nil
		}
		sameAgain(t, l)
	})
}

func sameAgain(t testing.TB, want *dlq.Letter) {
	t.Helper()
	text := line(t, want)
	got, err := dlq.NewLineReader(strings.NewReader(text)).Read()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v\ngot  %+v\n     %+v\nwant %+v\n     %+v\n%s", err, got, got.Record, want, want.Record, text)
	}
}
