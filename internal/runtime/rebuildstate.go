package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// RebuildPhase is what a rebuild is doing.
type RebuildPhase string

// The phases, in their order (R20).
const (
	RebuildClearing  RebuildPhase = "clearing"
	RebuildReplaying RebuildPhase = "replaying"
	RebuildEnding    RebuildPhase = "ending"
)

// RebuildState is how far a rebuild has come: the body of a memo, which moves in the
// transaction of each step.
type RebuildState struct {
	ID string `json:"id"`
	// Epoch grows when another process takes the rebuild over, Seq with each step.
	Epoch     int64          `json:"epoch"`
	Seq       int64          `json:"seq"`
	Owner     string         `json:"owner"`
	Began     int64          `json:"began"` // microseconds since 1970, as Seen
	Seen      int64          `json:"seen"`
	Phase     RebuildPhase   `json:"phase"`
	Cancelled bool           `json:"cancelled,omitempty"`
	Tables    []RebuildTable `json:"tables"`
	// Table and After are where the phases that go through rows stand.
	Table      int           `json:"table"`
	After      string        `json:"after,omitempty"`
	HasAfter   bool          `json:"has_after,omitempty"`
	Partitions []RebuildPart `json:"partitions,omitempty"`

	Cleared int64 `json:"cleared"`
	Read    int64 `json:"read"`
	Parked  int64 `json:"parked"`
	Letters int64 `json:"letters"`
	Ended   int64 `json:"ended"`
}

// RebuildTable is what is rebuilt of a table: Keys many entities, or all where it is 0.
type RebuildTable struct {
	Table string `json:"table"`
	Keys  int    `json:"keys,omitempty"`
}

// RebuildPart is where the reading of a partition stands.
type RebuildPart struct {
	Cluster   string     `json:"cluster"`
	TopicID   string     `json:"topic_id"`
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	Next      int64      `json:"next"`
	End       int64      `json:"end"`
	Skip      [][2]int64 `json:"skip,omitempty"` // from, to exclusive: never judged
}

// ReadRebuild reads the memo of a group's rebuild; ok is false when none is open.
func ReadRebuild(m *store.Memo) (s RebuildState, ok bool, err error) {
	if m == nil || m.Body == "" {
		return s, false, nil
	}
	if err := json.Unmarshal([]byte(m.Body), &s); err != nil {
		return s, false, fmt.Errorf("evenkeel_memos: the body of %s is %.60q, expected the state of a rebuild (%w); restore the row", m.Kind, m.Body, err)
	}
	return s, true, nil
}

func (s *RebuildState) body() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("evenkeel: " + err.Error()) // texts and numbers always marshal
	}
	return string(b)
}

func (s *RebuildState) clone() RebuildState {
	c := *s
	c.Partitions = slices.Clone(s.Partitions)
	return c
}

// RebuildOpenError says that the group has a rebuild under way.
type RebuildOpenError struct {
	State RebuildState
	// Alive: it has shown a sign of life within the last minute. Otherwise it is of other
	// models or keys.
	Alive bool
}

func (e *RebuildOpenError) Error() string {
	what := fmt.Sprintf("evenkeel: rebuild %s of %s is under way since %s", e.State.ID, e.State.what(), time.UnixMicro(e.State.Began).UTC().Format(time.RFC3339))
	if e.Alive {
		return fmt.Sprintf("%s, and %s was at work a moment ago; let it finish, or take it over (TakeOver, --take-over) if that process is gone", what, e.State.Owner)
	}
	return what + "; finish it first by calling it again with the same models and keys, or cancel it (CancelRebuild, --cancel)"
}

func (s *RebuildState) what() string {
	text := ""
	for i, t := range s.Tables {
		if i > 0 {
			text += ", "
		}
		text += t.Table
		if t.Keys > 0 {
			text += fmt.Sprintf(" (%d keys)", t.Keys)
		}
	}
	return text
}

// ErrRebuildTaken says that another process has taken the rebuild over, or ended it.
var ErrRebuildTaken = errors.New("evenkeel: another process has taken this rebuild over, or ended it; nothing of it is lost")

// ErrNoRebuild says that there is nothing to cancel.
var ErrNoRebuild = errors.New("evenkeel: no rebuild is under way in this group")
