package cli

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/pmezard/go-difflib/difflib"

	"github.com/evenkeel-go/evenkeel/event"
)

// diff tells people how one record's headers and value become another's. JSON is laid out in
// lines first, its numbers as they are.
func diff(was, is *event.Record) string {
	lines := func(r *event.Record) (all []string) {
		for _, h := range r.Headers {
			all = append(all, "header "+oneLine([]byte(h.Key))+" = "+oneLine(h.Value)+"\n")
		}
		for line := range strings.Lines(layOut(r.Value)) {
			all = append(all, safeLines(strings.TrimSuffix(line, "\n"))+"\n")
		}
		return all
	}
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: lines(was), B: lines(is), Context: 2})
	if err != nil {
		return ""
	}
	return text
}

// allHidden stands for a difference that can't be shown.
const allHidden = "(the difference is in what is hidden)\n"

// diff is the difference without what is hidden, and says where that is all of it.
func (a *app) diff(was, is *event.Record) string {
	shown := diff(a.hide.record(was), a.hide.record(is))
	if shown == "" && diff(was, is) != "" {
		return allHidden
	}
	return shown
}

func layOut(value []byte) string {
	var b bytes.Buffer
	switch {
	case value == nil:
		return "null"
	case json.Valid(value) && json.Indent(&b, value, "", "  ") == nil:
		return b.String()
	case isText(value):
		return string(value)
	}
	return hex.Dump(value)
}
