package runtime

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Cell is a column's value as text; nil is NULL.
type Cell struct {
	Column string
	Value  *string
}

// Picture is a row as it stood at a moment.
type Picture struct {
	State guards.Existence
	// Fields are the model's own columns, Clocks those of guards.Guarded.
	Fields, Clocks []Cell
}

// RowChange is a row before and after; one of the two may be nil, for no row.
type RowChange struct {
	Model         *handlers.Model
	Key           string
	Before, After *Picture
}

type rowKey struct{ table, key string }

// pictures are those of all rows that were loaded.
func pictures(loaded *store.Loaded) map[rowKey]*Picture {
	all := map[rowKey]*Picture{}
	for table, rows := range loaded.Rows {
		for key, row := range rows {
			all[rowKey{table, key}] = pictureOf(row)
		}
	}
	return all
}

func pictureOf(row *store.Row) *Picture {
	p := &Picture{State: row.State}
	for _, f := range row.Model.Schema.Fields {
		if f.DBName == "" || !f.Readable {
			continue
		}
		c := Cell{Column: f.DBName, Value: cellText(f, row.Entity)}
		if strings.HasPrefix(f.DBName, "ek_") {
			p.Clocks = append(p.Clocks, c)
		} else {
			p.Fields = append(p.Fields, c)
		}
	}
	return p
}

// cellText is a field's value as a person reads it: times in UTC, bytes as hexadecimal digits
// after 0x. The type may be the user's, and panic.
func cellText(f *schema.Field, entity reflect.Value) (text *string) {
	say := func(s string) *string { return &s }
	defer func() {
		if r := recover(); r != nil {
			text = say(fmt.Sprintf("(its type panics: %v)", r))
		}
	}()
	v, _ := f.ValueOf(context.Background(), entity.Elem())
	stored := false
	if valuer, ok := v.(driver.Valuer); ok {
		if at := reflect.ValueOf(v); at.Kind() == reflect.Pointer && at.IsNil() {
			return nil
		}
		var err error
		if v, err = valuer.Value(); err != nil {
			return say(fmt.Sprintf("(its type fails: %v)", err))
		}
		stored = true
	}
	at := reflect.ValueOf(v)
	for at.Kind() == reflect.Pointer {
		if at.IsNil() {
			return nil
		}
		at = at.Elem()
	}
	if !at.IsValid() {
		return nil
	}
	if t, ok := at.Interface().(time.Time); ok {
		return say(t.UTC().Format(time.RFC3339Nano))
	}
	switch at.Kind() {
	case reflect.Slice, reflect.Array:
		if at.Type().Elem().Kind() != reflect.Uint8 {
			break
		}
		if at.Kind() == reflect.Slice && at.IsNil() {
			return nil
		}
		b := make([]byte, at.Len())
		reflect.Copy(reflect.ValueOf(b), at)
		if stored && utf8.Valid(b) { // as JSON types say it
			return say(string(b))
		}
		return say("0x" + hex.EncodeToString(b))
	case reflect.Float32, reflect.Float64:
		return say(strconv.FormatFloat(at.Float(), 'g', -1, at.Type().Bits()))
	case reflect.String:
		return say(at.String())
	}
	return say(fmt.Sprint(at.Interface()))
}

// same reports whether two rows hold the same, their revisions apart.
func (p *Picture) same(o *Picture) bool {
	if p == nil || o == nil {
		return p == o
	}
	equal := func(a, b []Cell) bool {
		for i := range a {
			x, y := a[i].Value, b[i].Value
			if a[i].Column != "ek_rev" && (x == nil) != (y == nil) || a[i].Column != "ek_rev" && x != nil && *x != *y {
				return false
			}
		}
		return true
	}
	return p.State == o.State && equal(p.Fields, o.Fields) && equal(p.Clocks, o.Clocks)
}
