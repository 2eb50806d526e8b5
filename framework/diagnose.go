package framework

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/seam"
)

// Health is how bad a [Finding] is.
type Health string

// The healths.
const (
	HealthOK   Health = "ok"
	HealthWarn Health = "warn" // it works, and may hurt some day; or it could not be looked at
	HealthFail Health = "fail" // it does not work
)

// Finding is one thing that [Diagnose] has looked at.
type Finding struct {
	// Check is a stable word: configuration, database, schema, permissions, clock, broker,
	// topic, dead-letter topic, emitted topic, members.
	Check string
	// Subject is what was looked at, e.g. a topic's name; it may be empty.
	Subject string
	Health  Health
	Text    string // what was found
	Mend    string // what to do; empty where nothing is
}

// Diagnose looks at everything that a consumer needs, and changes nothing: what [New] checks,
// and beside it what only shows later, such as a topic that keeps too little. Of config
// everything may be left out: Topics are then those that the group has read; without
// Brokers no broker is asked. db may be nil, and then no database is. What can't be reached
// is a finding, so there is no error; ctx bounds the whole.
func Diagnose(ctx context.Context, db *gorm.DB, config *Config) []Finding {
	d := &diagnosis{clock: seam.System()}
	if config == nil {
		config = &Config{}
	}
	d.cfg = config.WithDefaults()
	d.configuration(db)
	if db != nil {
		d.database(ctx, db)
	}
	if d.cfg.Brokers == "" {
		d.add("broker", "", HealthWarn, "no brokers were looked at", "name them, as Config.Brokers or --brokers")
	} else {
		d.broker(ctx)
	}
	return d.findings
}

type diagnosis struct {
	cfg      Config
	clock    seam.Clock
	findings []Finding
	wholeLog *handlers.Handler // one that needs every event; nil where none is known
	emits    []string          // the topics that handlers send to, as far as handlers are known
}

func (d *diagnosis) add(check, subject string, h Health, text, mend string) {
	d.findings = append(d.findings, Finding{Check: check, Subject: subject, Health: h, Text: text, Mend: mend})
}

// configuration checks what New would refuse, where there are handlers to check.
func (d *diagnosis) configuration(db *gorm.DB) {
	if d.cfg.Handlers == nil {
		return
	}
	var names schema.Namer = schema.NamingStrategy{}
	if db != nil {
		names = db.NamingStrategy
	}
	wiring, err := d.cfg.Handlers.Wire(names)
	errs := []error{d.cfg.validate(), err, d.cfg.checkWiring(wiring)}
	if err == nil {
		d.wholeLog, d.emits = wiring.WholeLog(), wiring.Emits()
	}
	if err := errors.Join(errs...); err != nil {
		d.add("configuration", "", HealthFail, err.Error(), "mend the configuration; the service would not start with it")
		return
	}
	d.add("configuration", "", HealthOK, "the configuration and the handlers fit together", "")
}

const (
	// skewWarn is more than clocks that are kept by NTP differ by, skewFail as much as
	// guards.MaxFuture allows by default.
	skewWarn = 2 * time.Second
	skewFail = 5 * time.Minute
)

// skew compares the database's clock with this one; the answer came between two looks.
func (d *diagnosis) skew(before, theirs, after time.Time) {
	off := time.Duration(0)
	switch {
	case theirs.Before(before):
		off = theirs.Sub(before)
	case theirs.After(after):
		off = theirs.Sub(after)
	}
	h, mend := HealthOK, ""
	if off.Abs() > skewWarn {
		h, mend = HealthWarn, "synchronize both clocks (NTP): retries, claims and guards.MaxFuture go by them"
	}
	if off.Abs() > skewFail {
		h = HealthFail
	}
	text := "the database's clock and this one agree"
	if h != HealthOK {
		way := "ahead of"
		if off < 0 {
			way = "behind"
		}
		text = fmt.Sprintf("the database's clock is %s %s this one", off.Abs().Round(time.Millisecond), way)
	}
	d.add("clock", "", h, text, mend)
}

// missing are the words that have does not have.
func missing(have []string, want ...string) []string {
	return slices.DeleteFunc(want, func(w string) bool { return slices.Contains(have, w) })
}
