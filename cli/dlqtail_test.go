package cli

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	storeopen "github.com/evenkeel-go/evenkeel/internal/store/open"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// watched tells of each line that is written to it.
type watched struct {
	bytes.Buffer
	line func(n int)
	n    int
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Buffer.Write(b)
	for range bytes.Count(b, []byte("\n")) {
		w.n++
		w.line(w.n)
	}
	return n, err
}

// follow runs a command that ends with Ctrl-C; line is called after each line that it writes.
func follow(t *testing.T, dsn string, line func(n int, ctrlC func()), args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out := &watched{line: func(n int) { line(n, cancel) }}
	var errOut bytes.Buffer
	root := command(environment{
		getenv: func(name string) string { return map[string]string{dsnVariable: dsn}[name] },
		now:    time.Now, columns: func(io.Writer) int { return 0 }, user: func() string { return "ann" },
	})
	root.SetOut(out)
	root.SetErr(&errOut)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	report(&errOut, err)
	return result{out.String(), errOut.String(), ExitCode(err)}
}

func TestTailOfTheTable(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	old, older := lettertest.Full(), hostile()
	old.CreatedAt = time.Now().Add(-time.Hour)
	older.CreatedAt = time.Now().Add(-2 * time.Hour)
	insert(t, db, old, older)
	for _, output := range []string{"table", "jsonl"} {
		r := follow(t, dsn, func(n int, ctrlC func()) {
			switch n {
			case 1:
				fresh := lettertest.Full()
				fresh.ID, fresh.CreatedAt = strings.Repeat(output[:1], 32), time.Now()
				if output == "table" {
					fresh.ID = strings.Repeat("7", 32)
				}
				insert(t, db, fresh)
			case 2:
				ctrlC()
			}
		}, "dlq", "tail", "-n", "1", "-o", output, "--group", "billing", "--until", "2999-01-01")
		if r.code != 0 || r.errOut != "" || strings.Count(r.out, "\n") != 2 {
			t.Errorf("%s: %+v", output, r)
		}
		if output == "table" && !strings.Contains(r.out, "  "+old.ID[:12]+"  exhausted    order.paid            order-17              card 4242 declined\\nby the bank\n") {
			t.Errorf("%q", r.out)
		}
	}
	r := follow(t, dsn, func(n int, ctrlC func()) {
		if n == 2 {
			ctrlC()
		}
	}, "dlq", "tail", "--since", "3h")
	if !strings.Contains(r.out, older.ID[:12]) || strings.IndexFunc(r.out, dangerous) >= 0 {
		t.Errorf("%+v", r)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-o", "json"}, 2, "use -o jsonl"},
		{[]string{"-n", "-1"}, 2, "--limit is 0 or more"},
		{[]string{"--from", "t"}, 2, "with --brokers and --from"},
		{[]string{"--kafka", "a=b"}, 2, "--kafka is for reading a topic"},
		{[]string{"now"}, 2, "tail takes no arguments"},
	} {
		if r := (world{}).run(t, append([]string{"dlq", "tail", "--dsn", dsn}, c.args...)...); r.code != c.code || !strings.Contains(r.errOut, c.says) {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}

// deadLetters makes a topic with a letter of Evenkeel's, two of Spring's, and what is none.
func deadLetters(t *testing.T, kafka *testutil.KafkaBroker) (topic string, spring func(n int)) {
	t.Helper()
	topic = kafka.Topic(t, "dead", 2)
	on := func(partition int32, after time.Duration, value string, headers ...event.Header) event.Record {
		return event.Record{
			Coordinates: event.Coordinates{Topic: topic, Partition: partition}, Key: []byte("k"), Value: []byte(value), Headers: headers,
			Timestamp: lettertest.At(0).Add(after), TimestampType: event.TimestampCreate,
		}
	}
	spring = func(n int) {
		kafka.Produce(t, on(0, time.Duration(n)*time.Minute, "v", event.Header{Key: "kafka_dlt-original-topic", Value: []byte("orders")}, event.Header{Key: "kafka_dlt-original-partition", Value: []byte{0, 0, 0, 1}}))
	}
	own, _ := dlq.Encode(lettertest.Full(), 0)
	record := on(1, 0, string(own.Value), own.Headers...)
	record.Key = own.Key
	kafka.Produce(t, record, on(1, time.Second, "no letter"))
	spring(1)
	spring(2)
	return topic, spring
}

func TestTailOfATopic(t *testing.T) {
	t.Parallel()
	kafka := testutil.Kafka(t, testutil.KafkaEmbedded())
	topic, spring := deadLetters(t, kafka)
	r := follow(t, "", func(n int, ctrlC func()) {
		switch n {
		case 3:
			spring(3)
		case 4:
			ctrlC()
		}
	}, "dlq", "tail", "--brokers", kafka.Brokers, "--from", topic)
	if r.code != 0 || strings.Count(r.out, "foreign") != 3 || !strings.Contains(r.out, lettertest.Full().ID[:12]) {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(r.errOut, "partition 1, offset 1: no dead letter of a known kind") {
		t.Errorf("%+v", r)
	}
	r = follow(t, "", func(_ int, ctrlC func()) { ctrlC() }, "dlq", "tail", "--brokers", kafka.Brokers, "--from", topic, "--reason", "exhausted", "-o", "jsonl", "--full")
	if !strings.Contains(r.out, `"record":{"key":{"text":"order-17"}`) || strings.Count(r.out, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	r = follow(t, "", func(_ int, ctrlC func()) { ctrlC() }, "dlq", "tail", "--brokers", kafka.Brokers, "--from", topic, "--since", instant(lettertest.At(0).Add(3*time.Minute)))
	if strings.Count(r.out, "foreign") != 1 {
		t.Errorf("%+v", r)
	}
	r = world{}.run(t, "dlq", "tail", "--brokers", kafka.Brokers, "--from", "nowhere")
	if r.code != 1 || !strings.Contains(r.errOut, "the topic nowhere does not exist") || !strings.Contains(r.errOut, "next: `evenkeel dlq topics`") {
		t.Errorf("%+v", r)
	}
}

func TestLetterTopics(t *testing.T) {
	t.Parallel()
	kafka := testutil.Kafka(t, testutil.KafkaEmbedded())
	topic, _ := deadLetters(t, kafka)
	empty := kafka.Topic(t, "empty", 1)
	dsn, db := migrated(t)
	run := func(args ...string) result {
		return world{env: map[string]string{dsnVariable: dsn}}.run(t, append([]string{"dlq", "topics"}, args...)...)
	}
	if r := run("-o", "json"); r.code != 4 || r.out != "[]\n" || !strings.Contains(r.errOut, "no dead-letter topic is known") {
		t.Errorf("%+v", r)
	}
	st, err := storeopen.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range [][2]string{{"billing", topic}, {"orders", empty}, {"orders", "gone"}} {
		if err := st.LetterTopic(t.Context(), at[0], at[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Exec("UPDATE evenkeel_letter_topics SET seen_at = ?", lettertest.At(0).UnixMicro()).Error; err != nil {
		t.Fatal(err)
	}
	insert(t, db, lettertest.Full())
	name := strings.NewReplacer(topic, "TOPIC", empty, "EMPTY")
	for file, args := range map[string][]string{
		"topics": nil, "topics-json": {"--group", "billing", "--brokers", kafka.Brokers, "-o", "json"},
	} {
		r := run(args...)
		if r.code != 0 {
			t.Errorf("%+v", r)
		}
		if file == "topics-json" {
			golden(t, file, name.Replace(r.out))
		}
	}
	r := run("--brokers", kafka.Brokers)
	lines := strings.Split(r.out, "\n")
	for i, want := range []string{
		"GROUP TOPIC USED LEFT UNSENT PARTITIONS RECORDS FIRST LAST CLEANUP NEWEST IS OF",
		"billing TOPIC 3h ago 1 1 2 4 3h ago 2h ago delete spring",
		"orders EMPTY 3h ago 0 0 1 0 - - delete -",
		"orders gone 3h ago 0 0 there is none - - - - -",
	} {
		if got := strings.Join(strings.Fields(name.Replace(lines[i])), " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if r := run("--kafka", "a=b"); r.code != 2 {
		t.Errorf("%+v", r)
	}
	if r := run("--brokers", kafka.Brokers, "--kafka", "acks=1"); r.code != 1 || !strings.Contains(r.errOut, "the Kafka property acks can't be set") {
		t.Errorf("%+v", r)
	}
}
