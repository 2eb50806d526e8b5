package letterfilter_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/evenkeel-go/evenkeel/dlq/letterfilter"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	now := lettertest.At(0).AddDate(0, 0, 1)
	const (
		plain      = `{"total": 100.5, "id": 9007199254740993, "big": 18446744073709551615, "items": [{"sku": "a", "n": 2}], "ok": true, "none": null}`
		cloudEvent = `{"specversion": "1.0", "type": "t", "data": {"total": 7}}`
	)
	for _, c := range []struct {
		value, expression string
		want              string // "true", "false", or a part of the error
	}{
		{plain, `payload.total > 100`, "true"},
		{plain, `payload.total > 100.5`, "false"},
		{plain, `payload.total > 100 && letter.attempts >= 3`, "true"},
		{plain, `payload.id == 9007199254740993`, "true"},
		{plain, `payload.id == 9007199254740992`, "false"},
		{plain, `payload.big == 18446744073709551615u`, "true"},
		{plain, `payload.items.exists(i, i.sku == "a" && i.n > 1)`, "true"},
		{plain, `payload.ok`, "true"},
		{plain, `payload.none == null`, "true"},
		{plain, `has(payload.missing) && payload.missing > 1`, "false"},
		{plain, `letter.reason == "exhausted" && letter.state == "open" && letter.blocking && letter.partition == 7 && letter.offset == 4711`, "true"},
		{plain, `letter.error.contains("declined") && letter.key.startsWith("order-")`, "true"},
		{plain, `now - letter.created_at > duration("20h")`, "true"},
		{plain, `letter.created_at > now`, "false"},
		{plain, `letter.created_at < timestamp("2026-10-15T00:00:00Z")`, "true"},
		{plain, `headers["traceparent"].startsWith("00-4bf9")`, "true"},
		{plain, `"nope" in headers`, "false"},
		{plain, `letter.published_at < now`, "no such attribute"},
		{plain, `payload.missing > 1`, "no such key: missing"},
		{plain, `payload.ok > 1`, "no such overload"},
		{plain, `payload.total`, "true or false"},
		{plain, `headers["nope"] == ""`, "no such key"},
		{cloudEvent, `payload.total == 7`, "true"},
		{"\x00\xff", `payload.total == 7`, "no such attribute"},
		{"\x00\xff", `letter.attempts == 8`, "true"},
		{`{"total": 7} x`, `payload.total == 7`, "no such attribute"},
		{"", `payload.total == 7`, "no such attribute"},
	} {
		l := lettertest.Full()
		l.Record.Value = []byte(c.value)
		f, err := letterfilter.Compile(c.expression, now)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		got, err := f.Match(t.Context(), l)
		var unanswered *letterfilter.UnansweredError
		switch {
		case c.want == "true" || c.want == "false":
			if err != nil || got != (c.want == "true") {
				t.Errorf("%s: %v, %v", c.expression, got, err)
			}
		case !errors.As(err, &unanswered) || unanswered.ID != l.ID || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, %v; want %s", c.expression, got, err, c.want)
		}
	}
}

// Every field can be asked for.
func TestFields(t *testing.T) {
	t.Parallel()
	l := lettertest.Full()
	l.PublishedAt = lettertest.At(9)
	for _, name := range letterfilter.Fields() {
		f, err := letterfilter.Compile("letter."+name+" == letter."+name, lettertest.At(0))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if ok, err := f.Match(t.Context(), l); !ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]struct {
		line, column int
		text         string
	}{
		"letter.atempts > 1":         {1, 1, "attempts"},
		"true &&\n  latter.id == ''": {2, 3, "there is no latter.id"},
		"letter.id >":                {1, 12, "Syntax error"},
		"letter.attempts > 'x'":      {1, 17, "no matching overload"},
		"1":                          {1, 1, "true or false"},
		"":                           {1, 1, "Syntax error"},
		"foo(1)":                     {1, 1, "there is no foo"},
		strings.Repeat("(", 300) + strings.Repeat(")", 300): {0, 0, ""},
		strings.Repeat("x", 20_000):                         {1, 1, "at most 16384"},
	} {
		_, err := letterfilter.Compile(expression, lettertest.At(0))
		var e *letterfilter.SyntaxError
		if !errors.As(err, &e) {
			t.Errorf("%.40q: %v", expression, err)
			continue
		}
		if want.text != "" && (e.Line != want.line || e.Column != want.column || !strings.Contains(e.Text, want.text)) {
			t.Errorf("%.40q: line %d, column %d, %s", expression, e.Line, e.Column, e.Text)
		}
	}
}

// An expression can't run for long, whatever is in the letter.
func TestBounds(t *testing.T) {
	t.Parallel()
	l := lettertest.Full()
	l.Record.Value = []byte("[" + strings.TrimSuffix(strings.Repeat("1,", 3000), ",") + "]")
	costly, err := letterfilter.Compile("payload.all(a, payload.all(b, payload.all(c, a + b + c > 0)))", lettertest.At(0))
	if err != nil {
		t.Fatal(err)
	}
	var unanswered *letterfilter.UnansweredError
	if _, err := costly.Match(t.Context(), l); !errors.As(err, &unanswered) || !strings.Contains(err.Error(), "cost limit") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := costly.Match(ctx, l); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
