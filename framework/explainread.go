package framework

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// How many traces of one event are read.
const (
	maxVerdicts  = 1000
	maxLetters   = 100
	maxEntities  = 50
	maxPositions = 100
)

// read gathers the traces: first by indexes, then, if there is none, in whatever can tell.
func (t *traces) read(ctx context.Context) (err error) {
	q := &t.query
	if t.verdicts, err = verdictsOf(ctx, t.db, q.ID, q.Source, q.Group, maxVerdicts); err != nil {
		return err
	}
	if t.letters, err = dlq.OfEvent(ctx, t.db, q.ID, q.Source, q.Group, maxLetters); err != nil {
		return err
	}
	t.capped = len(t.verdicts) == maxVerdicts || len(t.letters) == maxLetters
	if t.unsent, err = unsentWhere(ctx, t.db, "id = ?", q.ID); err != nil {
		return err
	}
	for _, c := range t.coordinates() {
		if err := t.at(ctx, c); err != nil {
			return err
		}
	}
	if q.Entity != "" {
		if err := t.park(ctx, "entity = ?", q.Entity); err != nil {
			return err
		}
	}
	if !t.found() && q.Entity == "" {
		if err := t.look(ctx); err != nil {
			return err
		}
	}
	if err := t.readEntities(ctx); err != nil {
		return err
	}
	if all := t.sources(); len(all) > 1 {
		return &AmbiguousEventError{ID: q.ID, Sources: all}
	} else if len(all) == 1 {
		t.explained.Source = all[0]
	}
	if err := t.readIDs(ctx); err != nil {
		return err
	}
	t.audit = map[string][]dlq.AuditEntry{}
	for _, l := range t.letters {
		if t.audit[l.ID], err = dlq.Audit(ctx, t.db, dlq.AuditFilter{Letter: l.ID, Limit: entityAudit}); err != nil {
			return err
		}
	}
	if err := t.readPositions(ctx); err != nil {
		return err
	}
	var oldest sql.NullInt64
	if err := t.db.WithContext(ctx).Raw("SELECT (SELECT at FROM evenkeel_verdicts ORDER BY id LIMIT 1)").Row().Scan(&oldest); err != nil {
		return fmt.Errorf("read the journal of verdicts: %w", err)
	}
	if oldest.Valid {
		t.journal = time.UnixMicro(oldest.Int64).UTC()
	}
	return nil
}

// at reads what there is of a record.
func (t *traces) at(ctx context.Context, c groupCoordinates) error {
	if err := t.park(ctx, "topic_id = ? AND partition = ? AND log_offset = ? AND cluster = ?", c.TopicID, c.Partition, c.Offset, c.Cluster); err != nil {
		return err
	}
	emitted, err := unsentWhere(ctx, t.db, "grp = ? AND topic_id = ? AND partition = ? AND log_offset = ? AND cluster = ?", c.group, c.TopicID, c.Partition, c.Offset, c.Cluster)
	t.emitted = append(t.emitted, emitted...)
	return err
}

// park reads rows of what is parked that are the event's.
func (t *traces) park(ctx context.Context, where string, args ...any) error {
	where += " AND event_id = ?"
	args = append(args, t.query.ID)
	for _, c := range [...]struct{ column, value string }{{"source", t.query.Source}, {"grp", t.query.Group}} {
		if c.value != "" {
			where, args = where+" AND "+c.column+" = ?", append(args, c.value)
		}
	}
	found, err := readParked(t.db.WithContext(ctx), " WHERE "+where+" ORDER BY grp, tbl, entity, place, id LIMIT ?", append(args, maxLetters)...)
	for i := range found {
		if !slices.ContainsFunc(t.parked, func(p ParkedEvent) bool { return p.ID == found[i].ID }) {
			t.parked = append(t.parked, found[i])
		}
	}
	return err
}

func unsentWhere(ctx context.Context, db *gorm.DB, where string, args ...any) (found []unsentEvent, err error) {
	rows, err := db.WithContext(ctx).Raw("SELECT id, grp, event_type, to_topic, created_at, cluster, topic, topic_id, partition, log_offset FROM evenkeel_outbox WHERE "+where+" ORDER BY seq LIMIT 100", args...).Rows()
	if err != nil {
		return nil, fmt.Errorf("read what is to be sent: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var u unsentEvent
		var at sql.NullInt64
		if err := rows.Scan(&u.ID, &u.Group, &u.EventType, &u.Topic, &at, &u.Origin.Cluster, &u.Origin.Topic, &u.Origin.TopicID, &u.Origin.Partition, &u.Origin.Offset); err != nil {
			return nil, fmt.Errorf("read what is to be sent: %w", err)
		}
		if at.Valid {
			u.CreatedAt = time.UnixMicro(at.Int64).UTC()
		}
		found = append(found, u)
	}
	return found, rows.Err()
}

// tablesOf are the claimed tables of the group that is asked about, those whose rows can be
// read.
func (t *traces) tablesOf(ctx context.Context) ([]store.Table, error) {
	st, err := open.Open(t.db)
	if err != nil {
		return nil, err
	}
	all, err := st.Tables(ctx, t.query.Group)
	return slices.DeleteFunc(all, func(t store.Table) bool { return t.Key == "" }), err
}

// readEntities reads the rows that the event is about, as far as that is known.
func (t *traces) readEntities(ctx context.Context) error {
	all, err := t.tablesOf(ctx)
	if err != nil {
		return err
	}
	read := func(table, key string) error {
		known := slices.ContainsFunc(t.entities, func(s *EntityState) bool { return s.Table == table && s.Key == key })
		i := slices.IndexFunc(all, func(of store.Table) bool { return of.Name == table })
		if known || i < 0 || key == "" {
			return nil
		}
		if len(t.entities) == maxEntities {
			t.capped = true
			return nil
		}
		s, err := readEntity(ctx, t.db, all[i], key)
		if err == nil {
			t.entities = append(t.entities, s)
		}
		return err
	}
	for k := range t.unitKeys() {
		if err := read(k.table, k.entity); err != nil {
			return err
		}
	}
	if t.query.Entity == "" {
		return nil
	}
	for _, of := range all {
		if err := read(of.Name, t.query.Entity); err != nil {
			return err
		}
	}
	return nil
}

// unitKeys are the units that are told of.
func (t *traces) unitKeys() map[unitKey]bool {
	keys := map[unitKey]bool{}
	for i := range t.verdicts {
		v := &t.verdicts[i]
		keys[unitKey{v.Group, v.Handler, v.Table, v.Entity}] = true
	}
	for _, l := range t.letters {
		keys[unitKey{l.Group, l.Handler, l.Table, l.Entity}] = true
	}
	for i := range t.parked {
		p := &t.parked[i]
		keys[unitKey{p.Group, p.Handler, p.Table, p.Entity}] = true
	}
	return keys
}

// readIDs looks for the event in the memories of guards.Once that its entities have.
func (t *traces) readIDs(ctx context.Context) error {
	if len(t.ids) > 0 || t.explained.Source == "" && t.query.Source == "" && !t.found() {
		return nil
	}
	groups := map[string][]string{}
	for k := range t.unitKeys() {
		groups[k.group] = append(groups[k.group], k.entity)
	}
	for _, s := range t.entities {
		groups[s.Group] = append(groups[s.Group], s.Key)
	}
	id := store.EventID(t.explained.Source, t.query.ID)
	for group, keys := range groups {
		names, err := scopes(ctx, t.db, "SELECT min(scope) FROM evenkeel_ids WHERE grp = ? AND scope > ?", group)
		if err != nil {
			return err
		}
		slices.Sort(keys)
		for _, name := range names {
			for _, key := range slices.Compact(keys) {
				if err := t.remembered(ctx, "grp = ? AND scope = ? AND entity = ? AND id = ?", group, name, key, id); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (t *traces) remembered(ctx context.Context, where string, args ...any) (err error) {
	rows, err := t.db.WithContext(ctx).Raw("SELECT grp, scope, entity, at, held FROM evenkeel_ids WHERE "+where+" ORDER BY grp, scope, entity LIMIT 100", args...).Rows()
	if err != nil {
		return fmt.Errorf("read the memory of ids: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r rememberedID
		var at int64
		if err := rows.Scan(&r.Group, &r.Handler, &r.Entity, &at, &r.Held); err != nil {
			return fmt.Errorf("read the memory of ids: %w", err)
		}
		r.At = time.UnixMicro(at).UTC()
		var once bool
		if r.Handler, once = strings.CutPrefix(r.Handler, store.OnceScope("")); once {
			t.ids = append(t.ids, r)
		}
	}
	return rows.Err()
}

// look goes through what no index finds, for as long as it may: what is parked, the memory of
// ids, and the clocks of all rows.
func (t *traces) look(ctx context.Context) error {
	all, err := t.tablesOf(ctx)
	if err != nil {
		return err
	}
	bounded, cancel := seam.System().WithTimeout(ctx, t.query.LookFor)
	defer cancel()
	try := func(what string, look func() error) error {
		switch err := look(); {
		case err == nil:
			t.looked = append(t.looked, what)
		case ctx.Err() == nil && bounded.Err() != nil:
			t.gaveUp = append(t.gaveUp, what)
		default:
			return err
		}
		return nil
	}
	if err := try("what waits", func() error { return t.park(bounded, "1 = 1") }); err != nil {
		return err
	}
	if t.query.Source != "" {
		id := store.EventID(t.query.Source, t.query.ID)
		if err := try("the memory of ids", func() error {
			return t.remembered(bounded, "id = ? AND (grp = ? OR ? = '')", id, t.query.Group, t.query.Group)
		}); err != nil {
			return err
		}
	}
	for _, of := range all {
		var keys []string
		err := try("table "+of.Name, func() error {
			keys, err = t.stamped(bounded, of)
			return err
		})
		if err != nil {
			return err
		}
		for _, key := range keys {
			s, err := readEntity(ctx, t.db, of, key)
			if err != nil {
				return err
			}
			t.entities = append(t.entities, s)
		}
	}
	return nil
}

// stamped are the keys of a table's rows that carry the event's id in a stamp.
func (t *traces) stamped(ctx context.Context, of store.Table) (keys []string, err error) {
	part := event.IdentityPart(t.query.ID)
	inTie, inFields := "instr(ek_tie, unhex(?)) > 0", "instr(ek_fields, ?) > 0"
	if t.db.Name() == "postgres" {
		inTie, inFields = "position(decode(?, 'hex') IN ek_tie) > 0", "strpos(ek_fields, ?) > 0"
	}
	key := tables.QuoteOne(of.Key)
	rows, err := t.db.WithContext(ctx).Raw(fmt.Sprintf("SELECT CAST(%s AS text) FROM %s WHERE %s OR %s ORDER BY %s LIMIT %d", key, tables.Quote(of.Name), inTie, inFields, key, maxEntities),
		hex.EncodeToString([]byte(part)), clocks.TieText(part)).Rows()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}

// readPositions reads where the event's partitions stand, or all where they are not known.
func (t *traces) readPositions(ctx context.Context) (err error) {
	const text = "SELECT grp, topic, partition, next_offset, watermark, updated_at, gaps FROM evenkeel_ledger WHERE "
	read := func(where string, args ...any) (err error) {
		rows, err := t.db.WithContext(ctx).Raw(text+where, args...).Rows()
		if err != nil {
			return fmt.Errorf("read positions: %w", err)
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var p PartitionPosition
			var newest, moved sql.NullInt64
			var gaps string
			if err := rows.Scan(&p.Group, &p.Topic, &p.Partition, &p.Next, &newest, &moved, &gaps); err != nil {
				return fmt.Errorf("read positions: %w", err)
			}
			if newest.Valid {
				p.Newest = time.UnixMicro(newest.Int64).UTC()
			}
			if moved.Valid {
				p.Moved = time.UnixMicro(moved.Int64).UTC()
			}
			ranges, err := tables.DecodeRanges(gaps)
			if err != nil {
				return err
			}
			for _, r := range ranges {
				p.Skipped = append(p.Skipped, [2]int64{r.From, r.To})
			}
			if !slices.ContainsFunc(t.explained.Positions, func(o PartitionPosition) bool {
				return o.Group == p.Group && o.Topic == p.Topic && o.Partition == p.Partition && o.Next == p.Next
			}) {
				t.explained.Positions = append(t.explained.Positions, p)
			}
		}
		return rows.Err()
	}
	all := t.coordinates()
	for _, c := range all {
		if err := read("grp = ? AND topic_id = ? AND partition = ? AND cluster = ?", c.group, c.TopicID, c.Partition, c.Cluster); err != nil {
			return err
		}
	}
	if len(all) == 0 && !t.found() && !t.stands() {
		// Those first that are furthest behind, by the events' own time.
		return read("grp = ? OR ? = '' ORDER BY watermark, grp, topic, partition LIMIT ?", t.query.Group, t.query.Group, maxPositions)
	}
	return nil
}
