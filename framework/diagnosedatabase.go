package framework

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

func (d *diagnosis) database(ctx context.Context, db *gorm.DB) {
	st, err := open.Open(db)
	if err != nil {
		d.add("database", "", HealthFail, err.Error(), "")
		return
	}
	before := d.clock.Now()
	theirs, err := st.Now(ctx)
	if err != nil {
		d.add("database", "", HealthFail, "the database does not answer: "+err.Error(), "check that it runs and can be reached from here")
		return
	}
	after := d.clock.Now()
	d.add("database", "", HealthOK, db.Name()+" answers", "")
	d.skew(before, theirs, after)
	if err := migrations.Check(ctx, db); err != nil {
		d.add("schema", "", HealthFail, err.Error(), "`evenkeel migrate` makes the tables or brings them up to date")
		return
	}
	d.add("schema", "", HealthOK, fmt.Sprintf("the tables have version %d, which this release needs", migrations.Version), "")
	if err := d.permissions(ctx, db); err != nil {
		d.add("permissions", "", HealthFail, "the permissions can't be read: "+err.Error(), "")
	}
	if err := d.history(ctx, db); err != nil {
		d.add("members", "", HealthFail, "the ledger can't be read: "+err.Error(), "")
	}
	if err := d.alike(ctx, db); err != nil {
		d.add("members", "", HealthFail, "what members say of themselves can't be read: "+err.Error(), "")
	}
}

// permissions asks what this user may do to Evenkeel's tables and to those that groups have
// claimed, without trying it.
func (d *diagnosis) permissions(ctx context.Context, db *gorm.DB) error {
	if db.Name() != "postgres" {
		return d.writable(ctx, db)
	}
	var readOnly bool
	if err := db.WithContext(ctx).Raw("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'").Row().Scan(&readOnly); err != nil {
		return err
	}
	if readOnly {
		d.add("permissions", "", HealthFail, "the server takes no writes here: it is a replica, or its transactions are read-only", "name the primary server in the DSN")
		return nil
	}
	// A model's table is known by the name that GORM gave it, with a schema or without.
	rows, err := db.WithContext(ctx).Raw(`SELECT t.name, t.own,
			CASE WHEN to_regclass(t.name) IS NULL THEN 'gone' ELSE concat_ws(',',
				CASE WHEN NOT has_table_privilege(to_regclass(t.name), 'SELECT') THEN 'SELECT' END,
				CASE WHEN NOT has_table_privilege(to_regclass(t.name), 'INSERT') THEN 'INSERT' END,
				CASE WHEN NOT has_table_privilege(to_regclass(t.name), 'UPDATE') THEN 'UPDATE' END,
				CASE WHEN NOT has_table_privilege(to_regclass(t.name), 'DELETE') THEN 'DELETE' END) END
		FROM (SELECT relname::text AS name, true AS own FROM pg_catalog.pg_class
				WHERE relkind IN ('r', 'p') AND starts_with(relname::text, 'evenkeel_') AND pg_table_is_visible(oid)
			UNION ALL SELECT tbl, false FROM evenkeel_models WHERE ? = '' OR grp = ?) AS t ORDER BY t.own DESC, t.name`, d.cfg.Group, d.cfg.Group).Rows() //nolint:sqlclosecheck // eachRow does
	if err != nil {
		return err
	}
	n, bad := 0, 0
	err = eachRow(rows, func() error {
		var table, lacks string
		var own bool
		if err := rows.Scan(&table, &own, &lacks); err != nil {
			return err
		}
		n++
		if d.lacks(table, own, lacks) {
			bad++
		}
		return nil
	})
	if err == nil && bad == 0 {
		d.add("permissions", "", HealthOK, fmt.Sprintf("this user may read and write %d tables", n), "")
	}
	return err
}

// lacks reports what this user may not do to a table, and whether there is something.
func (d *diagnosis) lacks(table string, own bool, lacks string) bool {
	if lacks == "gone" {
		d.add("permissions", table, HealthWarn, "the table is claimed by a group, and is not there or not visible to this user", "check the schema in search_path, and that the service's own migrations have run")
		return true
	}
	words := strings.Split(lacks, ",")
	switch table {
	case "evenkeel_audit": // it is only ever added to
		words = missing([]string{"UPDATE", "DELETE"}, words...)
	case "evenkeel_schema", "evenkeel_models", "evenkeel_topics":
		words = missing([]string{"DELETE"}, words...)
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	if len(words) == 0 {
		return false
	}
	h := HealthFail
	if !own && len(words) == 1 && words[0] == "DELETE" {
		h = HealthWarn // placeholders and tombstones are removed only where that is asked for
	}
	d.add("permissions", table, h, "this user may not "+strings.Join(words, ", "), fmt.Sprintf("GRANT %s ON %s TO the user of the DSN", strings.Join(words, ", "), table))
	return true
}

// writable begins to write a SQLite file, and lets go.
func (d *diagnosis) writable(ctx context.Context, db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // back to the pool
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		d.add("permissions", "", HealthFail, "the file can't be written: "+err.Error(), "check who may write the file and its directory, and whether another process holds it")
		return nil
	}
	if _, err := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
		return err
	}
	d.add("permissions", "", HealthOK, "the file can be written", "")
	return nil
}

// history finds the topics that the group has read, if none are named, and who has read
// them last.
func (d *diagnosis) history(ctx context.Context, db *gorm.DB) error {
	rows, err := db.WithContext(ctx).Raw(`SELECT grp, topic, count(*), count(DISTINCT owner), max(owner) FROM evenkeel_ledger
		WHERE ? = '' OR grp = ? GROUP BY grp, topic ORDER BY grp, topic`, d.cfg.Group, d.cfg.Group).Rows()
	if err != nil {
		return err
	}
	var groups []string
	name := len(d.cfg.Topics) == 0
	err = eachRow(rows, func() error {
		var group, topic, owner string
		var partitions, owners int64
		if err := rows.Scan(&group, &topic, &partitions, &owners, &owner); err != nil {
			return err
		}
		if name {
			d.cfg.Topics = append(d.cfg.Topics, topic)
		}
		if !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
		by := owner
		if owners > 1 {
			by = fmt.Sprintf("%d members", owners)
		}
		d.add("members", group, HealthOK, fmt.Sprintf("%d partitions of %s were last read by %s", partitions, topic, by), "")
		return nil
	})
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		d.add("members", d.cfg.Group, HealthWarn, "no member has read anything into this database yet", "start the service; is it this database that it uses?")
	}
	if d.cfg.Group == "" && len(groups) == 1 {
		d.cfg.Group = groups[0]
	}
	slices.Sort(d.cfg.Topics)
	d.cfg.Topics = slices.Compact(d.cfg.Topics)
	return nil
}

// alike asks whether all members of a group that run have the same handlers.
func (d *diagnosis) alike(ctx context.Context, db *gorm.DB) error {
	groups, err := Consumers(ctx, db, d.cfg.Group)
	if err != nil {
		return err
	}
	for _, g := range groups {
		telling := 0
		for _, m := range g.Members {
			if !m.Silent && m.Handles != nil {
				telling++
			}
		}
		if telling > 1 && len(g.Differences) == 0 {
			d.add("members", g.Group, HealthOK, fmt.Sprintf("%d members have the same handlers", telling), "")
		}
		for _, one := range g.Differences {
			h := HealthFail // events go without an effect, and nobody is told
			if one.Letters {
				h = HealthWarn
			}
			d.add("members", g.Group, h, one.Text, one.Next)
		}
	}
	return nil
}

// eachRow calls do for each row, and closes them.
func eachRow(rows *sql.Rows, do func() error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := do(); err != nil {
			return err
		}
	}
	return rows.Err()
}
