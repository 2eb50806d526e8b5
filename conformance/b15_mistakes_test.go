package conformance

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// refusal makes a consumer, which must fail, and returns what New said. What it opened is
// closed: none of its goroutines is left.
func (w *world) refusal(db *gorm.DB, cfg *framework.Config) (err error) {
	w.t.Helper()
	clean := w.leaks()
	var c *framework.Consumer
	w.marked(func() { c, err = framework.New(db, cfg) })
	require.Error(w.t, err)
	require.Nil(w.t, c)
	clean()
	return err
}

// contains checks that each text is in the error, and says all that are not.
func contains(t *testing.T, err error, texts ...string) {
	t.Helper()
	var missing []string
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			missing = append(missing, text)
		}
	}
	require.Empty(t, missing, "not in the error:\n%v", err)
}

// Bare has no clocks.
type Bare struct{ ID, Word string }

// TestB15Everything: a configuration in which everything is wrong, and handlers in which
// much is, give one error with all of it. That nobody answers at the address is not
// reported: nothing is asked before the rest is right.
func TestB15AllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	each(t, "B15", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		reg := handlers.NewRegistry(guards.MaxLateness(time.Minute), nil)
		handlers.Set(reg, "order.placed", placed, handlers.Writes("Customer", "Nonsense"))
		handlers.Set(reg, "bare", func(context.Context, *handlers.Delivery[body, Bare]) error { return nil })
		handlers.Modify(reg, "order.noted", noted, guards.Version(), handlers.Creates(), handlers.Writes("Customer"))
		handlers.Modify(reg, "order.paid", paid, nil, handlers.Key(func(int) string { return "" }), handlers.Writes("PaidAt"))
		err := w.refusal(w.db, &framework.Config{
			Brokers: "localhost, 127.0.0.1:1", Topics: []string{"orders", "orders", "or*ers", ""}, DeadLetterTopic: "orders",
			Handlers: reg, Protocol: "share", Start: "yesterday", BatchSize: -1, MaxBytes: 5, MaxParkedPerKey: 1 << 30, MaxUnpublished: -7,
			Retry:      framework.Retry{Initial: time.Hour, Max: time.Minute, Attempts: -1},
			MissingFor: -1, SweepInterval: -2, KeepVerdicts: -3, RevokeTimeout: -4, ShutdownTimeout: -5,
			Kafka: map[string]any{"group.id": "mine", "enable.auto.commit": true, "go.batch.producer": true, "auto.offset.reset": "latest", "client.id": "fine"},
			Hooks: []any{struct{}{}},
		})
		contains(t, err,
			`Config.Brokers: found "localhost", expected host:port; add the port`,
			`Config.Group: found nothing, expected the consumer group's name; give all members of one service the same`,
			`Config.Topics[1]: found "orders", expected each topic once; remove one of the two`,
			`Config.Topics[2]: found "or*ers", expected a topic's name: 1 to 249 letters, digits, dots, underscores and hyphens; patterns are not supported; name each topic`,
			`Config.Topics[3]: found nothing`,
			`Config.DeadLetterTopic: found "orders", expected a topic that this consumer does not read; letters would be consumed as events; name another one`,
			`Config.Kafka["auto.offset.reset"]: found a value, expected it left out: the framework owns it; where to start is decided from the ledger; set Config.Start`,
			`Config.Kafka["enable.auto.commit"]: found a value`, `offsets are committed once their effect is in the database`,
			`Config.Kafka["group.id"]: found a value`, `set Config.Group`,
			`Config.Kafka["go.batch.producer"]`, `belong to the client's binding`,
			`Config.Protocol: found "share", expected ProtocolClassic or ProtocolConsumer`,
			`Config.Start: found "yesterday", expected StartEarliest or StartLatest`,
			`Config.Retry.Max: found 1m0s, expected no less than Retry.Initial, 1h0m0s`,
			`Config.Retry.Attempts: found -1, expected a number from 1 to 10000; leave it out for the default`,
			`Config.BatchSize: found -1`, `Config.MaxBytes: found 5`, `Config.MaxParkedPerKey: found 1073741824`, `Config.MaxUnpublished: found -7`,
			`Config.MissingFor: found -1ns, expected a duration above zero`, `Config.SweepInterval: found -2ns`, `Config.KeepVerdicts: found -3ns`,
			`Config.RevokeTimeout: found -4ns`, `Config.ShutdownTimeout: found -5ns`,
			`Config.Hooks[0]: found struct {}, expected a type with one of the methods OnVerdict, OnBatch`,
			`guard 2 of NewRegistry is nil; leave it out`,
			`MaxLateness(1m0s) is not greater than MaxFuture(5m0s)`, `raise the first or lower the second`,
			`Nonsense`, `Bare`, `guards.Guarded`,
			`is a Modify under version that Creates`, `use handlers.Set`,
			`orders by version, other handlers of Order by timestamp; one model has one kind of stamp`,
			`is a Modify without a guard`, `takes a int, the payload is a conformance.body`,
		)
		require.NotContains(t, err.Error(), "client.id")
		require.NotContains(t, err.Error(), "127.0.0.1:1")
		var field *framework.FieldError
		require.ErrorAs(t, err, &field)
		var wiring *handlers.WiringError
		require.ErrorAs(t, err, &wiring)

		contains(t, w.refusal(nil, nil), "the database handle is nil; open one with gorm.Open", "Config.Brokers: found nothing", "Config.Topics: found nothing", "Config.DeadLetterTopic: found nothing", "Config.Handlers: found nil, expected a registry; make it with handlers.NewRegistry")
	})
}

func TestB15MissingTopicsComeWithTheCommandThatMakesThem(t *testing.T) {
	t.Parallel()
	each(t, "B15", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		cfg := w.config()
		cfg.DeadLetterTopic, cfg.Topics = w.dlq+".away", []string{w.topic, w.topic + ".away"}
		err := w.refusal(w.db, cfg)
		contains(t, err,
			"the dead-letter topic "+w.dlq+".away does not exist; make it with: kafka-topics.sh --bootstrap-server "+w.broker.Brokers+" --create --topic "+w.dlq+".away --partitions 3",
			"the topic "+w.topic+".away does not exist",
		)
		require.NotContains(t, err.Error(), "topic "+w.topic+" does not")
		var missing *framework.MissingTopicError
		require.ErrorAs(t, err, &missing)
		require.True(t, missing.DeadLetter)
		// The check itself has made nothing.
		require.Empty(t, w.broker.TopicID(t, cfg.DeadLetterTopic))
	})
}

func TestB15ABrokerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	if broker() != brokerKfake {
		t.Skip("nobody answers, whichever broker does not: make test has it")
	}
	each(t, "B15", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		cfg := w.config()
		cfg.Brokers = "127.0.0.1:1"
		contains(t, w.refusal(w.db, cfg), "Kafka at 127.0.0.1:1 does not answer", "check Config.Brokers and, with SASL or TLS, Config.Kafka")
	})
}

func TestB15TheSchemaMustFit(t *testing.T) {
	t.Parallel()
	each(t, "B15", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		// There is one line for each version that was brought in.
		version := func(v int) {
			require.NoError(t, w.db.Exec("DELETE FROM evenkeel_schema").Error)
			require.NoError(t, w.db.Exec("INSERT INTO evenkeel_schema (version, applied_at) VALUES (?, 0)", v).Error)
		}
		var now int
		require.NoError(t, w.db.Raw("SELECT max(version) FROM evenkeel_schema").Scan(&now).Error)
		version(now + 1)
		newer := w.refusal(w.db, w.config())
		contains(t, newer, "upgrade the service, since an older one could write what the newer ones can't read")
		contains(t, framework.Migrate(t.Context(), w.db), "upgrade the service")
		version(-1) // older than any
		contains(t, w.refusal(w.db, w.config()), "this service needs", "run `evenkeel migrate`")
		version(now)

		// A database that was never prepared, and one where the model's table is missing
		// or lacks columns. The SQL that the error shows mends it.
		dsn := testutil.SQLiteDSN
		if at.store == storePostgres {
			dsn = testutil.PostgresDSN
		}
		fresh := openDB(t, at.store, dsn(t))
		contains(t, w.refusal(fresh, w.config()), "the database has none of Evenkeel's tables; run `evenkeel migrate`", "--print")
		contains(t, framework.CheckSchema(t.Context(), fresh), "none of Evenkeel's tables")
		require.NoError(t, framework.Migrate(t.Context(), fresh))
		require.NoError(t, framework.CheckSchema(t.Context(), fresh))
		contains(t, w.refusal(fresh, w.config()), "table orders of model Order is not there; make it with db.AutoMigrate(&Order{})")
		require.NoError(t, fresh.Exec("CREATE TABLE orders (id varchar(40) PRIMARY KEY, status text, customer text, note text, amount bigint)").Error)
		err := w.refusal(fresh, w.config())
		contains(t, err, "has no column ek_rev", "has no column ek_tie", "has no column paid_at", "has no column cancelled_at")
		mends := regexp.MustCompile(`ALTER TABLE [^;]*;`).FindAllString(err.Error(), -1)
		require.Len(t, mends, 7+3, "the clocks' columns and three times")
		for _, mend := range mends {
			require.NoError(t, fresh.Exec(mend).Error, mend)
		}
		c, err := framework.New(fresh, w.config())
		require.NoError(t, err)
		require.NoError(t, c.Close())

		// Another group's table.
		other := w.config()
		other.Group = w.broker.Group("others")
		contains(t, w.refusal(fresh, other), "table orders belongs to the group", w.group, "take the table over (Config.TakeTables) if the other one is gone for good")
		other.TakeTables = true
		c, err = framework.New(fresh, other)
		require.NoError(t, err)
		require.NoError(t, c.Close())
	})
}

// TestB15Passwords: librdkafka is told to log all that it can, everything that can fail
// does, and nothing that anybody can read contains a password.
func TestB15NoPasswordIsLogged(t *testing.T) {
	const secret = "kafka-pass-7c1f"
	t.Parallel()
	each(t, "B15", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		shown := func(err error) {
			t.Helper()
			require.NotContains(t, err.Error(), secret)
		}
		sasl := func(extra ...any) map[string]any {
			kafka := map[string]any{
				"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "orders", "sasl.password": secret,
				"debug": "all", "socket.connection.setup.timeout.ms": 1000,
			}
			for i := 0; i < len(extra); i += 2 {
				kafka[extra[i].(string)] = extra[i+1]
			}
			return kafka
		}
		cfg := w.config()
		cfg.Kafka = sasl() // the broker wants none of this
		shown(w.refusal(w.db, cfg))
		for _, mistake := range []any{[]byte(secret), struct{ Password string }{secret}} {
			cfg.Kafka = sasl("sasl.password", mistake)
			shown(w.refusal(w.db, cfg))
		}
		cfg.Kafka = sasl("sasl.mechanism", "NONSENSE")
		shown(w.refusal(w.db, cfg))
		cfg.Kafka = sasl("group.id", secret) // an owned property's value is not shown either
		shown(w.refusal(w.db, cfg))

		dbSecret := "no password"
		if at.store == storePostgres {
			server := testutil.PostgresServer(t)
			dsn, err := url.Parse(server.DSN())
			require.NoError(t, err)
			dbSecret, _ = dsn.User.Password()
			require.NotEmpty(t, dbSecret)
			w.db = openDB(t, at.store, server.DSN())
			w.migrate()
			m := w.start()
			w.tell(0, w.note(1))
			w.drain(1)
			server.Kill(t)
			w.tell(0, w.note(2))
			w.eventually(func() bool { return w.log.count("the database is not available") > 0 }, func() string { return "the database is missed" })
			server.Start(t)
			w.drain(1)
			m.stop()
		}
		w.log.mu.Lock()
		defer w.log.mu.Unlock()
		seen := 0
		for _, line := range w.log.lines {
			require.NotContains(t, line.text, secret)
			require.NotContains(t, line.text, dbSecret)
			if strings.Contains(line.text, "sasl.username") {
				seen++
			}
		}
		require.Positive(t, seen, "librdkafka did not log its configuration, so the test shows nothing")
	})
}

// TestB15Payloads: what the event says is nobody's business in a log.
func TestB15NoPayloadAboveDebug(t *testing.T) {
	t.Parallel()
	each(t, "B15", func(t *testing.T, at combination) {
		t.Parallel()
		const payload = "secret-of-the-customer"
		w := newWorld(t, at, 1)
		w.registry = failing
		for i, typ := range []string{"fails.on", "panics", "rejects", "refuses", "order.placed", "nobody.knows"} {
			s := w.note(i)
			s.typ, s.data = typ, `{"note":"`+payload+`","amount":1000000}`
			w.tell(0, s)
		}
		w.broker.Produce(t, w.record(0, payload, payload), w.record(0, "k", `{"id":"i","type":"order.noted","key":"k","data":{"note":"`+payload+`","amount":"x"}}`))
		w.start()
		w.drain(1)
		require.Len(t, w.letters(), 6)
		require.Zero(t, w.log.count(payload))
	})
}
