// Package tables holds what the stores of all dialects share: the columns of Evenkeel's
// tables, the claim of users' tables, and the statements that no batch waits for.
package tables

import (
	"database/sql"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// Kind is the type of a Field.
type Kind uint8

// The kinds.
const (
	Text Kind = iota + 1
	Int
	Bytes
	Bool
)

// Field is one column of a table whose rows are Ts. The getters that belong to its Kind
// are set; they return values without boxing them, since verdicts come in thousands.
type Field[T any] struct {
	Name string
	Kind Kind

	Text  func(*T) string
	Int   func(*T) (n int64, null bool)
	Bytes func(*T) (b []byte, null bool)
	Bool  func(*T) bool

	set func(t *T, cell any) error
}

// Names joins the names of fields as a list of columns.
func Names[T any](fields []Field[T]) string {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].Name
	}
	return strings.Join(names, ", ")
}

// Arg is the field's value for database/sql.
func (f *Field[T]) Arg(t *T) any {
	switch f.Kind {
	case Text:
		return f.Text(t)
	case Int:
		if n, null := f.Int(t); !null {
			return n
		}
	case Bytes:
		if b, null := f.Bytes(t); !null {
			return b
		}
	case Bool:
		return f.Bool(t)
	}
	return nil
}

// Set gives the field the value in cell, a pointer of the type that Scan uses for its Kind.
func (f *Field[T]) Set(t *T, cell any) error { return f.set(t, cell) }

// Scan reads one row of Fields from rows.
func Scan[T any](rows *sql.Rows, fields []Field[T], more ...any) (*T, error) {
	cells := make([]any, len(fields), len(fields)+len(more))
	for i := range fields {
		cells[i] = fields[i].cell()
	}
	if err := rows.Scan(append(cells, more...)...); err != nil {
		return nil, err
	}
	t := new(T)
	for i := range fields {
		if err := fields[i].set(t, cells[i]); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// cell is a place that the field's value can be scanned into.
func (f *Field[T]) cell() any {
	switch f.Kind {
	case Text:
		return new(string)
	case Int:
		return new(sql.NullInt64)
	case Bytes:
		return new([]byte)
	case Bool:
		return new(bool)
	}
	panic("evenkeel: a field without a kind")
}

// Assign gives to what would come back of from after it was written and read, field by
// field: the same as from, but for what no column can hold.
func Assign[T any](fields []Field[T], to, from *T) error {
	for i := range fields {
		f := &fields[i]
		cell := f.cell()
		switch c := cell.(type) {
		case *string:
			*c = f.Text(from)
		case *sql.NullInt64:
			n, null := f.Int(from)
			c.Int64, c.Valid = n, !null
		case *[]byte:
			if b, null := f.Bytes(from); !null {
				*c = append([]byte{}, b...)
			}
		case *bool:
			*c = f.Bool(from)
		}
		if err := f.set(to, cell); err != nil {
			return err
		}
	}
	return nil
}

// clean makes a text that every database can hold: a letter must never fail because the
// text of an error, or what a producer calls an id, holds bytes that no text column
// takes. The record's own bytes are kept beside it.
func clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func text[T any, S ~string](name string, at func(*T) *S) Field[T] {
	return Field[T]{
		Name: name, Kind: Text,
		Text: func(t *T) string { return clean(string(*at(t))) },
		set:  func(t *T, cell any) error { *at(t) = S(*cell.(*string)); return nil },
	}
}

func number[T any, I ~int | ~int32 | ~int64 | ~uint8](name string, at func(*T) *I) Field[T] {
	return Field[T]{
		Name: name, Kind: Int,
		Int: func(t *T) (int64, bool) { return int64(*at(t)), false },
		set: func(t *T, cell any) error { *at(t) = I(cell.(*sql.NullInt64).Int64); return nil },
	}
}

// instant keeps a time in microseconds, the zero time as NULL.
func instant[T any](name string, at func(*T) *time.Time) Field[T] {
	return Field[T]{
		Name: name, Kind: Int,
		Int: func(t *T) (int64, bool) { return at(t).UnixMicro(), at(t).IsZero() },
		set: func(t *T, cell any) error {
			if n := cell.(*sql.NullInt64); n.Valid {
				*at(t) = time.UnixMicro(n.Int64).UTC()
			}
			return nil
		},
	}
}

func flag[T any](name string, at func(*T) *bool) Field[T] {
	return Field[T]{
		Name: name, Kind: Bool,
		Bool: func(t *T) bool { return *at(t) },
		set:  func(t *T, cell any) error { *at(t) = *cell.(*bool); return nil },
	}
}

// nullable keeps Kafka's null apart from an empty key or value.
func nullable[T any](name string, at func(*T) *[]byte) Field[T] {
	return Field[T]{
		Name: name, Kind: Bytes,
		Bytes: func(t *T) ([]byte, bool) { return *at(t), *at(t) == nil },
		set:   func(t *T, cell any) error { *at(t) = *cell.(*[]byte); return nil },
	}
}

// opaque keeps a string whose bytes are not text.
func opaque[T any](name string, at func(*T) *string) Field[T] {
	return Field[T]{
		Name: name, Kind: Bytes,
		Bytes: func(t *T) ([]byte, bool) { return []byte(*at(t)), false },
		set:   func(t *T, cell any) error { *at(t) = string(*cell.(*[]byte)); return nil },
	}
}

func coordinateFields[T any](at func(*T) *event.Coordinates) []Field[T] {
	return []Field[T]{
		text("cluster", func(t *T) *string { return &at(t).Cluster }),
		text("topic", func(t *T) *string { return &at(t).Topic }),
		text("topic_id", func(t *T) *string { return &at(t).TopicID }),
		number("partition", func(t *T) *int32 { return &at(t).Partition }),
		number("log_offset", func(t *T) *int64 { return &at(t).Offset }),
		number("leader_epoch", func(t *T) *int32 { return &at(t).LeaderEpoch }),
	}
}

// recordFields are the columns of a whole record. A row without one gets an empty one.
func recordFields[T any](at func(*T) **event.Record) []Field[T] {
	rec := func(t *T) *event.Record {
		p := at(t)
		if *p == nil {
			*p = new(event.Record)
		}
		return *p
	}
	return append(coordinateFields(func(t *T) *event.Coordinates { return &rec(t).Coordinates }),
		nullable("record_key", func(t *T) *[]byte { return &rec(t).Key }),
		nullable("record_value", func(t *T) *[]byte { return &rec(t).Value }),
		Field[T]{
			Name: "headers", Kind: Bytes,
			Bytes: func(t *T) ([]byte, bool) { return dlq.EncodeHeaders(rec(t).Headers), false },
			set: func(t *T, cell any) (err error) {
				rec(t).Headers, err = dlq.DecodeHeaders(*cell.(*[]byte))
				return err
			},
		},
		instant("record_time", func(t *T) *time.Time { return &rec(t).Timestamp }),
		number("record_time_type", func(t *T) *event.TimestampType { return &rec(t).TimestampType }),
	)
}

func verdictFields[T any](at func(*T) *guards.Verdict) []Field[T] {
	return []Field[T]{
		number("action", func(t *T) *guards.Action { return &at(t).Action }),
		text("reason", func(t *T) *guards.Reason { return &at(t).Reason }),
		text("compared", func(t *T) *string { return &at(t).Numbers.What }),
		number("cmp_event", func(t *T) *int64 { return &at(t).Numbers.Event }),
		number("cmp_against", func(t *T) *int64 { return &at(t).Numbers.Against }),
		number("cmp_bound", func(t *T) *int64 { return &at(t).Numbers.Bound }),
		opaque("cmp_event_tie", func(t *T) *string { return &at(t).Numbers.EventTie }),
		opaque("cmp_against_tie", func(t *T) *string { return &at(t).Numbers.AgainstTie }),
		text("detail", func(t *T) *string { return &at(t).Detail }),
		{
			Name: "masked", Kind: Text,
			Text: func(t *T) string { return maskedText(at(t).Masked) },
			set: func(t *T, cell any) error {
				if s := *cell.(*string); s != "" {
					return json.Unmarshal([]byte(s), &at(t).Masked)
				}
				return nil
			},
		},
	}
}

func maskedText(names []string) string {
	if len(names) == 0 {
		return ""
	}
	b, err := json.Marshal(names)
	if err != nil {
		return "" // strings always marshal
	}
	return clean(string(b))
}
