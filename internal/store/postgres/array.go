package postgres

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// wire is how a column's values travel.
type wire uint8

const (
	wireText wire = iota
	wireInt
	wireFloat
	wireBool
	wireBytes
	wireTimestamp
	wireTimestamptz
)

// wires gives each wire the type of its elements and of its arrays.
var wires = [...]struct { //nolint:gochecknoglobals // a constant
	elem, array uint32
	name        string
}{
	wireText:        {pgtype.TextOID, pgtype.TextArrayOID, "text[]"},
	wireInt:         {pgtype.Int8OID, pgtype.Int8ArrayOID, "int8[]"},
	wireFloat:       {pgtype.Float8OID, pgtype.Float8ArrayOID, "float8[]"},
	wireBool:        {pgtype.BoolOID, pgtype.BoolArrayOID, "bool[]"},
	wireBytes:       {pgtype.ByteaOID, pgtype.ByteaArrayOID, "bytea[]"},
	wireTimestamp:   {pgtype.TimestampOID, pgtype.TimestampArrayOID, "timestamp[]"},
	wireTimestamptz: {pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID, "timestamptz[]"},
}

// headerSize is what stands before an array's elements: dimensions, a flag for nulls,
// the elements' type, length and lower bound.
const headerSize = 20

// array is a one-dimensional array in Postgres's binary format. It is written without
// boxing a value: pgx's own arrays allocate for each element, which costs more than all
// else that happens to a row here.
type array struct {
	buf  []byte
	wire wire
	n    uint32
	null bool
}

func (a *array) reset(w wire) {
	var header [headerSize]byte
	a.buf = append(a.buf[:0], header[:]...)
	a.wire, a.n, a.null = w, 0, false
}

// bytes ends the array and returns it, valid until reset.
func (a *array) bytes() []byte {
	h := a.buf
	binary.BigEndian.PutUint32(h[0:], 1)
	flags := uint32(0)
	if a.null {
		flags = 1
	}
	binary.BigEndian.PutUint32(h[4:], flags)
	binary.BigEndian.PutUint32(h[8:], wires[a.wire].elem)
	binary.BigEndian.PutUint32(h[12:], a.n)
	binary.BigEndian.PutUint32(h[16:], 1)
	return h
}

// column is bytes for rowsOf: one element stands for all where they are the same.
func (a *array) column() []byte {
	if body := a.buf[headerSize:]; a.n > 1 && len(body)%int(a.n) == 0 {
		size := len(body) / int(a.n)
		// Each element is the same as the next one.
		if bytes.Equal(body[size:], body[:len(body)-size]) && elementSize(body) == size {
			a.buf, a.n = a.buf[:headerSize+size], 1
		}
	}
	return a.bytes()
}

// elementSize is the first element's, with its length.
func elementSize(body []byte) int {
	return 4 + int(max(0, int32(binary.BigEndian.Uint32(body)))) //nolint:gosec // its bits: -1 is NULL
}

func (a *array) addNull() {
	a.n++
	a.null = true
	a.buf = append(a.buf, 0xff, 0xff, 0xff, 0xff)
}

func (a *array) addString(s string) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(s))) //nolint:gosec // a message is below 1 GiB
	a.buf = append(a.buf, s...)
}

func (a *array) addBytes(b []byte) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(b))) //nolint:gosec // as above
	a.buf = append(a.buf, b...)
}

func (a *array) addInt(n int64) {
	a.n++
	a.buf = append(a.buf, 0, 0, 0, 8)
	a.buf = binary.BigEndian.AppendUint64(a.buf, uint64(n)) //nolint:gosec // its bits
}

func (a *array) addFloat(f float64) {
	a.n++
	a.buf = append(a.buf, 0, 0, 0, 8)
	a.buf = binary.BigEndian.AppendUint64(a.buf, math.Float64bits(f))
}

func (a *array) addBool(b bool) {
	a.n++
	v := byte(0)
	if b {
		v = 1
	}
	a.buf = append(a.buf, 0, 0, 0, 1, v)
}

// pgEpoch is 2000-01-01, where Postgres counts from, in microseconds since 1970.
const pgEpoch = 946684800 * 1_000_000

// addTime adds a time as an instant, also where the column has no zone: the same event
// must leave the same row whatever zone a process runs in.
func (a *array) addTime(t time.Time) { a.addInt(t.UnixMicro() - pgEpoch) }

func int8Param(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) } //nolint:gosec // its bits
