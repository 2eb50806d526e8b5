package framework

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

// ConsumerGroup is a consumer group as the database knows it.
type ConsumerGroup struct {
	Group string
	// Members are those that run, by owner; of one that died the last word stays for a day.
	Members []ConsumerMember
	// Partitions are all that the group has ever read, by topic and number, without those
	// of topics that were deleted and made again since.
	Partitions []ConsumerPartition
	// Pauses are what members are told to let be.
	Pauses []ConsumerPause
	// Differences are what only some of the members handle that run, by event type.
	Differences []ConsumerDifference
}

// ConsumerMember is a member as it last said that it is.
type ConsumerMember struct {
	// Owner is its host and process, Version the service's.
	Owner, Version string
	Started, Seen  time.Time // Seen by the database's clock
	// Silent says that it has said nothing for half a minute: it has died, or can't reach
	// the database. Members speak every few seconds.
	Silent bool
	// Partitions is how many it has.
	Partitions int
	// Breakers are those that are not closed.
	Breakers []BreakerStats
	// Handles are the names of its handlers, by event type; nil for one whose release does not
	// tell.
	Handles map[string][]string

	unhandledLetters bool
}

// ConsumerPartition is where a group stands in a partition.
type ConsumerPartition struct {
	Topic     string
	Partition int32
	// Next is the offset after the last record whose effect is in the database; -1 before
	// the first.
	Next int64
	// Lag is how many offsets Next was behind the log's end when its member last spoke; -1
	// when that is not known.
	Lag int64
	// Watermark is the newest admitted event time; zero when there is none yet.
	Watermark time.Time
	// Owner took the partition last, at Owned; Changed is when the group last moved in it,
	// zero for never.
	Owner          string
	Owned, Changed time.Time
	// Held says that its member fetches nothing: it is paused, or waits for a breaker.
	Held bool
}

// ConsumerPause is what the members of a group are told to let be.
type ConsumerPause struct {
	// Topic is empty for the whole group, and Partition -1 for the whole topic.
	Topic     string
	Partition int32
	Since     time.Time
	By        string
	Reason    string
}

// String names what is paused: "everything", "topic t" or "partition 3 of topic t".
func (p ConsumerPause) String() string {
	return store.Scope{Topic: p.Topic, Partition: p.Partition}.String()
}

// Consumers returns the consumer groups that the database knows, by name; all, if group is
// empty. It asks no broker. Errors are the driver's.
func Consumers(ctx context.Context, db *gorm.DB, group string) ([]ConsumerGroup, error) {
	r := groupReader{ctx: ctx, db: db, group: group, groups: map[string]*ConsumerGroup{}, states: map[string]map[place]store.MemberPartition{}}
	for _, read := range []func() error{r.members, r.partitions, r.pauses} {
		if err := read(); err != nil {
			return nil, fmt.Errorf("read consumer groups: %w", err)
		}
	}
	var all []ConsumerGroup
	for _, g := range r.groups {
		g.compare()
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b ConsumerGroup) int { return strings.Compare(a.Group, b.Group) })
	return all, nil
}

type place struct {
	topic     string
	partition int32
}

type groupReader struct {
	ctx    context.Context //nolint:containedctx // a reader lives for one call
	db     *gorm.DB
	group  string
	groups map[string]*ConsumerGroup
	// states are what living members say of their partitions, by group.
	states map[string]map[place]store.MemberPartition
}

func (r *groupReader) of(name string) *ConsumerGroup {
	g := r.groups[name]
	if g == nil {
		g = &ConsumerGroup{Group: name}
		r.groups[name] = g
	}
	return g
}

// each reads the rows of a query that ends with a condition on the group.
func (r *groupReader) each(query, order string, row func(*sql.Rows) error) (err error) {
	var args []any
	if r.group != "" {
		query += " WHERE grp = ?"
		args = append(args, r.group)
	}
	rows, err := r.db.WithContext(r.ctx).Raw(query+" ORDER BY "+order, args...).Rows()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (r *groupReader) members() error {
	st, err := open.Open(r.db)
	if err != nil {
		return err
	}
	now, err := st.Now(r.ctx)
	if err != nil {
		return err
	}
	return r.each("SELECT grp, owner, version, started, seen, state FROM evenkeel_members", "grp, owner, started", func(rows *sql.Rows) error {
		var m ConsumerMember
		var group, text string
		var started, seen int64
		if err := rows.Scan(&group, &m.Owner, &m.Version, &started, &seen, &text); err != nil {
			return err
		}
		var s store.MemberState
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return fmt.Errorf("the state of member %s of group %s: %w", m.Owner, group, err)
		}
		m.Started, m.Seen = time.UnixMicro(started).UTC(), time.UnixMicro(seen).UTC()
		m.Silent, m.Partitions = now.Sub(m.Seen) > store.MemberSilent, len(s.Partitions)
		m.Handles, m.unhandledLetters = s.Handles, s.UnhandledLetters
		for _, b := range s.Breakers {
			of := BreakerStats{Handler: b.Handler, State: BreakerState(b.State), Since: time.UnixMicro(b.Since).UTC(), Failed: b.Failed, Of: b.Of, Probes: b.Probes, Error: b.Error}
			if b.NextProbe != 0 {
				of.NextProbe = time.UnixMicro(b.NextProbe).UTC()
			}
			m.Breakers = append(m.Breakers, of)
		}
		g := r.of(group)
		g.Members = append(g.Members, m)
		if m.Silent {
			return nil
		}
		if r.states[group] == nil {
			r.states[group] = map[place]store.MemberPartition{}
		}
		for _, p := range s.Partitions {
			r.states[group][place{p.Topic, p.Partition}] = p
		}
		return nil
	})
}

func (r *groupReader) partitions() error {
	return r.each("SELECT grp, topic, partition, next_offset, watermark, owner, owned_at, updated_at FROM evenkeel_ledger", "grp, topic, partition, owned_at", func(rows *sql.Rows) error {
		var p ConsumerPartition
		var group string
		var owned int64
		var watermark, changed sql.NullInt64
		if err := rows.Scan(&group, &p.Topic, &p.Partition, &p.Next, &watermark, &p.Owner, &owned, &changed); err != nil {
			return err
		}
		p.Lag, p.Owned = -1, time.UnixMicro(owned).UTC()
		if watermark.Valid {
			p.Watermark = time.UnixMicro(watermark.Int64).UTC()
		}
		if changed.Valid {
			p.Changed = time.UnixMicro(changed.Int64).UTC()
		}
		if s, ok := r.states[group][place{p.Topic, p.Partition}]; ok {
			p.Held = s.Held
			if s.LogEnd >= 0 {
				p.Lag = max(s.LogEnd-p.Next, 0)
			}
		}
		g := r.of(group)
		if n := len(g.Partitions); n > 0 && g.Partitions[n-1].Topic == p.Topic && g.Partitions[n-1].Partition == p.Partition {
			g.Partitions[n-1] = p // of an earlier topic of the name
			return nil
		}
		g.Partitions = append(g.Partitions, p)
		return nil
	})
}

func (r *groupReader) pauses() error {
	return r.each("SELECT grp, topic, partition, at, actor, reason, paused FROM evenkeel_controls", "grp, topic, partition", func(rows *sql.Rows) error {
		var p ConsumerPause
		var group string
		var at int64
		var paused bool
		if err := rows.Scan(&group, &p.Topic, &p.Partition, &at, &p.By, &p.Reason, &paused); err != nil || !paused {
			return err
		}
		p.Since = time.UnixMicro(at).UTC()
		g := r.of(group)
		g.Pauses = append(g.Pauses, p)
		return nil
	})
}

// ConsumerAct says what is to be paused, or to go on, who says so, and why. It is kept in the
// audit ([dlq.Audit]).
type ConsumerAct struct {
	Group string
	// Topic is one of the group's; empty for all.
	Topic string
	// Partition is one of Topic's; nil for all.
	Partition *int32
	By        dlq.Actor
	// Reason is required by [PauseConsumer].
	Reason string
}

// ConsumerActError says that an act names something that there is not, or lacks something.
type ConsumerActError struct{ Field, Found, Expected string }

// Error names the field, what was found, and what was expected.
func (e *ConsumerActError) Error() string {
	return fmt.Sprintf("ConsumerAct.%s: found %s, expected %s", e.Field, e.Found, e.Expected)
}

// PauseConsumer tells all members of a group to let the whole group, a topic or a partition
// be, also those that start later, until [ResumeConsumer]. They hear of it within seconds, and
// finish the batch under way. Partitions stay assigned and where they are; their records wait
// in Kafka. What is parked is still tried when its time comes, as it may be of many
// partitions, unless the whole group is paused: then no handler runs at all. It reports
// whether there was anything to change: false if it was paused already. Errors are a
// [*ConsumerActError], or the database's.
func PauseConsumer(ctx context.Context, db *gorm.DB, act ConsumerAct) (changed bool, err error) {
	if strings.TrimSpace(act.Reason) == "" {
		return false, &ConsumerActError{"Reason", "nothing", "why it is to be paused; everybody who wonders is shown it"}
	}
	st, a, err := act.check(ctx, db)
	if err != nil {
		return false, err
	}
	return st.Pause(ctx, a)
}

// ResumeConsumer takes back the pauses of what the act names and of what that holds: those of
// a topic's partitions with the topic's, all with the group's. Members also close their
// breakers, whatever the act names (Config.Breaker). It returns how many pauses it took back.
// Errors are those of [PauseConsumer].
func ResumeConsumer(ctx context.Context, db *gorm.DB, act ConsumerAct) (lifted int64, err error) {
	st, a, err := act.check(ctx, db)
	if err != nil {
		return 0, err
	}
	return st.Resume(ctx, a)
}

func (act *ConsumerAct) check(ctx context.Context, db *gorm.DB) (store.Store, *store.ControlAct, error) {
	a := &store.ControlAct{Scope: store.Scope{Group: act.Group, Topic: act.Topic, Partition: store.AllPartitions}, By: act.By, Reason: act.Reason}
	if act.Partition != nil {
		a.Partition = *act.Partition
	}
	switch {
	case act.Group == "":
		return nil, nil, &ConsumerActError{"Group", "nothing", "a consumer group's name"}
	case act.Partition != nil && act.Topic == "":
		return nil, nil, &ConsumerActError{"Topic", "nothing", fmt.Sprintf("the topic of partition %d", *act.Partition)}
	case strings.TrimSpace(act.By.Name) == "":
		return nil, nil, &ConsumerActError{"By.Name", "nothing", "who says so"}
	}
	groups, err := Consumers(ctx, db, act.Group)
	if err != nil {
		return nil, nil, err
	}
	if len(groups) == 0 {
		return nil, nil, &ConsumerActError{"Group", fmt.Sprintf("%q", act.Group), "a group that has had a member; see framework.Consumers"}
	}
	known := func(p ConsumerPartition) bool {
		return p.Topic == a.Topic && (a.Partition == store.AllPartitions || p.Partition == a.Partition)
	}
	if act.Topic != "" && !slices.ContainsFunc(groups[0].Partitions, known) {
		field, found := "Topic", fmt.Sprintf("%q", act.Topic)
		if act.Partition != nil {
			field, found = "Partition", fmt.Sprintf("%d of %q", *act.Partition, act.Topic)
		}
		return nil, nil, &ConsumerActError{field, found, "one that the group reads: " + cmp.Or(strings.Join(groups[0].topics(), ", "), "none so far")}
	}
	st, err := open.Open(db)
	return st, a, err
}

// topics lists the group's, with their partitions.
func (g *ConsumerGroup) topics() []string {
	var names []string
	for i := 0; i < len(g.Partitions); {
		first := i
		for i < len(g.Partitions) && g.Partitions[i].Topic == g.Partitions[first].Topic {
			i++
		}
		names = append(names, fmt.Sprintf("%s (%d partitions)", g.Partitions[first].Topic, i-first))
	}
	return names
}
