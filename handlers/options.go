package handlers

import (
	"fmt"
	"reflect"

	"github.com/evenkeel-go/evenkeel/guards"
)

// Option is a further declaration of a handler or projection.
type Option func(*declaration)

// declaration is a handler or projection as it was declared, before it is checked.
type declaration struct {
	verb      Verb
	eventType string
	name      string
	entity    reflect.Type // E
	payload   reflect.Type // P
	guard     guards.Stamper
	extra     []guards.Guard
	by        guards.Stamper
	writes    []string
	hasWrites bool
	creates   bool
	external  bool
	baseline  bool
	slow      bool
	usesTx    bool
	onMissing OnMissingPolicy
	keys      []*keyFunc // one at most, or it is a mistake
	emits     []string
	missing   []string // what was nil

	decode  func(data []byte, empty bool) (any, error)
	run     runFunc
	project func(entity any)
}

func (d *declaration) lacks(what string) { d.missing = append(d.missing, what) }

func (d *declaration) apply(opts []Option) {
	for i, o := range opts {
		if o == nil {
			d.lacks(fmt.Sprintf("option %d", i+1))
			continue
		}
		o(d)
	}
}

// Writes names the fields (Go names) that a handler writes, or a projection computes.
// A Set handler without this option writes all managed columns, and one that says Writes()
// none but whether the row exists; Modify and Project must name some.
// Where two embedded structs have fields of one name, say Billing.Street.
func Writes(fields ...string) Option {
	return func(d *declaration) { d.writes, d.hasWrites = append(d.writes, fields...), true }
}

// Creates says that the handler's event brings the entity to life. Without it an event
// for a missing row makes a placeholder, or what OnMissing says.
func Creates() Option { return func(d *declaration) { d.creates = true } }

// External says that the handler has effects outside the database, or outside of Delivery.Tx,
// which can't be undone. So a dry run of replays (framework.DryRun) does not call it: it tells
// the verdict of the guards, and takes what the handler would write for what is there already.
// A rebuild names it first, since the effects happen again. Give them Delivery.IdempotencyKey:
// they happen at least once.
func External() Option { return func(d *declaration) { d.external = true } }

// By gives a Set handler another stamp than the registry's. All stamped handlers of one
// model take the same kind.
func By(s guards.Stamper) Option {
	return func(d *declaration) {
		if d.by = s; s == nil {
			d.lacks("the guard of handlers.By")
		}
	}
}

// Guard adds a guard of your own to one handler; it is asked before the handler runs,
// each time that the event is judged. Guards of an earlier phase, like MaxLateness, are
// asked once per record and belong into [NewRegistry].
func Guard(g guards.Guard) Option { return func(d *declaration) { d.extra = append(d.extra, g) } }

// Name gives the handler another name than "type→Model". Names are part of letter ids,
// parked rows and what guards.Once remembers: once events have come under a name, keep it.
func Name(name string) Option { return func(d *declaration) { d.name = name } }

// OnMissingPolicy says what becomes of an event whose row is not there.
type OnMissingPolicy uint8

// What to do about a missing row.
const (
	missingUnsaid OnMissingPolicy = iota
	// MissingPlaceholder makes a placeholder row and applies the event. The default.
	MissingPlaceholder
	// MissingPark keeps the event until the row is there; after the park's bound it
	// becomes a dead letter.
	MissingPark
	// MissingDeadLetter makes the event a dead letter.
	MissingDeadLetter
	// MissingDiscard discards the event with a recorded verdict.
	MissingDiscard
)

// String returns the option's name.
func (p OnMissingPolicy) String() string {
	switch p {
	case missingUnsaid, MissingPlaceholder:
		return "MissingPlaceholder"
	case MissingPark:
		return "MissingPark"
	case MissingDeadLetter:
		return "MissingDeadLetter"
	case MissingDiscard:
		return "MissingDiscard"
	}
	return fmt.Sprintf("OnMissingPolicy(%d)", uint8(p))
}

// OnMissing says what becomes of the handler's event when its row is not there. It has
// no meaning beside Creates. To say MissingPlaceholder, the default, is your word that
// the model's CHECK constraints hold for blank values, which the wiring can't know.
func OnMissing(p OnMissingPolicy) Option { return func(d *declaration) { d.onMissing = p } }
