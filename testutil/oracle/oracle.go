// Package oracle is an independent reference: it reads a log and says what every row must
// be, and which letters there must be, when everything that Evenkeel promises holds. It
// shares no code with the runtime. Where the runtime works forward, batch by batch, the
// oracle has the whole log before it and asks of each column: which of all events about
// this entity wins?
//
// You describe your model to it in your own words, apart from your handlers: a function
// that takes a record apart, and the tables. Then you show it what is in the database:
//
//	o := &oracle.Oracle{Parse: parse, Tables: []oracle.Table{{Name: "orders", Set: []string{"customer"}}}}
//	want, err := o.Predict(log)
//	report := want.Compare(oracle.Actual{Rows: …, Letters: …, Positions: …})
//
// The report names each deviation: lost, duplicate-effect, stale-overwrite, stuck or
// offset-ahead; see [Class].
package oracle

import (
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// Oracle knows what records say and which bounds hold.
type Oracle struct {
	// Parse takes a record apart. An error says that it can't be taken for an event;
	// units beside the error are what a careless consumer would take it for, and only
	// help to tell how a row went wrong. Records with a null value and without headers
	// are not shown to it.
	Parse func(*event.Record) (Event, error)
	// Tables describe the models.
	Tables []Table
	// MaxLateness is how much older than its partition's newest event before it an
	// event may be; 0 is without bound.
	MaxLateness time.Duration
	// MaxFuture is how far ahead of the clock an event may be; 0 is without bound.
	MaxFuture time.Duration
	// From and To say when the consumer read the log. An event whose time lies so that
	// its verdict would depend on when in this span it was read is an error: the test
	// must choose times that do not.
	From, To time.Time
}

// Table describes one model. Fields are named as the reader of the rows names them;
// where clocks are compared, that is the columns' names.
type Table struct {
	Name string
	// Set are the fields that Set handlers own. A delete zeroes them.
	Set []string
	// Modify are the fields that Modify handlers under a timestamp or version own.
	Modify []string
	// Unclocked are the fields that Modify handlers under Once or Sequence own: no clock
	// belongs to them.
	Unclocked []string
	// Project computes derived fields; the row has all fields of Set and Modify.
	Project func(row map[string]any)
	// ByVersion orders by Event.Version instead of Event.At.
	ByVersion bool
	// NoCreator says that no handler creates these rows, so that none is a placeholder.
	NoCreator bool
	// Before are rows by key that were there before the first event, made by somebody
	// else.
	Before map[string]map[string]any
}

// Event is what a record says.
type Event struct {
	Type, Source string
	// ID may be empty: the event is then identified by its coordinates.
	ID string
	// At is when it happened; zero is the record's timestamp.
	At time.Time
	// Version counts in tables that are ordered by version, and under Sequence; nil is
	// none.
	Version *int64
	// Units are its effects, one for each handler. An event without is one that nobody
	// handles.
	Units []Unit
}

// Rule is the verb of a unit's handler.
type Rule uint8

// The rules.
const (
	// Set states facts: each wins where nothing newer was stated.
	Set Rule = iota
	// Modify changes the row in order of arrival, unless something newer did before.
	Modify
	// Always changes the row in order of arrival, whatever was before.
	Always
	// Once changes the row once for each source and id of an event type under a handler,
	// in any order: its Change must commute with all others. The oracle remembers ids
	// without end.
	Once
	// Sequence changes the row in the order of Event.Version, each number once, from 1 on.
	// The oracle knows no bounds of a gap, and takes the row's events for all that use up
	// its numbers.
	Sequence
)

// Unit is an event's effect under one handler on one entity.
type Unit struct {
	Table, Key string
	// Handler is the handler's name; letters are compared by it unless it is empty.
	Handler string
	Rule    Rule
	// Facts are what a Set states, by field; nil is NULL, and what a field that no event
	// wrote has.
	Facts map[string]any
	// Change is what a Modify does to the row.
	Change func(row map[string]any)
	// Derived says that the unit is that of a child, which handlers emit for this event (R11),
	// about an entity that is not the event's own. At equal time the entity's own events win.
	// Show the oracle the children's records without units, as their parents have them.
	Derived bool
	// Creates and Deletes begin and end the entity's life.
	Creates, Deletes bool
	// Fails makes the unit a letter with this reason when its handler runs: the handler
	// rejects it, its payload is poison, the database refuses it.
	Fails guards.Reason
	// Refuses says that the handler discards the event.
	Refuses bool
	// Missing is what becomes of it when the row is not there.
	Missing Missing
	// Hints are what a consumer without guards would write into derived fields for this
	// event. They do not count for what must be, only for telling how a row went wrong.
	Hints map[string]any
}

// Missing is a policy for missing rows.
type Missing uint8

// The policies.
const (
	Placeholder Missing = iota
	Park
	DeadLetter
	Discard
)

// Partition names a log.
type Partition struct {
	Topic     string
	Partition int32
}

// Row is one row, as it must be or as it was read.
type Row struct {
	Fields map[string]any
	State  guards.Existence
	// Clocks are the stamps of the clocked fields, and of [Exists]; nil in a row that was
	// read says that they are not to be compared.
	Clocks map[string]Stamp
}

// Exists is the name of existence among a row's clocks.
const Exists = "@exists"

// Letter is a dead letter, as it must be or as it was read. A letter of a whole record
// has no Table, Key and Handler.
type Letter struct {
	Partition
	Offset int64
	Reason guards.Reason

	Table, Key, Handler string
	// Maybe is set for a predicted letter that depends on which of two partitions was
	// read first, so that it may be missing.
	Maybe bool
}

// Parked is an event that waits.
type Parked struct {
	Partition
	Offset     int64
	Table, Key string
}

// Position is how far a group is in a log.
type Position struct {
	Partition
	// Next is the ledger's offset: everything before it is finished.
	Next int64
	// Committed is the offset that Kafka knows for the group, -1 for none.
	Committed int64
	// End is the offset after the log's last one. Zero is taken from the log that was
	// read, which does not show what transactions leave at the end.
	End int64
}

// Prediction is what must be.
type Prediction struct {
	// Rows by table and key.
	Rows map[string]map[string]*Row
	// Letters in the order of the log.
	Letters []Letter
	// Parked are the events that must be left waiting.
	Parked []Parked
	// Placeholders is how many placeholders are made when each key is read in one
	// partition's order, Uncertain how many keys are in several partitions, so that it
	// can't be told.
	Placeholders, Uncertain int
	// Records is how many there are in the log, Duplicates how many of them repeat an
	// admitted event, Unhandled how many have no handler.
	Records, Duplicates, Unhandled int

	tables  map[string]*Table
	history map[string]map[string][]*entry // by table and key, in the order of the log
	ends    map[Partition]int64
	// undecided names the rows that depend on the order of partitions.
	undecided map[string]map[string]bool
	bounds    [2]time.Duration // lateness, future
}

// Undecided reports whether a row depends on which of two partitions was read first, so
// that it can't be compared: a Modify on a key that is in several.
func (p *Prediction) Undecided(table, key string) bool { return p.undecided[table][key] }
