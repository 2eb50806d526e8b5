package cli

import (
	"strings"
	"testing"
)

func TestSetJSON(t *testing.T) {
	t.Parallel()
	const doc = ` {"a": 1e400, "b" : {"c/d":[1, {"x":9007199254740993} ,3]}, "e":{}, "a~":"s"} `
	for _, c := range []struct{ pointer, value, want string }{
		{"/a", `12.50`, ` {"a": 12.50, "b" : {"c/d":[1, {"x":9007199254740993} ,3]}, "e":{}, "a~":"s"} `},
		{"/b/c~1d/1/x", `"y"`, ` {"a": 1e400, "b" : {"c/d":[1, {"x":"y"} ,3]}, "e":{}, "a~":"s"} `},
		{"/b/c~1d/2", `null`, ` {"a": 1e400, "b" : {"c/d":[1, {"x":9007199254740993} ,null]}, "e":{}, "a~":"s"} `},
		{"/e/new", `[1]`, ` {"a": 1e400, "b" : {"c/d":[1, {"x":9007199254740993} ,3]}, "e":{"new":[1]}, "a~":"s"} `},
		{"/a~0", `0`, ` {"a": 1e400, "b" : {"c/d":[1, {"x":9007199254740993} ,3]}, "e":{}, "a~":0} `},
		{"/new", `0`, ` {"a": 1e400, "b" : {"c/d":[1, {"x":9007199254740993} ,3]}, "e":{}, "a~":"s","new":0} `},
		{"a", `0`, "is no JSON pointer"},
		{"", `0`, "is no JSON pointer"},
		{"/a", `x`, "expected JSON behind the sign"},
		{"/a/b", `0`, `there is no "b" in /a`},
		{"/b/c~1d/7", `0`, `there is no "7" in /b/c~1d`},
		{"/no/no", `0`, `there is no "no" in /`},
	} {
		got, err := setJSON([]byte(doc), c.pointer, c.value)
		if err != nil && !strings.Contains(err.Error(), c.want) || err == nil && string(got) != c.want {
			t.Errorf("%s: %s, %v", c.pointer, got, err)
		}
	}
	if _, err := setJSON([]byte("text"), "/a", "1"); err == nil {
		t.Error("text has no members")
	}
}
