package dlq_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

// sample is a letter of another library.
type sample struct {
	what   string
	record *event.Record
}

// captured reads letters that the library itself wrote.
func captured(t testing.TB, name string) []sample {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "dialects", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	var samples []sample
	for lines.Scan() {
		var line struct {
			What      string `json:"what"`
			Topic     string `json:"topic"`
			Partition int32  `json:"partition"`
			Offset    int64  `json:"offset"`
			Millis    int64  `json:"timestamp_ms"`
			Key       []byte `json:"key_b64"`
			Value     []byte `json:"value_b64"`
			Headers   []struct {
				Key   string `json:"key"`
				Value []byte `json:"value_b64"`
			} `json:"headers"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		r := letterOn(line.Topic)
		r.Partition, r.Offset, r.Key, r.Value, r.Timestamp = line.Partition, line.Offset, line.Key, line.Value, time.UnixMilli(line.Millis).UTC()
		for _, h := range line.Headers {
			r.Headers = append(r.Headers, event.Header{Key: h.Key, Value: h.Value})
		}
		samples = append(samples, sample{line.What, r})
	}
	if err := lines.Err(); err != nil || len(samples) == 0 {
		t.Fatalf("%d letters: %v", len(samples), err)
	}
	return samples
}

// letterOn is a record of a dead-letter topic; headers are names and values by turns, a
// value being a string, bytes or nil for null.
func letterOn(topic string, headers ...any) *event.Record {
	r := &event.Record{
		Coordinates: event.Coordinates{Topic: topic, Partition: 1, Offset: 99, LeaderEpoch: -1},
		Key:         []byte("order-1"), Value: []byte(`{"n":1}`),
		Timestamp: lettertest.At(60_000_000), TimestampType: event.TimestampCreate,
	}
	for i := 0; i < len(headers); i += 2 {
		h := event.Header{Key: headers[i].(string)}
		switch v := headers[i+1].(type) {
		case string:
			h.Value = []byte(v)
		case []byte:
			h.Value = v
		}
		r.Headers = append(r.Headers, h)
	}
	return r
}

func int4(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
func int8s(n int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(n))
}

// readings holds the samples against the golden readings, testdata/dialects/NAME.want.json.
// All must be recognised as the dialect.
func readings(t *testing.T, name string, samples []sample) {
	t.Helper()
	type reading struct {
		What    string       `json:"what"`
		Reading *dlq.Reading `json:"reading"`
	}
	var all []reading
	for _, s := range samples {
		before := *s.record
		got := dlq.ReadRecord(s.record)
		if got == nil || got.Dialect != name {
			t.Fatalf("%s is read as %+v", s.what, got)
		}
		if !reflect.DeepEqual(*s.record, before) {
			t.Errorf("%s: the record was changed", s.what)
		}
		if got.Stack != nil {
			first, _, _ := strings.Cut(*got.Stack, "\n")
			first = fmt.Sprintf("%s … (%d bytes)", first, len(*got.Stack))
			got.Stack = &first
		}
		if got.Message != nil && len(*got.Message) > 300 {
			short := fmt.Sprintf("%s … (%d bytes)", (*got.Message)[:300], len(*got.Message))
			got.Message = &short
		}
		all = append(all, reading{s.what, got})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(all); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "dialects", name+".want.json")
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if line := difference(b.String(), string(want)); line != "" {
		t.Errorf("%s: %s", file, line)
	}
}

func TestNoLetterIsReadAsNone(t *testing.T) {
	t.Parallel()
	for _, r := range []*event.Record{
		{},
		letterOn("orders"), letterOn("orders", "ce_id", "1", "content-type", "application/json"),
		letterOn("orders", "attempts", "3", "exception-type", "x"), // common names, one short of Wolverine
		letterOn("orders", "source_topic", "a", "x-retry-count", "1"),
	} {
		if got := dlq.ReadRecord(r); got != nil {
			t.Errorf("%v is read as %+v", r.Headers, got)
		}
		if _, _, err := dlq.FromRecord(r); err != dlq.ErrNoDialect { //nolint:errorlint // as it is
			t.Errorf("%v: %v", r.Headers, err)
		}
	}
}

// oneOf has headers of each dialect, without its key and value.
func oneOf() map[string][]any {
	return map[string][]any{
		"evenkeel":            {"evenkeel-letter", "aa", "evenkeel-topic", "own", "__dlq.errors.topic", "own", "__dlq.errors.offset", "1", "__dlq.errors.message", "m"},
		"spring":              {"kafka_dlt-exception-fqcn", "E", "kafka_dlt-original-topic", "t", "kafka_dlt-original-consumer-group", "g"},
		"spring-retry":        {"kafka_original-topic", "t", "kafka_exception-fqcn", "E", "kafka_dlt-original-consumer-group", "g", "retry_topic-attempts", int4(2)},
		"spring-cloud-stream": {"x-original-topic", "t", "x-exception-fqcn", "E"},
		"kafka-connect":       {"__connect.errors.topic", "t", "__connect.errors.stage", "TASK_PUT"},
		"kafka-streams":       {"__streams.errors.exception", "E", "__streams.errors.topic", "t"},
		"karafka":             {"source_topic", "t", "source_partition", "1", "source_offset", "2"},
		"wolverine":           {"exception-type", "E", "failed-at", "1792000000000"},
		"trendyol":            {"x-error-message", "m"},
		"smallrye":            {"dead-letter-topic", "t", "dead-letter-reason", "m"},
		"watermill":           {"topic_poisoned", "t", "reason_poisoned", "m"},
		"kafkajs-async-retry": {"asyncRetry", `{"ttl":1,"top":"t","att":1}`},
		"share-group":         {"__dlq.errors.topic", "t", "__dlq.errors.offset", "1", "__dlq.errors.message", "m"},
	}
}

// The rule of ReadRecord, for all pairs: what comes last is read if it is put behind, and
// a pair reads the same from either side where order tells nothing.
func TestWhatWasWrittenLastIsRead(t *testing.T) {
	t.Parallel()
	var names []string
	for _, d := range dlq.Dialects() {
		names = append(names, d.Name())
		if d.Library() == "" {
			t.Errorf("%s: by whom?", d.Name())
		}
	}
	sets := oneOf()
	if len(sets) != len(names) {
		t.Fatalf("%d samples for %v", len(sets), names)
	}
	unordered := []string{"smallrye", "watermill", "kafkajs-async-retry", "share-group"}
	for i, first := range names {
		for j, second := range names {
			r := letterOn("dead", append(slices.Clone(sets[first]), sets[second]...)...)
			want := second
			switch {
			case first == second:
			case !slices.Contains(unordered, first) && slices.Contains(unordered, second):
				want = first
			case slices.Contains(unordered, first) && slices.Contains(unordered, second):
				want = names[min(i, j)]
			}
			got := dlq.ReadRecord(r)
			if got == nil || got.Dialect != want {
				t.Errorf("%s, then %s: read as %+v, want %s", first, second, got, want)
				continue
			}
			var also []string
			for _, name := range []string{first, second} {
				if name != want && name != "share-group" && !slices.Contains(also, name) {
					also = append(also, name)
				}
			}
			if !slices.Equal(got.Also, also) {
				t.Errorf("%s, then %s: also %v, want %v", first, second, got.Also, also)
			}
		}
	}
}

func TestDetectKnowsItsOwn(t *testing.T) {
	t.Parallel()
	for name, set := range oneOf() {
		r := letterOn("dead", set...)
		for _, d := range dlq.Dialects() {
			want := d.Name() == name || name == "evenkeel" && d.Name() == "share-group"
			if got := d.Detect(r.Headers); got != want {
				t.Errorf("%s: %s.Detect is %v", name, d.Name(), got)
			}
		}
	}
}

// Values of wrong length, form or encoding are shown as such; the others are read.
func TestMalformedHeadersShowAsSuch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header string
		value  any
		want   string // "" for a value that is fine
	}{
		"partition, 3 bytes":       {"kafka_dlt-original-partition", []byte{0, 0, 1}, `header kafka_dlt-original-partition: expected a partition, a whole number of 0 or more, found "\x00\x00\x01"`},
		"partition, 8 bytes":       {"kafka_dlt-original-partition", int8s(7), ""},
		"partition, as text":       {"kafka_dlt-original-partition", "12", ""},
		"partition, 4 digits":      {"kafka_dlt-original-partition", "1234", ""},
		"partition below 0":        {"kafka_dlt-original-partition", int4(-1), `found "0xffffffff"`},
		"partition too high":       {"kafka_dlt-original-partition", int8s(1 << 31), `found "0x0000000080000000"`},
		"offset, 8 digits":         {"kafka_dlt-original-offset", "12345678", ""},
		"offset, 4 bytes":          {"kafka_dlt-original-offset", int4(5), ""},
		"offset below 0":           {"kafka_dlt-original-offset", int8s(-2), `expected an offset`},
		"offset, empty":            {"kafka_dlt-original-offset", "", `found ""`},
		"offset, null":             {"kafka_dlt-original-offset", nil, `found "null"`},
		"timestamp none":           {"kafka_dlt-original-timestamp", int8s(-1), ""},
		"timestamp beyond years":   {"kafka_dlt-original-timestamp", int8s(1 << 62), "expected a time in milliseconds"},
		"timestamp type":           {"kafka_dlt-original-timestamp-type", "Create", "expected CreateTime, LogAppendTime or NoTimestampType"},
		"group not UTF-8":          {"kafka_dlt-original-consumer-group", []byte("g\xff"), `found "0x67ff"`},
		"group with NUL":           {"kafka_dlt-original-consumer-group", "g\x00", "without NUL"},
		"group too long":           {"kafka_dlt-original-consumer-group", strings.Repeat("g", 600), `…(+`},
		"message not UTF-8":        {"kafka_dlt-exception-message", []byte("m\xff"), ""},
		"message null":             {"kafka_dlt-exception-message", nil, ""},
		"text partition in binary": {"__connect.errors.partition", int4(1), `found "\x00\x00\x00\x01"`},
		"four letters":             {"__connect.errors.partition", "abcd", `found "abcd"`},
		"no JSON":                  {"asyncRetry", "{", "expected JSON"},
		"JSON of another kind":     {"asyncRetry", "[1]", "expected JSON"},
		"JSON null":                {"asyncRetry", "null", "expected JSON"},
		"count below 0":            {"source_attempts", "-1", "expected a whole number of 0 or more"},
		"attempts, minimal":        {"retry_topic-attempts", []byte{0, 0}, "expected the number of the next attempt"},
		"backoff, 6 bytes":         {"retry_topic-backoff-timestamp", []byte{1, 0xa1, 0xfd, 0x8f, 0xcb, 0xc4}, ""},
		"backoff, 9 bytes":         {"retry_topic-backoff-timestamp", make([]byte, 9), "1 to 8 bytes big-endian"},
		"produce time":             {"x-produce-time", "soon", "expected a time in nanoseconds"},
		"failed at":                {"failed-at", "soon", "expected a time in milliseconds"},
		"our own offset":           {"evenkeel-offset", "many", "header evenkeel-offset: expected a whole number of 64 bits"},
		"our own id":               {"evenkeel-letter", "", "expected a letter's id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var set []any
			for prefix, name := range map[string]string{
				"kafka_dlt-": "spring", "retry_topic-": "spring-retry", "__connect": "kafka-connect", "asyncRetry": "kafkajs-async-retry",
				"source_": "karafka", "x-produce": "trendyol", "failed-at": "wolverine", "evenkeel-": "evenkeel",
			} {
				if strings.HasPrefix(c.header, prefix) {
					set = oneOf()[name]
				}
			}
			r := letterOn("dead", append(slices.Clone(set), c.header, c.value)...)
			got := dlq.ReadRecord(r)
			if got == nil {
				t.Fatal("it is no letter any more")
			}
			var errs []string
			for i := range got.Malformed {
				errs = append(errs, got.Malformed[i].Error())
			}
			text := strings.Join(errs, "\n")
			if (c.want == "") != (text == "") || !strings.Contains(text, c.want) {
				t.Errorf("malformed: %q, want %q", text, c.want)
			}
		})
	}
}

// A field whose newest header is malformed is unknown, not that of an older hop.
func TestHopsAreNotMixed(t *testing.T) {
	t.Parallel()
	got := dlq.ReadRecord(letterOn("dead",
		"__connect.errors.topic", "t", "__connect.errors.partition", "1", "__connect.errors.offset", "5",
		"__connect.errors.topic", "t", "__connect.errors.partition", "2", "__connect.errors.offset", "x"))
	if got.Source.Offset != nil || *got.Source.Partition != 2 || *got.Origin.Offset != 5 || *got.Hops != 2 {
		t.Errorf("got %+v, %+v", got.Source, got.Origin)
	}
}

// What is shown is bounded, the record keeps all.
func TestReadingsAreBounded(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("x\xff", 1<<20)
	for name, set := range oneOf() {
		headers := slices.Clone(set)
		for range 3 {
			for i := 0; i < len(set); i += 2 {
				if name != "evenkeel" || i > 0 {
					headers = append(headers, set[i], huge)
				}
			}
		}
		got := dlq.ReadRecord(letterOn("dead", headers...))
		if n := size(t, got); n > 64<<10 {
			t.Errorf("%s: a reading of %d bytes", name, n)
		}
	}
}

func size(t testing.TB, r *dlq.Reading) int {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return len(b)
}

func FuzzReadRecord(f *testing.F) {
	for _, name := range []string{"spring", "kafka-connect", "trendyol", "watermill"} {
		for _, s := range captured(f, name)[:2] {
			f.Add(s.record.Topic, s.record.Key, s.record.Value, dlq.EncodeHeaders(s.record.Headers), s.record.Timestamp.UnixMilli(), uint8(1))
		}
	}
	for _, set := range oneOf() {
		r := letterOn("dead", set...)
		f.Add("error.t.g", r.Key, r.Value, dlq.EncodeHeaders(r.Headers), int64(1<<62), uint8(2))
	}
	m, _ := dlq.Encode(lettertest.Full(), 0)
	f.Add("dead", m.Key, m.Value, dlq.EncodeHeaders(m.Headers), int64(0), uint8(0))
	f.Fuzz(func(t *testing.T, topic string, key, value, headers []byte, millis int64, kind uint8) {
		hs, err := dlq.DecodeHeaders(headers)
		if err != nil {
			return
		}
		r := letterOn(topic)
		r.Key, r.Value, r.Headers = key, value, hs
		r.Timestamp, r.TimestampType = time.UnixMilli(millis).UTC(), event.TimestampType(kind%3)
		readsWell(t, r)
		// Each dialect takes any record, also one of another.
		for _, d := range dlq.Dialects() {
			if got := d.Read(r); size(t, got) > 128<<10 || got.Dialect != d.Name() {
				t.Fatalf("%s: %d bytes", d.Name(), size(t, got))
			}
		}
	})
}

// Any bytes as any header of any dialect, among the others or beside its own older set.
func FuzzDialectHeader(f *testing.F) {
	for i, d := range dlq.Dialects() {
		for j := range d.Headers() {
			f.Add(uint8(i), uint8(j), []byte("12345678"), j%2 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, i, j uint8, value []byte, null bool) {
		d := dlq.Dialects()[int(i)%len(dlq.Dialects())]
		name := d.Headers()[int(j)%len(d.Headers())]
		r := letterOn("error.t.g", oneOf()[d.Name()]...)
		if null {
			value = nil
		}
		r.Headers = append(r.Headers, event.Header{Key: name, Value: value})
		readsWell(t, r)
		got := d.Read(r)
		for _, p := range []*dlq.Place{&got.Source, got.Origin} {
			if p != nil && (p.Partition != nil && *p.Partition < 0 || p.Offset != nil && *p.Offset < 0 && d.Name() != "evenkeel" || p.Topic != nil && *p.Topic == "") {
				t.Fatalf("%s: %q reads as %+v", name, value, p)
			}
		}
		for i := range got.Malformed {
			if m := got.Malformed[i]; m.Header == "" || m.Expected == "" || len(m.Found) > 100 {
				t.Fatalf("%s: %q: %+v", name, value, m)
			}
		}
	})
}

// readsWell checks what must hold of any record.
func readsWell(t testing.TB, r *event.Record) {
	t.Helper()
	got := dlq.ReadRecord(r)
	detected := slices.ContainsFunc(dlq.Dialects(), func(d *dlq.Dialect) bool { return d.Detect(r.Headers) })
	if (got != nil) != detected {
		t.Fatalf("detected %v, read %+v", detected, got)
	}
	l, told, err := dlq.FromRecord(r)
	if got == nil || !reflect.DeepEqual(told, got) || (l == nil) == (err == nil) {
		if got != nil || l != nil || err == nil {
			t.Fatalf("reading %+v, letter %+v, %v", told, l, err)
		}
		return
	}
	if n := size(t, got); n > 128<<10 {
		t.Fatalf("a reading of %d bytes", n)
	}
	if l == nil || got.Dialect == "evenkeel" {
		return
	}
	if !bytes.Equal(l.Record.Key, r.Key) || !bytes.Equal(l.Record.Value, r.Value) || !slices.EqualFunc(l.Record.Headers, r.Headers, func(a, b event.Header) bool {
		return a.Key == b.Key && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil)
	}) {
		t.Fatal("the letter's record is not the one on the topic")
	}
	if again := l.Foreign(); again == nil || again.Dialect != got.Dialect || !reflect.DeepEqual(again.Malformed, got.Malformed) {
		t.Fatalf("the letter reads as %+v, its record as %+v", again, got)
	}
}
