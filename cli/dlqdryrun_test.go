package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

type bill struct {
	ID     string `gorm:"primaryKey"`
	Amount int
	Photo  []byte
	guards.Guarded
}

func billing() *framework.Config {
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "paid", func(_ context.Context, d *handlers.Delivery[struct{ Amount int }, bill]) error {
		if d.Payload.Amount == 0 {
			return handlers.DeadLetter(errors.New("nothing to pay"))
		}
		d.Entity.Amount, d.Entity.Photo = d.Payload.Amount, []byte{0, 0xff}
		return nil
	}, handlers.Writes("Amount", "Photo"), handlers.Creates())
	handlers.Set(reg, "sent", func(context.Context, *handlers.Delivery[struct{ Amount int }, bill]) error {
		panic("a dry run must not call it")
	}, handlers.Writes("Amount"), handlers.External(), handlers.Name("mailer"))
	return &framework.Config{
		Brokers: "nowhere:1", Group: "billing", Topics: []string{"bills"}, DeadLetterTopic: "bills.dlq", Handlers: reg,
		Codec: event.Envelope(event.EnvelopeConfig{}),
	}
}

func TestReplayDryRun(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	require.NoError(t, db.AutoMigrate(&bill{}))
	require.NoError(t, db.Exec("INSERT INTO bills (id, amount) VALUES ('b2', 3), ('b4', 9)").Error)
	for i, l := range []struct{ typ, handler, data string }{
		{"paid", "paid→bill", `{"amount":5}`}, {"paid", "paid→bill", `{"amount":7}`}, {"paid", "paid→bill", `{}`}, {"sent", "mailer", `{}`},
	} {
		x := lettertest.Full()
		x.EventType, x.Handler, x.Table, x.Entity, x.Stream, x.Blocking = l.typ, l.handler, "bills", fmt.Sprint("b", i+1), "", false
		x.Record.Offset = int64(i)
		x.Record.Value = fmt.Appendf(nil, `{"id":"e%d","type":%q,"source":"s","key":%q,"time":"2026-10-01T10:00:00Z","data":%s}`, i, l.typ, x.Entity, l.data)
		x.ID = dlq.UnitID(x.Record.Coordinates, x.Group, x.Handler, x.Entity)
		insert(t, db, x)
	}
	foreign := lettertest.Full()
	foreign.Verdict.Reason = dlq.Foreign
	insert(t, db, foreign)

	w := world{env: map[string]string{dsnVariable: dsn}, config: billing()}
	r := w.run(t, "dlq", "replay", "--all", "--dry-run")
	require.Zero(t, r.code, r.errOut)
	for _, words := range []string{
		"  bill b1 is made (live)\n    id      b1\n    amount  5\n    photo   0x00ff\n",
		"  bill b2: foreign → live\n    amount  3 → 7\n    photo   NULL → 0x00ff\n",
		"  fails      paid  b3  nothing to pay\n",
		"  handler mailer is External and was not called; its verdict is that of the guards alone\n  bill b4 stays as it is (foreign)\n",
		"dry run: nothing was changed; a replay would come to\n  3 applied\n  1 fails\n  1 refused\n",
	} {
		require.Contains(t, r.out, words)
	}
	for _, line := range strings.Split(world{env: map[string]string{dsnVariable: dsn, "NO_COLOR": "1"}, config: w.config, columns: 60}.run(t, "dlq", "replay", "--all", "--dry-run").out, "\n") {
		require.LessOrEqual(t, cells(line), 60)
	}
	r = w.run(t, "dlq", "replay", "--all", "--dry-run", "-o", "jsonl")
	require.Equal(t, 5, strings.Count(r.out, "\n"))
	require.Contains(t, r.out, `{"column":"amount","before":"3","after":"7","changed":true}`)
	r = w.run(t, "dlq", "replay", "--all", "--dry-run", "-o", "json")
	require.Contains(t, r.out, `"called": false`)
	require.Contains(t, r.out, "another system has written it")
	require.Contains(t, r.out, `"applied": 3`)
	r = w.run(t, "dlq", "replay", "--all", "--dry-run", "-o", "yaml")
	require.Contains(t, r.out, "applied: 3")
	for _, f := range formats() {
		for rule, secrets := range map[string][]string{
			"payload.amount": {"3 → 7", `"7"`, "amount  5"}, "column.photo": {"00ff"}, "error": {"nothing to pay"}, "key": {"b1", "b3"}, "payload": {"00ff", "nothing to pay"},
		} {
			r := w.run(t, "dlq", "replay", "--all", "--dry-run", "-o", f, "--redact", rule)
			require.Zero(t, r.code, r.errOut)
			for _, secret := range secrets {
				require.NotContains(t, r.out+r.errOut, secret, "-o %s --redact %s", f, rule)
			}
		}
	}
	require.Contains(t, w.run(t, "dlq", "replay", "--all", "--dry-run", "--redact", "payload.amount").out, "amount  [redacted] before → [redacted] after\n")
	var rows int64
	require.NoError(t, db.Table("bills").Count(&rows).Error)
	require.EqualValues(t, 2, rows)

	// Without handlers it says how to have them, and that a part is missing.
	r = world{env: w.env}.run(t, "dlq", "replay", "--all", "--dry-run", "-o", "json")
	require.Equal(t, codePartly, r.code)
	require.Contains(t, r.errOut, "this binary has no handlers, so it has only counted the letters and can't tell what would become of them\n  next: mount the commands in your service")
	require.Contains(t, r.out, `"letters": null`)
}
