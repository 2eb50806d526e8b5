package store

import (
	"context"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
)

// Consumers is where members and people tell each other what there is and what is to be (R22).
type Consumers interface {
	// Beat says that the member lives, and returns what the group's members are told to
	// do. Members that have said nothing for a day are forgotten.
	Beat(ctx context.Context, m *Member) ([]Control, error)
	// Peers returns the members of the group that have spoken within MemberSilent, but for the
	// one with the id, by owner and id; when they started is left out.
	Peers(ctx context.Context, group, id string) ([]Member, error)
	// Leave forgets a member.
	Leave(ctx context.Context, id string) error
	// Pause tells the group's members to let the scope be, with a line in the audit. ok is
	// false when they were told before; then nothing has changed.
	Pause(ctx context.Context, act *ControlAct) (ok bool, err error)
	// Resume takes back the pauses of the scope and of what it holds, and counts the word to
	// go on in the group's row, with a line in the audit. It returns how many it took back.
	Resume(ctx context.Context, act *ControlAct) (lifted int64, err error)
}

// Member is a member of a group as it says it is.
type Member struct {
	ID, Group, Owner, Version string
	Started                   time.Time
	State                     MemberState
}

// MemberState is what changes between two beats. It is stored as JSON, which releases to come
// must be able to read.
type MemberState struct {
	Partitions []MemberPartition `json:"partitions"`
	Breakers   []MemberBreaker   `json:"breakers"`
	Handles    Handles           `json:"handles,omitempty"`
	// UnhandledLetters: events of types that it does not handle become letters.
	UnhandledLetters bool `json:"unhandled_letters,omitempty"`
}

// MemberPartition is a partition that a member has.
type MemberPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Next      int64  `json:"next"`
	LogEnd    int64  `json:"log_end"` // -1: not known
	Held      bool   `json:"held"`    // nothing is fetched
}

// MemberBreaker is a handler's breaker that is not closed.
type MemberBreaker struct {
	Handler   string `json:"handler"`
	State     string `json:"state"`
	Since     int64  `json:"since"` // microseconds, as NextProbe
	Failed    int    `json:"failed"`
	Of        int    `json:"of"`
	Probes    int    `json:"probes"`
	NextProbe int64  `json:"next_probe"`
	Error     string `json:"error"`
}

// Scope is what a pause is about. Without a topic it is the whole group, without a partition
// the whole topic.
type Scope struct {
	Group, Topic string
	Partition    int32 // AllPartitions, or one of Topic
}

// AllPartitions is the partition of a scope that has all.
const AllPartitions int32 = -1

// Holds reports whether a partition of the group belongs to the scope.
func (s Scope) Holds(topic string, partition int32) bool {
	return s.Topic == "" || s.Topic == topic && (s.Partition == AllPartitions || s.Partition == partition)
}

// String names the scope without its group.
func (s Scope) String() string {
	switch {
	case s.Topic == "":
		return "everything"
	case s.Partition == AllPartitions:
		return "topic " + s.Topic
	}
	return fmt.Sprintf("partition %d of topic %s", s.Partition, s.Topic)
}

// Control is what the members of a group are told about a scope.
type Control struct {
	Scope
	Paused bool
	// Resumes counts the words to go on, in the row of the whole group.
	Resumes int64
	At      time.Time // when it was changed last
	By      string
	Reason  string
}

// ControlAct is somebody's word.
type ControlAct struct {
	Scope
	By     dlq.Actor
	Reason string
}

// Entry is the act's line of the audit.
func (a *ControlAct) Entry(verb string) *dlq.AuditEntry {
	return &dlq.AuditEntry{By: a.By, Verb: verb, Reason: a.Reason, Group: a.Group, Selection: a.String()}
}

// MemberSilent is when a member that has said nothing is taken for dead.
const MemberSilent = 30 * time.Second

// MemberSilence is how long a member may be silent before it is forgotten.
const MemberSilence = 24 * time.Hour
