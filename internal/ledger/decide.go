package ledger

import "fmt"

// Found is what there is at an assignment.
type Found struct {
	Ledger State
	// HasLedger is false when the ledger row was made just now.
	HasLedger bool
	// Committed is the group's offset in Kafka; it counts only when HasCommitted is set.
	Committed    int64
	HasCommitted bool
	Metadata     string
	// LogStart and LogEnd bound the log: the first offset that exists and the one
	// after the last.
	LogStart, LogEnd int64
	// NewPartition says that the partition came to a topic that the group had seen
	// with fewer.
	NewPartition bool
	// StartLatest is the configured start of a group that has read nothing.
	StartLatest bool
}

// Alarm is something that people should hear about.
type Alarm struct {
	Kind   AlarmKind
	Detail string
}

// AlarmKind names an alarm.
type AlarmKind string

// The alarms of an assignment.
const (
	// AlarmRestored: Kafka's offset, which is our own, is beyond the ledger, so the
	// database was restored to an older state. Events are read again.
	AlarmRestored AlarmKind = "database-restored"
	// AlarmLost: records between the ledger and the log's start are gone.
	AlarmLost AlarmKind = "records-gone"
	// AlarmTruncated: the log ends before the ledger.
	AlarmTruncated AlarmKind = "log-truncated"
	// AlarmRecreated: the topic was deleted and made again.
	AlarmRecreated AlarmKind = "topic-recreated"
	// AlarmRewound and AlarmSkipped: an operator set the offset back or forward.
	AlarmRewound AlarmKind = "offset-rewound"
	AlarmSkipped AlarmKind = "offset-skipped"
)

// Decision is where to start.
type Decision struct {
	// State is the ledger row as it must stand before the first batch.
	State State
	// Moved says that it differs from the one that was found and must be written.
	Moved  bool
	Alarms []Alarm
}

// Decide says where a lane starts (R17).
func Decide(f Found) Decision {
	d := Decision{State: f.Ledger.Clone()}
	alarm := func(kind AlarmKind, format string, args ...any) {
		d.Alarms = append(d.Alarms, Alarm{Kind: kind, Detail: fmt.Sprintf(format, args...)})
	}

	ours, committed := false, f.HasCommitted
	if committed {
		var token Token
		token, ours = ParseToken(f.Metadata)
		ours = ours && token.Cluster == f.Ledger.Cluster && token.Offset == f.Committed
		if ours && token.TopicID != f.Ledger.TopicID {
			alarm(AlarmRecreated, "the committed offset %d belongs to an earlier topic of this name (id %s, now %s); it is ignored", f.Committed, token.TopicID, f.Ledger.TopicID)
			committed, ours = false, false
		}
	}

	switch {
	case committed && !ours:
		d.obey(f.Committed, f, alarm)
	case f.HasLedger:
		if ours && f.Committed > f.Ledger.Next {
			alarm(AlarmRestored, "Kafka's offset %d is beyond the ledger's %d: the database was restored to an older state; reading again from %d", f.Committed, f.Ledger.Next, f.Ledger.Next)
		}
	case ours:
		alarm(AlarmRestored, "Kafka's offset %d is our own but the ledger has no row: the database was restored or emptied; reading from the log's start", f.Committed)
		d.begin(f.LogStart)
	case f.StartLatest && !f.NewPartition && len(d.Alarms) == 0:
		d.begin(f.LogEnd)
	default:
		d.begin(f.LogStart)
	}

	if d.State.Next < f.LogStart {
		lostFrom := d.State.Next
		if f.HasLedger || committed {
			alarm(AlarmLost, "records %d to %d are gone: the log starts at %d; they were deleted before they were read", lostFrom, f.LogStart-1, f.LogStart)
		}
		d.skipTo(f.LogStart)
	}
	if end := max(d.State.High, d.State.Done.end()); end > f.LogEnd {
		alarm(AlarmTruncated, "the log ends at %d, before the position %d: it was truncated; what is written there now is new", f.LogEnd, end)
		d.State.Next, d.State.High = min(d.State.Next, f.LogEnd), min(d.State.High, f.LogEnd)
		d.State.Gaps, d.State.Done = d.State.Gaps.below(f.LogEnd), d.State.Done.below(f.LogEnd)
		d.Moved = true
	}
	return d
}

// begin sets up a row that was not there.
func (d *Decision) begin(at int64) {
	d.State.Next, d.State.High, d.Moved = at, at, true
	d.State.HasWatermark, d.State.Watermark = false, 0
	d.State.Gaps, d.State.Done = nil, nil
}

// obey takes an offset that an operator committed: forward it records a gap with its
// watermark, backward it is a rewind below high.
func (d *Decision) obey(to int64, f Found, alarm func(AlarmKind, string, ...any)) {
	if !f.HasLedger {
		d.begin(to)
		return
	}
	switch {
	case to > d.State.Next:
		alarm(AlarmSkipped, "the offset was set forward from %d to %d by somebody else; the records between are skipped and remembered", d.State.Next, to)
		d.skipTo(to)
	case to < d.State.Next:
		alarm(AlarmRewound, "the offset was set back from %d to %d by somebody else; records below %d are read again and change nothing that they changed before", d.State.Next, to, d.State.High)
		d.State.Next, d.Moved = to, true
	}
}

// skipTo moves next forward; what was never read in between becomes a gap, what was skipped
// before stays one.
func (d *Decision) skipTo(to int64) {
	s := &d.State
	gaps := s.Gaps.with(Range{From: max(s.Next, s.High), To: to, Watermark: s.Watermark, HasWatermark: s.HasWatermark})
	done := s.Done
	s.Advance(to)
	for _, r := range done[:len(done)-len(s.Done)] {
		gaps = gaps.without(r.From, r.To)
	}
	s.Gaps = gaps
	d.Moved = true
}
