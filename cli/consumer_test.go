package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// beat writes a member as the migration's comments say.
func beat(t *testing.T, db *gorm.DB, id, group, owner string, seen time.Time, state string) {
	t.Helper()
	row := map[string]any{"id": id, "grp": group, "owner": owner, "version": "v1.4.1", "started": lettertest.At(0).UnixMicro(), "seen": seen.UnixMicro(), "state": state}
	if err := db.Table("evenkeel_members").Create(row).Error; err != nil {
		t.Fatal(err)
	}
}

func stands(t *testing.T, db *gorm.DB, group, topic, id string, partition int32, next int64, owner string, owned time.Time) {
	t.Helper()
	row := map[string]any{
		"cluster": "c", "topic_id": id, "grp": group, "partition": partition, "topic": topic, "epoch": 1, "rev": 1, "next_offset": next, "high_offset": next,
		"gaps": "", "done": "", "owner": owner, "owned_at": owned.UnixMicro(), "updated_at": owned.UnixMicro(),
	}
	if next > 0 {
		row["watermark"] = lettertest.At(1).UnixMicro()
	}
	if err := db.Table("evenkeel_ledger").Create(row).Error; err != nil {
		t.Fatal(err)
	}
}

const broken = `{"partitions": [{"topic": "orders", "partition": 0, "next": 100, "log_end": 1200, "held": true}, {"topic": "orders", "partition": 1, "next": 5, "log_end": -1}],
	"breakers": [{"handler": "invoice", "state": "open", "since": 1767700000000000, "failed": 20, "of": 31, "probes": 4, "next_probe": 1767700000000000, "error": "dial \u001b[31m billing"}]}`

func TestConsumers(t *testing.T) {
	t.Parallel()
	dsn, db := migrated(t)
	now := lettertest.At(0).Add(3 * time.Hour)
	// By the database's clock this one lives, and the others are long silent.
	beat(t, db, "a", "billing", "host-1 pid 7", now.Add(100*365*24*time.Hour), broken)
	beat(t, db, "b", "billing", "host-2 pid 8", now.Add(-time.Hour), `{"partitions": [], "breakers": []}`)
	beat(t, db, "c", "mail", "host-3 pid 9", now.Add(-2*time.Hour), `{}`)
	// These two live, and differ.
	beat(t, db, "d", "ship", "host-4 pid 1", now.Add(100*365*24*time.Hour), `{"handles": {"order.paid": ["points"]}}`)
	beat(t, db, "e", "ship", "host-5 pid 1", now.Add(100*365*24*time.Hour), `{"handles": {"order.paid": ["mailer", "points"], "order.re\u001b[31mfunded": ["refunds"]}}`)
	stands(t, db, "billing", "orders", "t1", 0, 90, "host-0 pid 1", now.Add(-50*time.Hour)) // before it was made again
	stands(t, db, "billing", "orders", "t2", 0, 100, "host-1 pid 7", now.Add(-2*time.Hour))
	stands(t, db, "billing", "orders", "t2", 1, -1, "host-1 pid 7", now.Add(-2*time.Hour))
	stands(t, db, "old", "notes", "t3", 0, 7, "host-1 pid 2", now.Add(-200*time.Hour))
	w := world{env: map[string]string{dsnVariable: dsn, "NO_COLOR": "1"}}
	for name, args := range map[string][]string{
		"consumer-list":      {"list"},
		"consumer-list-json": {"list", "-o", "json"},
		"consumer-show":      {"show", "billing"},
		"consumer-show-80":   {"show", "billing"},
		"consumer-differs":   {"show", "ship"},
	} {
		w := w
		if strings.HasSuffix(name, "80") {
			w.columns = 80
		}
		r := w.run(t, append([]string{"consumer"}, args...)...)
		if r.code != 0 {
			t.Fatalf("%+v", r)
		}
		golden(t, name, r.out)
		if i := strings.IndexFunc(r.out, dangerous); i >= 0 {
			t.Errorf("a terminal would obey %q", r.out[i:min(i+10, len(r.out))])
		}
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func() string{
		"sqlite":   func() string { dsn, _ := migrated(t); return dsn },
		"postgres": func() string { return testutil.PostgresDSN(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world{env: map[string]string{dsnVariable: dsn()}}
			w.run(t, "migrate")
			db := open(t, w.env[dsnVariable])
			if r := w.run(t, "consumer", "list"); r.code != 4 || r.errOut != "no consumer group has used this database\n" {
				t.Errorf("%+v", r)
			}
			stands(t, db, "billing", "orders", "t", 0, 100, "host-1 pid 7", lettertest.At(0))
			stands(t, db, "billing", "orders", "t", 1, 100, "host-1 pid 7", lettertest.At(0))
			for _, c := range []struct {
				args      string
				in        string
				code      int
				out, errs string
				pauses    int
			}{
				{"pause billing", "y\n", 2, "", "--why is required", 0},
				{"pause --why x", "y\n", 2, "", "name one consumer group, found 0", 0},
				{"pause billing --partition 3 --why x", "y\n", 2, "", "--partition needs its --topic", 0},
				{"pause biling --why x", "y\n", 4, "", "no consumer group \"biling\" has used this database\n  next: `evenkeel consumer list`", 0},
				{"show biling", "", 4, "", "no consumer group", 0},
				{"pause billing --topic order --why x", "y\n", 4, "", "--topic: found \"order\", expected one that the group reads: orders (2 partitions)\n", 0},
				{"pause billing --topic orders --partition 2 --why x", "y\n", 4, "", "--partition: found 2 of \"orders\", expected one that the group reads: orders (2 partitions)\n", 0},
				{"pause billing --why x", "n\n", 1, "", "pause everything of group billing, which now is: nobody runs\npause? [y/N] evenkeel: nothing was changed\n", 0},
				{"pause billing --why x", "y\n", 0, "paused; members follow within seconds\n", "", 1},
				{"pause billing --why x --yes", "", 4, "", "everything of group billing was paused already\n  next: `evenkeel consumer show billing` shows by whom\n", 1},
				{"pause billing --topic orders --partition 1 --why y --yes --as bob -o json", "", 0, "{\n  \"changed\": 1,\n  \"dry_run\": false\n}\n", "which now is: paused: everything\n", 2},
				{"resume billing --dry-run", "", 0, "dry run: nothing was changed\n", "resume everything of group billing", 2},
				{"resume billing --topic orders --yes", "", 0, "1 taken back of what was paused; members go on, and close their breakers, within seconds\n", "", 1},
				{"resume billing", "y\n", 0, "1 taken back", "resume? [y/N] ", 0},
				{"resume billing -y", "", 0, "0 taken back", "", 0},
			} {
				w := w
				w.in = c.in
				r := w.run(t, append([]string{"consumer"}, strings.Fields(c.args)...)...)
				if r.code != c.code || !strings.HasPrefix(r.out, c.out) || !strings.Contains(r.errOut, c.errs) {
					t.Errorf("%s: %+v", c.args, r)
				}
				var g consumerJSON
				if err := json.Unmarshal([]byte(w.run(t, "consumer", "show", "billing", "-o", "json").out), &g); err != nil || len(g.Pauses) != c.pauses {
					t.Errorf("%s: %+v, %v", c.args, g.Pauses, err)
				}
			}
			lines, err := dlq.Audit(t.Context(), db, dlq.AuditFilter{Group: "billing"})
			if err != nil || len(lines) != 5 {
				t.Fatalf("%+v, %v", lines, err)
			}
			if e := lines[3]; e.By != (dlq.Actor{Name: "bob", Via: "cli"}) || e.Verb != dlq.VerbPause || e.Reason != "y" || e.Selection != "partition 1 of topic orders" {
				t.Errorf("%+v", e)
			}
		})
	}
}
