package dlq

import (
	"context"

	"gorm.io/gorm"
)

// OfEntity returns up to limit letters about an entity, newest first and read as
// [Filter.Brief] says: those of its table's handlers, and those of records that failed before
// any handler was asked, whose own key is the entity's. Errors are the driver's.
func OfEntity(ctx context.Context, db *gorm.DB, group, table, key string, limit int) ([]*Letter, error) {
	return query(ctx, db, columns(true),
		" WHERE grp = ? AND tbl IN (?, '') AND entity = ? AND state <> ? ORDER BY created_at DESC NULLS LAST, id LIMIT ?",
		group, table, key, string(Purged), limit)
}

// OfEvent returns up to limit letters of the event with an id, oldest first and read as
// [Filter.Brief] says; an empty source or group is any. Errors are the driver's.
func OfEvent(ctx context.Context, db *gorm.DB, id, source, group string, limit int) ([]*Letter, error) {
	where, args := " WHERE substr(event_id, 1, 200) = substr(CAST(? AS text), 1, 200) AND event_id = ?", []any{id, id}
	for _, c := range [...]struct{ column, value string }{{"source", source}, {"grp", group}} {
		if c.value != "" {
			where, args = where+" AND "+c.column+" = ?", append(args, c.value)
		}
	}
	return query(ctx, db, columns(true), where+" ORDER BY created_at, id LIMIT ?", append(args, limit)...)
}
