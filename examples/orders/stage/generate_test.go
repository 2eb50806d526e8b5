package stage

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/examples/orders/service"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// streamOf generates a stream and makes a log of it.
func streamOf(t *testing.T, args ...string) (*options, []event.Record) {
	t.Helper()
	o, err := parseOptions(args)
	require.NoError(t, err)
	next := map[int32]int64{}
	messages := generate(o, noon)
	log := make([]event.Record, len(messages))
	for i, m := range messages {
		log[i] = event.Record{
			Coordinates: event.Coordinates{Cluster: "c", Topic: "orders", TopicID: "t", Partition: m.part, Offset: next[m.part]},
			Key:         []byte(m.key), Value: m.value, Timestamp: noon, TimestampType: event.TimestampCreate,
			Headers: []event.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}},
		}
		next[m.part]++
	}
	return o, log
}

func TestStreamHasEachMishap(t *testing.T) {
	t.Parallel()
	for _, size := range [][]string{
		{"--events", "1000", "--orders", "250"},
		{"--events", "20000", "--orders", "2000", "--seed", "2"},
		{"--events", "5003", "--orders", "7", "--partitions", "1"},
	} {
		o, log := streamOf(t, size...)
		require.Len(t, log, o.events)
		want, err := newOracle(noon, noon).Predict(log)
		require.NoError(t, err)
		letters := byReason(want.Letters)
		require.Equal(t, share(o.events, futureRate), letters[guards.Future])
		require.Equal(t, share(o.events, poisonRate), letters[guards.Poison])
		require.InDelta(t, share(o.events, lateRate), letters[guards.Late], float64(share(o.events, lateRate))/2+3)
		require.InDelta(t, float64(o.events)*duplicateRate, want.Duplicates, float64(o.events)*duplicateRate/2)
		require.Positive(t, want.Unhandled)
		if o.orders > 100 {
			require.Positive(t, want.Placeholders)
		}
		require.Len(t, want.Rows[table], o.orders)
	}
}

func TestStreamIsTheSeeds(t *testing.T) {
	t.Parallel()
	_, one := streamOf(t, "--events", "2000", "--orders", "100")
	_, same := streamOf(t, "--events", "2000", "--orders", "100")
	_, other := streamOf(t, "--events", "2000", "--orders", "100", "--seed", "2")
	require.Equal(t, one, same)
	require.NotEqual(t, one, other)
}

// The framework's codec and the oracle's parser are two readings of the same bytes.
func TestCodecAndOracleReadTheSame(t *testing.T) {
	t.Parallel()
	_, log := streamOf(t, "--events", "2000", "--orders", "100")
	codec := event.CloudEvents()
	for i := range log {
		var e event.Event
		err := codec.Decode(&log[i], &e)
		read, parseErr := parse(&log[i])
		require.Equal(t, err == nil, parseErr == nil, string(log[i].Value))
		if err == nil {
			require.Equal(t, []string{e.Type, e.Source, e.ID}, []string{read.Type, read.Source, read.ID})
			require.Equal(t, e.OccurredAt.UnixMicro(), read.At.UnixMicro())
			if len(read.Units) > 0 {
				require.Equal(t, e.Key, read.Units[0].Key)
			}
		}
	}
}

func TestNaiveIsWrongAndHandIsRight(t *testing.T) {
	t.Parallel()
	_, log := streamOf(t, "--events", "2000", "--orders", "200")
	db := testutil.SQLite(t)
	require.NoError(t, db.AutoMigrate(&NaiveOrder{}, &HandOrder{}, &handLedger{}, &handLetter{}))
	tx := db.Begin()
	for i := range log {
		require.NoError(t, consumeNaively(tx, log[i].Value))
		require.NoError(t, handle(tx, &log[i], noon))
	}
	require.NoError(t, tx.Commit().Error)

	want, err := newOracle(noon, noon).Predict(log)
	require.NoError(t, err)
	rows, err := oracle.ReadRows[HandOrder](t.Context(), db)
	require.NoError(t, err)
	report := want.Compare(plain(rows))
	require.True(t, report.Clean(), report)

	var letters []handLetter
	require.NoError(t, db.Find(&letters).Error)
	found := map[guards.Reason]int{} //nolint:exhaustive // a count
	for _, l := range letters {
		found[guards.Reason(l.Reason)]++
	}
	require.Equal(t, byReason(want.Letters), found)

	rows, err = oracle.ReadRows[NaiveOrder](t.Context(), db)
	require.NoError(t, err)
	report = want.Compare(plain(rows))
	require.Positive(t, report.Counts[oracle.StaleOverwrite], report)
	require.Positive(t, report.Counts[oracle.DuplicateEffect], report)
	require.Positive(t, report.Wrong)
	require.Equal(t, 200, report.Wrong+report.Right)
}

func TestStatusFollowsFromFacts(t *testing.T) {
	t.Parallel()
	require.NotNil(t, service.Handlers())
	row := map[string]any{}
	project(row)
	require.Equal(t, "unknown", row["status"])
	for _, step := range [][2]string{{"placed_at", "placed"}, {"paid_at", "paid"}, {"shipped_at", "shipped"}, {"cancelled_at", "cancelled"}} {
		row[step[0]] = noon
		project(row)
		require.Equal(t, step[1], row["status"])
	}
}
