package framework

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/runtime"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// RebuildPlan says what [Rebuild] touches.
type RebuildPlan struct {
	Group      string             `json:"group"`
	Models     []RebuildModel     `json:"models"`
	Partitions []RebuildPartition `json:"partitions"`
	// Records is how many offsets lie in the partitions' ranges; transactions and
	// compaction leave some of them empty.
	Records    int64              `json:"records"`
	Objections []RebuildObjection `json:"objections"`
	// Open is a rebuild of the group that is under way.
	Open *RebuildStatus `json:"open,omitempty"`
}

// RebuildModel is what is touched of one model.
type RebuildModel struct {
	Model string `json:"model"`
	Table string `json:"table"`
	// Keys is how many entities were named, 0 for all.
	Keys int `json:"keys"`
	// Rows counts the rows by the word of their state: live, deleted, placeholder, foreign.
	Rows map[string]int64 `json:"rows"`
	// Columns become zero before the log is read.
	Columns []string `json:"columns"`
	// IDs are forgotten, and Streams begin anew.
	IDs     int64 `json:"ids"`
	Streams int64 `json:"streams"`
	// Parked and Letters are events of these rows that wait, and open dead letters: they
	// are not read again, their outcome stands.
	Parked  int64 `json:"parked"`
	Letters int64 `json:"letters"`
	// Wait are the handlers whose events wait until the rebuild has ended.
	Wait []string `json:"wait"`
}

// RebuildPartition is what is read of a partition: the offsets From ≤ o < To.
type RebuildPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// RebuildObjectionKind is why a rebuild would give other rows than expected.
type RebuildObjectionKind string

// The kinds of objections. The first three can be allowed.
const (
	// RebuildLostEvents: the log does not hold all events any more that the rows have seen.
	RebuildLostEvents RebuildObjectionKind = "lost-events"
	// RebuildExternal: a handler has effects outside the database, which happen again.
	RebuildExternal RebuildObjectionKind = "external"
	// RebuildForeignRows: rows were there before their first event, and what they held then
	// is in no log.
	RebuildForeignRows RebuildObjectionKind = "foreign-rows"
	// RebuildUnordered: under guards.None nothing tells what has come before.
	RebuildUnordered RebuildObjectionKind = "unordered"
	// RebuildFirstSeen: nobody knows with which number a stream began.
	RebuildFirstSeen RebuildObjectionKind = "first-seen"
	// RebuildBlankRows: the table's constraints refuse blank rows.
	RebuildBlankRows RebuildObjectionKind = "blank-rows"
	// RebuildOwnSQL: what handlers wrote by SQL of their own can't be undone.
	RebuildOwnSQL RebuildObjectionKind = "own-sql"
	// RebuildCausal: an event of a blank row would wait for causes that are read later.
	RebuildCausal RebuildObjectionKind = "causal"
	// RebuildStamps: the rows' stamps are of another kind than the model's now, which takes a
	// rebuild of the whole model while no member runs.
	RebuildStamps RebuildObjectionKind = "stamps"
)

func (k RebuildObjectionKind) allowable() bool {
	return k == RebuildLostEvents || k == RebuildExternal || k == RebuildForeignRows
}

// RebuildObjection stands against a rebuild.
type RebuildObjection struct {
	Kind RebuildObjectionKind `json:"kind"`
	// Detail says what was found, Mend what to do about it.
	Detail string `json:"detail"`
	Mend   string `json:"mend"`
	// Allowed by RebuildOptions.Allow.
	Allowed bool `json:"allowed"`
}

// RebuildRefusedError says that objections stand against a rebuild. Nothing was touched.
type RebuildRefusedError struct{ Plan *RebuildPlan }

// Error lists the objections with their mends.
func (e *RebuildRefusedError) Error() string {
	s := "evenkeel: the rebuild is refused:"
	for _, o := range e.Plan.Objections {
		if !o.Allowed {
			s += fmt.Sprintf("\n  - %s: %s; %s", o.Kind, o.Detail, o.Mend)
		}
	}
	return s
}

func (c *Consumer) planRebuild(ctx context.Context, db *gorm.DB, r *runtime.Rebuild, o *RebuildOptions) (*RebuildPlan, error) {
	scope, err := o.scope(r.Models) //nolint:contextcheck // GORM's accessors do no I/O
	if err != nil {
		return nil, err
	}
	r.Scope = scope
	p := &RebuildPlan{Group: c.cfg.Group, Objections: []RebuildObjection{}}
	if p.Open, err = openRebuild(ctx, r.Store, c.cfg.Group); err != nil {
		return nil, err
	}
	for m, keys := range scope {
		counted, err := c.countRebuild(ctx, db, r, m, keys)
		if err != nil {
			return nil, err
		}
		p.Models = append(p.Models, counted)
	}
	slices.SortFunc(p.Models, func(a, b RebuildModel) int { return strings.Compare(a.Table, b.Table) })
	objections, err := c.logOf(ctx, r, p)
	if err != nil {
		return nil, err
	}
	foreign, err := c.foreign(ctx, db, scope)
	if err != nil {
		return nil, err
	}
	others, err := c.otherKinds(ctx, db, r)
	if err != nil {
		return nil, err
	}
	p.Objections = append(p.Objections, slices.Concat(objectionsOf(r.Judge.Wiring, scope), others, foreign, objections)...)
	for i := range p.Objections {
		x := &p.Objections[i]
		x.Allowed = x.Kind.allowable() && slices.Contains(o.Allow, x.Kind)
		if x.Kind.allowable() {
			x.Mend += fmt.Sprintf(", or allow it (RebuildOptions.Allow, --allow %s)", x.Kind)
		}
	}
	return p, nil
}

// objectionsOf is what the handlers themselves say against a rebuild of the models in scope.
// Whoever adds something that a handler does, and that must not happen twice or can't be
// undone, objects here.
func objectionsOf(w *handlers.Wiring, scope batch.Scope) (found []RebuildObjection) {
	add := func(kind RebuildObjectionKind, mend, detail string, args ...any) {
		found = append(found, RebuildObjection{Kind: kind, Detail: fmt.Sprintf(detail, args...), Mend: mend})
	}
	for _, h := range w.All() {
		if _, ok := scope[h.Model]; !ok {
			continue
		}
		if h.Stamper.Kind() == guards.KindNone {
			add(RebuildUnordered, "let the handler run under guards.Once() or another guard, or make the rows anew in an empty table with a new group",
				"handler %s is under guards.None(), so the rows don't know what they have seen", h.Name)
		}
		if h.External {
			add(RebuildExternal, "see that its effects outside are safe to repeat under Delivery.IdempotencyKey",
				"handler %s has effects outside the database (handlers.External), which happen again", h.Name)
		}
		if h.UsesTx {
			add(RebuildOwnSQL, "make the rows anew in empty tables with a new group",
				"handler %s writes by SQL of its own (handlers.UsesTx), which can't be undone and would be written again", h.Name)
		}
		if h.Causal != nil {
			add(RebuildCausal, "make the rows anew in an empty table with a new group",
				"the events of handler %s wait for their causes (guards.Causal), which a blank row has not seen", h.Name)
		}
		if h.Stream != nil && h.Stream.FirstSeen {
			add(RebuildFirstSeen, "use guards.From, if all streams begin with one number",
				"handler %s begins its stream with the first number that it sees (guards.FirstSeen), and which that was is not remembered", h.Name)
		}
	}
	for m := range scope {
		if why := m.BlankBreaks(); why != "" {
			add(RebuildBlankRows, "relax the constraint, or make the rows anew in an empty table with a new group",
				"%s rows are blank until their events are read again, and %s", m.Name, why)
		}
	}
	slices.SortStableFunc(found, func(a, b RebuildObjection) int {
		return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Detail, b.Detail))
	})
	return found
}

// otherKinds finds models whose stamps can't change their kind in this rebuild (R4).
func (c *Consumer) otherKinds(ctx context.Context, db *gorm.DB, r *runtime.Rebuild) (found []RebuildObjection, err error) {
	var running []string
	for m, keys := range r.Scope {
		was := r.Layouts[m].Other
		if was == "" {
			continue
		}
		add := func(mend, detail string, args ...any) {
			detail = fmt.Sprintf("the rows of %s have stamps of the kind %s and the handlers order by %s, ", m.Table, was, m.Kind) + fmt.Sprintf(detail, args...)
			found = append(found, RebuildObjection{Kind: RebuildStamps, Detail: detail, Mend: mend})
		}
		if keys != nil {
			add("rebuild the whole model, without keys", "which a rebuild of some entities can't change")
		}
		if running == nil {
			if running, err = runningOwners(ctx, db, c.cfg.Group); err != nil {
				return nil, err
			}
		}
		if len(running) > 0 {
			add("stop them; start the new release when it is no longer refused, which is once all rows have forgotten what they have seen", "and members run that write the old kind: %s", strings.Join(running, ", "))
		}
	}
	return found, nil
}

// runningOwners are the members of a group that live.
func runningOwners(ctx context.Context, db *gorm.DB, group string) (owners []string, err error) {
	groups, err := Consumers(ctx, db, group)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		for _, m := range g.Members {
			if !m.Silent {
				owners = append(owners, m.Owner)
			}
		}
	}
	return owners, nil
}

// logOf finds what must be read, and what is missing there.
func (c *Consumer) logOf(ctx context.Context, r *runtime.Rebuild, p *RebuildPlan) (found []RebuildObjection, err error) {
	lost := func(detail, mend string) {
		found = append(found, RebuildObjection{Kind: RebuildLostEvents, Detail: detail, Mend: mend})
	}
	ledgers, err := r.Store.Ledgers(ctx, c.cfg.Group)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, topic := range c.cfg.Topics {
		t, err := r.Reader.Describe(ctx, topic)
		if err != nil {
			return nil, err
		}
		ids[topic] = t.ID
		policy, err := c.producer.CleanupPolicy(ctx, topic)
		if err != nil {
			lost(fmt.Sprintf("the cleanup.policy of topic %s can't be read (%v), so it may be compacted", topic, err), "allow this client to describe the topic's settings (DESCRIBE_CONFIGS)")
		} else if strings.Contains(policy, "compact") {
			lost(fmt.Sprintf("the topic %s has cleanup.policy=%s, which takes away events that newer ones of the same key follow", topic, policy), "restore the topic whole")
		}
	}
	for i := range ledgers {
		l := &ledgers[i]
		end, _ := l.Seen()
		id, read := ids[l.Topic]
		switch {
		case end == 0:
		case !read:
			lost(fmt.Sprintf("the group has read %d offsets of %s/%d, a topic that Config.Topics does not name", end, l.Topic, l.Partition), "name it, if it is still there")
		case id != l.TopicID:
			lost(fmt.Sprintf("the group has read %d offsets of %s/%d before that topic was deleted and made again", end, l.Topic, l.Partition), "restore the old records, if there is a copy")
		default:
			part, missing, err := partitionOf(ctx, r.Reader, l, end)
			if err != nil {
				return nil, err
			}
			if missing != "" {
				lost(missing, "restore the topic whole")
			}
			p.Partitions = append(p.Partitions, part)
			p.Records += max(part.To-part.From, 0)
		}
	}
	return found, nil
}

func partitionOf(ctx context.Context, reader broker.Reader, l *ledger.State, end int64) (p RebuildPartition, missing string, err error) {
	pos, err := reader.Find(ctx, broker.Partition{Topic: l.Topic, Number: l.Partition})
	if err != nil {
		return p, "", err
	}
	p = RebuildPartition{Topic: l.Topic, Partition: l.Partition, From: min(pos.LogStart, end), To: end}
	if pos.LogStart > 0 {
		missing = fmt.Sprintf("the log of %s/%d starts at offset %d: what the records before it said is gone", l.Topic, l.Partition, pos.LogStart)
	}
	return p, missing, nil
}

// foreign finds rows that were there before their first event.
func (c *Consumer) foreign(ctx context.Context, db *gorm.DB, scope batch.Scope) (found []RebuildObjection, err error) {
	for m, keys := range scope {
		var n int64
		where, args := keyWhere(m, keys) //nolint:contextcheck // GORM's accessors do no I/O
		if err := db.WithContext(ctx).Raw(fmt.Sprintf("SELECT count(*) FROM %s WHERE ek_state IN (%d, %d) AND ek_rev > 0%s", tables.Quote(m.Table), guards.Foreign, guards.RebuildingBit, where), args...).Row().Scan(&n); err != nil {
			return nil, fmt.Errorf("count the rows of %s: %w", m.Table, err)
		}
		if n > 0 {
			found = append(found, RebuildObjection{
				Kind: RebuildForeignRows, Detail: fmt.Sprintf("%d rows of %s were there before their first event; what they held then is in no log, and becomes zero", n, m.Table),
				Mend: "leave them out by naming the others' Keys",
			})
		}
	}
	return found, nil
}

// keyWhere is the condition that a row is one of the keys.
func keyWhere(m *handlers.Model, keys map[string]bool) (where string, args []any) {
	if keys == nil {
		return "", nil
	}
	var values []any
	for k := range keys {
		v, _, err := m.ParseKey(k)
		if err == nil { // it was canonical
			values = append(values, v)
		}
	}
	return " AND " + tables.QuoteOne(m.Key.Name) + " IN ?", []any{values}
}

func (c *Consumer) countRebuild(ctx context.Context, db *gorm.DB, r *runtime.Rebuild, m *handlers.Model, keys map[string]bool) (RebuildModel, error) {
	out := RebuildModel{Model: m.Name, Table: m.Table, Keys: len(keys), Rows: map[string]int64{}}
	for _, col := range m.Columns {
		if col.Owner != nil {
			out.Columns = append(out.Columns, col.Name)
		}
	}
	for _, h := range r.Judge.Wiring.All() {
		if h.Model == m && batch.Waits(h) && !slices.Contains(out.Wait, h.Name) {
			out.Wait = append(out.Wait, h.Name)
		}
	}
	db = db.WithContext(ctx)
	where, args := keyWhere(m, keys) //nolint:contextcheck // as above
	var states []struct {
		State int16
		N     int64
	}
	if err := db.Raw("SELECT ek_state AS state, count(*) AS n FROM "+tables.Quote(m.Table)+" WHERE ek_rev > 0"+where+" GROUP BY ek_state", args...).Scan(&states).Error; err != nil {
		return out, fmt.Errorf("count the rows of %s: %w", m.Table, err)
	}
	for _, s := range states {
		out.Rows[guards.Existence(s.State).String()] += s.N
	}
	entities, of := "", []any(nil)
	if keys != nil {
		texts := make([]string, 0, len(keys))
		for k := range keys {
			texts = append(texts, k)
		}
		entities, of = " AND entity IN ?", []any{texts}
	}
	count := func(to *int64, text string, args ...any) error {
		if err := db.Raw("SELECT count(*) FROM "+text+entities, append(args, of...)...).Row().Scan(to); err != nil {
			return fmt.Errorf("count what %s has waiting and remembered: %w", m.Table, err)
		}
		return nil
	}
	if scopes := batch.ScopesOf(r.Judge.Wiring, m); len(scopes) > 0 {
		if err := count(&out.IDs, "evenkeel_ids WHERE grp = ? AND scope IN ? AND NOT held", c.cfg.Group, scopes); err != nil {
			return out, err
		}
	}
	if streams := batch.StreamsOf(r.Judge.Wiring, m, c.cfg.Topics); len(streams) > 0 {
		names := make([]string, len(streams))
		for i, s := range streams {
			names[i] = s.Name
		}
		if err := count(&out.Streams, "evenkeel_memos WHERE grp = ? AND kind = ? AND scope IN ?", c.cfg.Group, string(store.KindSequence), names); err != nil {
			return out, err
		}
	}
	if err := count(&out.Parked, "evenkeel_parked WHERE grp = ? AND tbl = ?", c.cfg.Group, m.Table); err != nil {
		return out, err
	}
	return out, count(&out.Letters, "evenkeel_dead_letters WHERE state = 'open' AND grp = ? AND tbl = ?", c.cfg.Group, m.Table)
}
