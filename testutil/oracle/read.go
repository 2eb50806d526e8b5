package oracle

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
)

// ReadRows reads all rows of a GORM model, those that are soft-deleted too, with the
// fields named as the columns are. When the model embeds guards.Guarded, state and clocks
// are read too; clocked are the columns that have a clock (Table.Set and Table.Modify),
// and with none of them clocks are not compared.
func ReadRows[E any](ctx context.Context, db *gorm.DB, clocked ...string) (map[string]Row, error) {
	var all []E
	if err := db.WithContext(ctx).Unscoped().Find(&all).Error; err != nil {
		return nil, fmt.Errorf("oracle: read rows: %w", err)
	}
	stmt := &gorm.Statement{DB: db}
	if err := stmt.Parse(new(E)); err != nil {
		return nil, fmt.Errorf("oracle: read the model: %w", err)
	}
	if len(stmt.Schema.PrimaryFields) != 1 {
		return nil, fmt.Errorf("oracle: model %s must have one primary key", stmt.Schema.Name)
	}
	guarded := guardedIndex(reflect.TypeFor[E]())
	rows := make(map[string]Row, len(all))
	for i := range all {
		v := reflect.ValueOf(&all[i]).Elem()
		row := Row{Fields: map[string]any{}}
		var key string
		for _, f := range stmt.Schema.Fields {
			if f.DBName == "" || guarded != nil && inside(f, guarded) {
				continue
			}
			value := f.ReflectValueOf(ctx, v).Interface()
			if f.PrimaryKey {
				key = fmt.Sprint(value)
				continue
			}
			row.Fields[f.DBName] = value
		}
		if guarded != nil {
			g := v.FieldByIndex(guarded).Interface().(guards.Guarded)
			row.State = g.EkState
			if len(clocked) > 0 {
				clocks, err := ParseClocks(g, clocked)
				if err != nil {
					return nil, fmt.Errorf("oracle: %s %s: %w", stmt.Schema.Table, key, err)
				}
				row.Clocks = clocks
			}
		}
		rows[key] = row
	}
	return rows, nil
}

func guardedIndex(t reflect.Type) []int {
	for _, f := range reflect.VisibleFields(t) {
		if f.Type == reflect.TypeFor[guards.Guarded]() {
			return f.Index
		}
	}
	return nil
}

func inside(f *schema.Field, index []int) bool {
	at := f.StructField.Index
	return len(at) >= len(index) && slices.Equal(at[:len(index)], index)
}

// ReadGroup reads a group's letters, parked events and ledger from Evenkeel's tables. A
// letter that a replay has resolved is left out: its event has come to its end.
// Kafka's own offsets are not in them: Committed is -1.
func ReadGroup(ctx context.Context, db *gorm.DB, group string) (letters []Letter, parked []Parked, positions []Position, err error) {
	db = db.WithContext(ctx)
	err = each(db, "SELECT topic, partition, log_offset, reason, handler, tbl, entity FROM evenkeel_dead_letters WHERE grp = ? AND outcome = ''", group, func(rows *sql.Rows) error {
		var l Letter
		err := rows.Scan(&l.Topic, &l.Partition.Partition, &l.Offset, &l.Reason, &l.Handler, &l.Table, &l.Key)
		letters = append(letters, l)
		return err
	})
	if err != nil {
		return nil, nil, nil, err
	}
	err = each(db, "SELECT topic, partition, log_offset, tbl, entity FROM evenkeel_parked WHERE grp = ?", group, func(rows *sql.Rows) error {
		var p Parked
		err := rows.Scan(&p.Topic, &p.Partition.Partition, &p.Offset, &p.Table, &p.Key)
		parked = append(parked, p)
		return err
	})
	if err != nil {
		return nil, nil, nil, err
	}
	err = each(db, "SELECT topic, partition, next_offset FROM evenkeel_ledger WHERE grp = ?", group, func(rows *sql.Rows) error {
		p := Position{Committed: -1}
		err := rows.Scan(&p.Topic, &p.Partition.Partition, &p.Next)
		positions = append(positions, p)
		return err
	})
	return letters, parked, positions, err
}

func each(db *gorm.DB, query, group string, scan func(*sql.Rows) error) error {
	rows, err := db.Raw(query, group).Rows()
	if err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("oracle: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	return nil
}
