package dlq

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
)

// Topic is a dead-letter topic of a group, as the database knows it.
type Topic struct {
	Group string
	// Name is empty for a group whose letters were imported, or whose service has not started
	// under a release that notes its topic.
	Name string
	// Seen is when a member has last started with it.
	Seen time.Time
	// Left and Unpublished are about the group's letters: how many are to be dealt with, and
	// how many are not on the topic yet.
	Left, Unpublished int64
}

// Topics returns the dead-letter topics that groups have used, and the groups that have letters
// and of which no topic is known, in order of groups and names. Errors are the driver's.
func Topics(ctx context.Context, db *gorm.DB) (topics []Topic, err error) {
	err = each(ctx, db, "SELECT grp, topic, seen_at FROM evenkeel_letter_topics", nil, func(rows *sql.Rows) error {
		var t Topic
		var seen int64
		err := rows.Scan(&t.Group, &t.Name, &seen)
		t.Seen = time.UnixMicro(seen).UTC()
		topics = append(topics, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, count := range [...]struct {
		where string
		to    func(*Topic) *int64
	}{
		{"state IN ('open', 'replaying')", func(t *Topic) *int64 { return &t.Left }},
		{"published_at IS NULL", func(t *Topic) *int64 { return &t.Unpublished }},
	} {
		err := each(ctx, db, "SELECT grp, count(*) FROM evenkeel_dead_letters WHERE "+count.where+" GROUP BY grp", nil, func(rows *sql.Rows) error {
			var group string
			var n int64
			if err := rows.Scan(&group, &n); err != nil {
				return err
			}
			if !slices.ContainsFunc(topics, func(t Topic) bool { return t.Group == group }) {
				topics = append(topics, Topic{Group: group})
			}
			for i := range topics {
				if topics[i].Group == group {
					*count.to(&topics[i]) = n
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(topics, func(a, b Topic) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Name, b.Name))
	})
	return topics, nil
}
