package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/evenkeel-go/evenkeel/testutil"
)

func TestDoctor(t *testing.T) {
	t.Parallel()
	dsn, _ := migrated(t)
	kafka := testutil.Kafka(t, testutil.KafkaEmbedded())
	kafka.CreateTopic(t, "orders", 1)
	w := world{env: map[string]string{dsnVariable: dsn, "EVENKEEL_BROKERS": kafka.Brokers, "EVENKEEL_GROUP": "orders"}}
	r := w.run(t, "doctor", "--topic", "orders", "--dead-letter-topic", "orders.dlq")
	if r.code != 1 || !strings.HasSuffix(r.errOut, "1 of 9 checks fail\n  next: see above what mends each\n") {
		t.Errorf("%d: %s%s", r.code, r.out, r.errOut)
	}
	for _, want := range []string{
		"ok    database: sqlite answers\n", "ok    permissions: the file can be written\n", "warn  members orders: no member has read anything",
		"ok    broker: the cluster", "warn  topic orders: there is 1 replica", "warn  members orders: no member runs",
		"fail  dead-letter topic orders.dlq: the dead-letter topic orders.dlq does not exist\n      next: make it with: kafka-topics.sh --bootstrap-server " + kafka.Brokers,
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in\n%s", want, r.out)
		}
	}

	kafka.CreateTopic(t, "orders.dlq", 1)
	r = w.run(t, "doctor", "--topic", "orders", "--dead-letter-topic", "orders.dlq", "-o", "json")
	var found []findingJSON
	if err := json.Unmarshal([]byte(r.out), &found); err != nil || r.code != 0 || len(found) < 8 || found[0] != (findingJSON{Check: "database", Health: "ok", Text: "sqlite answers"}) {
		t.Errorf("%v, %+v", err, r)
	}

	// One part that is away doesn't keep it from looking at the others, and no password is shown.
	r = world{}.run(t, "doctor", "--dsn", "postgres://u:sesame@127.0.0.1:1/d", "--brokers", kafka.Brokers, "--kafka", "sasl.password=sesame")
	if r.code != 1 || !strings.Contains(r.out, "fail  database: can't use the database 127.0.0.1:1/d") || !strings.Contains(r.out, "ok    broker") || strings.Contains(r.out+r.errOut, "sesame") {
		t.Errorf("%+v", r)
	}
}
