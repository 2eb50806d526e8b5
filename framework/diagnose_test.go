package framework_test

import (
	"context"
	"fmt"
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

// told are the findings, one a line: health, check, subject, text.
func told(findings []framework.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %s %s: %s\n", f.Health, f.Check, f.Subject, f.Text)
	}
	return b.String()
}

// find returns the one finding of a check whose text has a part, and fails without it.
func find(t *testing.T, findings []framework.Finding, check, part string) framework.Finding {
	t.Helper()
	for _, f := range findings {
		if f.Check == check && strings.Contains(f.Text, part) {
			return f
		}
	}
	t.Fatalf("no finding of %s has %q:\n%s", check, part, told(findings))
	return framework.Finding{}
}

func TestDiagnoseDatabases(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *gorm.DB{"postgres": testutil.Postgres, "sqlite": testutil.SQLite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, ctx := open(t), t.Context()
			found := framework.Diagnose(ctx, db, nil)
			f := find(t, found, "schema", "none of Evenkeel's tables")
			require.Equal(t, framework.HealthFail, f.Health)
			require.Contains(t, f.Mend, "evenkeel migrate")

			require.NoError(t, framework.Migrate(ctx, db))
			found = framework.Diagnose(ctx, db, &framework.Config{Group: "orders"})
			for check, part := range map[string]string{"database": "answers", "schema": "this release needs", "permissions": "", "clock": "agree"} {
				require.Equal(t, framework.HealthOK, find(t, found, check, part).Health, told(found))
			}
			require.Equal(t, framework.HealthWarn, find(t, found, "members", "no member has read").Health)
			require.Equal(t, framework.HealthWarn, find(t, found, "broker", "no brokers").Health)

			require.NoError(t, db.Exec(`INSERT INTO evenkeel_ledger (cluster, topic_id, grp, partition, topic, epoch, rev, next_offset, high_offset, gaps, done, owner, owned_at)
				VALUES ('c', 't', 'orders', 0, 'orders', 1, 1, 1, 1, '', '', 'host pid 7', 0)`).Error)
			require.Equal(t, framework.HealthOK, find(t, framework.Diagnose(ctx, db, nil), "members", "1 partitions of orders were last read by host pid 7").Health)

			// Members that differ leave out events, and nothing else tells of it.
			lives := func(id, state string, ago time.Duration) {
				t.Helper()
				require.NoError(t, db.Exec("DELETE FROM evenkeel_members WHERE id = ?", id).Error)
				require.NoError(t, db.Exec("INSERT INTO evenkeel_members (id, grp, owner, version, started, seen, state) VALUES (?, 'orders', ?, '', 0, ?, ?)", id, "host "+id, time.Now().Add(-ago).UnixMicro(), state).Error)
			}
			lives("a", `{"handles":{"paid":["points"]}}`, 0)
			lives("b", `{"handles":{"paid":["points"]}}`, 0)
			lives("c", `{}`, 0) // of a release that does not tell
			lives("d", `{"handles":{"placed":["orders"]}}`, time.Hour)
			found = framework.Diagnose(ctx, db, nil)
			require.Equal(t, framework.HealthOK, find(t, found, "members", "2 members have the same handlers").Health)
			require.NotContains(t, told(found), "placed")
			lives("d", `{"handles":{"paid":["mailer","points"],"placed":["orders"]}}`, 0)
			found = framework.Diagnose(ctx, db, nil)
			require.NotContains(t, told(found), "same handlers")
			f = find(t, found, "members", "events of type placed are discarded as unhandled where host a, host b reads them, which has no handler for them; host d has")
			require.Equal(t, []any{framework.HealthFail, "orders"}, []any{f.Health, f.Subject})
			require.Contains(t, f.Mend, "a group of its own")
			f = find(t, found, "members", "handler mailer does not run for events of type paid that host a, host b reads")
			require.Equal(t, framework.HealthFail, f.Health)
			lives("a", `{"unhandled_letters":true,"handles":{"paid":["points"]}}`, 0)
			require.Equal(t, framework.HealthFail, find(t, framework.Diagnose(ctx, db, nil), "members", "events of type placed are discarded").Health, "b discards them")
			lives("b", `{"unhandled_letters":true,"handles":{"paid":["points"]}}`, 0)
			found = framework.Diagnose(ctx, db, nil)
			require.Equal(t, framework.HealthWarn, find(t, found, "members", "events of type placed become dead letters where host a, host b reads them").Health)
			require.Equal(t, framework.HealthFail, find(t, found, "members", "handler mailer does not run").Health, "nothing tells of those")
		})
	}
}

// What a user lacks is told by table, and what needs no right isn't.
func TestDiagnosePermissions(t *testing.T) {
	t.Parallel()
	db, ctx := testutil.Postgres(t), t.Context()
	require.NoError(t, framework.Migrate(ctx, db))
	require.NoError(t, db.Exec("CREATE TABLE orders (id text)").Error)
	require.NoError(t, db.Exec("INSERT INTO evenkeel_models (tbl, grp, generation, columns, claimed_at) VALUES ('orders', 'g', 1, '{}', 0), ('gone', 'g', 1, '{}', 0), ('other', 'h', 1, '{}', 0)").Error)
	role := fmt.Sprintf("limited_%d", time.Now().UnixNano())
	for _, statement := range []string{
		"CREATE ROLE " + role,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO " + role,
		"REVOKE UPDATE, DELETE ON evenkeel_audit FROM " + role,
		"REVOKE DELETE ON evenkeel_models, evenkeel_topics, evenkeel_schema, orders FROM " + role,
		"REVOKE INSERT, DELETE ON evenkeel_parked FROM " + role,
	} {
		require.NoError(t, db.Exec(statement).Error, statement)
	}
	t.Cleanup(func() {
		require.NoError(t, db.Exec("SET default_transaction_read_only = off").Error)
		require.NoError(t, db.Exec("RESET ROLE").Error)
		require.NoError(t, db.Exec("DROP OWNED BY "+role).Error)
		require.NoError(t, db.Exec("DROP ROLE "+role).Error)
	})
	pool, err := db.DB()
	require.NoError(t, err)
	pool.SetMaxOpenConns(1) // the role is the connection's
	require.NoError(t, db.Exec("SET ROLE "+role).Error)

	var got []string
	for _, f := range framework.Diagnose(ctx, db, &framework.Config{Group: "g"}) {
		if f.Check == "permissions" {
			got = append(got, fmt.Sprintf("%s %s %s / %s", f.Health, f.Subject, f.Text, f.Mend))
		}
	}
	require.Equal(t, []string{
		"fail evenkeel_parked this user may not INSERT, DELETE / GRANT INSERT, DELETE ON evenkeel_parked TO the user of the DSN",
		"warn gone the table is claimed by a group, and is not there or not visible to this user / check the schema in search_path, and that the service's own migrations have run",
		"warn orders this user may not DELETE / GRANT DELETE ON orders TO the user of the DSN",
	}, got)

	require.NoError(t, db.Exec("SET default_transaction_read_only = on").Error)
	require.Equal(t, framework.HealthFail, find(t, framework.Diagnose(ctx, db, nil), "permissions", "takes no writes").Health)
}

func TestDiagnoseBroker(t *testing.T) {
	t.Parallel()
	kafka, ctx := testutil.Kafka(t), t.Context()
	orders, compacted, letters := kafka.Group("orders"), kafka.Group("compacted"), kafka.Group("letters")
	kafka.CreateTopic(t, orders, 3, "max.message.bytes", "5000000")
	kafka.CreateTopic(t, compacted, 1, "cleanup.policy", "compact")
	kafka.CreateTopic(t, letters, 2, "retention.ms", "3600000", "min.insync.replicas", "2", "cleanup.policy", "compact,delete")

	found := framework.Diagnose(ctx, nil, &framework.Config{
		Brokers: kafka.Brokers, Group: kafka.Group("g"), Topics: []string{orders, compacted, "absent"}, DeadLetterTopic: letters,
	})
	for _, want := range []struct {
		health                     framework.Health
		check, subject, text, mend string
	}{
		{framework.HealthOK, "broker", "", "answers, with 1 brokers", ""},
		{framework.HealthWarn, "topic", orders, "there is 1 replica", "3 replicas"},
		{framework.HealthWarn, "topic", compacted, "cleanup.policy=compact", "--entity-name " + compacted + " --add-config cleanup.policy=delete"},
		{framework.HealthFail, "topic", "absent", "the topic absent does not exist", "kafka-topics.sh --bootstrap-server " + kafka.Brokers + " --create --topic absent"},
		{framework.HealthFail, "dead-letter topic", letters, "min.insync.replicas=2 and there are 1 replicas", "min.insync.replicas=1"},
		{framework.HealthWarn, "dead-letter topic", letters, "keeps copies for 1h0m0s, and the table keeps letters for 90 days", "retention.ms=7776000000"},
		{framework.HealthWarn, "dead-letter topic", letters, "only the last copy stays", "cleanup.policy=delete"},
		{framework.HealthWarn, "dead-letter topic", letters, "and a topic of events takes 5000000", "max.message.bytes=8388608"},
		{framework.HealthWarn, "members", "", "no member runs", "start the service"},
	} {
		f := find(t, found, want.check, want.text)
		if want.subject != "" {
			require.Equal(t, want.subject, f.Subject)
		}
		require.Equal(t, want.health, f.Health, told(found))
		require.Contains(t, f.Mend, want.mend)
	}
	for _, f := range found {
		require.True(t, (f.Health == framework.HealthOK) == (f.Mend == ""), "%+v", f)
	}
}

type counter struct {
	ID    string `gorm:"primaryKey"`
	Total int64
	guards.Guarded
}

func countUp(_ context.Context, d *handlers.Delivery[struct{}, counter]) error {
	d.Entity.Total++
	return nil
}

// In a service its configuration is checked as New does, and the topics for its guards.
func TestDiagnoseConfiguration(t *testing.T) {
	t.Parallel()
	kafka := testutil.Kafka(t)
	topic, letters := kafka.Group("counts"), kafka.Topic(t, "letters", 1)
	kafka.CreateTopic(t, topic, 1, "cleanup.policy", "compact")
	reg := handlers.NewRegistry()
	config := &framework.Config{Brokers: kafka.Brokers, Group: "g", Topics: []string{topic}, DeadLetterTopic: letters, Handlers: reg}
	handlers.Modify(reg, "counted", countUp, guards.Once(), handlers.Writes("Total"))
	found := framework.Diagnose(t.Context(), nil, config)
	require.Equal(t, framework.HealthOK, find(t, found, "configuration", "fit together").Health)
	require.Equal(t, framework.HealthFail, find(t, found, "topic", "needs every event").Health)
	config.BatchSize = -1
	require.Equal(t, framework.HealthFail, find(t, framework.Diagnose(t.Context(), nil, config), "configuration", "Config.BatchSize").Health)

	found = framework.Diagnose(t.Context(), nil, &framework.Config{Brokers: "127.0.0.1:1", Kafka: map[string]any{"acks": "1"}})
	require.Equal(t, framework.HealthFail, find(t, found, "broker", "acks can't be set").Health)
}

// Topics that handlers send to are looked at like those that they read: for being there and for
// the right to write them.
func TestDiagnoseEmittedTopics(t *testing.T) {
	t.Parallel()
	kafka := testutil.Kafka(t)
	source, letters, children := kafka.Topic(t, "source", 1), kafka.Topic(t, "letters", 1), kafka.Topic(t, "children", 1)
	replays := kafka.Group("replays") // it is not there
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "counted", countUp, guards.Sequence(guards.RequestReplay(replays)), handlers.Writes("Total"), handlers.Emits(children, source))
	config := &framework.Config{Brokers: kafka.Brokers, Group: "g", Topics: []string{source}, DeadLetterTopic: letters, Handlers: reg}
	found := framework.Diagnose(t.Context(), nil, config)
	require.Equal(t, framework.HealthOK, find(t, found, "configuration", "").Health, told(found))
	for check, subject := range map[string]string{"topic": source, "dead-letter topic": letters} {
		require.Equal(t, subject, find(t, found, check, "").Subject)
	}
	missing := find(t, found, "emitted topic", "does not exist, and handlers emit to it")
	require.Equal(t, []any{framework.HealthFail, replays}, []any{missing.Health, missing.Subject})
	require.Contains(t, missing.Mend, "--create --topic "+replays)
	require.Equal(t, children, find(t, found, "emitted topic", "there is 1 replica").Subject)
}
