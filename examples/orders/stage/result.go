package stage

import (
	"context"
	"fmt"
	"io"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/examples/orders/service"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// result is what the demo found; with --json it is what is printed.
type result struct {
	Broker     string `json:"broker"`
	Database   string `json:"database"`
	Seed       uint64 `json:"seed"`
	Orders     int    `json:"orders"`
	Partitions int    `json:"partitions"`
	Records    int    `json:"records"`
	Duplicates int    `json:"duplicates"`
	Unhandled  int    `json:"unhandled"`
	// Rows is how many rows each table must have.
	Rows map[string]int `json:"rows"`

	Evenkeel arm  `json:"evenkeel"`
	Naive    arm  `json:"naive"`
	ByHand   *arm `json:"by_hand,omitempty"`
	// Predicted are the dead letters by reason that there must be.
	Predicted map[guards.Reason]int `json:"predicted_letters"`
	// MadePredicted is how many placeholders early events make, LeftPredicted what must be
	// waiting in the end: orders whose creation was refused stay placeholders.
	MadePredicted int     `json:"predicted_placeholders"`
	LeftPredicted waiting `json:"predicted_waiting_left"`
	// OnlyRefused is how many of the naive consumer's wrong rows would be right if late
	// events and those from the future counted.
	OnlyRefused int `json:"naive_wrong_only_by_refused_events"`
}

// arm is how one consumer did.
type arm struct {
	Records   int     `json:"records"`
	PerSecond float64 `json:"records_per_second"`
	Right     int     `json:"right"`
	Wrong     int     `json:"wrong"`
	Lost      int     `json:"lost"`
	Duplicate int     `json:"duplicate_effects"`
	Stale     int     `json:"stale_overwrites"`
	Stuck     int     `json:"stuck"`
	Ahead     int     `json:"offsets_ahead"`
	// WrongIn counts the wrong rows of each table.
	WrongIn map[string]int `json:"wrong_in"`

	Letters map[guards.Reason]int `json:"letters,omitempty"`
	// Published is how many different letters are on the dead-letter topic.
	Published int `json:"letters_published,omitempty"`
	// The members count placeholders, and events that park; one that is killed takes its
	// last count with it.
	PlaceholdersMade int64 `json:"placeholders_made,omitempty"`
	EverParked       int64 `json:"ever_parked,omitempty"`
	// Most is how much waited at once, as far as was seen, Left what waits in the end.
	Most waiting `json:"waiting_most"`
	Left waiting `json:"waiting_left"`
	// Deviations are some of what is wrong, a sentence each.
	Deviations []string `json:"deviations,omitempty"`
}

func armOf(r *oracle.Report, records int, perSecond float64, samples int) arm {
	a := arm{
		Records: records, PerSecond: perSecond, Right: r.Right, Wrong: r.Wrong,
		Lost: r.Counts[oracle.Lost], Duplicate: r.Counts[oracle.DuplicateEffect], Stale: r.Counts[oracle.StaleOverwrite],
		Stuck: r.Counts[oracle.Stuck], Ahead: r.Counts[oracle.OffsetAhead],
		WrongIn: map[string]int{orders: r.WrongIn(orders), shipments: r.WrongIn(shipments), customers: r.WrongIn(customers)},
	}
	for _, d := range r.Samples(samples) {
		a.Deviations = append(a.Deviations, d.Story)
	}
	return a
}

// judge compares what each consumer has left with what the oracle says.
func (s *performance) judge(ctx context.Context, log []event.Record, rate, naiveRate float64, hand *handRun) (*result, error) {
	o := newOracle(s.began, now())
	want, err := o.Predict(log)
	if err != nil {
		return nil, err
	}
	r := &result{
		Broker: "kfake, in this process", Database: "SQLite", Seed: s.seed, Orders: s.orders, Partitions: s.partitions,
		Records: want.Records, Duplicates: want.Duplicates, Unhandled: want.Unhandled,
		Predicted: byReason(want.Letters), MadePredicted: want.Placeholders, LeftPredicted: waiting{Parked: int64(len(want.Parked))},
		Rows: map[string]int{},
	}
	for table, rows := range want.Rows {
		r.Rows[table] = len(rows)
		for _, row := range rows {
			if row.State == guards.Placeholder {
				r.LeftPredicted.Placeholders++
			}
		}
	}
	if !s.embeddedBroker {
		r.Broker = "Kafka at " + s.brokers
	}
	if !s.embeddedStorage {
		r.Database = "PostgreSQL"
	}
	if err := s.judgeEvenkeel(ctx, r, want, rate); err != nil {
		return nil, err
	}
	if err := s.judgeNaive(ctx, r, want, log, naiveRate); err != nil {
		return nil, err
	}
	if hand == nil {
		return r, nil
	}
	handWant, err := ordersOnly(o).Predict(hand.records)
	if err != nil {
		return nil, err
	}
	rows, err := oracle.ReadRows[HandOrder](ctx, s.db.DB)
	if err != nil {
		return nil, err
	}
	a := armOf(handWant.Compare(oracle.Actual{Plain: true, Rows: map[string]map[string]oracle.Row{orders: rows}}), len(hand.records), float64(len(hand.records))/hand.took.Seconds(), 3)
	r.ByHand = &a
	return r, nil
}

// rowsOf reads the three tables, in one consumer's models. clocked are the columns of the
// orders that have clocks.
func rowsOf[O, S, C any](ctx context.Context, db *gorm.DB, clocked ...string) (map[string]map[string]oracle.Row, error) {
	o, err := oracle.ReadRows[O](ctx, db, clocked...)
	if err != nil {
		return nil, err
	}
	s, err := oracle.ReadRows[S](ctx, db)
	if err != nil {
		return nil, err
	}
	c, err := oracle.ReadRows[C](ctx, db)
	return map[string]map[string]oracle.Row{orders: o, shipments: s, customers: c}, err
}

func (s *performance) judgeEvenkeel(ctx context.Context, r *result, want *oracle.Prediction, rate float64) error {
	rows, err := rowsOf[service.Order, service.Shipment, service.Customer](ctx, s.db.DB, setColumns()...)
	if err != nil {
		return err
	}
	letters, parked, ledger, err := oracle.ReadGroup(ctx, s.db.DB, s.options.group)
	if err != nil {
		return err
	}
	committed, err := s.cluster.committed(ctx, s.options.group, s.ends)
	if err != nil {
		return err
	}
	report := want.Compare(oracle.Actual{
		Rows: rows, Letters: letters, Parked: parked,
		Positions: positions(ledger, committed, s.ends),
	})
	r.Evenkeel = armOf(report, want.Records, rate, 10)
	r.Evenkeel.Letters = byReason(letters)
	sum, _ := s.group.sum()
	r.Evenkeel.PlaceholdersMade, r.Evenkeel.EverParked = sum.Made, sum.Verdicts["park/gap"]
	r.Evenkeel.Most, r.Evenkeel.Left = s.waits.most, s.waits.now
	return s.judgeCopies(ctx, r, letters)
}

// judgeCopies counts the letters on the dead-letter topic. A letter without a copy there
// is stuck in the outbox; more copies than one are allowed.
func (s *performance) judgeCopies(ctx context.Context, r *result, letters []oracle.Letter) error {
	topic := service.DeadLetterTopic(s.topic)
	ends, err := s.cluster.ends(ctx, s.partitions, topic)
	if err != nil {
		return err
	}
	copies, err := s.cluster.read(ctx, ends)
	if err != nil {
		return err
	}
	type place struct {
		oracle.Partition
		offset int64
	}
	published := map[place]bool{}
	for i := range copies {
		l, _, err := dlq.Decode(&copies[i])
		if err != nil {
			return fmt.Errorf("record %d/%d of the dead-letter topic: %w", copies[i].Partition, copies[i].Offset, err)
		}
		published[place{oracle.Partition{Topic: l.Record.Topic, Partition: l.Record.Partition}, l.Record.Offset}] = true
	}
	r.Evenkeel.Published = len(published)
	for _, l := range letters {
		if !published[place{l.Partition, l.Offset}] {
			r.Evenkeel.Stuck++
			r.Evenkeel.Deviations = append(r.Evenkeel.Deviations, fmt.Sprintf("the letter of record %s/%d/%d is not on the dead-letter topic", l.Topic, l.Partition.Partition, l.Offset))
		}
	}
	return nil
}

func (s *performance) judgeNaive(ctx context.Context, r *result, want *oracle.Prediction, log []event.Record, rate float64) error {
	rows, err := rowsOf[NaiveOrder, NaiveShipment, NaiveCustomer](ctx, s.db.DB)
	if err != nil {
		return err
	}
	found := oracle.Actual{Plain: true, Rows: rows}
	report := want.Compare(found)
	r.Naive = armOf(report, len(log), rate, 3)
	// The same once more for a stream in which nothing is refused.
	all := newOracle(s.began, s.began)
	all.MaxLateness, all.MaxFuture = 0, 0
	lenient, err := all.Predict(log)
	if err != nil {
		return err
	}
	forgiving := lenient.Compare(found)
	for table := range rows {
		for key := range rows[table] {
			if report.IsWrong(table, key) && !forgiving.IsWrong(table, key) {
				r.OnlyRefused++
			}
		}
	}
	return nil
}

func byReason(letters []oracle.Letter) map[guards.Reason]int {
	n := make(map[guards.Reason]int)
	for _, l := range letters {
		if !l.Maybe {
			n[l.Reason]++
		}
	}
	return n
}

// verdict is the line for scripts.
func (r *result) verdict() string {
	e := r.Evenkeel
	return fmt.Sprintf("result: evenkeel wrong=%d lost=%d duplicate=%d stale=%d stuck=%d; naive wrong=%d",
		e.Wrong, e.Lost, e.Duplicate, e.Stale, e.Stuck, r.Naive.Wrong)
}

// holds reports whether Evenkeel is right and the naive consumer is not.
func (r *result) holds() bool {
	e := r.Evenkeel
	return e.Wrong+e.Lost+e.Duplicate+e.Stale+e.Stuck+e.Ahead == 0 && r.Naive.Wrong > 0
}

// print writes the report and, last, the verdict.
func (r *result) print(o *options, stdout, stderr io.Writer) int {
	last := stdout
	if o.json {
		last = stderr
		if err := r.writeJSON(stdout); err != nil {
			fmt.Fprintln(stderr, "demo:", err)
			return 1
		}
	} else {
		r.writeText(stdout)
	}
	fmt.Fprintln(last, r.verdict())
	if !r.holds() {
		return 1
	}
	return 0
}
