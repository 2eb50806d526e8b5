package lettertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// Shirt is a row of [Story].
type Shirt struct {
	ID     int64 `gorm:"primaryKey"`
	Colour string
	Price  float64 `gorm:"type:numeric(30,4)"`
	Pixels []byte
	SoldAt *time.Time
	Worn   bool
	Total  int64
	guards.Guarded
}

// The stories' group and topic.
const (
	StoryGroup = "closet"
	storyTopic = "shirts"
)

// StoryRecord is where the n-th record of the story lies.
func StoryRecord(n int64) event.Coordinates {
	return event.Coordinates{Cluster: "c", Topic: storyTopic, TopicID: "t", Partition: 3, Offset: n}
}

// Story leaves in a migrated database what a consumer would have left of the shirt 17: it was
// dyed by a newer event than the one that wanted to, sold, and an event about it failed, for
// which another one waits.
func Story(ctx context.Context, db *gorm.DB) error {
	db = db.WithContext(ctx)
	now := At(0).UnixMicro()
	stamp := func(after time.Duration, id string) event.Stamp {
		return event.Stamp{Time: now + after.Microseconds(), Tie: event.Tie(true, "/shop", id)}
	}
	dyed, sold := stamp(9*time.Second, "dyed"), stamp(5*time.Second, "sold")
	digits := "123456789012345678901234.5678"
	verdict := func(n int64, id, handler string, action guards.Action, reason guards.Reason, c guards.Comparison, masked string) error {
		at := StoryRecord(n)
		return db.Table("evenkeel_verdicts").Create(map[string]any{
			"at": now + n*1_000_000, "grp": StoryGroup, "handler": handler, "tbl": "shirts", "entity": "17",
			"event_type": "shirt." + id, "source": "/shop", "event_id": id, "action": action, "reason": reason,
			"compared": c.What, "cmp_event": c.Event, "cmp_against": c.Against, "cmp_bound": c.Bound, "cmp_event_tie": []byte(c.EventTie), "cmp_against_tie": []byte(c.AgainstTie),
			"detail": "", "masked": masked, "cluster": at.Cluster, "topic": at.Topic, "topic_id": at.TopicID, "partition": at.Partition, "log_offset": at.Offset, "leader_epoch": 0,
		}).Error
	}
	const handler = "shirt.dyed→Shirt"
	letter := Full()
	letter.Record.Coordinates = StoryRecord(13)
	letter.Group, letter.Handler, letter.Table, letter.Entity, letter.Stream, letter.Place = StoryGroup, "shirt.torn→Shirt", "shirts", "17", "", 4
	letter.EventType, letter.EventID, letter.OccurredAt, letter.Stamp = "shirt.torn", "torn", At(7_000_000), stamp(7*time.Second, "torn")
	letter.Verdict = guards.Verdict{Action: guards.DeadLetter, Reason: guards.Exhausted}
	letter.CreatedAt = At(13_000_000)
	letter.ID = dlq.UnitID(letter.Record.Coordinates, StoryGroup, letter.Handler, letter.Entity)
	late := Full()
	late.Record.Coordinates = StoryRecord(14)
	late.Group, late.Handler, late.Table, late.Entity, late.Stream, late.Blocking = StoryGroup, "", "", "17", "", false
	late.EventType, late.EventID, late.OccurredAt, late.Stamp = "shirt.dyed", "late", At(-90_000_000_000), stamp(-25*time.Hour, "late")
	late.Verdict = guards.Verdict{Action: guards.DeadLetter, Reason: guards.Late, Numbers: guards.Comparison{
		What: "watermark", Event: late.OccurredAt.UnixMicro(), Against: now + 9_000_000, Bound: (24 * time.Hour).Microseconds(),
	}}
	late.Error, late.Stack, late.ErrorType, late.Attempts = "", "", "", 1
	late.CreatedAt, late.Fingerprint = At(14_000_000), "fedcba9876543210"
	late.ID = dlq.UnitID(late.Record.Coordinates, StoryGroup, "", "")
	return errors.Join(
		db.AutoMigrate(&Shirt{}),
		db.Exec("INSERT INTO shirts (id, colour, price, pixels, worn, total, sold_at, ek_rev, ek_time, ek_tie, ek_fields, ek_state, ek_born, ek_gen) VALUES (17, ?, CAST(? AS numeric(30,4)), ?, ?, 9007199254740993, ?, 12, ?, ?, ?, 2, ?, 1)",
			"bl\x1bue", digits, []byte{0, 0xff, 0x41}, true, At(5_000_000), dyed.Time, []byte(dyed.Tie),
			fmt.Sprintf("%d 1/shop|sold|%%00 = sold_at @exists\n- = worn", sold.Time), now).Error,
		db.Exec("INSERT INTO evenkeel_models (tbl, grp, generation, columns, claimed_at, model, key_column, kind) VALUES ('shirts', ?, 1, ?, 0, 'Shirt', 'id', 'timestamp')",
			StoryGroup, `{"@exists":1,"colour":1,"price":1,"pixels":1,"sold_at":1,"worn":1}`).Error,
		db.Exec("INSERT INTO evenkeel_ledger (cluster, topic_id, grp, partition, topic, epoch, rev, next_offset, high_offset, watermark, gaps, done, owner, owned_at, updated_at) VALUES ('c', 't', ?, 3, ?, 1, 1, 20, 20, ?, '2-4', '', 'host', 0, ?)",
			StoryGroup, storyTopic, dyed.Time, now+20_000_000).Error,
		verdict(10, "washed", handler, guards.Discard, guards.Superseded, guards.Comparison{What: "timestamp", Event: now + 5_000_000, Against: dyed.Time}, ""),
		verdict(11, "ironed", handler, guards.Apply, guards.Applied, guards.Comparison{}, `["SoldAt"]`),
		verdict(12, "sold", "shirt.sold→Shirt", guards.Discard, guards.Duplicate, guards.Comparison{What: "timestamp", Event: sold.Time, Against: sold.Time}, ""),
		verdict(13, "torn", letter.Handler, guards.DeadLetter, guards.Exhausted, guards.Comparison{}, ""),
		Insert(ctx, db, letter), Insert(ctx, db, late),
		db.Table("evenkeel_parked").Create(map[string]any{
			"id": "sewn", "grp": StoryGroup, "tbl": "shirts", "entity": "17", "handler": "shirt.sewn→Shirt", "cause": "behind", "place": 5, "rev": 1,
			"due": now + 60_000_000, "attempts": 0, "error_type": "", "error": "", "stack": "", "event_type": "shirt.sewn", "source": "/shop", "event_id": "sewn",
			"occurred_at": now + 8_000_000, "codec": "c", "cluster": "c", "topic": storyTopic, "topic_id": "t", "partition": 3, "log_offset": 15, "leader_epoch": 0,
			"headers": []byte{}, "record_time_type": 0, "stream": "",
		}).Error,
	)
}
