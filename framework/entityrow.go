package framework

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// rawRow is a row of a user's table, read without its model.
type rawRow struct {
	columns   []EntityColumn
	rev, born int64
	state     guards.Existence
	clocks    clocks.Stored
}

// keyError says that there can be no row under a key.
type keyError struct{ key, column, kind string }

func (e *keyError) Error() string {
	return fmt.Sprintf("the key %q is none that the column %s, a %s, can hold", e.key, e.column, e.kind)
}

// readRow reads the row under a key, nil where there is none.
func readRow(ctx context.Context, db *gorm.DB, t store.Table, key string) (*rawRow, error) {
	names, types, err := columnsOf(ctx, db, t.Name)
	if err != nil {
		return nil, err
	}
	row, kind := &rawRow{}, ""
	var selected []string
	for i, name := range names {
		selected = append(selected, shownAs(db, tables.QuoteOne(name), types[i]))
		if name == t.Key {
			kind = types[i]
		}
	}
	text := "SELECT " + strings.Join(selected, ", ") + " FROM " + tables.Quote(t.Name) + " WHERE " + tables.QuoteOne(t.Key) + " = ?"
	rows, err := db.WithContext(ctx).Raw(text, key).Rows()
	if err == nil {
		defer rows.Close()
		cells := make([]any, len(names))
		for i := range cells {
			cells[i] = new(any)
		}
		found := rows.Next()
		if found {
			if err := rows.Scan(cells...); err != nil {
				return nil, err
			}
			for i, name := range names {
				if err := row.take(name, types[i], *cells[i].(*any)); err != nil {
					return nil, err
				}
			}
		}
		if err = rows.Err(); err == nil && !found {
			return nil, nil //nolint:nilnil // as documented
		}
	}
	var refused interface{ SQLState() string }
	if errors.As(err, &refused) && strings.HasPrefix(refused.SQLState(), "22") {
		return nil, &keyError{key, t.Key, strings.ToLower(kind)}
	}
	if err != nil {
		return nil, err
	}
	return row, nil
}

// columnsOf are the columns of a table with their types.
func columnsOf(ctx context.Context, db *gorm.DB, table string) (names, types []string, err error) {
	rows, err := db.WithContext(ctx).Raw("SELECT * FROM " + tables.Quote(table) + " LIMIT 0").Rows()
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.ColumnTypes()
	if err != nil {
		return nil, nil, err
	}
	for _, c := range columns {
		names, types = append(names, c.Name()), append(types, c.DatabaseTypeName())
	}
	return names, types, rows.Err()
}

// shownAs reads a column so that nothing is lost on the way: PostgreSQL writes itself what a
// driver might round, and SQLite has no types that could be.
func shownAs(db *gorm.DB, column, kind string) string {
	if db.Name() != "postgres" {
		return column
	}
	switch kind {
	case "BYTEA", "TIMESTAMPTZ", "BOOL", "INT2", "INT4", "INT8":
		return column
	}
	return "CAST(" + column + " AS text)"
}

// take takes one cell, as a column or as one of guards.Guarded's.
func (r *rawRow) take(name, kind string, value any) error {
	number := func() int64 {
		n, _ := value.(int64)
		return n
	}
	switch name {
	case "ek_rev":
		r.rev = number()
	case "ek_born":
		r.born = number()
	case "ek_state":
		r.state = guards.Existence(number()) //nolint:gosec // a smallint
	case "ek_time":
		r.clocks.Time = number()
	case "ek_gen":
		r.clocks.Gen = int32(number()) //nolint:gosec // an integer
	case "ek_fields":
		r.clocks.Fields = fmt.Sprint(plain(value))
	case "ek_tie":
		switch tie := value.(type) {
		case []byte:
			r.clocks.Tie = tie
		case string: // SQLite keeps what was written, also by hand
			r.clocks.Tie = []byte(tie)
		}
	default:
		c := EntityColumn{Name: name, Type: strings.ToLower(kind), Null: value == nil}
		switch v := plain(value).(type) {
		case nil:
		case []byte:
			c.Bytes = v
		case string:
			c.Text = v
		default:
			return fmt.Errorf("column %s: a %T, which no driver should give", name, value)
		}
		r.columns = append(r.columns, c)
	}
	return nil
}

// plain is a driver's value as a text, or as bytes where it is none.
func plain(value any) any {
	switch v := value.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case sql.RawBytes:
		return []byte(v)
	}
	return value
}

// String is the value for people: text as it is, bytes in hexadecimal, NULL for none.
func (c *EntityColumn) String() string {
	switch {
	case c.Null:
		return "NULL"
	case c.Bytes != nil:
		return "0x" + hex.EncodeToString(c.Bytes)
	case !utf8.ValidString(c.Text):
		return "0x" + hex.EncodeToString([]byte(c.Text))
	}
	return c.Text
}
