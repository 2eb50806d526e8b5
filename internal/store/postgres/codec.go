package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// codec carries one column's values between a model's field and the server. The common
// Go kinds travel as typed arrays; anything else as text that the server casts to the
// column's type.
type codec struct {
	field *schema.Field
	oid   uint32 // the column's type
	cast  string // its name
	wire  wire
	// write appends the field of an entity (a pointer to the model) to the array.
	write func(a *array, entity reflect.Value) error
	// read sets the field of a blank entity; it is not called for NULL.
	read func(entity reflect.Value, cell []byte) error
	// column is what SELECT names, format how it comes.
	column string
	format int16
}

// native is a codec's inside for one of the common kinds: it sees the field itself.
type native struct {
	wire   wire
	write  func(a *array, v reflect.Value)
	read   func(v reflect.Value, cell []byte) error
	suffix string // of the column in SELECT: a cast
}

var (
	valuerType    = reflect.TypeFor[driver.Valuer]()  //nolint:gochecknoglobals // a constant
	scannerType   = reflect.TypeFor[sql.Scanner]()    //nolint:gochecknoglobals // a constant
	timeType      = reflect.TypeFor[time.Time]()      //nolint:gochecknoglobals // a constant
	deletedAtType = reflect.TypeFor[gorm.DeletedAt]() //nolint:gochecknoglobals // a constant
	background    = context.Background()              //nolint:gochecknoglobals // for GORM's field accessors, which do no I/O
)

func newCodec(f *schema.Field, info tables.Info) *codec {
	c := &codec{field: f, oid: info.OID, cast: info.Type, column: "t." + tables.QuoteOne(f.DBName), format: 1}
	n := nativeOf(f, info.OID)
	if n == nil {
		c.generic()
		return c
	}
	c.wire = n.wire
	c.column += n.suffix
	at := f.ReflectValueOf
	if f.FieldType.Kind() != reflect.Pointer {
		c.write = func(a *array, e reflect.Value) error { n.write(a, at(background, e)); return nil }
		c.read = func(e reflect.Value, cell []byte) error { return n.read(at(background, e), cell) }
		return c
	}
	elem := f.FieldType.Elem()
	c.write = func(a *array, e reflect.Value) error {
		if v := at(background, e); v.IsNil() {
			a.addNull()
		} else {
			n.write(a, v.Elem())
		}
		return nil
	}
	c.read = func(e reflect.Value, cell []byte) error {
		p := reflect.New(elem)
		at(background, e).Set(p)
		return n.read(p.Elem(), cell)
	}
	return c
}

// nativeOf finds the typed array for a field and its column's type. It returns nil for
// types that speak for themselves and for pairs that would lose something, such as a
// float64 in a numeric column.
func nativeOf(f *schema.Field, oid uint32) *native {
	if f.FieldType == deletedAtType && oid == pgtype.TimestamptzOID {
		return nativeDeletedAt()
	}
	t := f.FieldType
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if f.Serializer != nil || f.FieldType.Implements(valuerType) || reflect.PointerTo(t).Implements(scannerType) {
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		return nativeString(oid)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return nativeInt(t, oid)
	case reflect.Float32, reflect.Float64:
		if oid == pgtype.Float4OID || oid == pgtype.Float8OID {
			return &native{
				wire: wireFloat, suffix: "::float8",
				write: func(a *array, v reflect.Value) { a.addFloat(v.Float()) },
				read:  func(v reflect.Value, cell []byte) error { v.SetFloat(readFloat(cell)); return nil },
			}
		}
	case reflect.Bool:
		if oid == pgtype.BoolOID {
			return &native{
				wire:  wireBool,
				write: func(a *array, v reflect.Value) { a.addBool(v.Bool()) },
				read:  func(v reflect.Value, cell []byte) error { v.SetBool(cell[0] != 0); return nil },
			}
		}
	case reflect.Struct:
		if t == timeType {
			return nativeTime(oid)
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return nativeBytes(oid)
		}
	default:
	}
	return nil
}

func nativeString(oid uint32) *native {
	n := &native{
		write: func(a *array, v reflect.Value) { a.addString(v.String()) },
		read:  func(v reflect.Value, cell []byte) error { v.SetString(string(cell)); return nil },
	}
	switch oid {
	case pgtype.ByteaOID:
		n.wire = wireBytes
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID:
	default:
		n.suffix = "::text"
	}
	return n
}

func nativeInt(t reflect.Type, oid uint32) *native {
	if oid != pgtype.Int2OID && oid != pgtype.Int4OID && oid != pgtype.Int8OID {
		return nil
	}
	n := &native{wire: wireInt, suffix: "::int8"}
	if t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64 {
		n.write = func(a *array, v reflect.Value) { a.addInt(int64(v.Uint())) } //nolint:gosec // at most 32 bits come here
		n.read = func(v reflect.Value, cell []byte) error { return setUint(v, readInt(cell)) }
		return n
	}
	n.write = func(a *array, v reflect.Value) { a.addInt(v.Int()) }
	n.read = func(v reflect.Value, cell []byte) error { return setInt(v, readInt(cell)) }
	return n
}

func nativeTime(oid uint32) *native {
	n := &native{
		write: func(a *array, v reflect.Value) { a.addTime(*v.Addr().Interface().(*time.Time)) },
		read: func(v reflect.Value, cell []byte) error {
			t, err := readTime(cell)
			*v.Addr().Interface().(*time.Time) = t
			return err
		},
	}
	switch oid {
	case pgtype.TimestamptzOID:
		n.wire = wireTimestamptz
	case pgtype.TimestampOID:
		n.wire = wireTimestamp
	default:
		return nil
	}
	return n
}

func nativeDeletedAt() *native {
	at := func(v reflect.Value) *gorm.DeletedAt { return v.Addr().Interface().(*gorm.DeletedAt) }
	return &native{
		wire: wireTimestamptz,
		write: func(a *array, v reflect.Value) {
			if d := at(v); d.Valid {
				a.addTime(d.Time)
			} else {
				a.addNull()
			}
		},
		read: func(v reflect.Value, cell []byte) (err error) {
			d := at(v)
			d.Valid = true
			d.Time, err = readTime(cell)
			return err
		},
	}
}

func nativeBytes(oid uint32) *native {
	n := &native{
		write: func(a *array, v reflect.Value) {
			if v.IsNil() {
				a.addNull()
			} else {
				a.addBytes(v.Bytes())
			}
		},
		read: func(v reflect.Value, cell []byte) error {
			v.SetBytes(append(make([]byte, 0, len(cell)), cell...))
			return nil
		},
	}
	switch oid {
	case pgtype.ByteaOID:
		n.wire = wireBytes
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.JSONOID, pgtype.JSONBOID:
		n.suffix = "::text" // jsonb's own binary format has a version before the text
	default:
		return nil
	}
	return n
}
