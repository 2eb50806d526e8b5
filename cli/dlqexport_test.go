package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// A table, a file, a table: byte for byte, also through pipes.
func TestExportAndImport(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	insert(t, db, lettertest.Full(), hostile())
	file := filepath.Join(t.TempDir(), "letters.jsonl")
	r := world{}.run(t, "dlq", "export", "--dsn", dsn, "--file", file)
	if r.code != 0 || r.out != "" || r.errOut != "2 letters written to "+file+"\n" {
		t.Fatalf("%+v", r)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if r = (world{}).run(t, "dlq", "export", "--dsn", dsn, "--file", file); r.code != codeError || !strings.Contains(r.errOut, "exists\n  next: give --file another name") {
		t.Errorf("a second time: %+v", r)
	}
	pipe := world{}.run(t, "dlq", "export", "--dsn", dsn)
	if i := strings.IndexFunc(pipe.out, dangerous); pipe.code != 0 || i >= 0 {
		t.Errorf("a terminal would obey %q", pipe.out[max(i, 0):])
	}
	for name, from := range map[string]struct {
		file  string
		stdin []byte
	}{"file": {file, nil}, "pipe": {"-", []byte(pipe.out)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, db := migrated(t)
			w := world{in: string(from.stdin)}
			if r := w.run(t, "dlq", "import", "--dsn", dsn, "--file", from.file, "--dry-run"); r.code != 0 || r.out != "dry run: nothing was changed; would import 2 letters\n" {
				t.Fatalf("%+v", r)
			}
			if r := w.run(t, "dlq", "import", "--dsn", dsn, "--file", from.file); r.code != 0 || r.out != "imported 2 letters\n" || r.errOut != "" {
				t.Fatalf("%+v", r)
			}
			var again bytes.Buffer
			if _, err := dlq.Export(t.Context(), db, &again, dlq.Filter{}); err != nil || !bytes.Equal(again.Bytes(), written) {
				t.Errorf("%v: got\n%s\nwant\n%s", err, again.Bytes(), written)
			}
			if r := w.run(t, "dlq", "import", "--dsn", dsn, "--file", from.file); r.code != 0 || r.out != "imported 0 letters; 2 in the table already, left as they are\n" {
				t.Errorf("again: %+v", r)
			}
			if r := w.run(t, "dlq", "import", "--dsn", dsn, "--file", from.file, "-o", "jsonl"); r.out != `{"new":0,"present":2,"copies":0,"refused":0,"reopened":0,"dry_run":false}`+"\n" {
				t.Errorf("for programs: %+v", r)
			}
		})
	}
}

func TestExportChooses(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	insert(t, db, lettertest.Full(), hostile())
	r := world{}.run(t, "dlq", "export", "--dsn", dsn, "--reason", "poison")
	if r.code != 0 || strings.Count(r.out, "\n") != 1 || !strings.Contains(r.out, hostile().ID) {
		t.Errorf("%+v", r)
	}
	file := filepath.Join(t.TempDir(), "none.jsonl")
	r = world{}.run(t, "dlq", "export", "--dsn", dsn, "--reason", "late", "--file", file)
	if _, err := os.Stat(file); r.code != codeNothing || r.errOut != "no letters match\n" || !os.IsNotExist(err) {
		t.Errorf("%+v, %v", r, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if r = (world{}).run(t, "dlq", "export", "--dsn", dsn, "--since", "soon"); r.code != codeUsage {
		t.Errorf("%+v", r)
	}
	if r = (world{}).run(t, "dlq", "export", "--dsn", dsn, "--file", "/nowhere/x"); r.code != codeError || !strings.Contains(r.errOut, "can't use the file /nowhere/x") {
		t.Errorf("%+v", r)
	}
}

func TestImportNamesWhatIsNoLetter(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("{\"v\":\"\x1b[31m\"}\n[]\n", 15)
	var good bytes.Buffer
	if err := dlq.NewLineWriter(&good).Write(lettertest.Full()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args        []string
		out, errOut string
		letters     int64
	}{
		"all":  {nil, "imported 1 letter\n", "more follow and are not named\nevenkeel: 30 lines are no letters\n  next: see above", 1},
		"stop": {[]string{"--stop"}, "imported 0 letters\n", "evenkeel: line 1: expected a JSON object", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, db := migrated(t)
			w := world{in: text + good.String()}
			r := w.run(t, append([]string{"dlq", "import", "--dsn", dsn, "--file", "-"}, c.args...)...)
			if r.code != codeError || r.out != c.out || !strings.Contains(r.errOut, c.errOut) {
				t.Errorf("%+v", r)
			}
			if strings.ContainsRune(r.errOut, '\x1b') {
				t.Errorf("a terminal would obey %q", r.errOut)
			}
			if n, err := dlq.Count(t.Context(), db, dlq.Filter{}); n != c.letters || err != nil {
				t.Errorf("%d letters, %v", n, err)
			}
		})
	}
}

func TestImportSources(t *testing.T) {
	t.Parallel()
	dsn, _ := migrated(t)
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"none":        {nil, codeUsage, "where are the letters?"},
		"two":         {[]string{"--file", "x", "--topic", "t"}, codeUsage, "two sources"},
		"no brokers":  {[]string{"--topic", "t"}, codeUsage, "found only one of them"},
		"no topic":    {[]string{"--brokers", "b"}, codeUsage, "found only one of them"},
		"no property": {[]string{"--brokers", "b", "--topic", "t", "--kafka", "secret"}, codeUsage, "--kafka takes name=value"},
		"owned":       {[]string{"--brokers", "127.0.0.1:1", "--topic", "t", "--kafka", "acks=1"}, codeError, "the Kafka property acks can't be set"},
		"no file":     {[]string{"--file", "/nowhere/x"}, codeError, "`evenkeel dlq export --file` makes one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := world{}.run(t, append([]string{"dlq", "import", "--dsn", dsn}, c.args...)...)
			if r.code != c.code || !strings.Contains(r.errOut, c.want) || strings.Contains(r.errOut, "secret") {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A topic with letters of two kinds, and one record that is none.
func TestImportFromATopic(t *testing.T) {
	t.Parallel()
	kafka := testutil.Kafka(t, testutil.KafkaEmbedded())
	topic := kafka.Topic(t, "dead", 3)
	on := func(partition int32, key, value []byte, headers ...event.Header) event.Record {
		return event.Record{
			Coordinates: event.Coordinates{Topic: topic, Partition: partition}, Key: key, Value: value, Headers: headers,
			Timestamp: lettertest.At(0), TimestampType: event.TimestampCreate,
		}
	}
	own, _ := dlq.Encode(lettertest.Full(), 0)
	kafka.Produce(t,
		on(2, own.Key, own.Value, own.Headers...),
		on(0, []byte("k"), nil, event.Header{Key: "x-error-message", Value: []byte("declined")}),
		on(0, []byte("k"), []byte("v"), event.Header{Key: "kafka_dlt-original-topic", Value: []byte("orders")}, event.Header{Key: "kafka_dlt-original-partition", Value: []byte{1}}),
		on(2, []byte("no letter"), nil),
	)
	dsn, db := migrated(t)
	args := []string{"dlq", "import", "--dsn", dsn, "--brokers", kafka.Brokers, "--topic", topic}
	r := world{}.run(t, args...)
	if r.code != codeError || r.out != "imported 3 letters\n" || !strings.Contains(r.errOut, "partition 2, offset 1: no dead letter of a known kind") {
		t.Fatalf("%+v", r)
	}
	if r = (world{}).run(t, args...); r.out != "imported 0 letters; 3 in the table already, left as they are\n" {
		t.Errorf("again: %+v", r)
	}
	l, err := dlq.Get(t.Context(), db, lettertest.Full().ID)
	if err != nil || !bytes.Equal(l.Record.Value, lettertest.Full().Record.Value) || l.PublishedAt.IsZero() {
		t.Errorf("%+v, %v", l, err)
	}
	foreign, err := dlq.List(t.Context(), db, dlq.Filter{Reason: dlq.Foreign, Topic: "orders"})
	if err != nil || len(foreign) != 1 {
		t.Fatalf("%v, %v", foreign, err)
	}
	r = world{}.run(t, "dlq", "show", "--dsn", dsn, foreign[0].ID)
	for _, want := range []string{
		"foreign", "from          topic orders, partition unknown, offset unknown", "As told by spring",
		"value         may not be the original's bytes", `header kafka_dlt-original-partition: expected a partition, a whole number of 0 or more, found "\x01"`,
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
	if r = (world{}).run(t, "dlq", "show", "--dsn", dsn, foreign[0].ID, "-o", "jsonl"); !strings.Contains(r.out, `"partition":null,"offset":null`) || !strings.Contains(r.out, `"foreign":{"dialect":"spring"`) {
		t.Errorf("%s", r.out)
	}
	if r = (world{}).run(t, "dlq", "import", "--dsn", dsn, "--brokers", kafka.Brokers, "--topic", "nowhere"); r.code != codeError || !strings.Contains(r.errOut, "the topic nowhere does not exist") {
		t.Errorf("%+v", r)
	}
}
