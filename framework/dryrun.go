package framework

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/runtime"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

// DryRunOptions goes with [DryRun].
type DryRunOptions struct {
	// AcceptForgotten is what it would be in the [LetterAct] of the replay.
	AcceptForgotten bool
}

// DryRunOutcome is what a replay would make of a letter.
type DryRunOutcome string

// The outcomes of a dry run.
const (
	// DryRunApplied, DryRunObsolete and DryRunDuplicate: the letter would be resolved so.
	DryRunApplied   DryRunOutcome = "applied"
	DryRunObsolete  DryRunOutcome = "obsolete"
	DryRunDuplicate DryRunOutcome = "duplicate"
	// DryRunFails: it would fail again. The letter would be open again, or, where the
	// failure may heal (DryRunLetter.Retried), be tried again by the retry schedule first.
	DryRunFails DryRunOutcome = "fails"
	// DryRunWaits: it would wait for something that is not among the letters.
	DryRunWaits DryRunOutcome = "waits"
	// DryRunRefused: it can't be replayed.
	DryRunRefused DryRunOutcome = "refused"
	// DryRunUntried: the bounds of a dry run were reached before its turn came.
	DryRunUntried DryRunOutcome = "untried"
)

// DryRunLetter is what a replay of one letter would come to.
type DryRunLetter struct {
	Ref dlq.Ref
	// Letter is the letter as it is, without its bytes and its stack. It is nil where there
	// is none.
	Letter  *dlq.Letter
	Outcome DryRunOutcome
	// Why says it in a line: the verdict with its numbers, the error, what it waits for.
	Why string
	// Err is, with DryRunRefused, an error of [Replay], or says that another group has to
	// replay it.
	Err error
	// ErrorType, Error and Stack are, with DryRunFails, what the handler said now.
	ErrorType, Error, Stack string
	Retried                 bool
	// Units are the verdicts: one, or for a letter of a whole record one for each handler
	// and entity.
	Units []DryRunUnit
	// Rows are the rows of its entities, and all others that would change; none of a letter
	// that would not be resolved or fail for good.
	Rows []DryRunRow
	// Unwritten says that the database has refused the rows without what handlers would
	// have written that were not called, so that nothing can be said of the rows, nor of
	// later letters that look at them.
	Unwritten string
	// Emits would be sent.
	Emits []DryRunEmit
	// LetsGo are other events that would be judged in the same transaction, since they
	// waited for this one.
	LetsGo []DryRunUnit
	// OwnSQL says that a handler with handlers.UsesTx took part: what it writes to other
	// tables is undone like all else, and is not told.
	OwnSQL bool
}

// DryRunUnit is the verdict on an event under one handler, for one entity.
type DryRunUnit struct {
	EventType, EventID string
	Handler, Entity    string // empty for a record that has none
	Verdict            guards.Verdict
	// NotCalled: the handler is declared as handlers.External, so that it was not called.
	// The verdict is that of the guards alone, and what it would write is not known: it
	// counts as what is there already.
	NotCalled bool
}

// DryRunRow is a row before and after.
type DryRunRow struct {
	Model, Table, Key string
	// Before and After are what the row is: guards.Missing for none.
	Before, After guards.Existence
	// Fields are the model's columns, Clocks those of guards.Guarded.
	Fields, Clocks []DryRunField
}

// Changed reports whether the service would see a difference.
func (r *DryRunRow) Changed() bool {
	if r.Before != r.After {
		return true
	}
	for i := range r.Fields {
		if r.Fields[i].Changed() {
			return true
		}
	}
	return false
}

// DryRunField is a column before and after. Values are texts: times as RFC 3339 in UTC, bytes
// as hexadecimal digits after 0x. nil is NULL, or no row.
type DryRunField struct {
	Column        string
	Before, After *string
}

// Changed reports whether the two differ.
func (f *DryRunField) Changed() bool {
	return (f.Before == nil) != (f.After == nil) || f.Before != nil && *f.Before != *f.After
}

// DryRunEmit is an event that a handler would emit.
type DryRunEmit struct {
	ID, EventType, Topic string
	Key                  []byte
}

// Bounds of a dry run's transactions. Letters of entities that have none in common are in
// different ones, so that nobody waits long for a row.
const (
	// DryRunLetters is how many letters are tried that touch the same entities.
	DryRunLetters = runtime.RehearsedLetters
	// DryRunTime is when no other letter of the same entities is begun. A handler under way
	// is not cut off.
	DryRunTime = runtime.RehearsedFor
)

// DryRun tells what [Replay] of these letters would come to, and changes nothing. config is
// the service's, whose handlers run: as they are here, which may be newer than those of the
// running members. The broker is not asked.
//
// Letters are told in the order in which they would be replayed, by entity. What they would
// do is done, guards, handlers and the database's constraints included, in a transaction that
// is rolled back; letters that touch the same entities share one and see each other's effects.
// It holds the locks of these rows: on PostgreSQL others wait for them, on SQLite for the whole
// database. So a letter is begun only within [DryRunTime], and [DryRunLetters] of them. It waits
// for the locks of others up to 2 seconds on PostgreSQL, and three times.
//
// What d.Tx() writes is undone, too. What a handler does elsewhere is not: declare it with
// handlers.External, and it is not called. Slow handlers run one after the other. What a
// database hands out outside of transactions, e.g. numbers of a sequence that is the default
// of a column of yours, stays used. As [New] does, it claims tables that nobody has claimed.
//
// The error, which ends the sequence, is one of those of [New], or the database's.
func DryRun(ctx context.Context, db *gorm.DB, config *Config, letters []dlq.Ref, options DryRunOptions) iter.Seq2[*DryRunLetter, error] {
	return func(yield func(*DryRunLetter, error) bool) {
		r, err := rehearsal(ctx, db, config, options)
		if err != nil {
			yield(nil, err)
			return
		}
		known := make(map[string]*dlq.Letter, len(letters))
		var candidates []*runtime.Candidate
		for _, ref := range letters {
			l, err := dlq.Get(ctx, db, ref.ID)
			var none *dlq.NotFoundError
			switch {
			case errors.As(err, &none):
				if !yield(&DryRunLetter{Ref: ref, Outcome: DryRunRefused, Why: err.Error(), Err: err}, nil) {
					return
				}
				continue
			case err != nil:
				yield(nil, err)
				return
			case known[l.ID] != nil:
				continue
			case l.Group != r.Group:
				err := fmt.Errorf("letter %s is of the group %q, and the handlers here are of %q; dry-run it in the service of its group", l.ID, l.Group, r.Group)
				if !yield(&DryRunLetter{Ref: ref, Letter: l, Outcome: DryRunRefused, Why: err.Error(), Err: err}, nil) {
					return
				}
				continue
			}
			ref.ID = l.ID
			candidates = append(candidates, r.Candidate(ref, l)) //nolint:contextcheck // a key is text: its Valuer asks nobody
			slim := *l
			slim.Record, slim.Stack = &event.Record{Coordinates: l.Record.Coordinates, Timestamp: l.Record.Timestamp, TimestampType: l.Record.TimestampType}, ""
			known[l.ID] = &slim
		}
		for _, portion := range runtime.Portions(candidates) {
			told, err := r.Rehearse(ctx, portion)
			if err != nil {
				yield(nil, fmt.Errorf("dry run: %w", err))
				return
			}
			for _, f := range told {
				if !yield(dryRunLetter(f, known[f.Ref.ID]), nil) {
					return
				}
			}
		}
	}
}

// rehearsal is made of the configuration's parts that need no broker.
func rehearsal(ctx context.Context, db *gorm.DB, config *Config, options DryRunOptions) (*runtime.Rehearsal, error) {
	cfg, wiring, err := config.wire(db)
	if err != nil {
		return nil, err
	}
	st, err := open.Open(db)
	if err != nil {
		return nil, err
	}
	layouts, err := st.Claim(ctx, cfg.Group, wiring.Models, false)
	if err != nil {
		return nil, err
	}
	prepare := &batch.Preparer{Wiring: wiring, Codec: cfg.codecOf}
	judge := cfg.judge(wiring, prepare, batch.Outbox{Encoder: cfg.encoder, MaxBytes: func(string) int { return 0 }})
	judge.Rehearses = true
	return &runtime.Rehearsal{
		Group: cfg.Group, Store: st, Clock: seam.System(), Judge: judge, Prepare: prepare,
		Layouts: batch.LayoutsOf(wiring.Models, layouts), AcceptForgotten: options.AcceptForgotten,
	}, nil
}

func dryRunLetter(f *runtime.Forecast, l *dlq.Letter) *DryRunLetter {
	d := &DryRunLetter{Ref: f.Ref, Letter: l, Err: f.Err, OwnSQL: f.OwnSQL, Units: dryRunUnits(f.Verdicts), LetsGo: dryRunUnits(f.LetsGo)}
	switch end := f.Resolution; {
	case f.Err != nil:
		d.Outcome, d.Why = DryRunRefused, f.Err.Error()
	case f.Untried != "":
		d.Outcome, d.Why = DryRunUntried, f.Untried
	case f.Retry != nil:
		d.Outcome, d.Why, d.Retried = DryRunFails, f.Retry.Error, true
		d.ErrorType, d.Error, d.Stack = f.Retry.ErrorType, f.Retry.Error, f.Retry.Stack
	case end == nil:
		d.Outcome, d.Why = DryRunWaits, f.Waits
	case end.Outcome == "":
		d.Outcome, d.Why = DryRunFails, end.Why
		d.ErrorType, d.Error, d.Stack = end.Failed.ErrorType, end.Failed.Error, end.Failed.Stack
	default:
		d.Outcome, d.Why = DryRunOutcome(end.Outcome), end.Why
	}
	if f.Unwritten != nil {
		d.Unwritten = f.Unwritten.Error()
	}
	for _, c := range f.Rows {
		d.Rows = append(d.Rows, dryRunRow(c))
	}
	for _, o := range f.Sends {
		d.Emits = append(d.Emits, DryRunEmit{ID: o.ID, EventType: o.EventType, Topic: o.Topic, Key: o.Key})
	}
	return d
}

func dryRunUnits(verdicts []batch.Judged) (units []DryRunUnit) {
	for _, j := range verdicts {
		u := DryRunUnit{Handler: j.Handler, Entity: j.Entity, Verdict: j.Verdict, NotCalled: j.Uncalled}
		if e := j.Item.Event; e != nil {
			u.EventType, u.EventID = e.Type, e.ID
		}
		units = append(units, u)
	}
	return units
}

func dryRunRow(c runtime.RowChange) DryRunRow {
	r := DryRunRow{Model: c.Model.Name, Table: c.Model.Table, Key: c.Key, Before: guards.Missing, After: guards.Missing}
	blank := &runtime.Picture{}
	before, after := blank, blank
	if c.Before != nil {
		before, r.Before = c.Before, c.Before.State
	}
	if c.After != nil {
		after, r.After = c.After, c.After.State
	}
	r.Fields, r.Clocks = dryRunFields(before.Fields, after.Fields), dryRunFields(before.Clocks, after.Clocks)
	return r
}

// dryRunFields pairs the cells, of which one side may have none.
func dryRunFields(before, after []runtime.Cell) []DryRunField {
	fields := make([]DryRunField, max(len(before), len(after)))
	for i, c := range before {
		fields[i].Column, fields[i].Before = c.Column, c.Value
	}
	for i, c := range after {
		fields[i].Column, fields[i].After = c.Column, c.Value
	}
	return fields
}
