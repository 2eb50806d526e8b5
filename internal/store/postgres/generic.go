package postgres

import (
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// generic makes the codec of a type that speaks for itself (driver.Valuer, serializer)
// or that only pgx knows how to write (maps, slices). It writes what database/sql would
// hand to pgx, as text, and reads what pgx would hand to database/sql.
func (c *codec) generic() {
	c.wire = wireText
	c.write = func(a *array, e reflect.Value) error {
		v, _ := c.field.ValueOf(background, e)
		text, null, err := c.text(v)
		switch {
		case err != nil:
			return err
		case null:
			a.addNull()
		default:
			a.addString(text)
		}
		return nil
	}
	if !binaryResult(c.oid) {
		c.format = pgtype.TextFormatCode
	}
	c.read = c.readGeneric
}

func binaryResult(oid uint32) bool {
	switch oid {
	case pgtype.BoolOID, pgtype.ByteaOID, pgtype.DateOID, pgtype.Float4OID, pgtype.Float8OID,
		pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.TimestampOID, pgtype.TimestamptzOID:
		return true
	}
	return false
}

// types lends out pgx's type maps, which may not be shared between goroutines.
var types = sync.Pool{New: func() any { return pgtype.NewMap() }} //nolint:gochecknoglobals // a pool

func (c *codec) text(v any) (text string, null bool, err error) {
	if v == nil {
		return "", true, nil
	}
	if n, ok := unsigned(v); ok { // database/sql refuses the upper half of uint64
		return strconv.FormatUint(n, 10), false, nil
	}
	dv, err := driver.DefaultParameterConverter.ConvertValue(v)
	if err != nil {
		if _, speaks := v.(driver.Valuer); speaks {
			return "", false, err
		}
		return c.encode(v)
	}
	switch d := dv.(type) {
	case nil:
		return "", true, nil
	case string:
		return d, false, nil
	case []byte:
		if d == nil {
			return "", true, nil
		}
		if c.oid == pgtype.ByteaOID {
			return `\x` + hex.EncodeToString(d), false, nil
		}
		return string(d), false, nil
	case int64:
		return strconv.FormatInt(d, 10), false, nil
	case float64:
		return strconv.FormatFloat(d, 'g', -1, 64), false, nil
	case bool:
		return strconv.FormatBool(d), false, nil
	case time.Time:
		// A type without a zone ignores the one in the text.
		return d.UTC().Truncate(time.Microsecond).Format("2006-01-02 15:04:05.999999+00"), false, nil
	}
	return fmt.Sprint(dv), false, nil
}

func unsigned(v any) (uint64, bool) {
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.Pointer && !r.IsNil() {
		r = r.Elem()
	}
	if r.Kind() != reflect.Uint && r.Kind() != reflect.Uint64 {
		return 0, false
	}
	if _, speaks := v.(driver.Valuer); speaks {
		return 0, false
	}
	return r.Uint(), true
}

// encode writes a value that only pgx knows: as the column's type, or as the one that
// fits the Go type when the column's is the database's own, such as a list of an enum.
func (c *codec) encode(v any) (text string, null bool, err error) {
	m := types.Get().(*pgtype.Map)
	defer types.Put(m)
	oid := c.oid
	if _, known := m.TypeForOID(oid); !known {
		if t, ok := m.TypeForValue(v); ok {
			oid = t.OID
		}
	}
	b, err := m.Encode(oid, pgtype.TextFormatCode, v, nil)
	return string(b), b == nil && err == nil, err
}

func (c *codec) readGeneric(entity reflect.Value, cell []byte) error {
	dv, err := driverValue(c.oid, cell)
	if err != nil {
		return err
	}
	if c.field.Serializer != nil {
		s := c.field.NewValuePool.Get()
		defer c.field.NewValuePool.Put(s)
		if scanner, ok := s.(sql.Scanner); ok {
			if err := scanner.Scan(dv); err != nil {
				return err
			}
		}
		return c.field.Set(background, entity, s)
	}
	v := c.field.ReflectValueOf(background, entity)
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if scanner, ok := v.Addr().Interface().(sql.Scanner); ok {
		return scanner.Scan(dv)
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map, reflect.Struct, reflect.Interface:
		if v.Type() != timeType {
			return c.decode(v, cell)
		}
	default:
	}
	if done, err := assign(v, dv); done {
		return err
	}
	return c.field.Set(background, entity, dv)
}

// assign sets a plain value from what the driver gives, where it loses nothing; GORM's
// own setters are silent about what they can't convert.
func assign(v reflect.Value, dv any) (done bool, err error) {
	text, isText := dv.(string)
	switch v.Kind() {
	case reflect.String:
		if isText {
			v.SetString(text)
			return true, nil
		}
	case reflect.Bool:
		if b, ok := dv.(bool); ok {
			v.SetBool(b)
			return true, nil
		}
		if isText {
			b, err := strconv.ParseBool(text)
			v.SetBool(b)
			return true, err
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, ok := dv.(int64)
		if isText {
			n, err = strconv.ParseInt(text, 10, 64)
		}
		if ok || isText {
			return true, errors.Join(err, setInt(v, n))
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n, ok := dv.(int64); ok {
			return true, setUint(v, n)
		}
		if isText {
			n, err := strconv.ParseUint(text, 10, v.Type().Bits())
			v.SetUint(n)
			return true, err
		}
	case reflect.Float32, reflect.Float64:
		if f, ok := dv.(float64); ok {
			v.SetFloat(f)
			return true, nil
		}
		if isText {
			f, err := strconv.ParseFloat(text, v.Type().Bits())
			v.SetFloat(f)
			return true, err
		}
	default:
	}
	return false, nil
}

func (c *codec) decode(v reflect.Value, cell []byte) error {
	m := types.Get().(*pgtype.Map)
	defer types.Put(m)
	oid := c.oid
	if _, known := m.TypeForOID(oid); !known {
		if t, ok := m.TypeForValue(v.Interface()); ok {
			oid = t.OID
		}
	}
	return m.Scan(oid, c.format, cell, v.Addr().Interface())
}

// driverValue is what pgx hands to database/sql for a column of the type.
func driverValue(oid uint32, cell []byte) (driver.Value, error) {
	switch oid {
	case pgtype.BoolOID:
		return cell[0] != 0, nil
	case pgtype.Int2OID:
		return int64(int16(binary.BigEndian.Uint16(cell))), nil //nolint:gosec // its bits
	case pgtype.Int4OID:
		return int64(int32(binary.BigEndian.Uint32(cell))), nil //nolint:gosec // its bits
	case pgtype.Int8OID:
		return readInt(cell), nil
	case pgtype.Float4OID:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(cell))), nil
	case pgtype.Float8OID:
		return readFloat(cell), nil
	case pgtype.TimestampOID, pgtype.TimestamptzOID:
		return readTime(cell)
	case pgtype.DateOID:
		days := int32(binary.BigEndian.Uint32(cell)) //nolint:gosec // its bits
		if days == math.MaxInt32 || days == math.MinInt32 {
			return nil, errInfinite
		}
		return time.Date(2000, 1, 1+int(days), 0, 0, 0, 0, time.UTC), nil
	case pgtype.ByteaOID, pgtype.JSONOID, pgtype.JSONBOID, pgtype.XMLOID:
		return append([]byte{}, cell...), nil
	}
	return string(cell), nil
}
