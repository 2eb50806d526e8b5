package ledger_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/ledger"
)

const (
	cluster = "c1"
	topicID = "t1"
)

func owned(next, high int64) ledger.State {
	return ledger.State{Key: ledger.Key{Cluster: cluster, TopicID: topicID, Group: "g"}, Epoch: 3, Next: next, High: high}
}

func token(offset int64) string {
	return ledger.Token{Cluster: cluster, TopicID: topicID, Epoch: 2, Offset: offset}.String()
}

// TestDecide reads like R17: what is found at an assignment, and where the lane starts.
func TestDecide(t *testing.T) {
	t.Parallel()
	withMark := owned(50, 50)
	withMark.Watermark, withMark.HasWatermark = 777, true
	for _, c := range []struct {
		name   string
		found  ledger.Found
		next   int64
		high   int64
		gaps   ledger.Gaps
		moved  bool
		alarms []ledger.AlarmKind
	}{
		{
			name:  "a valid token behind the ledger: the ledger counts",
			found: ledger.Found{Ledger: owned(50, 50), HasLedger: true, Committed: 40, HasCommitted: true, Metadata: token(40), LogEnd: 100},
			next:  50, high: 50,
		},
		{
			name:  "no committed offset but a ledger: the ledger counts",
			found: ledger.Found{Ledger: owned(50, 60), HasLedger: true, LogEnd: 100},
			next:  50, high: 60,
		},
		{
			name:  "our token beyond the ledger: the database was restored",
			found: ledger.Found{Ledger: owned(50, 50), HasLedger: true, Committed: 80, HasCommitted: true, Metadata: token(80), LogEnd: 100},
			next:  50, high: 50, alarms: []ledger.AlarmKind{ledger.AlarmRestored},
		},
		{
			name:  "our token and no ledger at all: likewise, from the log's start",
			found: ledger.Found{Ledger: owned(-1, -1), Committed: 80, HasCommitted: true, Metadata: token(80), LogStart: 5, LogEnd: 100},
			next:  5, high: 5, moved: true, alarms: []ledger.AlarmKind{ledger.AlarmRestored},
		},
		{
			name:  "an operator's offset behind: a rewind below high",
			found: ledger.Found{Ledger: owned(50, 50), HasLedger: true, Committed: 10, HasCommitted: true, LogEnd: 100},
			next:  10, high: 50, moved: true, alarms: []ledger.AlarmKind{ledger.AlarmRewound},
		},
		{
			name:  "an operator's offset ahead: a gap with the watermark of its start",
			found: ledger.Found{Ledger: withMark, HasLedger: true, Committed: 70, HasCommitted: true, LogEnd: 100},
			next:  70, high: 70, moved: true, alarms: []ledger.AlarmKind{ledger.AlarmSkipped},
			gaps: ledger.Gaps{{From: 50, To: 70, Watermark: 777, HasWatermark: true}},
		},
		{
			name:  "a forward skip inside what was judged before leaves no gap",
			found: ledger.Found{Ledger: owned(10, 50), HasLedger: true, Committed: 30, HasCommitted: true, LogEnd: 100},
			next:  30, high: 50, moved: true, alarms: []ledger.AlarmKind{ledger.AlarmSkipped},
		},
		{
			name:  "an operator's offset and no ledger: obeyed",
			found: ledger.Found{Ledger: owned(-1, -1), Committed: 30, HasCommitted: true, LogEnd: 100},
			next:  30, high: 30, moved: true,
		},
		{
			name:  "a token whose offset is not the committed one counts as an operator's",
			found: ledger.Found{Ledger: owned(50, 50), HasLedger: true, Committed: 20, HasCommitted: true, Metadata: token(45), LogEnd: 100},
			next:  20, high: 50, moved: true, alarms: []ledger.AlarmKind{ledger.AlarmRewound},
		},
		{
			name:  "another cluster's token is a mirroring tool's offset",
			found: ledger.Found{Ledger: owned(-1, -1), Committed: 20, HasCommitted: true, Metadata: ledger.Token{Cluster: "other", TopicID: topicID, Offset: 20}.String(), LogEnd: 100},
			next:  20, high: 20, moved: true,
		},
		{
			name:  "our token with another topic id: the topic was made again, whatever the configured start",
			found: ledger.Found{Ledger: owned(-1, -1), Committed: 20, HasCommitted: true, Metadata: ledger.Token{Cluster: cluster, TopicID: "old", Offset: 20}.String(), LogEnd: 500, StartLatest: true},
			next:  0, high: 0, moved: true, alarms: []ledger.AlarmKind{ledger.AlarmRecreated},
		},
		{
			name:  "nothing at all: the configured start, earliest",
			found: ledger.Found{Ledger: owned(-1, -1), LogStart: 7, LogEnd: 100},
			next:  7, high: 7, moved: true,
		},
		{
			name:  "nothing at all: the configured start, latest",
			found: ledger.Found{Ledger: owned(-1, -1), LogStart: 7, LogEnd: 100, StartLatest: true},
			next:  100, high: 100, moved: true,
		},
		{
			name:  "a partition new to a known topic starts at the log's start even under latest",
			found: ledger.Found{Ledger: owned(-1, -1), LogEnd: 100, StartLatest: true, NewPartition: true},
			next:  0, high: 0, moved: true,
		},
		{
			name:  "below the log's start: a gap and an alarm",
			found: ledger.Found{Ledger: owned(50, 50), HasLedger: true, LogStart: 60, LogEnd: 100},
			next:  60, high: 60, moved: true, alarms: []ledger.AlarmKind{ledger.AlarmLost},
			gaps: ledger.Gaps{{From: 50, To: 60}},
		},
		{
			name:  "beyond the log's end: truncated, next and high go to the end",
			found: ledger.Found{Ledger: owned(50, 80), HasLedger: true, LogEnd: 30},
			next:  30, high: 30, moved: true, alarms: []ledger.AlarmKind{ledger.AlarmTruncated},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := ledger.Decide(c.found)
			require.Equal(t, c.next, d.State.Next, "next")
			require.Equal(t, c.high, d.State.High, "high")
			require.Equal(t, c.moved, d.Moved, "moved")
			require.Equal(t, []ledger.Range(c.gaps), []ledger.Range(d.State.Gaps), "gaps")
			var kinds []ledger.AlarmKind
			for _, a := range d.Alarms {
				kinds = append(kinds, a.Kind)
				require.NotEmpty(t, a.Detail)
			}
			require.Equal(t, c.alarms, kinds)
		})
	}
}

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	want := ledger.Token{Cluster: "Mk3OEYBSD34fcwNTJENDM2Qk", TopicID: "aGVsbG8td29ybGQtMTIzNA", Epoch: 12, Offset: 9_876_543_210}
	got, ok := ledger.ParseToken(want.String())
	require.True(t, ok)
	require.Equal(t, want, got)
}

func TestTokenOfOthers(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "ek1", "ek2;c;t;1;2", "ek1;c;t;1", "ek1;c;t;x;2", "ek1;c;t;1;-2", "ek1;c;t;1;2;3", "{\"by\":\"mirror\"}"} {
		_, ok := ledger.ParseToken(s)
		require.False(t, ok, "%q", s)
	}
}
