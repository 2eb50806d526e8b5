package framework_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

var repairAct = framework.LetterAct{By: dlq.Actor{Name: "ann"}, Reason: "sent with a typo"}

// enveloped is an open letter of an event in the default envelope.
func enveloped(t *testing.T, db *gorm.DB) *dlq.Letter {
	t.Helper()
	l := lettertest.Full()
	l.Record.Value = []byte(`{"id":"e-1","type":"order.paid","source":"/shop","key":"order-17","time":"2026-10-14T17:46:40.000001Z","data":{"total":1e400}}`)
	l.Stream, l.Record.Headers = "", []event.Header{{Key: "x", Value: []byte{0xff}}, {Key: "evenkeel-hops", Value: []byte("1")}}
	require.NoError(t, lettertest.Insert(t.Context(), db, l))
	return l
}

func migrated(t *testing.T) *gorm.DB {
	t.Helper()
	db := testutil.SQLite(t)
	require.NoError(t, framework.Migrate(t.Context(), db))
	return db
}

func TestEditKeepsTheEvent(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	l := enveloped(t, db)
	with := func(value string) dlq.Edit {
		e := l.Edit()
		e.Value = []byte(value)
		return e
	}
	for value, says := range map[string]string{
		string(l.Record.Value): "the edit changes nothing",
		`{"id":"e-2","type":"order.paid","source":"/shop","key":"order-17","time":"2026-10-14T17:46:40.000001Z","data":{}}`: `its id was "e-1" and is now "e-2"; reissue it`,
		`{"id":"e-1","type":"order.paid","source":"/shop","key":"order-17","time":"2026-10-14T17:46:41Z","data":{}}`:        `its time was "2026-10-14T17:46:40.000001Z"`,
		`{"id":"e-1"`: "the edited record is no event: envelope: ",
	} {
		err := framework.Edit(t.Context(), db, with(value), repairAct)
		require.ErrorAs(t, err, new(*dlq.RefusedError))
		require.ErrorContains(t, err, "letter "+l.ID+": can't edit it: ")
		require.ErrorContains(t, err, says)
	}
	good := with(`{"id":"e-1","type":"order.paid","source":"/shop","key":"order-17","time":"2026-10-14T17:46:40.000001Z","data":{"total":12}}`)
	require.ErrorAs(t, framework.Edit(t.Context(), db, good, framework.LetterAct{By: dlq.Actor{Name: "ann"}}), new(*framework.ActError))
	require.NoError(t, framework.Edit(t.Context(), db, good, repairAct))
	require.ErrorContains(t, framework.Edit(t.Context(), db, good, repairAct), "it was edited by ann at ")
	got, err := dlq.Get(t.Context(), db, l.ID)
	require.NoError(t, err)
	require.Equal(t, l.Record, got.Record, "what came stays")
	require.Equal(t, good.Value, got.Revised().Value)
	require.Equal(t, dlq.Open, got.State)
	stats, err := dlq.ReadStats(t.Context(), db, dlq.Filter{})
	require.NoError(t, err)
	require.EqualValues(t, 1, stats.Edited)
}

func TestReissueMakesAnotherEvent(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	l := enveloped(t, db)
	_, err := framework.Reissue(t.Context(), db, dlq.Reissue{Ref: l.Ref(), ID: "e-1"}, repairAct)
	require.ErrorContains(t, err, "the new event has the id of the old one")
	at := time.Date(2026, 10, 15, 1, 2, 3, 4000, time.UTC)
	number := int64(7)
	done, err := framework.Reissue(t.Context(), db, dlq.Reissue{Ref: l.Ref(), Key: "order-18", Type: "order.refunded", OccurredAt: at, Version: &number, Topic: "refunds"}, repairAct)
	require.NoError(t, err)
	require.Equal(t, "refunds", done.Topic)
	var row struct {
		Grp, EventType, ToTopic string
		RecordKey, RecordValue  []byte
		Headers                 []byte
		RecordTime              int64
		Swept                   bool
	}
	require.NoError(t, db.Raw("SELECT * FROM evenkeel_outbox").Scan(&row).Error)
	require.Equal(t, []any{"billing", "order.refunded", "refunds", "order-18", true}, []any{row.Grp, row.EventType, row.ToTopic, string(row.RecordKey), row.Swept})
	require.Equal(t, at.Truncate(time.Millisecond).UnixMicro(), row.RecordTime)
	headers, err := dlq.DecodeHeaders(row.Headers)
	require.NoError(t, err)
	require.Equal(t, []event.Header{{Key: "x", Value: []byte{0xff}}}, headers)
	e := &event.Event{}
	require.NoError(t, event.Envelope(event.EnvelopeConfig{}).Decode(&event.Record{Value: row.RecordValue}, e))
	require.Equal(t, []any{done.ID, "order.refunded", "/shop", "order-18", at, number, `{"total":1e400}`}, []any{e.ID, e.Type, e.Source, e.Key, e.OccurredAt, e.Version, string(e.Data)})
	got, err := dlq.Get(t.Context(), db, l.ID)
	require.NoError(t, err)
	require.Equal(t, []any{dlq.Discarded, dlq.OutcomeReissued}, []any{got.State, got.Outcome})
	report, err := framework.Restore(t.Context(), db, []dlq.Ref{got.Ref()}, repairAct)
	require.NoError(t, err)
	require.Len(t, report.Refused, 1)
	require.ErrorContains(t, report.Refused[0], "can't restore it: a new event was sent in place of its own")
	lines, err := dlq.Audit(t.Context(), db, dlq.AuditFilter{Letter: l.ID})
	require.NoError(t, err)
	require.Len(t, lines, 1, "one line for both")
	require.Equal(t, "event "+done.ID+" on refunds", lines[0].Subject)

	// What can't be written is told.
	other := lettertest.Full()
	other.Record.Offset++
	other.ID = dlq.UnitID(other.Record.Coordinates, "billing", "order.paid", "order-17")
	require.NoError(t, lettertest.Insert(t.Context(), db, other))
	_, err = framework.Reissue(t.Context(), db, dlq.Reissue{Ref: other.Ref()}, repairAct)
	require.ErrorContains(t, err, "name its codec (Reissue.Codec)")
}

func TestRepublishedAsItCame(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	l := enveloped(t, db)
	report, err := framework.Republish(t.Context(), db, []dlq.Ref{l.Ref(), l.Ref(), {ID: "00"}}, "", repairAct)
	require.NoError(t, err)
	require.Equal(t, 1, report.Done)
	require.Len(t, report.Refused, 2)
	require.ErrorContains(t, report.Refused[0], "it was republished by ann")
	got, err := dlq.Get(t.Context(), db, l.ID)
	require.NoError(t, err)
	require.Equal(t, dlq.Open, got.State)
	m, err := l.Republish("")
	require.NoError(t, err)
	require.Equal(t, l.Record.Value, m.Value)
	require.Equal(t, []event.Header{{Key: "x", Value: []byte{0xff}}, {Key: dlq.HeaderReplayID, Value: []byte(l.ReplayID())}, {Key: dlq.HeaderHops, Value: []byte("2")}}, m.Headers)
	require.Equal(t, l.Record.Timestamp, m.Timestamp)
	l.Record.Headers = []event.Header{{Key: dlq.HeaderHops, Value: []byte("3")}}
	_, err = l.Republish("")
	require.ErrorContains(t, err, "has become a letter 4 times, and goes round in a circle")
}

func TestPurgeTakesWhatEnded(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	l := enveloped(t, db)
	_, err := framework.Purge(t.Context(), db, "billing", time.Now().Add(time.Hour), framework.LetterAct{By: dlq.Actor{Name: "ann"}})
	require.ErrorAs(t, err, new(*framework.ActError))
	n, err := framework.Purge(t.Context(), db, "billing", time.Now().Add(time.Hour), repairAct)
	require.NoError(t, err)
	require.Zero(t, n, "it is open")
	_, err = framework.Discard(t.Context(), db, []dlq.Ref{l.Ref()}, repairAct)
	require.NoError(t, err)
	require.NoError(t, db.Exec("UPDATE evenkeel_dead_letters SET published_at = 1").Error)
	n, err = framework.Purge(t.Context(), db, "billing", time.Now().Add(time.Hour), repairAct)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	lines, err := dlq.Audit(t.Context(), db, dlq.AuditFilter{Verb: "purge"})
	require.NoError(t, err)
	require.Equal(t, "sent with a typo", lines[0].Reason)
}
