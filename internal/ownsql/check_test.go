package ownsql

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var tested = map[string]string{"orders": "Order", "sales.items": "Item", "Mixed": "Mixed"}

func TestCheck(t *testing.T) {
	t.Parallel()
	const both, postgres, lite = "postgres lite", "postgres", "lite"
	for _, c := range []struct {
		on, sql string
		names   string // what the refusal names; empty where the statement is let through
	}{
		// What is let through.
		{both, "", ""},
		{both, " ;; -- nothing\n;/* at all */", ""},
		{both, "SELECT * FROM orders", ""},
		{both, "(SELECT id FROM orders) UNION SELECT 1", ""},
		{both, "SELECT * FROM orders FOR UPDATE", ""},
		{both, "SELECT * FROM orders o FOR NO KEY UPDATE OF o", ""},
		{both, "WITH o AS (SELECT * FROM orders) INSERT INTO audit SELECT id FROM o", ""},
		{both, "INSERT INTO audit (id) SELECT id FROM orders ON CONFLICT (id) DO UPDATE SET n = 1", ""},
		{both, `INSERT INTO "audit" VALUES ('INSERT INTO orders')`, ""},
		{both, "INSERT INTO audit VALUES ('it''s; DELETE FROM orders')", ""},
		{both, "INSERT INTO audit VALUES (1) -- UPDATE orders SET n = 1", ""},
		{both, "INSERT INTO audit VALUES (1) /* ; DROP TABLE orders */", ""},
		{both, "UPDATE audit SET orders = 1 FROM orders WHERE orders.id = audit.id", ""},
		{both, "DELETE FROM audit WHERE id IN (SELECT id FROM orders)", ""},
		{both, "UPDATE archive.items SET n = 1", ""},
		{both, "SAVEPOINT sp1", ""},
		{both, "RELEASE SAVEPOINT sp1", ""},
		{both, "ROLLBACK TO SAVEPOINT sp1", ""},
		{both, "rollback work to sp1", ""},
		{both, "SELECT * FROM evenkeel_dead_letters", ""},
		{both, "CREATE TEMP TABLE scratch (id int)", ""},
		{postgres, "NOTIFY orders, 'hello'", ""},
		{postgres, `INSERT INTO audit VALUES ($$'; DELETE FROM orders$$)`, ""},
		{postgres, `INSERT INTO audit VALUES ($a$ $$ $b$ '; DELETE FROM orders$a$)`, ""},
		{postgres, `INSERT INTO audit VALUES (E'\'; DELETE FROM orders --')`, ""},
		{postgres, `INSERT INTO audit VALUES ('\', 'x')`, ""},
		{postgres, "INSERT INTO audit VALUES (1) /* /* */ ; DELETE FROM orders */", ""},
		{postgres, "SELECT a[1] FROM audit", ""},
		{postgres, "MERGE INTO audit a USING orders o ON a.id = o.id WHEN MATCHED THEN UPDATE SET n = 1 WHEN NOT MATCHED THEN INSERT VALUES (o.id)", ""},
		{lite, "REPLACE INTO audit VALUES (1)", ""},
		{lite, "SELECT replace(id, 'a', 'b') FROM orders", ""},

		// Writes to registered tables, in every writing.
		{both, "INSERT INTO orders VALUES (1)", "orders"},
		{both, "insert\tinto\nOrDeRs VALUES (1)", "orders"},
		{both, `INSERT INTO "orders" VALUES (1)`, "orders"},
		{both, `INSERT INTO public.orders VALUES (1)`, "orders"},
		{both, `INSERT INTO "public" . "orders" VALUES (1)`, "orders"},
		{both, "INSERT/**/INTO/**/orders VALUES (1)", "orders"},
		{both, "INSERT INTO -- where?\n orders VALUES (1)", "orders"},
		{both, "UPDATE orders SET n = 1", "orders"},
		{both, "UPDATE mixed SET n = 1", "Mixed"},
		{both, "UPDATE sales.items SET n = 1", "sales.items"},
		{both, "UPDATE items SET n = 1", "sales.items"},
		{both, "DELETE FROM orders", "orders"},
		{both, "EXPLAIN ANALYZE DELETE FROM orders", "orders"},
		{both, "SELECT 1; DELETE FROM orders", "orders"},
		{both, "WITH gone AS (DELETE FROM orders RETURNING id) INSERT INTO audit SELECT id FROM gone", "orders"},
		{both, "WITH x AS (SELECT 1) UPDATE orders SET n = 1", "orders"},
		{both, "ALTER TABLE orders ADD COLUMN n int", "orders"},
		{both, "DROP TABLE IF EXISTS audit, orders", "orders"},
		{both, "CREATE INDEX i ON orders (n)", "orders"},
		{both, "DELETE FROM evenkeel_ledger", "evenkeel_ledger"},
		{both, "UPDATE evenkeel_controls SET topic = 'x'", "evenkeel_controls"},
		{both, "DELETE FROM evenkeel_job_letters", "evenkeel_job_letters"},
		{both, "UPDATE public.Evenkeel_Parked SET due = 0", "Evenkeel_Parked"},
		{both, "DROP TABLE evenkeel_models", "evenkeel_models"},
		{postgres, "UPDATE ONLY orders SET n = 1", "orders"},
		{postgres, "UPDATE ONLY (orders) SET n = 1", "orders"},
		{postgres, "DELETE FROM ONLY orders", "orders"},
		{postgres, "MERGE INTO ONLY orders USING audit ON true WHEN MATCHED THEN DELETE", "orders"},
		{postgres, "SELECT 1 INTO TEMP TABLE orders", "orders"},
		{postgres, "TRUNCATE audit, ONLY orders", "orders"},
		{postgres, "INSERT INTO audit VALUES (E'\\\\'); DELETE FROM orders", "orders"},
		{postgres, `INSERT INTO audit VALUES ('\'); DELETE FROM orders --'`, "orders"},
		{postgres, `INSERT INTO audit VALUES ($1, $2); DELETE FROM orders`, "orders"},
		{postgres, `UPDATE U&"\006Frders" SET n = 1`, `U&"`},
		{lite, "UPDATE OR IGNORE orders SET n = 1", "orders"},
		{lite, "REPLACE INTO orders VALUES (1)", "orders"},
		{lite, "INSERT OR REPLACE INTO orders VALUES (1)", "orders"},
		{lite, "INSERT INTO [orders] VALUES (1)", "orders"},
		{lite, "INSERT INTO `orders` VALUES (1)", "orders"},
		{lite, "INSERT INTO 'orders' VALUES (1)", "orders"},
		{lite, "INSERT INTO main.orders VALUES (1)", "orders"},
		{lite, "INSERT INTO audit VALUES (1) /* /* */ ; DELETE FROM orders -- */", "orders"},
		{lite, "INSERT INTO audit VALUES ($a, $b); DELETE FROM orders", "orders"},

		// What is not for a transaction of ours.
		{both, "BEGIN", "BEGIN"},
		{both, "START TRANSACTION", "START"},
		{both, "Commit", "Commit"},
		{both, "END", "END"},
		{both, "ABORT", "ABORT"},
		{both, "ROLLBACK", "ROLLBACK"},
		{both, "ROLLBACK; SELECT 1", "ROLLBACK"},
		{both, "ROLLBACK AND CHAIN", "ROLLBACK"},
		{both, "ROLLBACK TO evenkeel_unit", "evenkeel_unit"},
		{both, `ROLLBACK TO SAVEPOINT "evenkeel_unit"`, "evenkeel_unit"},
		{both, "RELEASE EVENKEEL_UNIT", "EVENKEEL_UNIT"},
		{both, "SAVEPOINT evenkeel_unit", "evenkeel_unit"},
		{both, "SELECT 1; COMMIT", "COMMIT"},
		{postgres, "SET LOCAL search_path = other", "SET"},
		{postgres, "RESET ALL", "RESET"},
		{postgres, "DISCARD ALL", "DISCARD"},
		{postgres, "LISTEN orders", "LISTEN"},
		{postgres, "COPY audit FROM STDIN", "COPY"},
		{postgres, "DO $$ BEGIN DELETE FROM orders; END $$", "DO"},
		{postgres, "PREPARE p AS DELETE FROM orders", "PREPARE"},
		{postgres, "PREPARE TRANSACTION 'x'", "PREPARE"},
		{postgres, "EXECUTE p", "EXECUTE"},
		{lite, "PRAGMA foreign_keys = OFF", "PRAGMA"},
		{lite, "ATTACH 'x' AS y", "ATTACH"},
		{lite, "VACUUM", "VACUUM"},
		{lite, "INSERT OR ROLLBACK INTO audit VALUES (1)", "OR ROLLBACK"},
	} {
		for _, on := range strings.Fields(c.on) {
			r := &Rules{Postgres: on == postgres, Models: tested}
			err := r.Check(c.sql)
			if c.names == "" {
				require.NoError(t, err, "%s: %s", on, c.sql)
				continue
			}
			var refused *RefusedError
			require.ErrorAs(t, err, &refused, "%s: %s", on, c.sql)
			require.Contains(t, refused.Reason, c.names, "%s: %s", on, c.sql)
		}
	}
}

func TestARefusalSaysWhatToDo(t *testing.T) {
	t.Parallel()
	r := &Rules{Models: tested}
	require.EqualError(t, r.Check("UPDATE orders SET n = 1"),
		"evenkeel: d.Tx refuses to write to orders, the table of the registered model Order: its rows carry clocks and are written by handlers alone; let a handler of Order write it, for this event or for one that d.Emit derives from it")
	require.EqualError(t, r.Check("COMMIT"),
		`evenkeel: d.Tx refuses a statement that begins with "COMMIT": it is not for the transaction of a batch, which Evenkeel begins and ends`)
}

// FuzzCheck: the check ends for any text, and reads what is in quotes as one name.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		"SELECT 1", "$", "$$", "$a$", "'", `"`, "`", "[", "/*", "/*/", "--", "E'\\", `U&"`, "\x00\xff", "INSERT INTO", "UPDATE OR", "DELETE FROM .", "a.", "ROLLBACK TO", ";;(((", "$é$ x $é$",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, sql string, postgres bool) {
		r := &Rules{Postgres: postgres, Models: tested}
		var refused *RefusedError
		if err := r.Check(sql); err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		// Whatever a string holds, what stands behind it is seen.
		behind := "SELECT '" + strings.ReplaceAll(sql, "'", "''") + "'; DELETE FROM orders"
		if err := r.Check(behind); !errors.As(err, &refused) {
			t.Errorf("%q hides what follows", behind)
		}
		in := `INSERT INTO audit ("` + strings.ReplaceAll(sql, `"`, `""`) + `") VALUES (1)`
		if err := r.Check(in); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	})
}
