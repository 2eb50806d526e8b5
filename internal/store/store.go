// Package store keeps rows, ledger, parked events, letters and verdicts in the user's
// database, behind one interface. The conformance suite in storetest holds for every
// implementation.
package store

import (
	"context"
	"reflect"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
)

// DueRows is how many rows Due returns at most.
const DueRows = 2500

// DueQuery asks for what is due.
type DueQuery struct {
	Group string
	// Owner names the sweeper. What it has claimed is forgotten with each call, but for what
	// it still holds.
	Owner   string
	Holding []Mark
	Now     time.Time
	Lease   time.Duration
	// Limit bounds the rows that are claimed, PerKey what is read of each key.
	Limit, PerKey int
}

// Store is what the runtime needs of a database. Methods may be called from many
// goroutines. An error is one of those of this package, or the driver's.
type Store interface {
	// Claim checks that the schema's version is the code's and that the models' tables
	// have their columns, claims the tables for the group (R4), gives each clocked
	// column its generation and returns the layouts, in the order of the models. Rows with
	// stamps of another kind than the model's are a problem, too.
	// Calling it again is harmless and finds columns that a newer process has added.
	Claim(ctx context.Context, group string, models []*handlers.Model, steal bool) ([]*clocks.Layout, error)

	// Topic returns the number of partitions that a topic had when the group first saw
	// it, and stores the given one at first sight (R17). known is false then.
	Topic(ctx context.Context, cluster, topicID, topic, group string, partitions int32) (first int32, known bool, err error)

	// Own raises the owner epoch of a ledger row and returns it; found is false when
	// the row was not there. The row that is made then is at next = high = -1 and
	// counts as not there until a batch or Position has been committed.
	Own(ctx context.Context, key ledger.Key, topic, owner string) (state ledger.State, found bool, err error)
	// Position moves an owned ledger row without a batch: next, high, watermark, gaps
	// and done are written under the epoch and revision of s, the revision grows by
	// one. ErrFenced when somebody else owns the row.
	Position(ctx context.Context, s ledger.State) (ledger.State, error)
	// Settle returns the ledger row as it stands, waiting for transactions in flight
	// that hold it (R16): the way to learn whether a COMMIT whose answer was lost took
	// effect. It locks the row and so waits for a transaction that has reached the
	// ledger; one that is still on its way there may commit after Settle has said no, and
	// then the same batch, sent again, is fenced by the revision. A row that is gone is
	// ErrFenced.
	Settle(ctx context.Context, key ledger.Key) (ledger.State, error)

	// Load reads what a batch must know, without locks. An error that is
	// clocks.ErrNewerGeneration says that a newer release has written a row: Claim again
	// and use its layouts.
	Load(ctx context.Context, want *Want) (*Loaded, error)
	// Commit writes a batch in one short transaction, the ledger's compare-and-set
	// last (R15, R16). A row that it made has the revision Batch.Now in microseconds, one
	// that it changed the next one, and so has the ledger; what is in memory is the
	// caller's to move on, but for GORM's automatic times, which are set in the entities.
	// A deadlock or a serialization failure is a conflict, too: others went first.
	Commit(ctx context.Context, b *Batch) error
	// Lock opens a transaction, locks the rows of want that exist in key order, and
	// reads what Load reads. It is for batches whose optimistic attempts failed. The
	// caller ends it with Commit or Rollback of the returned Locked.
	Lock(ctx context.Context, want *Want) (Locked, error)

	// Lamport is the highest Lamport time in the group's ledger rows, 0 when there is
	// none.
	Lamport(ctx context.Context, group string) (int64, error)

	// Unpublished returns the letters of the partition that are not marked published, in
	// order of offsets. Those of sweepers are not among them: no lane's offset waits for
	// them, and Leftovers finds them.
	Unpublished(ctx context.Context, key ledger.Key) ([]*dlq.Letter, error)
	// Leftovers claims up to limit unpublished letters of the group that nobody has
	// published since before (those of sweepers, and of members that died), for d: an
	// unmarked claim ends by itself.
	Leftovers(ctx context.Context, group string, now, before time.Time, d time.Duration, limit int) ([]*dlq.Letter, error)
	// Mark marks letters as published, by id and revision. Letters with another revision
	// stay as they are: they were opened again, and must be published again.
	Mark(ctx context.Context, marks []Mark) error

	// Due claims parked rows of the group whose due time has come (R9), for an owner who
	// looks after them until a lease ends, so that a claim of a member that dies ends by
	// itself. It returns all parked rows of their keys, those of a key together and in place
	// order, those that were claimed before the others, and not more than DueRows of all. What
	// is not claimed has a due time to come: its own, or when another claim of it ends. A
	// claim is of a row as it is: it ends with the row's revision.
	Due(ctx context.Context, q *DueQuery) ([]*Parked, error)
	// Renew moves the end of what the owner has claimed, for runs that take longer than the
	// lease.
	Renew(ctx context.Context, group, owner string, until time.Time) error
	// Postpone moves the due time of parked rows that were claimed and not settled. Rows with
	// another revision, which others have changed or released since, stay as they are.
	Postpone(ctx context.Context, rows []Mark, due time.Time) error

	Upkeep
	Outbox
	Rebuilds
	LetterKeeper
	Rehearsals
	Jobs
	Consumers

	// Retain deletes verdicts older than before, in small ordered portions, and
	// returns how many there were.
	Retain(ctx context.Context, before time.Time, portion int) (int64, error)
	// Reached returns the lowest watermark among the partitions that the group has moved in
	// since then, in microseconds: what every partition that is being read has come to, one
	// with a backlog too. ok is false when none has moved.
	Reached(ctx context.Context, group string, since time.Time) (at int64, ok bool, err error)
	// Forget drops the scope's ids that are not held, up to and at an event time, oldest
	// first and in small portions, and returns how many there were: none while rows of the
	// group are being rebuilt, since ids that were read again would be forgotten (R20). In the transaction of
	// each portion the scope's horizon moves to the newest id that it drops, never back
	// (R8): an id that is not found has a horizon beyond it.
	Forget(ctx context.Context, group, scope string, upTo int64, portion int) (int64, error)
	// Now is the database's clock, for telling a skewed one.
	Now(ctx context.Context) (time.Time, error)
}

// Locked is an open transaction that holds the locks of a batch.
type Locked interface {
	Loaded() *Loaded
	Commit(ctx context.Context, b *Batch) error
	Rollback()
}

// Want names what a batch must load.
type Want struct {
	Group string
	// Rows are the entity keys per model; keys are canonical and not repeated.
	Rows []WantRows
	// Judged are the coordinates of records that are not at first sight: whether their
	// units have letters or parked rows must be known (R6).
	Judged []event.Coordinates
	// Tx: handlers will run SQL of their own (R19), so that Load does not do: Lock.
	Tx bool
	// IDs and Memos are asked for by key; none is repeated. Both are seen at one
	// moment: an id that is not there any more has a horizon which says so (R8), a number
	// that a stream has taken has its id (R7).
	IDs   []IDKey
	Memos []MemoKey
	// Streams asks for what waits in streams of numbers (R7); none is repeated. They are
	// read after rows and memos.
	Streams []StreamKey
}

// WantRows asks for rows of one model.
type WantRows struct {
	Model  *handlers.Model
	Layout *clocks.Layout
	Keys   []string
	// Parked asks also for what is parked, and which letters block, under each key:
	// set when a handler keeps order or waits for missing rows.
	Parked bool
}

// Loaded is what was there. Its rows are the caller's to change.
type Loaded struct {
	// Rows by table and canonical key; missing rows are not in it.
	Rows map[string]map[string]*Row
	// Queues by table and canonical key, for models with Parked set; keys with neither
	// parked rows nor blocking letters are not in it.
	Queues map[string]map[string]*Queue
	// Units are the ids (dlq.UnitID) of letters and parked rows, in any state, of the
	// judged coordinates.
	Units map[string]bool
	// Resolved are those of them whose letter has ended by a replay: to make a row anew their
	// event is judged once more (R20).
	Resolved map[string]bool
	// IDs and Memos hold those that are there.
	IDs   map[IDKey]*ID
	Memos map[MemoKey]*Memo
	// Streams holds those in which something waits.
	Streams map[StreamKey]*Stream
	// Tx is the open transaction of a Locked, where the store can take SQL of handlers' own
	// (R19); nil for what was read without locks.
	Tx Tx
}

// Judged notes that a unit has a letter or parked row; resolved: a letter that a replay has
// ended.
func (l *Loaded) Judged(unit string, resolved bool) {
	if l.Units == nil {
		l.Units, l.Resolved = map[string]bool{}, map[string]bool{}
	}
	l.Units[unit] = true
	if resolved {
		l.Resolved[unit] = true
	}
}

// Queue is what waits under one entity key.
type Queue struct {
	// Parked are the waiting rows in place order, without their records.
	Parked []QueueEntry
	// Letters are the unresolved blocking letters in place order.
	Letters []QueueEntry
	// LastPlace is the highest place ever given out that is still known. The places of a
	// stream's entries are its numbers and don't count.
	LastPlace int64
}

// QueueEntry is one waiting unit.
type QueueEntry struct {
	ID      string
	Handler string
	Cause   Cause
	Place   int64
	Due     time.Time
	// Stream is set for what waits in a stream of numbers, and not for its entity.
	Stream string
}

// Row is one entity's row.
type Row struct {
	Model  *handlers.Model
	Layout *clocks.Layout
	Key    string        // canonical
	Entity reflect.Value // a pointer to the model's struct
	Clocks clocks.Row
	State  guards.Existence
	// Rebuilding marks a row that is being made anew from the log (R20).
	Rebuilding bool
	// Rev is the revision that was loaded; 0 for a row that is to be made.
	Rev  int64
	Born time.Time // zero for foreign rows
}

// Cause is why an event is parked.
type Cause string

// The causes (R9).
const (
	CauseGap     Cause = "gap"
	CauseRetry   Cause = "retry"
	CauseBehind  Cause = "behind"
	CauseMissing Cause = "missing"
	// CauseReplay: the event of a letter that is to be replayed. What holds others up is the
	// letter and not this.
	CauseReplay Cause = "replay"
	// CauseSeen: the event of a whole record's letter that was given up. What waits for it
	// goes on once a member, who knows the handlers, has found whose it was (R14).
	CauseSeen Cause = "seen"
)

// Parked is one event that waits under one handler for one entity.
type Parked struct {
	ID    string // dlq.UnitID
	Group string
	Table string
	// Entity is the canonical key.
	Entity  string
	Handler string
	// Stream is the stream of numbers that the event waits in, empty for none (R7).
	Stream string
	Cause  Cause
	// Place orders what is parked under one key; smaller is earlier. In a stream it is the
	// number.
	Place int64
	// Rev grows with each change; whoever removes or changes the row names it.
	Rev      int64
	Due      time.Time
	Expires  time.Time // when waiting for a row or a number ends; zero: never by time
	Attempts int
	// FirstFailed and LastFailed are zero for an event that has not run.
	FirstFailed, LastFailed time.Time
	ErrorType, Error, Stack string
	EventType, Source       string
	EventID                 string
	OccurredAt              time.Time
	// Codec is the name of the codec that decoded the record.
	Codec  string
	Record *event.Record
	// Replay goes with CauseReplay.
	Replay *Replay
}

// Entry is what the row is in its queue.
func (p *Parked) Entry() QueueEntry {
	return QueueEntry{ID: p.ID, Handler: p.Handler, Cause: p.Cause, Place: p.Place, Due: p.Due, Stream: p.Stream}
}

// Mark names the row as it is.
func (p *Parked) Mark() Mark { return Mark{ID: p.ID, Rev: p.Rev} }

// Batch is what one transaction writes.
type Batch struct {
	Group string
	// Insert are rows to make: a row that is there already is a conflict. Update are
	// rows that were loaded: one whose revision has changed is a conflict (R15).
	Insert, Update []*Row
	// Delete are rows that were loaded and go for good; one whose revision has changed is
	// a conflict.
	Delete []*Row
	// Origins are events that wrote placeholders. Forget removes those of the given ones.
	Origins []*Origin
	Forget  []OriginKey
	// Absent are keys whose rows were seen to be missing and whose queues were seen to
	// hold so many parked rows and blocking letters, where a unit was parked or judged on that ground
	// without making a row (R9); anything else is a conflict. The check comes before the
	// rows are made. Name a key of Insert here as well when its queue was looked at:
	// whoever parks an event and whoever makes the row take the same lock, so that one of
	// them sees the other.
	Absent []AbsentKey
	// Park are new waiting units, Repark are changed ones and Release removed ones;
	// of the last two one whose revision has changed is a conflict. A new one is written
	// with the Rev that it carries. A unit that is there already, because the ledger was
	// moved back by hand, takes the new content and the next revision; so does a letter,
	// which opens again.
	Park    []*Parked
	Repark  []*Parked
	Release []Mark
	// Wake are keys whose events with cause missing or behind become due now; their
	// revisions grow.
	Wake []QueueKey
	// WakeStreams makes due now what waits in streams for numbers before it, up to the
	// next gap; the revisions grow.
	WakeStreams []WakeStream
	Letters     []*dlq.Letter
	// Resolve ends replays. A letter that is not being replayed any more is a conflict.
	Resolve []*Resolution
	// SweptLetters are those of events that were parked before: no lane's offset waits for
	// them. Without a Ledger all Letters are such.
	SweptLetters []*dlq.Letter
	// Marks mark letters as published.
	Marks []Mark
	// Outbox is what the batch sends, in order. Sent are ids of what was sent before, to be
	// removed.
	Outbox   []*Outbound
	Sent     []string
	Verdicts []Verdict
	// IDs are new ids, of which one that is there already is a conflict, and those with
	// Known, whose Held changes and of which one that is gone is a conflict.
	IDs []*ID
	// Memos with Rev 0 are to be made, the others were loaded; one that is there already,
	// or has another revision by now, is a conflict (R15).
	Memos []*Memo
	// Unremember are entities whose ids of a scope are dropped, but for those that are held.
	// It comes after the rows and before new ids.
	Unremember []IDScope
	// Ledger moves the position, under the epoch and revision in it; nil for a
	// sweeper's batch. It is the last statement (R16).
	Ledger *ledger.State
	Now    time.Time
}

// AbsentKey is a key that was seen without a row.
type AbsentKey struct {
	Model           *handlers.Model
	Key             string
	Parked, Letters int
}

// QueueKey names the queue under one entity key.
type QueueKey struct{ Table, Entity string }

// Mark names one revision of a letter or parked row.
type Mark struct {
	ID  string `json:"id"`
	Rev int64  `json:"rev"`
}

// Verdict is one line of the journal (R12).
type Verdict struct {
	Coordinates event.Coordinates
	Handler     string
	Table       string
	Entity      string
	EventType   string
	Source      string
	EventID     string
	Verdict     guards.Verdict
}
