package dlq

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// Ref names a letter as it was looked at. A change that names it is refused if the letter
// has changed since.
type Ref struct {
	ID string
	// Rev is the revision that was seen; 0 for whatever it has.
	Rev int64
}

// Ref names the letter as it is.
func (l *Letter) Ref() Ref { return Ref{ID: l.ID, Rev: l.Rev} }

// Refs returns all letters that f chooses, whatever its limit, oldest first: what is chosen
// once stays chosen, whatever fails meanwhile. Errors are the driver's.
func Refs(ctx context.Context, db *gorm.DB, f Filter) (refs []Ref, err error) {
	if f.Match != nil {
		return matchRefs(ctx, db, f)
	}
	where, args := f.where()
	rows, err := db.WithContext(ctx).Raw("SELECT id, rev FROM evenkeel_dead_letters"+where+" ORDER BY created_at, place, id", args...).Rows()
	if err != nil {
		return nil, fmt.Errorf("choose letters: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r Ref
		if err := rows.Scan(&r.ID, &r.Rev); err != nil {
			return nil, fmt.Errorf("choose letters: %w", err)
		}
		refs = append(refs, r)
	}
	return refs, rows.Err()
}

// TopicCount is how many letters' events came from a topic.
type TopicCount struct {
	Topic   string
	Letters int64
}

// SourceTopics returns the topics that the events of letters came from, most letters first.
// Letters that are not there any more are left out. Errors are the driver's.
func SourceTopics(ctx context.Context, db *gorm.DB, refs []Ref) (topics []TopicCount, err error) {
	const portion = 500
	counts := map[string]int64{}
	for some := range slices.Chunk(refs, portion) {
		ids := make([]string, len(some))
		for i, r := range some {
			ids[i] = r.ID
		}
		err := each(ctx, db, "SELECT topic, count(*) FROM evenkeel_dead_letters WHERE id IN ? GROUP BY topic", []any{ids}, func(rows *sql.Rows) error {
			var topic string
			var n int64
			err := rows.Scan(&topic, &n)
			counts[topic] += n
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for topic, n := range counts {
		topics = append(topics, TopicCount{Topic: topic, Letters: n})
	}
	slices.SortFunc(topics, func(a, b TopicCount) int {
		return cmp.Or(cmp.Compare(b.Letters, a.Letters), strings.Compare(a.Topic, b.Topic))
	})
	return topics, nil
}
