package dlq_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

var update = flag.Bool("update", false, "write the golden letters anew")

// The golden letters stand for what is on users' topics: once a version is released its
// files don't change, and every later version reads them.
func TestGoldenLetters(t *testing.T) {
	t.Parallel()
	hop := lettertest.Full()
	first, _ := dlq.Encode(lettertest.Poison(), 0)
	hop.Record.Headers = append(hop.Record.Headers, first.Headers...)
	tooLarge := lettertest.Full()
	tooLarge.Record.Value = bytes.Repeat([]byte("v"), 100_000)

	for name, c := range map[string]struct {
		letter *dlq.Letter
		limit  int
	}{
		"full":         {lettertest.Full(), 0},
		"poison":       {lettertest.Poison(), 0},
		"second-hop":   {hop, 0},
		"value-behind": {tooLarge, 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := dlq.Encode(c.letter, c.limit)
			got := render(&m)
			file := filepath.Join("testdata", "letters-v1", name+".txt")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if line := difference(string(got), string(want)); line != "" {
				t.Errorf("the copy has changed: %s", line)
			}
			l, _, err := dlq.Decode(parse(t, want))
			if err != nil {
				t.Fatal(err)
			}
			fresh, _, err := dlq.Decode(record(&m))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(l, fresh) {
				t.Errorf("the golden file reads as\n%+v\nwant\n%+v", l, fresh)
			}
		})
	}
}

// difference is the first line that is not equal. The sentence for people may get better
// with a release, and nothing reads it back.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		const sentence = "header " + dlq.StandardPrefix + "message\t"
		if a != b && (!strings.HasPrefix(a, sentence) || !strings.HasPrefix(b, sentence)) {
			return fmt.Sprintf("line %d is\n%s\nand was\n%s", i+1, a, b)
		}
	}
	return ""
}

func render(m *dlq.Message) []byte {
	var b bytes.Buffer
	line := func(what string, value []byte) {
		text := strconv.Quote(string(value))
		if value == nil {
			text = "null"
		}
		fmt.Fprintf(&b, "%s\t%s\n", what, text)
	}
	line("key", m.Key)
	line("value", m.Value)
	for _, h := range m.Headers {
		line("header "+h.Key, h.Value)
	}
	return b.Bytes()
}

func parse(t *testing.T, golden []byte) *event.Record {
	t.Helper()
	var m dlq.Message
	for line := range strings.Lines(string(golden)) {
		what, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		var value []byte
		if text != "null" {
			s, err := strconv.Unquote(text)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			value = append([]byte{}, s...)
		}
		switch what {
		case "key":
			m.Key = value
		case "value":
			m.Value = value
		default:
			m.Headers = append(m.Headers, event.Header{Key: strings.TrimPrefix(what, "header "), Value: value})
		}
	}
	return record(&m)
}
