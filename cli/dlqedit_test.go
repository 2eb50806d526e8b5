package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

const envelope = `{"id":"e-1","type":"order.paid","source":"/shop","key":"order-17","time":"2026-10-14T17:46:40.000001Z","data":{"total":"1e400"}}`

// A letter as a person repairs it, with what they type wrong.
func TestRepair(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	l := lettertest.Full()
	l.Record.Value, l.Stream = []byte(envelope), ""
	l.Record.Headers = []event.Header{{Key: "x", Value: []byte("1")}}
	other := *l
	r := *l.Record
	other.ID, other.Record = strings.Repeat("0", 31)+"1", &r
	insert(t, db, l, &other)
	mended := filepath.Join(t.TempDir(), "mended.json")
	if err := os.WriteFile(mended, []byte(strings.Replace(envelope, `"1e400"`, `13`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	w := world{env: map[string]string{dsnVariable: dsn}}
	for _, c := range []struct {
		args      []string
		in        string
		code      int
		out, errs string
	}{
		{[]string{"edit", "5598", "--set", "/data/total=12"}, "y\n", 2, "", "--why is required"},
		{[]string{"edit", "--why", "x"}, "y\n", 2, "", "edit takes one letter id"},
		{[]string{"edit", "5598", "--set", "/data/total", "--why", "x"}, "y\n", 2, "", "expected /pointer=value"},
		{[]string{"edit", "5598", "--set", "/no/total=1", "--why", "x"}, "y\n", 2, "", `there is no "no"`},
		{[]string{"edit", "5598", "--drop-header", "y", "--why", "x"}, "y\n", 2, "", `has no header "y"`},
		{[]string{"edit", "5598", "--header", "y", "--why", "x"}, "y\n", 2, "", "expected name=text"},
		{[]string{"edit", "5598", "--value-file", "-", "--why", "x"}, envelope, 2, "", "nobody can be asked"},
		{[]string{"edit", "5598", "--value-file", mended, "--set", "/a=1", "--why", "x"}, "", 2, "", "found both"},
		{[]string{"edit", "5598", "--value-file", "/does/not/exist", "--why", "x"}, "", 1, "", "no such file"},
		{[]string{"edit", "00ff", "--set", "/a=1", "--why", "x"}, "", 4, "", "no letter has an id"},
		{[]string{"edit", "5598", "--set", `/id="e-2"`, "--why", "x"}, "y\n", 1, "", `its id was "e-1" and is now "e-2"; reissue it`},
		{[]string{"edit", "5598", "--set", "/data/total=12", "--dry-run"}, "", 0, "dry run", "-    \"total\": \"1e400\"\n+    \"total\": 12\n"},
		{[]string{"edit", "5598", "--set", "/data/total=12", "--why", "x"}, "n\n", 1, "", "nothing was changed"},
		{[]string{"edit", "5598", "--set", "/data/total=12", "--header", "x=2", "--why", "it was a text"}, "y\n", 0, "edited; `evenkeel dlq replay 5598dac7329c` judges it\n", "+header x = 2\n"},
		{[]string{"edit", "5598", "--value-file", "-", "-y", "--why", "a thirteenth", "--as", "bob"}, strings.Replace(envelope, `"1e400"`, `13`, 1), 0, "edited", "+    \"total\": 13\n"},
		{[]string{"edit", "5598", "--value-file", mended, "--why", "x", "-y"}, "", 1, "", "the edit changes nothing"},
		{[]string{"reissue", "5598", "--event-id", "e-1", "--why", "x"}, "y\n", 1, "", "the new event has the id of the old one"},
		{[]string{"reissue", "5598", "--time", "soon", "--why", "x"}, "y\n", 2, "", "--time: "},
		{[]string{"reissue", "5598", "--key", "order-18", "--event-id", "e-9", "--dry-run"}, "", 0, "dry run", "to be discarded, and sent to orders as event e-9:\n"},
		{[]string{"republish", "5598"}, "y\n", 2, "", "--why is required"},
		{[]string{"republish", other.ID, "--why", "x"}, "n\n", 1, "", "every group that reads a topic gets what is sent there:\n  1 letter to orders; groups of this database: none\ngroups with another database are not known here: give --brokers"},
		{[]string{"republish", other.ID, "--why", "x", "-y"}, "", 0, "1 letter handed over to be sent\n", ""},
		{[]string{"reissue", "5598", "--key", "order-18", "--event-id", "e-9", "--to", "again", "--why", "wrong key"}, "y\n", 0, "reissued as event e-9 on again; a running member of billing sends it\n", ""},
		{[]string{"edit", "5598", "--set", "/data/total=14", "--why", "x", "-y"}, "", 1, "", "is discarded, and only an open one can be edited"},
		{[]string{"reissue", "5598", "--why", "x", "-y"}, "", 1, "", "it was discarded and reissued by ann"},
		{[]string{"restore", "5598", "-y"}, "", 1, "0 letters restored\nletter " + l.ID + ": can't restore it: a new event was sent", "1 letter of 1 left alone"},
		{[]string{"purge", "--group", "billing", "--why", "x"}, "", 2, "", "--group and --older-than are required"},
		{[]string{"purge", "--group", "billing", "--older-than", "x", "--why", "x"}, "", 2, "", "--older-than: "},
		{[]string{"purge", "--group", "none", "--older-than", "2050-01-01", "--why", "x"}, "", 4, "", "no letter of group \"none\" ended before"},
	} {
		w.in = c.in
		r := w.run(t, append([]string{"dlq"}, c.args...)...)
		if r.code != c.code || !strings.HasPrefix(r.out, c.out) || c.out == "" && r.out != "" || !strings.Contains(r.errOut, c.errs) {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
	w.in = ""
	for _, c := range []struct {
		args string
		want string
	}{
		{"edit " + other.ID + " --set /data/total=12 --dry-run", `{"letter":"` + other.ID + `","done":false,"dry_run":true,"event_id":"","topic":""}`},
		{"edit " + other.ID + " --set /data/total=1212121212 --why x -y", `{"letter":"` + other.ID + `","done":true,"dry_run":false,"event_id":"","topic":""}`},
		{"reissue " + other.ID + " --event-id e-8 --dry-run", `{"letter":"` + other.ID + `","done":false,"dry_run":true,"event_id":"e-8","topic":"orders"}`},
	} {
		if r := w.run(t, append([]string{"dlq", "-o", "jsonl"}, strings.Fields(c.args)...)...); r.code != 0 || r.out != c.want+"\n" {
			t.Errorf("%s: %+v", c.args, r)
		}
	}
	for _, args := range [][]string{{"edit", other.ID, "--set", "/data/total=4242424242", "--dry-run"}, {"reissue", other.ID, "--dry-run"}, {"show", other.ID}, {"show", other.ID, "-o", "json"}} {
		r := w.run(t, slices.Concat([]string{"dlq"}, args, []string{"--redact", "payload.total"})...)
		if r.code != 0 || strings.Contains(r.out+r.errOut, "1e400") || strings.Contains(r.out+r.errOut, "1212121212") || strings.Contains(r.out+r.errOut, "4242424242") {
			t.Errorf("%q shows what is hidden: %+v", args, r)
		}
		if args[0] == "edit" && !strings.Contains(r.errOut, "(the difference is in what is hidden)\n") {
			t.Errorf("%+v", r)
		}
	}
	if err := db.Exec("UPDATE evenkeel_dead_letters SET published_at = 1").Error; err != nil {
		t.Fatal(err)
	}
	if r := w.run(t, "dlq", "purge", "--group", "billing", "--older-than", "2050-01-01", "--dry-run", "-o", "jsonl"); r.out != `{"chosen":1,"done":0,"dry_run":true,"refused":[]}`+"\n" {
		t.Errorf("%+v", r)
	}
	var shown letterJSON
	if err := json.Unmarshal([]byte(w.run(t, "dlq", "show", "5598", "-o", "json").out), &shown); err != nil || len(shown.Edits) != 2 || *shown.Record.Value.Text != envelope {
		t.Errorf("%v: %+v", err, shown)
	}
	if r := w.run(t, "dlq", "show", "5598"); !strings.Contains(r.out, "Revision 2, by bob") || !strings.Contains(r.out, "-    \"total\": 12") {
		t.Errorf("%+v", r)
	}
	w.in = "y\n"
	if r := w.run(t, "dlq", "purge", "--group", "billing", "--older-than", "2050-01-01", "--why", "privacy"); r.out != "1 letter purged\n" {
		t.Errorf("%+v", r)
	}
	got, err := dlq.Get(t.Context(), db, other.ID)
	if err != nil || got.State != dlq.Open || got.Record.Value == nil {
		t.Errorf("%v: the open one stays: %+v", err, got)
	}
}

// An editor is a command with a file behind it.
func TestEditInAnEditor(t *testing.T) {
	dsn, db := migrated(t)
	l := lettertest.Full()
	l.Record.Value, l.Stream = []byte(envelope), ""
	insert(t, db, l)
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", "")
	w := world{env: map[string]string{dsnVariable: dsn}, in: "y\n"}
	if r := w.run(t, "dlq", "edit", "5598", "--why", "x"); r.code != 1 || !strings.Contains(r.errOut, "$VISUAL and $EDITOR are empty") {
		t.Errorf("%+v", r)
	}
	t.Setenv("EDITOR", "sed -i s/1e400/1e401/")
	if r := w.run(t, "dlq", "edit", "5598", "--why", "x", "--redact", "payload.total"); r.code != 1 || !strings.Contains(r.errOut, "an editor would show what is hidden") {
		t.Errorf("%+v", r)
	}
	if r := w.run(t, "dlq", "edit", "5598", "--why", "x"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	got, err := dlq.Get(t.Context(), db, l.ID)
	if err != nil || string(got.Revised().Value) != strings.Replace(envelope, "1e400", "1e401", 1) {
		t.Errorf("%v: %s", err, got.Revised().Value)
	}
}

// Whom a republished record reaches is said before anybody agrees to it.
func TestRepublishTellsTheReaders(t *testing.T) {
	t.Parallel()
	broker := testutil.Kafka(t, testutil.KafkaEmbedded())
	read, unread := broker.Topic(t, "read", 2), broker.Topic(t, "unread", 1)
	for _, group := range []string{"shipping", "billing"} {
		c, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": broker.Brokers, "group.id": group})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.CommitOffsets([]kafka.TopicPartition{{Topic: &read, Partition: 1, Offset: 0}}); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	dsn, db := migrated(t)
	insert(t, db, lettertest.Full())
	w := world{env: map[string]string{dsnVariable: dsn, "EVENKEEL_BROKERS": broker.Brokers}}
	for topic, want := range map[string]string{read: "billing, shipping", unread: "none", "nowhere": "none"} {
		want := "every group that reads a topic gets what is sent there:\n  1 letter to " + topic + "; groups that have a position in it: " + want + "\n"
		if r := w.run(t, "dlq", "republish", "5598", "--to", topic, "--dry-run"); r.code != 0 || !strings.Contains(r.errOut, want) {
			t.Errorf("%s: %+v", topic, r)
		}
	}
	// Those that come from several topics are told for each.
	for i, topic := range []string{read, read, unread} {
		l := lettertest.Full()
		l.ID, l.Record.Topic = fmt.Sprintf("%032x", i), topic
		insert(t, db, l)
	}
	stands(t, db, "mail", unread, "t", 0, 1, "host-1", lettertest.At(0))
	told := "  2 letters to " + read + "; groups that have a position in it: billing, shipping\n  1 letter to orders; groups that have a position in it: none\n  1 letter to " + unread + "; groups that have a position in it: none\n"
	if r := w.run(t, "dlq", "republish", "--all", "--dry-run"); r.code != 0 || !strings.Contains(r.errOut, told) {
		t.Errorf("%+v", r)
	}
	w.env["EVENKEEL_BROKERS"] = ""
	told = "  2 letters to " + read + "; groups of this database: none\n  1 letter to orders; groups of this database: none\n  1 letter to " + unread + "; groups of this database: mail\ngroups with another database"
	if r := w.run(t, "dlq", "republish", "--all", "--dry-run"); r.code != 0 || !strings.Contains(r.errOut, told) {
		t.Errorf("%+v", r)
	}
	w.env["EVENKEEL_BROKERS"] = broker.Brokers
	if r := w.run(t, "dlq", "republish", "5598", "--kafka", "acks=1", "--dry-run"); r.code != 0 || !strings.Contains(r.errOut, "could not be learned from "+broker.Brokers+": ") {
		t.Errorf("%+v", r)
	}
}
