package framework

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/runtime"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

// RebuildOptions says what to rebuild.
type RebuildOptions struct {
	// Models are names of Go types or of tables, at least one.
	Models []string
	// Keys are the entities of the one model that is named, at most 10,000. None: all.
	Keys []string
	// Allow are the objections of the plan that are known and accepted.
	Allow []RebuildObjectionKind
	// TakeOver takes up a rebuild that was interrupted without waiting for a minute without
	// a sign of life. A process that is still at work on it ends with [ErrRebuildTaken].
	TakeOver bool
	// Confirm, if any, is called with the plan before anything is touched, and not with a
	// plan that is refused. Its error ends the rebuild.
	Confirm func(*RebuildPlan) error
	// Progress, if any, is called after each step, and must not block.
	Progress func(RebuildStatus)
}

const maxRebuildKeys = 10_000

// RebuildStatus is how far a rebuild has come.
type RebuildStatus struct {
	ID    string `json:"id"`
	Group string `json:"group"`
	// Owner is the process that was last at work, Began and Seen when it was begun and
	// when it last did something.
	Owner string    `json:"owner"`
	Began time.Time `json:"began"`
	Seen  time.Time `json:"seen"`
	// Phase is clearing, replaying or ending, and empty once it has ended.
	Phase     string   `json:"phase"`
	Cancelled bool     `json:"cancelled"`
	Tables    []string `json:"tables"`
	// Keys is how many entities were named, 0 for all.
	Keys int `json:"keys"`
	// Cleared and Ended count rows, Read and Records the records that were read and that
	// there are to read.
	Cleared int64 `json:"cleared"`
	Read    int64 `json:"read"`
	Records int64 `json:"records"`
	Ended   int64 `json:"ended"`
	// Parked and Letters count events that failed on the way, or came ahead of their
	// numbers, and wait now or became dead letters.
	Parked  int64 `json:"parked"`
	Letters int64 `json:"letters"`
}

func statusOf(group string, s *runtime.RebuildState) RebuildStatus {
	out := RebuildStatus{
		ID: s.ID, Group: group, Owner: s.Owner, Began: time.UnixMicro(s.Began).UTC(), Seen: time.UnixMicro(s.Seen).UTC(),
		Phase: string(s.Phase), Cancelled: s.Cancelled,
		Cleared: s.Cleared, Read: s.Read, Ended: s.Ended, Parked: s.Parked, Letters: s.Letters,
	}
	for _, t := range s.Tables {
		out.Tables = append(out.Tables, t.Table)
		out.Keys += t.Keys
	}
	left := int64(0)
	for _, p := range s.Partitions {
		left += max(p.End-p.Next, 0)
	}
	out.Records = s.Read + left
	return out
}

// RebuildOpenError says that a rebuild of the group is under way: of other models or keys,
// or in a process that has shown a sign of life within the last minute (Alive).
type RebuildOpenError struct {
	Status RebuildStatus
	Alive  bool
	text   string
}

// Error names the rebuild and the mend.
func (e *RebuildOpenError) Error() string { return e.text }

// ErrRebuildTaken says that another process has taken the rebuild over, or ended it.
var ErrRebuildTaken = runtime.ErrRebuildTaken

// ErrNoRebuild says that no rebuild is under way.
var ErrNoRebuild = runtime.ErrNoRebuild

// Rebuild makes rows anew from the log, with the handlers as they are now: for after a
// handler's bug was mended, when a rewind changes nothing, since the rows have seen the
// events. It works beside the running service, which must have the mended handlers already.
// config is the service's. It is also how a model comes to another kind of stamps, as from
// guards.Timestamp to guards.Version: then the group's members must be stopped, until no row
// of the whole model has a stamp of the old kind any more, which is when clearing has ended.
//
// It first lets the rows forget: the columns that handlers own become zero, clocks, ids and
// streams of numbers begin anew. Rows are neither removed nor made, and other columns stay.
// Then it reads the log from its start up to where the group stood, outside of the group,
// and applies what concerns these rows. Until the end guards.Live leaves them out, and
// events whose outcome depends on the row (Modify but for guards.Once, handlers that ask for
// a row that is there) wait; those of Set, Resolve and Once go on. Events that are parked,
// or are dead letters that are open or were discarded, keep their outcome and are not read
// again; those that a replay has resolved are. What fails now is parked, or becomes a letter,
// as ever, the same one if it was a letter before. Handlers run again, so what they do outside the database
// happens again, under the same idempotency key.
//
// When ctx ends, or with an error, what was done is kept: the same call goes on from there,
// and nothing counts twice. An error may be a [*RebuildRefusedError] with the plan, before
// anything was touched, a [*RebuildOpenError], one of those of [New], or Confirm's.
func Rebuild(ctx context.Context, db *gorm.DB, config *Config, options RebuildOptions) (RebuildStatus, error) {
	var status RebuildStatus
	err := withRebuilder(db, config, func(c *Consumer, r *runtime.Rebuild) error { //nolint:contextcheck // New bounds its checks itself
		plan, err := c.planRebuild(ctx, db, r, &options)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(plan.Objections, func(o RebuildObjection) bool { return !o.Allowed }) {
			return &RebuildRefusedError{Plan: plan}
		}
		if options.Confirm != nil {
			if err := options.Confirm(plan); err != nil {
				return err
			}
		}
		if err := r.Begin(ctx, options.TakeOver); err != nil {
			return err
		}
		status, err = c.runRebuild(ctx, r, options.Progress)
		return err
	})
	return status, err
}

// PlanRebuild says what [Rebuild] would touch, and what stands against it. It changes
// nothing but what [New] does.
func PlanRebuild(ctx context.Context, db *gorm.DB, config *Config, options RebuildOptions) (plan *RebuildPlan, err error) {
	err = withRebuilder(db, config, func(c *Consumer, r *runtime.Rebuild) error { //nolint:contextcheck // as above
		plan, err = c.planRebuild(ctx, db, r, &options)
		return err
	})
	return plan, err
}

// CancelRebuild ends the rebuild that is under way, whoever is at work on it. The rows stay
// half built: they hold what has been read so far, and no event that comes later brings the
// rest. Rebuild them again.
func CancelRebuild(ctx context.Context, db *gorm.DB, config *Config, progress func(RebuildStatus)) (RebuildStatus, error) {
	var status RebuildStatus
	err := withRebuilder(db, config, func(c *Consumer, r *runtime.Rebuild) (err error) { //nolint:contextcheck // as above
		if err = r.Cancel(ctx); err == nil {
			status, err = c.runRebuild(ctx, r, progress)
		}
		return err
	})
	return status, err
}

// OpenRebuild returns the rebuild of the group that is under way, or nil. It needs no
// handlers.
func OpenRebuild(ctx context.Context, db *gorm.DB, group string) (*RebuildStatus, error) {
	st, err := open.Open(db)
	if err != nil {
		return nil, err
	}
	return openRebuild(ctx, st, group)
}

func openRebuild(ctx context.Context, st store.Store, group string) (*RebuildStatus, error) {
	loaded, err := st.Load(ctx, &store.Want{Group: group, Memos: []store.MemoKey{store.RebuildKey()}})
	if err != nil {
		return nil, err
	}
	s, ok, err := runtime.ReadRebuild(loaded.Memos[store.RebuildKey()])
	if err != nil || !ok {
		return nil, err
	}
	status := statusOf(group, &s)
	return &status, nil
}

// withRebuilder lends out a consumer that never joins its group, and what rebuilds with its
// parts.
func withRebuilder(db *gorm.DB, config *Config, use func(*Consumer, *runtime.Rebuild) error) (err error) {
	c, err := newConsumer(db, config, true)
	if err != nil {
		return err
	}
	defer func() {
		if hangs := c.Close(); hangs != nil && err == nil {
			c.log(runtime.Warn, "closing the Kafka clients failed", "error", hangs)
		}
	}()
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	m := c.member
	err = use(c, &runtime.Rebuild{
		Group: c.cfg.Group, Topics: c.cfg.Topics, Owner: fmt.Sprintf("%s pid %d", host, os.Getpid()),
		Store: m.Store, Reader: c.consumer, Clock: c.clock, Judge: m.Judge, Prepare: m.Prepare,
		Models: m.Models, Layouts: m.Layouts, BatchSize: c.cfg.BatchSize, MaxBytes: c.cfg.MaxBytes, Log: c.log,
	})
	var opened *runtime.RebuildOpenError
	if errors.As(err, &opened) {
		return &RebuildOpenError{Status: statusOf(c.cfg.Group, &opened.State), Alive: opened.Alive, text: opened.Error()}
	}
	return err
}

func (c *Consumer) runRebuild(ctx context.Context, r *runtime.Rebuild, progress func(RebuildStatus)) (RebuildStatus, error) {
	if progress != nil {
		r.Progress = func(s runtime.RebuildState) { progress(statusOf(c.cfg.Group, &s)) }
	}
	c.log(runtime.Info, "rebuild is at work")
	s, err := r.Run(ctx)
	status := statusOf(c.cfg.Group, &s)
	if err != nil {
		c.log(runtime.Warn, "rebuild was interrupted; the same call goes on from here", "id", status.ID, "phase", status.Phase, "error", err)
		return status, err
	}
	c.log(runtime.Info, "rebuild has ended", "id", status.ID, "tables", strings.Join(status.Tables, ","), "rows", status.Ended, "records", status.Read, "letters", status.Letters)
	return status, nil
}

// scope finds the models and keys that the options name.
func (o *RebuildOptions) scope(models []*handlers.Model) (batch.Scope, error) {
	names := make([]string, len(models))
	for i, m := range models {
		names[i] = m.Name
	}
	if len(o.Models) == 0 {
		return nil, fmt.Errorf("RebuildOptions.Models: found none, expected at least one of %s", strings.Join(names, ", "))
	}
	scope := batch.Scope{}
	for _, name := range o.Models {
		i := slices.IndexFunc(models, func(m *handlers.Model) bool { return m.Name == name || m.Table == name })
		if i < 0 {
			return nil, fmt.Errorf("RebuildOptions.Models: found %q, expected a model that has handlers: %s", name, strings.Join(names, ", "))
		}
		scope[models[i]] = nil
	}
	if len(o.Keys) == 0 {
		return scope, nil
	}
	if len(scope) != 1 || len(o.Keys) > maxRebuildKeys {
		return nil, fmt.Errorf("RebuildOptions.Keys: found %d keys with %d models, expected at most %d keys of one model; rebuild all of its rows instead", len(o.Keys), len(scope), maxRebuildKeys)
	}
	for m := range scope {
		keys := map[string]bool{}
		for _, text := range o.Keys {
			_, key, err := m.ParseKey(text)
			if err != nil {
				return nil, fmt.Errorf("RebuildOptions.Keys: %w", err)
			}
			keys[key] = true
		}
		scope[m] = keys
	}
	return scope, nil
}
