package event

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// walk returns the members that the scanner finds, the last of each name.
func walk(in []byte) (map[string]string, string) {
	found := map[string]string{}
	o := jsonObject{in: in}
	for {
		name, value, ok := o.next()
		if !ok {
			return found, o.fault
		}
		text, _ := unescape(name)
		found[string(text)] = string(value)
	}
}

// agrees compares the scanner with encoding/json, which is what handlers decode with.
func agrees(t *testing.T, in []byte) {
	t.Helper()
	found, fault := walk(in)
	var want map[string]json.RawMessage
	isObject := json.Valid(in) && bytes.TrimLeft(in, " \t\r\n")[0] == '{'
	if (fault == "") != isObject {
		t.Fatalf("%.200q: fault %q, encoding/json says object: %t", in, fault, isObject)
	}
	if !isObject || !utf8.Valid(in) {
		return // encoding/json replaces broken names, the scanner keeps their bytes
	}
	if err := json.Unmarshal(in, &want); err != nil {
		t.Fatalf("%.200q: %v", in, err)
	}
	if len(found) != len(want) {
		t.Fatalf("%.200q: found %d members, encoding/json %d", in, len(found), len(want))
	}
	for name, raw := range want {
		if found[name] != string(raw) {
			t.Fatalf("%.200q: member %q is %q, to encoding/json %q", in, name, found[name], raw)
		}
		var text string
		if raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
			if got, _ := unescape(raw[1 : len(raw)-1]); string(got) != text {
				t.Fatalf("%q: text %q, to encoding/json %q", raw, got, text)
			}
		}
	}
}

var jsonSeeds = []string{
	``, ` `, `{`, `}`, `{}`, ` { } `, `{}{}`, `{} x`, `[]`, `null`, `1`, `"a"`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a" : 1 , "b":[1,2,{"c":null}]}`,
	`{a:1}`, `{"a":01}`, `{"a":-}`, `{"a":-0.1e+5}`, `{"a":1.}`, `{"a":.1}`, `{"a":1e}`, `{"a":tru}`, `{"a":true,"b":false,"c":nul}`, `{"a":truex}`,
	`{"a":"\u00e9\n\t\/\\\"\b\f\r"}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, `{"a":"\ud83dx\ude00"}`, `{"a":"\ude00\ud83d"}`,
	`{"\u0061":1,"a":2}`, "{\"a\":\"\n\"}", "{\"a\":\"\x7f\"}", "{\"a\xff\":\"\xff\"}", `{"a":[}`, `{"a":[1 2]}`, `{"a":{"b":1]}`, `{"a":{"b" 1}}`, `{"a":{1:1}}`, `{"a":"`, `{"a":"\`,
	`{"a":[[],{},[[]]]}`, `{"a":[`, `{"a":{`, `{"a":{"b"`, `{"a":{"b":`, `{"a":1`, `{"a":[1`, `{"a"x1}`, `{"a":1x}`, `{"a":-1.5E-2}`, `{"a":+1}`, "\ufeff{}", `{"a":"\ud800\ud800\udc00"}`,
}

func TestJSONAgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	for _, in := range jsonSeeds {
		agrees(t, []byte(in))
		for i := range in { // every text that ends too early
			agrees(t, []byte(in[:i]))
		}
	}
}

func TestJSONNesting(t *testing.T) {
	t.Parallel()
	nested := func(n int) []byte {
		return []byte(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	}
	agrees(t, nested(maxJSONDepth-1))
	agrees(t, nested(maxJSONDepth))
	if _, fault := walk(nested(maxJSONDepth)); fault != faultDeep {
		t.Errorf("fault %q, want %q", fault, faultDeep)
	}
	if _, fault := walk([]byte(`{"a":` + strings.Repeat(`{"a":[`, 1<<20))); fault != faultDeep {
		t.Errorf("fault %q, want %q", fault, faultDeep)
	}
}

func FuzzJSON(f *testing.F) {
	for _, in := range jsonSeeds {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) { agrees(t, in) })
}
