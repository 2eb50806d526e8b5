package tables

import (
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Letters are the columns of evenkeel_dead_letters that a dlq.Letter fills.
func Letters() []Field[dlq.Letter] {
	type l = dlq.Letter
	return slices.Concat(
		[]Field[l]{
			text("id", func(t *l) *string { return &t.ID }),
			number("rev", func(t *l) *int64 { return &t.Rev }),
			text("state", func(t *l) *dlq.State { return &t.State }),
			text("outcome", func(t *l) *dlq.Outcome { return &t.Outcome }),
			flag("blocking", func(t *l) *bool { return &t.Blocking }),
			number("place", func(t *l) *int64 { return &t.Place }),
			text("grp", func(t *l) *string { return &t.Group }),
			text("handler", func(t *l) *string { return &t.Handler }),
			text("tbl", func(t *l) *string { return &t.Table }),
			text("entity", func(t *l) *string { return &t.Entity }),
			text("stream", func(t *l) *string { return &t.Stream }),
			text("event_type", func(t *l) *string { return &t.EventType }),
			text("source", func(t *l) *string { return &t.Source }),
			text("event_id", func(t *l) *string { return &t.EventID }),
			instant("occurred_at", func(t *l) *time.Time { return &t.OccurredAt }),
			number("stamp_time", func(t *l) *int64 { return &t.Stamp.Time }),
			opaque("stamp_tie", func(t *l) *string { return &t.Stamp.Tie }),
			{
				Name: "vector", Kind: Text,
				Text: func(t *l) string { return t.Vector.String() },
				set:  func(t *l, cell any) (err error) { t.Vector, err = vectorOf(*cell.(*string)); return err },
			},
			number("attempts", func(t *l) *int { return &t.Attempts }),
			instant("first_failed", func(t *l) *time.Time { return &t.FirstFailed }),
			instant("last_failed", func(t *l) *time.Time { return &t.LastFailed }),
			text("error_type", func(t *l) *string { return &t.ErrorType }),
			text("error", func(t *l) *string { return &t.Error }),
			text("stack", func(t *l) *string { return &t.Stack }),
			text("fingerprint", func(t *l) *string { return &t.Fingerprint }),
			text("service_version", func(t *l) *string { return &t.ServiceVersion }),
			instant("created_at", func(t *l) *time.Time { return &t.CreatedAt }),
			instant("published_at", func(t *l) *time.Time { return &t.PublishedAt }),
		},
		verdictFields(func(t *l) *guards.Verdict { return &t.Verdict }),
		recordFields(func(t *l) **event.Record { return &t.Record }),
		[]Field[l]{{
			Name: "edits", Kind: Text,
			Text: func(t *l) string { return dlq.EncodeEdits(t.Edits) },
			set: func(t *l, cell any) (err error) {
				t.Edits, err = dlq.DecodeEdits(*cell.(*string))
				return err
			},
		}},
	)
}

// LetterConflict is what becomes of a letter whose unit has one already. It happens when
// the ledger was lost or moved by hand while the letters stayed, so that a record which
// failed long ago is at first sight again; a refusal would stop the partition for ever.
// The old letter takes the new failure, opens again and must be published again. It is the
// same record, so its edits stay.
func LetterConflict() string {
	return " ON CONFLICT (id) DO UPDATE SET rev = evenkeel_dead_letters.rev + 1, published_at = NULL, claimed_until = 0" +
		excluded(Letters(), "id", "rev", "published_at", "edits") + ", swept = excluded.swept, changed_at = NULL"
}

// Parkeds are the columns of evenkeel_parked.
func Parkeds() []Field[store.Parked] {
	type p = store.Parked
	return slices.Concat(
		[]Field[p]{
			text("id", func(t *p) *string { return &t.ID }),
			number("rev", func(t *p) *int64 { return &t.Rev }),
		},
		changing(),
		[]Field[p]{
			text("grp", func(t *p) *string { return &t.Group }),
			text("tbl", func(t *p) *string { return &t.Table }),
			text("entity", func(t *p) *string { return &t.Entity }),
			text("handler", func(t *p) *string { return &t.Handler }),
			text("stream", func(t *p) *string { return &t.Stream }),
			text("event_type", func(t *p) *string { return &t.EventType }),
			text("source", func(t *p) *string { return &t.Source }),
			text("event_id", func(t *p) *string { return &t.EventID }),
			instant("occurred_at", func(t *p) *time.Time { return &t.OccurredAt }),
			text("codec", func(t *p) *string { return &t.Codec }),
			{
				Name: "replay", Kind: Text,
				Text: func(t *p) string { return t.Replay.String() },
				set: func(t *p, cell any) (err error) {
					t.Replay, err = store.ParseReplay(*cell.(*string))
					return err
				},
			},
		},
		recordFields(func(t *p) **event.Record { return &t.Record }),
	)
}

// ParkedConflict is LetterConflict's sister.
func ParkedConflict() string {
	return " ON CONFLICT (id) DO UPDATE SET rev = evenkeel_parked.rev + 1" + excluded(Parkeds(), "id", "rev")
}

// Reparks are the columns of a parked row that change while it waits, after its id and
// the revision that it must have.
func Reparks() []Field[store.Parked] {
	type p = store.Parked
	return slices.Concat(
		[]Field[p]{
			text("id", func(t *p) *string { return &t.ID }),
			number("rev", func(t *p) *int64 { return &t.Rev }),
		},
		changing(),
	)
}

// ReparkKeys is how many of Reparks say which row is meant.
const ReparkKeys = 2

func changing() []Field[store.Parked] {
	type p = store.Parked
	return []Field[p]{
		text("cause", func(t *p) *store.Cause { return &t.Cause }),
		number("place", func(t *p) *int64 { return &t.Place }),
		{
			// A row always has a due time: the zero time is long past, not NULL.
			Name: "due", Kind: Int,
			Int: func(t *p) (int64, bool) { return max(t.Due.UnixMicro(), 0), false },
			set: instant("due", func(t *p) *time.Time { return &t.Due }).set,
		},
		instant("expires", func(t *p) *time.Time { return &t.Expires }),
		number("attempts", func(t *p) *int { return &t.Attempts }),
		instant("first_failed", func(t *p) *time.Time { return &t.FirstFailed }),
		instant("last_failed", func(t *p) *time.Time { return &t.LastFailed }),
		text("error_type", func(t *p) *string { return &t.ErrorType }),
		text("error", func(t *p) *string { return &t.Error }),
		text("stack", func(t *p) *string { return &t.Stack }),
	}
}

// Verdicts are the columns of evenkeel_verdicts but its id, at and grp.
func Verdicts() []Field[store.Verdict] {
	type v = store.Verdict
	return slices.Concat(
		[]Field[v]{
			text("handler", func(t *v) *string { return &t.Handler }),
			text("tbl", func(t *v) *string { return &t.Table }),
			text("entity", func(t *v) *string { return &t.Entity }),
			text("event_type", func(t *v) *string { return &t.EventType }),
			text("source", func(t *v) *string { return &t.Source }),
			text("event_id", func(t *v) *string { return &t.EventID }),
		},
		verdictFields(func(t *v) *guards.Verdict { return &t.Verdict }),
		coordinateFields(func(t *v) *event.Coordinates { return &t.Coordinates }),
	)
}

// Memos are the columns of evenkeel_memos but grp and updated_at.
func Memos() []Field[store.Memo] {
	type m = store.Memo
	return []Field[m]{
		text("kind", func(t *m) *store.MemoKind { return &t.Kind }),
		text("scope", func(t *m) *string { return &t.Scope }),
		text("entity", func(t *m) *string { return &t.Entity }),
		number("rev", func(t *m) *int64 { return &t.Rev }),
		text("body", func(t *m) *string { return &t.Body }),
	}
}

// IDs are the columns of evenkeel_ids but grp, and whether the id was loaded.
func IDs() []Field[store.ID] {
	type i = store.ID
	return []Field[i]{
		text("scope", func(t *i) *string { return &t.Scope }),
		text("entity", func(t *i) *string { return &t.Entity }),
		text("id", func(t *i) *string { return &t.ID }),
		text("value", func(t *i) *string { return &t.Value }),
		{Name: "at", Kind: Int, Int: func(t *i) (int64, bool) { return event.Micros(t.At), false }},
		flag("held", func(t *i) *bool { return &t.Held }),
		flag("known", func(t *i) *bool { return &t.Known }),
	}
}

// excluded assigns what an upsert brings to all fields but the named ones.
func excluded[T any](fields []Field[T], but ...string) string {
	s := ""
	for i := range fields {
		if n := fields[i].Name; !slices.Contains(but, n) {
			s += ", " + n + " = excluded." + n
		}
	}
	return s
}
