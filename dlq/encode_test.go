package dlq_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

func TestEveryFieldTravels(t *testing.T) {
	t.Parallel()
	want := lettertest.Full()
	want.State, want.Outcome, want.Edits = dlq.Resolved, dlq.OutcomeApplied, lettertest.Edits()
	// A field that is added to Letter and not to the copy must not go unnoticed.
	notCarried := map[string]bool{"PublishedAt": true, "Masked": true}
	noZero(t, "Letter", reflect.ValueOf(*want), notCarried)

	m, fit := dlq.Encode(want, 0)
	got, gotFit, err := dlq.Decode(record(&m))
	if err != nil {
		t.Fatal(err)
	}
	if fit != dlq.FitWhole || gotFit != dlq.FitWhole {
		t.Errorf("fit %v, read %v", fit, gotFit)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\n     %+v\nwant %+v\n     %+v", got, got.Record, want, want.Record)
	}
	if got, _ := record(&m).Header(dlq.StandardPrefix + "message"); !strings.HasPrefix(string(got), "resolved (applied); it was: dead-letter (exhausted)") {
		t.Errorf("whoever counts messages takes it for a new letter: %s", got)
	}
	small := lettertest.Full()
	small.State, small.Record.Key = dlq.Discarded, bytes.Repeat([]byte("k"), dlq.MinMessageBytes)
	m, fit = dlq.Encode(small, 1)
	if got, _, _ := dlq.Decode(record(&m)); fit != dlq.FitNoKey || got.State != dlq.Discarded {
		t.Errorf("%v: the state is lost on the way: %+v", fit, got)
	}
	m, _ = dlq.Encode(want, 0)
	if !m.Timestamp.Equal(want.Record.Timestamp) {
		t.Errorf("timestamp %v", m.Timestamp)
	}
}

func noZero(t *testing.T, path string, v reflect.Value, except map[string]bool) {
	t.Helper()
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || v.Type() == reflect.TypeFor[time.Time]() {
		if v.IsZero() {
			t.Errorf("%s is zero in the test's letter", path)
		}
		return
	}
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; !except[name] {
			noZero(t, path+"."+name, v.Field(i), except)
		}
	}
}

func TestPoisonTravels(t *testing.T) {
	t.Parallel()
	want := lettertest.Poison()
	m, _ := dlq.Encode(want, 0)
	got, _, err := dlq.Decode(record(&m))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\n     %+v\nwant %+v\n     %+v", got, got.Record, want, want.Record)
	}
	if m.Key != nil || !m.Timestamp.IsZero() {
		t.Errorf("key %#v, timestamp %v; want null and none", m.Key, m.Timestamp)
	}
}

func TestNullAndEmptyStayApart(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{nil, {}} {
		l := lettertest.Poison()
		l.Record.Key, l.Record.Value = b, b
		m, _ := dlq.Encode(l, 100_000)
		got, _, err := dlq.Decode(record(&m))
		if err != nil {
			t.Fatal(err)
		}
		if (got.Record.Key == nil) != (b == nil) || (got.Record.Value == nil) != (b == nil) {
			t.Errorf("%#v: key %#v, value %#v", b, got.Record.Key, got.Record.Value)
		}
	}
}

func TestHopsDoNotGrowTheRecord(t *testing.T) {
	t.Parallel()
	l := lettertest.Full()
	original := l.Record.Headers
	m, _ := dlq.Encode(l, 0)
	if dlq.Hops(l.Record) != 0 {
		t.Errorf("hops of the original %d", dlq.Hops(l.Record))
	}
	size := 0
	for hop := 1; hop <= 20; hop++ {
		r := record(&m)
		if got := dlq.Hops(r); got != hop {
			t.Fatalf("hops %d, want %d", got, hop)
		}
		previous := l.ID
		l = lettertest.Full()
		l.Record = r
		l.ID = dlq.UnitID(r.Coordinates, "repair", "", "")
		m, _ = dlq.Encode(l, 0)
		if !reflect.DeepEqual(m.Headers[:len(original)], original) {
			t.Fatalf("hop %d: the original's headers are %v", hop, m.Headers[:len(original)])
		}
		if got := header(&m, "evenkeel-previous"); got != previous {
			t.Errorf("hop %d: previous %s, want %s", hop, got, previous)
		}
		if hop == 2 {
			size = m.Size()
		}
		// One byte more when the count has two digits.
		if hop > 2 && m.Size() > size+1 {
			t.Fatalf("hop %d has %d bytes, hop 2 had %d", hop, m.Size(), size)
		}
	}
}

func TestHopsOfStrangeHeaders(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int{
		"": 1, "-3": 1, "0": 1, "x": 1, "3": 3,
		"99999999999": 1 << 20, "99999999999999999999999": 1,
	} {
		r := &event.Record{Headers: []event.Header{
			{Key: "evenkeel-letter", Value: []byte("a")}, {Key: "evenkeel-hops", Value: []byte(value)},
		}}
		if got := dlq.Hops(r); got != want {
			t.Errorf("hops %q = %d, want %d", value, got, want)
		}
	}
}

func TestOwnHeadersAreBounded(t *testing.T) {
	t.Parallel()
	l := largestLetter()
	l.Record.Headers = nil
	m, fit := dlq.Encode(l, 0)
	if fit != dlq.FitWhole {
		t.Errorf("fit %v", fit)
	}
	own := 0
	for _, h := range m.Headers {
		own += 10 + len(h.Key) + len(h.Value)
	}
	if own > 32<<10 {
		t.Errorf("own headers take %d bytes", own)
	}
	if _, _, err := dlq.Decode(record(&m)); err != nil {
		t.Errorf("what was cut can't be read: %v", err)
	}
	for _, name := range []string{"evenkeel-detail", "evenkeel-error", "__dlq.errors.message"} {
		if s := header(&m, name); !utf8.ValidString(s) || strings.ContainsRune(s, 0) || !strings.Contains(s, "…(+") {
			t.Errorf("%s: %.60q…", name, s)
		}
	}
}

func TestTooLargeGivesUpWhatMattersLeast(t *testing.T) {
	t.Parallel()
	full := lettertest.Full()
	full.Error = strings.Repeat("e", dlq.MaxErrorBytes)
	full.Stack = strings.Repeat("s", dlq.MaxStackBytes)
	full.Record.Value = bytes.Repeat([]byte("v"), 50_000)
	full.Record.Headers = []event.Header{{Key: "h", Value: bytes.Repeat([]byte("h"), 20_000)}}
	full.Record.Key = bytes.Repeat([]byte("k"), 10_000)

	for _, c := range []struct {
		limit          int
		want           dlq.Fit
		lacks, carries []string
	}{
		{0, dlq.FitWhole, []string{"evenkeel-fit"}, []string{"evenkeel-stack"}},
		{110_000, dlq.FitWhole, nil, []string{"evenkeel-stack", "evenkeel-error"}},
		{90_000, dlq.FitNoStack, []string{"evenkeel-stack"}, []string{"evenkeel-error", "evenkeel-detail"}},
		{84_000, dlq.FitNoError, []string{"evenkeel-error", "evenkeel-detail"}, []string{"h", "evenkeel-event-id"}},
		{40_000, dlq.FitNoValue, []string{"evenkeel-error"}, []string{"h", "evenkeel-value"}},
		{20_000, dlq.FitNoHeaders, []string{"h"}, []string{"evenkeel-headers", "evenkeel-event-id"}},
		{9_000, dlq.FitNoKey, []string{"evenkeel-event-id"}, []string{"evenkeel-key", "evenkeel-topic", "__dlq.errors.offset"}},
		{1, dlq.FitNoKey, nil, []string{"evenkeel-letter"}},
	} {
		m, fit := dlq.Encode(full, c.limit)
		if fit != c.want {
			t.Errorf("limit %d: %v, want %v", c.limit, fit, c.want)
		}
		if c.limit > 0 && m.Size() > max(c.limit, dlq.MinMessageBytes) {
			t.Errorf("limit %d: size %d", c.limit, m.Size())
		}
		for _, name := range c.lacks {
			if got := header(&m, name); got != "(none)" {
				t.Errorf("limit %d: %s is there: %.40q", c.limit, name, got)
			}
		}
		for _, name := range c.carries {
			if header(&m, name) == "(none)" {
				t.Errorf("limit %d: %s is missing", c.limit, name)
			}
		}
		if hasValue := m.Value != nil; hasValue != (fit < dlq.FitNoValue) {
			t.Errorf("limit %d: value there: %v", c.limit, hasValue)
		}
		if fit >= dlq.FitNoValue && header(&m, "evenkeel-value") != "in-table; bytes=50000" {
			t.Errorf("limit %d: evenkeel-value is %q", c.limit, header(&m, "evenkeel-value"))
		}
		l, got, err := dlq.Decode(record(&m))
		if err != nil || got != fit {
			t.Fatalf("limit %d: read as %v, %v", c.limit, got, err)
		}
		if l.ID != full.ID || l.Record.Offset != full.Record.Offset || l.Verdict.Reason != full.Verdict.Reason {
			t.Errorf("limit %d: identity lost: %+v", c.limit, l)
		}
	}
}

func TestPointerAlwaysFits(t *testing.T) {
	t.Parallel()
	l := largestLetter()
	l.ID = strings.Repeat("i", 10_000)
	l.Record.Value = make([]byte, 1<<20)
	l.Record.Headers = []event.Header{{Key: "evenkeel-letter", Value: make([]byte, 10_000)}}
	m, fit := dlq.Encode(l, dlq.MinMessageBytes)
	if fit != dlq.FitNoKey || m.Size() > dlq.MinMessageBytes {
		t.Errorf("%v, %d bytes", fit, m.Size())
	}
}

func TestEncodeLeavesTheLetterAlone(t *testing.T) {
	t.Parallel()
	l, same := lettertest.Full(), lettertest.Full()
	// Room behind the slice is where a careless append would write.
	l.Record.Headers = append(make([]event.Header, 0, 100), l.Record.Headers...)
	dlq.Encode(l, 9_000)
	dlq.Encode(l, 0)
	if !reflect.DeepEqual(l, same) {
		t.Errorf("the letter has changed: %+v", l)
	}
	if h := l.Record.Headers[:100]; h[len(same.Record.Headers)].Key != "" {
		t.Errorf("wrote behind the record's headers: %v", h[len(same.Record.Headers)])
	}
}

func TestStandardMessageSaysWhatHappened(t *testing.T) {
	t.Parallel()
	l := lettertest.Full()
	m, _ := dlq.Encode(l, 0)
	if got, want := header(&m, "__dlq.errors.message"), l.Verdict.String()+": "+l.Error; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	l.Record.Value = make([]byte, 100_000)
	m, _ = dlq.Encode(l, 50_000)
	if got, want := header(&m, "__dlq.errors.message"), "dead-letter (exhausted)"; got != want {
		t.Errorf("pointer: got %s, want %s", got, want)
	}
}

func TestPartition(t *testing.T) {
	t.Parallel()
	m := dlq.Message{SourcePartition: 7}
	for n, want := range map[int32]int32{1: 0, 3: 1, 7: 0, 8: 7, 0: 0, -1: 0} {
		if got := m.Partition(n); got != want {
			t.Errorf("7 of %d is %d, want %d", n, got, want)
		}
	}
	m.SourcePartition = -1
	if got := m.Partition(3); got != 0 {
		t.Errorf("-1 of 3 is %d", got)
	}
}

func TestDamagedHeadersAreNamed(t *testing.T) {
	t.Parallel()
	m, _ := dlq.Encode(lettertest.Full(), 0)
	r := record(&m)
	for _, name := range []string{"offset", "partition", "event-time", "stamp-tie", "action", "blocking", "timestamp-type", "fit"} {
		r.Headers = append(r.Headers, event.Header{Key: "evenkeel-" + name, Value: []byte("\"\xff?")})
	}
	l, _, err := dlq.Decode(r)
	if l == nil {
		t.Fatal("no letter")
	}
	if l.Group != "billing" || l.Record.Offset != 0 || !l.OccurredAt.IsZero() || l.Verdict.Reason != guards.Exhausted {
		t.Errorf("read as %+v", l)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 8 {
		t.Fatalf("got %v", err)
	}
	var first *dlq.HeaderError
	if !errors.As(err, &first) || first.Header != "evenkeel-action" || first.Found == "" {
		t.Errorf("first is %+v", first)
	}
}

func TestOtherRecordsAreNoLetters(t *testing.T) {
	t.Parallel()
	l, _, err := dlq.Decode(lettertest.Full().Record)
	if l != nil || !errors.Is(err, dlq.ErrNotLetter) {
		t.Errorf("got %+v, %v", l, err)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"plain", 32, "plain"},
		{"a\x00b\xffc", 32, `a\0b` + "\uFFFDc"},
		{strings.Repeat("x", 32), 32, strings.Repeat("x", 32)},
		{strings.Repeat("x", 40), 32, strings.Repeat("x", 18) + "…(+22 bytes)"},
		{"x" + strings.Repeat("ä", 40), 32, "x" + strings.Repeat("ä", 8) + "…(+64 bytes)"},
		{strings.Repeat("x", 40), 0, strings.Repeat("x", 18) + "…(+22 bytes)"},
	} {
		if got := dlq.Text(c.in, c.limit); got != c.want {
			t.Errorf("Text(%.20q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, l := range []*dlq.Letter{lettertest.Full(), lettertest.Poison()} {
		m, _ := dlq.Encode(l, 0)
		f.Add(m.Key, m.Value, dlq.EncodeHeaders(m.Headers))
		m, _ = dlq.Encode(l, 1)
		f.Add(m.Key, m.Value, dlq.EncodeHeaders(m.Headers))
	}
	f.Fuzz(func(t *testing.T, key, value, headers []byte) {
		hs, err := dlq.DecodeHeaders(headers)
		if err != nil {
			return
		}
		r := record(&dlq.Message{Key: key, Value: value, Headers: hs})
		l, _, err := dlq.Decode(r)
		if (l == nil) != errors.Is(err, dlq.ErrNotLetter) {
			t.Fatalf("letter %v, error %v", l, err)
		}
		if l == nil {
			return
		}
		// What was read can be written, is never larger than allowed, and reads the same.
		m, _ := dlq.Encode(l, 0)
		again, _, err := dlq.Decode(record(&m))
		if err != nil {
			t.Fatalf("written anew it is damaged: %v", err)
		}
		once, _ := dlq.Encode(again, 0)
		if !reflect.DeepEqual(once, m) {
			t.Fatalf("unstable:\n%+v\n%+v", m, once)
		}
	})
}

// TestLineageStays: a letter's copy of a derived event has its place in history with it.
func TestLineageStays(t *testing.T) {
	t.Parallel()
	l := lettertest.Full()
	lineage := event.Header{Key: event.LineageHeader, Value: []byte(`{"id":"1"}`)}
	l.Record.Headers = []event.Header{{Key: "evenkeel-letter", Value: []byte("of an earlier hop")}, lineage}
	m, _ := dlq.Encode(l, 0)
	if header(&m, event.LineageHeader) != string(lineage.Value) {
		t.Errorf("%v", m.Headers)
	}
	back, _, err := dlq.Decode(record(&m))
	if err != nil || len(back.Record.Headers) != 1 || back.Record.Headers[0].Key != event.LineageHeader {
		t.Errorf("%+v, %v", back.Record.Headers, err)
	}
}
