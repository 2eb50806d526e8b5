package cli

import (
	"strings"
	"testing"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

func TestRedactedPayloads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rules, payload, want string }{
		{"payload.card", `{"card":"4242", "total": 1e400}`, `{"card":"[redacted]", "total": 1e400}`},
		{"payload.card", `{"card": {"no": 1, "x": [2]} ,"big":9007199254740993}`, `{"card": "[redacted]" ,"big":9007199254740993}`},
		{"payload.card.no", `{"card":{"no":"1","c\u0061rd":2},"no":3}`, `{"card":{"no":"[redacted]","c\u0061rd":2},"no":3}`},
		{"payload.card", `{"c\u0061rd":1,"CARD":2,"card":3}`, `{"c\u0061rd":"[redacted]","CARD":"[redacted]","card":"[redacted]"}`},
		{"payload.items.pan", `{"items":[{"pan":"1"},{"pan":null,"n":2}]}`, `{"items":[{"pan":"[redacted]"},{"pan":"[redacted]","n":2}]}`},
		{"payload.*.pan", `{"a":{"pan":1},"b":{"c":{"pan":2}}}`, `{"a":{"pan":"[redacted]"},"b":{"c":{"pan":2}}}`},
		{"payload.**.pan", `{"pan":0,"a":{"pan":1},"b":{"c":[[{"pan":2}]]}}`, `{"pan":"[redacted]","a":{"pan":"[redacted]"},"b":{"c":[[{"pan":"[redacted]"}]]}}`},
		{"payload.card", `{"specversion":"1.0","data":{"card":7}}`, `{"specversion":"1.0","data":{"card":"[redacted]"}}`},
		{"payload.card", `{"data_base64":"e30="}`, `{"data_base64":"[redacted]"}`},
		{"payload.card", `[{"card":1}]`, `[{"card":"[redacted]"}]`},
		{"payload", `{"a":1}`, "[redacted]"},
		// What can't be read may hold it.
		{"payload.card", `{"card":"4242"`, "[redacted]"},
		{"payload.card", `{} {"card":1}`, "[redacted]"},
		{"payload.card", "\x00\x01card", "[redacted]"},
		{"payload.card", strings.Repeat("[", 5000), "[redacted]"},
		{"payload.card", "", ""},
		{"header.x", `{"card":"4242"`, `{"card":"4242"`},
	} {
		r, err := parseRedaction([]string{c.rules})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(r.value([]byte(c.payload))); got != c.want {
			t.Errorf("%s of %s: got %s, want %s", c.rules, c.payload, got, c.want)
		}
	}
	for _, rule := range []string{"card", "payload.", "payload..x", "header.", "header", "keys", "payloads.x"} {
		if _, err := parseRedaction([]string{rule}); err == nil || !strings.Contains(err.Error(), "payload.FIELD") {
			t.Errorf("%q: %v", rule, err)
		}
	}
}

func TestRedactedLetters(t *testing.T) {
	t.Parallel()
	l := lettertest.Full()
	l.Record.Value = []byte(`{"card":"4242","id":1}`)
	l.Record.Headers = []event.Header{{Key: "Token", Value: []byte("s3same")}, {Key: "y", Value: []byte("y")}, {Key: "token"}}
	l.Error, l.Stack, l.Verdict.Detail = "card 4242 declined", "paid(4242)", "with s3same"
	r, err := parseRedaction([]string{"payload.card", "header.token"})
	if err != nil {
		t.Fatal(err)
	}
	got := r.letter(l)
	if got.Error != "card [redacted] declined" || got.Stack != "paid([redacted])" || got.Verdict.Detail != "with [redacted]" {
		t.Errorf("%q, %q, %q", got.Error, got.Stack, got.Verdict.Detail)
	}
	if h := got.Record.Headers; string(h[0].Value) != hidden || string(h[1].Value) != "y" || h[2].Value != nil {
		t.Errorf("headers %q", h)
	}
	if string(got.Record.Value) != `{"card":"[redacted]","id":1}` || string(got.Record.Key) != "order-17" {
		t.Errorf("record %s, %s", got.Record.Key, got.Record.Value)
	}
	if string(l.Record.Value) != `{"card":"4242","id":1}` || l.Error != "card 4242 declined" || string(l.Record.Headers[0].Value) != "s3same" {
		t.Error("the letter itself was changed")
	}
	// An error may quote what can't be read.
	l.Record.Value = []byte("4242")
	l.Record.Value = append(l.Record.Value, '{')
	if got := r.letter(l); got.Error != hidden || got.Stack != hidden || string(got.Record.Value) != hidden {
		t.Errorf("%q, %q, %q", got.Error, got.Stack, got.Record.Value)
	}
	r, _ = parseRedaction([]string{"key", "error"})
	if got := r.letter(l); string(got.Record.Key) != hidden || got.Entity != hidden || got.Error != hidden || string(got.Record.Value) != "4242{" {
		t.Errorf("%+v", got)
	}
}
