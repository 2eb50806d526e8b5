package handlers

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
)

// WiringError lists all mistakes of a registry in the order of the registration, each
// with its mend.
type WiringError struct{ Mistakes []string }

// Error lists the mistakes, one a line.
func (w *WiringError) Error() string {
	count := fmt.Sprintf("%d mistakes", len(w.Mistakes))
	if len(w.Mistakes) == 1 {
		count = "1 mistake"
	}
	return "evenkeel: " + count + " in the handlers' wiring:\n  - " + strings.Join(w.Mistakes, "\n  - ")
}

var errNoNamer = errors.New("evenkeel: Wire needs the naming strategy of the database handle (db.NamingStrategy)")

type schemaCache struct {
	store sync.Map
	namer schema.Namer
}

// Wire checks all declarations and returns what the runtime works with, or a
// *WiringError that lists every mistake. The namer is the database handle's
// NamingStrategy. Wire does not change the registry and may be called again.
func (r *Registry) Wire(namer schema.Namer) (*Wiring, error) {
	if namer == nil {
		return nil, errNoNamer
	}
	w := &wirer{
		Wiring: Wiring{handlers: map[string][]*Handler{}, orderKept: map[string]bool{}, streamed: map[string]bool{}},
		cache:  &schemaCache{namer: namer},
		models: map[reflect.Type]*Model{},
		made:   map[*declaration]*Handler{},
		at:     beforeAll,
	}
	w.guards(r.guards)
	if len(r.declarations) == 0 {
		w.mistake("no handler is registered; call handlers.Set or handlers.Modify")
	}
	w.each(r.declarations, func(*declaration) bool { return true }, func(d *declaration) { w.model(d.entity) })
	w.each(r.declarations, func(d *declaration) bool { return d.verb == VerbProject }, w.projection)
	// Handlers that name their writes claim first, so that a handler which writes "all
	// managed columns" is the one that is told about an overlap.
	w.each(r.declarations, func(d *declaration) bool { return d.verb != VerbProject && d.hasWrites }, w.handler)
	w.each(r.declarations, func(d *declaration) bool { return d.verb != VerbProject && !d.hasWrites }, w.handler)
	w.each(r.declarations, func(d *declaration) bool { return d.verb == VerbProject }, func(d *declaration) { w.idle(r, d) })
	w.inOrder(r.declarations)
	for _, m := range w.Models {
		m.finish()
	}
	w.each(r.declarations, func(d *declaration) bool { return w.made[d] != nil }, w.inserts)
	w.Notes = w.notes.inOrder()
	if mistakes := w.mistakes.inOrder(); len(mistakes) > 0 {
		return nil, &WiringError{Mistakes: mistakes}
	}
	return &w.Wiring, nil
}

type wirer struct {
	Wiring
	cache    *schemaCache
	models   map[reflect.Type]*Model // nil for a type that is no model
	rowPhase []guards.Guard
	made     map[*declaration]*Handler
	streams  []*Stream
	// at is the place of the declaration that is being checked.
	at              int
	mistakes, notes remarks
}

// beforeAll is the place of what belongs to the registry itself.
const beforeAll = -1

// remark is a sentence about the declaration at a place.
type remark struct {
	at   int
	text string
}

type remarks []remark

// inOrder returns the sentences in the order of the registration, each once.
func (rs remarks) inOrder() []string {
	slices.SortStableFunc(rs, func(a, b remark) int { return a.at - b.at })
	var texts []string
	for _, r := range rs {
		if !slices.Contains(texts, r.text) {
			texts = append(texts, r.text)
		}
	}
	return texts
}

func (w *wirer) mistake(format string, args ...any) {
	w.mistakes = append(w.mistakes, remark{w.at, fmt.Sprintf(format, args...)})
}

// each calls do for the declarations that are meant.
func (w *wirer) each(ds []*declaration, meant func(*declaration) bool, do func(*declaration)) {
	for i, d := range ds {
		if meant(d) {
			w.at = i
			do(d)
		}
	}
}

// model reads a model when it is first met. It returns nil for what is none; a model
// with mistakes is still good enough to find more of them.
func (w *wirer) model(t reflect.Type) *Model {
	if m, ok := w.models[t]; ok {
		return m
	}
	m, mistakes := newModel(t, w.cache)
	for _, text := range mistakes {
		w.mistake("%s", text)
	}
	w.models[t] = m
	if m != nil {
		for _, other := range w.Models {
			if other.Table == m.Table {
				w.mistake("models %s and %s share the table %s; register one model per table", other.Name, m.Name, m.Table)
			}
		}
		w.Models = append(w.Models, m)
	}
	return m
}

// entityName is how messages call a model, also one that can't be read.
func entityName(t reflect.Type) string {
	if t.Name() == "" {
		return t.String()
	}
	return t.Name()
}

func (w *wirer) projection(d *declaration) {
	what := "the projection of " + entityName(d.entity)
	for _, missing := range d.missing {
		w.mistake("%s: %s is nil", what, missing)
	}
	if d.creates || d.external || len(d.keys) > 0 || d.onMissing != missingUnsaid || d.by != nil || len(d.extra) > 0 || d.name != "" || d.baseline || d.slow || d.usesTx || len(d.emits) > 0 {
		w.mistake("%s has an option that only handlers take; a projection takes Writes alone", what)
	}
	if len(d.writes) == 0 {
		w.mistake("%s names no fields; add handlers.Writes with the fields that it computes", what)
	}
	m := w.model(d.entity)
	if m == nil {
		return
	}
	for _, c := range w.columns(what, m, d.writes) {
		if c.Owner != nil {
			w.mistake("%s computes %s, which another projection computes too; let one compute it", what, c.GoName())
			continue
		}
		c.Owner = &Owner{Verb: VerbProject}
	}
	m.projects = append(m.projects, d.project)
}

// idle finds a projection that nothing would ever call.
func (w *wirer) idle(r *Registry, d *declaration) {
	if w.models[d.entity] != nil && !slices.ContainsFunc(r.declarations, func(o *declaration) bool { return o.verb != VerbProject && o.entity == d.entity }) {
		w.mistake("the projection of %s has no handler beside it, so it would never run; register one with handlers.Set or handlers.Modify", entityName(d.entity))
	}
}

func (w *wirer) handler(d *declaration) {
	what := fmt.Sprintf("the handler of %q on %s", d.eventType, entityName(d.entity))
	if d.eventType == "" {
		w.mistake("a handler on %s has no event type; name the type that it handles", entityName(d.entity))
	}
	for _, missing := range d.missing {
		w.mistake("%s: %s is nil", what, missing)
	}
	h := &Handler{
		Name: d.name, EventType: d.eventType, Verb: d.verb, Creates: d.creates, External: d.external,
		OnMissing: d.onMissing, Slow: d.slow, UsesTx: d.usesTx, Emits: d.emits, key: d.entityKey(), decode: d.decode, run: d.run,
	}
	if h.OnMissing == missingUnsaid {
		h.OnMissing = MissingPlaceholder
	}
	h.Stamper = w.stamperOf(what, d)
	h.Guards = append(slices.Clone(w.rowPhase), w.extraGuards(what, d)...)
	w.checkOptions(what, d, h)
	m := w.model(d.entity)
	if m == nil {
		return
	}
	h.Model = m
	m.Awaited = m.Awaited || h.OnMissing == MissingPark
	if h.Name == "" {
		h.Name = d.eventType + "→" + m.Name
	}
	if h.Stamper == nil { // nobody knows whose the columns would be
		w.columns(what, m, d.writes)
		return
	}
	w.stream(what, d, h)
	w.slowly(what, h)
	w.oneKind(what, h)
	w.claim(what, d, h)
	w.vectors(what, h)
	w.causal(what, h)
	for _, other := range w.handlers[d.eventType] {
		switch {
		case other.Model == m && other.key == nil && h.key == nil:
			w.mistake("%s is registered twice; join the two functions, or give one its own entity with handlers.Key", what)
		case other.Name == h.Name:
			w.mistake("%s has the same name as another, %q; tell them apart with handlers.Name", what, h.Name)
		}
	}
	w.handlers[d.eventType] = append(w.handlers[d.eventType], h)
	w.made[d] = h
	if h.OrderKept() {
		w.orderKept[h.Name] = true
	}
	if h.Stream != nil {
		w.streamed[h.Name] = true
	}
}

func (w *wirer) stamperOf(what string, d *declaration) guards.Stamper {
	s := d.guard
	if d.verb == VerbResolve {
		return w.resolverGuard(what, d)
	}
	if d.verb == VerbSet {
		s = w.Stamper
		if d.by != nil {
			s = d.by
			if name := unordered(s.Kind()); name != "" {
				w.mistake("%s is a Set under %s; a Set needs a stamp to merge by", what, name)
				return nil
			}
			if s.Kind() == guards.KindSequence {
				w.mistake("%s is a Set under guards.Sequence; a Set merges in any order and needs no numbers without gaps: use guards.Version(), or handlers.Modify", what)
				return nil
			}
		}
	} else {
		if d.by != nil {
			w.mistake("%s: handlers.By is for Set; a Modify takes its guard as a parameter", what)
		}
		if s == nil {
			w.mistake("%s is a Modify without a guard; pass guards.Sequence(), guards.Once(), guards.Timestamp() or another stamp, or guards.None()", what)
			return nil
		}
	}
	if !knownKind(s.Kind()) {
		w.mistake("%s: the guard %s has a kind of stamp that there is not; return one of the guards.Kind… constants", what, s.Name())
		return nil
	}
	return s
}

func knownKind(k guards.Kind) bool {
	switch k {
	case guards.KindNone, guards.KindTimestamp, guards.KindVersion, guards.KindSequence, guards.KindOnce, guards.KindLamport, guards.KindVector:
		return true
	}
	return false
}

// extraGuards checks the guards of one handler.
func (w *wirer) extraGuards(what string, d *declaration) []guards.Guard {
	var gs []guards.Guard
	for i, g := range unchained(d.extra) {
		if g == nil {
			w.mistake("%s: guard %d of handlers.Guard is nil", what, i+1)
			continue
		}
		if _, ok := g.(guards.Stamper); ok {
			w.mistake("%s: %s orders events and can't be added with handlers.Guard; use Modify or handlers.By", what, g.Name())
		} else if p := guards.PhaseOf(g); p != guards.PhaseRow {
			w.mistake("%s: %s is asked once per record, in the %s phase; give it to handlers.NewRegistry", what, g.Name(), p)
		}
		gs = append(gs, g)
	}
	return gs
}

func (w *wirer) checkOptions(what string, d *declaration, h *Handler) {
	kind := guards.KindNone
	if h.Stamper != nil {
		kind = h.Stamper.Kind()
	}
	if !decodable(d.payload) {
		w.mistake("%s has the payload type %s, which no JSON can be; take a struct", what, d.payload)
	}
	w.tombstone(what, d, kind)
	w.checkKeys(what, d, kind)
	w.checkEmits(what, d)
	w.checkTx(what, d, h)
	if kind == guards.KindOnce {
		w.checkOnce(what, h)
	} else if h.staleCreates(kind) {
		w.mistake("%s is a Modify under %s that Creates; a creating event that comes late would be discarded and lost: use handlers.Set", what, kind)
	}
	if d.creates && d.onMissing != missingUnsaid {
		w.mistake("%s has both Creates and OnMissing; a creating event never misses its row: drop OnMissing", what)
	}
	if d.onMissing > MissingDiscard {
		w.mistake("%s: %s is not a policy; use one of the Missing… constants", what, d.onMissing)
	}
}

// staleCreates: a staleness check would throw a late creating event away.
func (h *Handler) staleCreates(kind guards.Kind) bool {
	return h.Creates && h.Verb == VerbModify && kind.Clocked()
}

func (w *wirer) oneKind(what string, h *Handler) {
	m, kind := h.Model, h.Stamper.Kind()
	switch {
	case !kind.Clocked() || kind == m.Kind:
	case m.Kind == guards.KindNone:
		m.Kind = kind
	default:
		w.mistake("%s orders by %s, other handlers of %s by %s; one model has one kind of stamp", what, kind, m.Name, m.Kind)
	}
}

// inOrder puts the handlers back into the order of their registration.
func (w *wirer) inOrder(ds []*declaration) {
	at := map[*Handler]int{}
	for i, d := range ds {
		if h := w.made[d]; h != nil {
			at[h] = i
		}
	}
	for _, hs := range w.handlers {
		slices.SortFunc(hs, func(a, b *Handler) int { return at[a] - at[b] })
	}
}
