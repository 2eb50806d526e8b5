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
	next := map[oracle.Partition]int64{}
	messages := generate(o, noon)
	log := make([]event.Record, len(messages))
	for i, m := range messages {
		at := oracle.Partition{Topic: m.topic, Partition: m.part}
		log[i] = event.Record{
			Coordinates: event.Coordinates{Cluster: "c", Topic: m.topic, TopicID: "t" + m.topic, Partition: m.part, Offset: next[at]},
			Key:         []byte(m.key), Value: m.value, Timestamp: noon, TimestampType: event.TimestampCreate,
			Headers: []event.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}},
		}
		next[at]++
	}
	return o, log
}

func TestStreamHasEachMishap(t *testing.T) {
	t.Parallel()
	for _, size := range [][]string{
		{"--events", "1000", "--orders", "200"},
		{"--events", "20000", "--orders", "2000", "--seed", "2"},
		{"--events", "5003", "--orders", "7", "--partitions", "1"},
	} {
		o, log := streamOf(t, size...)
		require.Len(t, log, o.events)
		want, err := newOracle(noon, noon).Predict(log)
		require.NoError(t, err)
		letters := byReason(want.Letters)
		n := orderEvents(o.events)
		require.Equal(t, share(n, futureRate), letters[guards.Future])
		require.Equal(t, share(n, poisonRate), letters[guards.Poison])
		require.InDelta(t, share(n, lateRate), letters[guards.Late], float64(share(n, lateRate))/2+3)
		require.Len(t, letters, 3)
		require.InDelta(t, float64(o.events)*duplicateRate, want.Duplicates, float64(o.events)*duplicateRate/2)
		require.Positive(t, want.Unhandled)
		if o.orders > 100 {
			require.Positive(t, want.Placeholders)
		}
		require.Len(t, want.Rows[orders], o.orders)
		requireShipments(t, o, log, want)
	}
}

// requireShipments holds the events of shipments to what the demo needs of them: all are
// let in, so that no number is missing for ever, and yet many come ahead of theirs.
func requireShipments(t *testing.T, o *options, log []event.Record, want *oracle.Prediction) {
	t.Helper()
	require.Empty(t, want.Parked)
	numbers, ahead := map[string]map[int64]bool{}, 0
	records, copies := 0, 0
	for i := range log {
		if log[i].Topic != o.shipmentsTopic() {
			continue
		}
		records++
		e, err := parse(&log[i])
		require.NoError(t, err)
		key := e.Units[0].Key
		if numbers[key] == nil {
			numbers[key] = map[int64]bool{}
		}
		if numbers[key][*e.Version] {
			copies++
		}
		numbers[key][*e.Version] = true
		if !numbers[key][*e.Version-1] && *e.Version > 1 {
			ahead++
		}
	}
	require.Equal(t, o.events/5, records)
	require.Equal(t, share(records, duplicateRate), copies)
	require.Greater(t, ahead, records/50)
	require.Len(t, want.Rows[shipments], len(numbers))
	for key, row := range want.Rows[shipments] {
		for n := range numbers[key] {
			require.LessOrEqual(t, n, int64(len(numbers[key])), "a number is missing")
		}
		scans := int64(len(numbers[key]))
		if row.Fields["delivered"] == true {
			scans--
		}
		require.Equal(t, scans, row.Fields["scans"])
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
			if n := len(read.Units); n > 0 {
				require.Equal(t, e.Key, read.Units[n-1].Key)
			}
			if require.Equal(t, e.HasVersion, read.Version != nil); e.HasVersion {
				require.Equal(t, e.Version, *read.Version)
			}
		}
	}
}

func TestNaiveIsWrongAndHandIsRight(t *testing.T) {
	t.Parallel()
	o, log := streamOf(t, "--events", "2000", "--orders", "200")
	db := testutil.SQLite(t)
	require.NoError(t, db.AutoMigrate(others()...))
	tx := db.Begin()
	var forHand []event.Record
	for i := range log {
		require.NoError(t, consumeNaively(tx, log[i].Value))
		if log[i].Topic == o.topic {
			forHand = append(forHand, log[i])
			require.NoError(t, handle(tx, &log[i], noon))
		}
	}
	require.NoError(t, tx.Commit().Error)

	want, err := ordersOnly(newOracle(noon, noon)).Predict(forHand)
	require.NoError(t, err)
	rows, err := oracle.ReadRows[HandOrder](t.Context(), db)
	require.NoError(t, err)
	report := want.Compare(oracle.Actual{Plain: true, Rows: map[string]map[string]oracle.Row{orders: rows}})
	require.True(t, report.Clean(), report)

	var letters []handLetter
	require.NoError(t, db.Find(&letters).Error)
	found := map[guards.Reason]int{} //nolint:exhaustive // a count
	for _, l := range letters {
		found[guards.Reason(l.Reason)]++
	}
	require.Equal(t, byReason(want.Letters), found)

	want, err = newOracle(noon, noon).Predict(log)
	require.NoError(t, err)
	all, err := rowsOf[NaiveOrder, NaiveShipment, NaiveCustomer](t.Context(), db)
	require.NoError(t, err)
	report = want.Compare(oracle.Actual{Plain: true, Rows: all})
	require.Positive(t, report.Counts[oracle.StaleOverwrite], report)
	require.Positive(t, report.Counts[oracle.DuplicateEffect], report)
	require.Positive(t, report.Wrong)
	require.GreaterOrEqual(t, report.Wrong+report.Right, report.Rows) // it also makes rows of refused events
	for _, table := range []string{orders, shipments, customers} {
		require.Positive(t, report.WrongIn(table), table)
	}
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
