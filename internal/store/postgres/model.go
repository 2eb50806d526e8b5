package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// model holds a claimed model's codecs and statements. It is not changed after it is
// made; another claim makes another one.
type model struct {
	m     *handlers.Model
	info  map[string]tables.Info
	key   *codec
	loads []*codec
	// inserted and written are the columns of the two statements, without ek_*.
	inserted, written []*codec
	guarded           []int // the index of guards.Guarded in the struct
	forms             bool  // the key's type takes several texts for one key

	load, lock, insert, update *statement
	absent, remove, orphans    *statement
}

// ekWires are the wires of EkColumns without ek_rev and ek_born: what both statements
// take per row.
var (
	ekNames = [...]string{"ek_time", "ek_tie", "ek_fields", "ek_state", "ek_gen"}                                               //nolint:gochecknoglobals // a constant
	ekWires = [...]wire{wireInt, wireBytes, wireText, wireInt, wireInt}                                                         //nolint:gochecknoglobals // a constant
	ekCasts = [...]string{"bigint", "bytea", "text", "smallint", "integer"}                                                     //nolint:gochecknoglobals // a constant
	ekReads = "t.ek_rev::int8, t.ek_time::int8, t.ek_tie, t.ek_fields::text, t.ek_state::int8, t.ek_born::int8, t.ek_gen::int8" //nolint:gochecknoglobals // a constant
)

// ekCells is how many cells ekReads has; the ordinal comes before them.
const ekCells = 7

func newModel(m *handlers.Model, info map[string]tables.Info) *model {
	o := &model{m: m, info: info, key: newCodec(m.Key.Field, info[m.Key.Name]), guarded: tables.GuardedIndex(m.Type)}
	switch o.key.oid {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
	default:
		o.forms = true
	}
	codecs := map[*schema.Field]*codec{m.Key.Field: o.key}
	of := func(f *schema.Field) *codec {
		if codecs[f] == nil {
			codecs[f] = newCodec(f, info[f.DBName])
		}
		return codecs[f]
	}
	for _, f := range tables.Readable(m) {
		o.loads = append(o.loads, of(f))
	}
	for _, c := range m.Inserted {
		o.inserted = append(o.inserted, of(c.Field))
	}
	for _, c := range m.Written {
		o.written = append(o.written, of(c.Field))
	}
	o.statements()
	return o
}

func (o *model) statements() {
	table, key := tables.Quote(o.m.Table), tables.QuoteOne(o.m.Key.Name)
	columns := make([]string, len(o.loads))
	formats := make([]int16, 1+ekCells, 1+ekCells+len(o.loads))
	for i := range formats {
		formats[i] = pgtype.BinaryFormatCode
	}
	for i, c := range o.loads {
		columns[i] = c.column
		formats = append(formats, c.format)
	}
	keyWire := o.keyWire()
	asked := fmt.Sprintf("unnest(%s) WITH ORDINALITY AS u(k, n)", few(1, wires[keyWire].name))
	// The ordinal tells which key a row answers: the column's own text may differ from
	// what was asked for, as with uuid or citext.
	load := fmt.Sprintf("SELECT u.n, %s, %s FROM %s", ekReads, strings.Join(columns, ", "), asked)
	params := []uint32{wires[keyWire].array}
	o.load = newStatement(load+byKey(table, fmt.Sprintf("r.%s = u.k::%s", key, o.key.cast), "t"), params, formats)
	o.lock = newStatement(load+fmt.Sprintf(" JOIN %s AS t ON t.%s = u.k::%s", table, key, o.key.cast)+" ORDER BY u.n FOR UPDATE OF t", params, formats)
	// There is still no row, and as many wait under the keys as were seen, and letters block.
	o.absent = newStatement(fmt.Sprintf("SELECT evenkeel_require((SELECT count(*) FROM %s JOIN %s AS t ON t.%s = u.k::%s) = 0 "+
		"AND NOT EXISTS (SELECT 1 FROM unnest($4::text[], $5::int8[], $6::int8[]) AS w(entity, n, letters) "+
		"WHERE w.n <> (SELECT count(*) FROM evenkeel_parked p WHERE p.grp = $2 AND p.tbl = $3 AND p.entity = w.entity) "+
		"OR w.letters <> (SELECT count(*) FROM evenkeel_dead_letters l WHERE l.grp = $2 AND l.tbl = $3 AND l.entity = w.entity AND l.stream = '' AND %s)), '%s')",
		asked, table, key, o.key.cast, tables.Blocks("l."), stateConflict),
		append(params, pgtype.TextOID, pgtype.TextOID, pgtype.TextArrayOID, pgtype.Int8ArrayOID, pgtype.Int8ArrayOID), nil)
	o.insertStatement(table, key)
	o.updateStatement(table, key)
	o.deleteStatement(table, key)
	o.orphansStatement(table, key)
}

// byKey looks rows up one by one, by a unique key. As a join the planner may take them for a
// large part of the table, when its statistics are older than the table's growth, and read
// it whole for each batch; OFFSET 0 keeps it from making a join of this.
func byKey(table, where, as string) string {
	return fmt.Sprintf(" CROSS JOIN LATERAL (SELECT * FROM %s AS r WHERE %s OFFSET 0) AS %s", table, where, as)
}

// few is the array parameter $n, where rows that exist are joined with it. Behind a sub-select
// the planner takes it for ten elements whatever its length, and so looks the rows up one by
// one. If it saw hundreds it would rather read a table of some 100,000 rows whole, each time
// until it keeps a plan; and byKey can't be had for the target of an UPDATE or DELETE.
func few(n int, array string) string { return fmt.Sprintf("(SELECT $%d::%s)", n, array) }

// eachFirst is the dialect's.
func eachFirst(table, where string) string {
	return "CROSS JOIN LATERAL (SELECT * FROM " + table + " AS q WHERE " + where + ") AS r"
}

func (o *model) insertStatement(table, key string) {
	var names, values []string
	var cs []column
	params := []uint32{pgtype.Int8OID, pgtype.Int8OID} // $1 how many rows, $2 now
	add := func(name, cast string, w wire) {
		params = append(params, wires[w].array)
		c := column{fmt.Sprintf("c%d", len(params)), wires[w].name}
		names, values, cs = append(names, tables.QuoteOne(name)), append(values, "u."+c.name+"::"+cast), append(cs, c)
	}
	for _, c := range o.inserted {
		add(c.field.DBName, c.cast, c.wire)
	}
	for i, n := range ekNames {
		add(n, ekCasts[i], ekWires[i])
	}
	// The target must be the key: without one a row that breaks another unique index
	// would be left out in silence, and taken for another lane's.
	o.insert = newStatement(fmt.Sprintf("WITH w AS (INSERT INTO %s (%s, ek_rev, ek_born) SELECT %s, $2, $2 FROM %s ON CONFLICT (%s) DO NOTHING RETURNING 1) "+
		"SELECT evenkeel_require((SELECT count(*) FROM w) = $1, '%s')",
		table, strings.Join(names, ", "), strings.Join(values, ", "), rowsOf("u", cs, 3), key, stateConflict), params, nil)
}

func (o *model) updateStatement(table, key string) {
	var sets []string
	cs := []column{{"k", wires[o.key.wire].name}, {"rev", "int8[]"}}
	params := []uint32{pgtype.Int8OID, wires[o.key.wire].array, pgtype.Int8ArrayOID} // $1 how many rows, $2 keys, $3 revisions
	add := func(name, cast string, w wire) {
		params = append(params, wires[w].array)
		c := column{fmt.Sprintf("c%d", len(params)), wires[w].name}
		sets, cs = append(sets, tables.QuoteOne(name)+" = u."+c.name+"::"+cast), append(cs, c)
	}
	for _, c := range o.written {
		add(c.field.DBName, c.cast, c.wire)
	}
	for i, n := range ekNames {
		add(n, ekCasts[i], ekWires[i])
	}
	o.update = newStatement(fmt.Sprintf("WITH w AS (UPDATE %s AS t SET %s, ek_rev = t.ek_rev + 1 FROM %s WHERE t.%s = u.k::%s AND t.ek_rev = u.rev RETURNING 1) "+
		"SELECT evenkeel_require((SELECT count(*) FROM w) = $1, '%s')",
		table, strings.Join(sets, ", "), rowsOf("u", cs, 2), key, o.key.cast, stateConflict), params, nil)
}

// keyWire is how keys that come as canonical text are asked for.
func (o *model) keyWire() wire {
	if o.key.wire == wireInt {
		return wireInt
	}
	return wireText
}

// prepare is called at the end of a claim.
func (s *Store) prepare(ctx context.Context, q tables.Querier, m *handlers.Model, columns map[string]tables.Info) ([]string, error) {
	self, to, err := references(ctx, q, m.Table)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claimed[m.Table] = newModel(m, columns) //nolint:contextcheck // GORM's accessors do no I/O
	s.relation[m.Table] = self
	s.references[self] = to
	rank := map[string]int{}
	for i, r := range tables.Parents(s.references) {
		rank[r] = i
	}
	for table, r := range s.relation {
		s.rank[table] = rank[r]
	}
	return nil, nil
}
