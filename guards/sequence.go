package guards

import (
	"fmt"
	"math"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// Sequence orders events by a number without gaps (R7), for handlers.Modify: each event of
// an entity runs once and in the order of the numbers. The number is event.Event.Version,
// which CloudEvents carry in the extension "sequence"; an event without one is poison.
//
// The numbers belong to the stream of the event's own key on its topic (see [Stream]), and
// not to one handler: every admitted event of the stream uses its number up, also one that
// nobody handles. So what counts is the entity's whole history, without holes for events
// that this service does not care about. A stream begins with 1, unless [From] or
// [FirstSeen] says otherwise.
//
// An event that comes ahead of its number is parked, and applied in the transaction of the
// event that fills the gap. A number that came before is discarded: as a duplicate under
// the same source and id, as a conflict, which is a dead letter, under another. When the
// gap stays for longer than [GapTimeout], or more events wait than [MaxGap] allows, [OnGap]
// says what then.
func Sequence(options ...SequenceOption) Stamper {
	s := sequence{
		From: DefaultFrom, GapTimeout: DefaultGapTimeout, MaxGap: DefaultMaxGap, OnGap: GapDeadLetter,
	}
	for _, o := range options {
		if o != nil {
			o((*SequenceSettings)(&s))
		}
	}
	return s
}

// The defaults of [Sequence].
const (
	DefaultFrom       = 1
	DefaultGapTimeout = 30 * time.Second
	DefaultMaxGap     = 100
)

// SequenceOption changes a [Sequence]. All guards of one stream must agree.
type SequenceOption func(*SequenceSettings)

// SequenceSettings is what the options of a [Sequence] say.
type SequenceSettings struct {
	// Stream is empty where the stream is called by the event's topic.
	Stream string
	// From is the stream's first number, unless FirstSeen is set.
	From       int64
	FirstSeen  bool
	GapTimeout time.Duration
	MaxGap     int
	OnGap      GapPolicy
	// ReplayTopic takes the requests of GapReplay.
	ReplayTopic string
}

// Stream gives the stream a name of its own, for numbers that run on over several topics.
// Only events that a handler of this stream handles belong to it, so that their types must
// leave no number out. The default is the topic's name, and every event of the topic
// belongs to the stream.
func Stream(name string) SequenceOption { return func(s *SequenceSettings) { s.Stream = name } }

// From is the first number of every entity. Defaults to 1.
func From(n int64) SequenceOption { return func(s *SequenceSettings) { s.From = n } }

// FirstSeen begins an entity's stream with whichever number comes first, for topics whose
// beginning is gone. If that event came too early, those before it are discarded, and no
// rule can tell: prefer [From], or handlers.Baseline on an event that carries the whole
// state.
func FirstSeen() SequenceOption { return func(s *SequenceSettings) { s.FirstSeen = true } }

// GapTimeout bounds how long an event waits for the numbers before it. The time does not
// run while something else holds the stream up, like an event that is tried again or an
// open dead letter, and starts anew when a member starts or gets a partition: a backlog is
// no gap. Defaults to 30 seconds.
func GapTimeout(d time.Duration) SequenceOption {
	return func(s *SequenceSettings) { s.GapTimeout = d }
}

// MaxGap bounds how many events of one entity wait for numbers before them. Defaults to
// 100.
func MaxGap(n int) SequenceOption { return func(s *SequenceSettings) { s.MaxGap = n } }

// OnGap says what becomes of a gap at its bound. Defaults to [GapDeadLetter].
func OnGap(p GapPolicy) SequenceOption { return func(s *SequenceSettings) { s.OnGap = p } }

// RequestReplay is [OnGap] with [GapReplay]: the source of the numbers is asked to send the
// missing ones again, by an event of type event.ReplayRequestType on the topic, whose
// payload is an event.ReplayRequest in JSON. It is sent once for each gap, from the
// transaction that finds it, at least once and always under the same id. The topic must
// exist and have a codec that is an event.Encoder.
func RequestReplay(topic string) SequenceOption {
	return func(s *SequenceSettings) { s.OnGap, s.ReplayTopic = GapReplay, topic }
}

// GapPolicy says what becomes of a gap that stayed too long, or that too many wait behind.
type GapPolicy uint8

// The policies.
const (
	// GapDeadLetter makes the first waiting event a dead letter. Later numbers wait until
	// somebody has dealt with it; what fills the gap meanwhile is applied. Nothing is ever
	// applied out of order.
	GapDeadLetter GapPolicy = iota + 1
	// GapSkip applies what waits without the missing numbers and marks the stream
	// incomplete. What comes for them later is a dead letter, since it might be needed.
	GapSkip
	// GapReplay asks the source to send the missing numbers again, and gives it another
	// GapTimeout; then the first waiting event becomes a dead letter, as with
	// GapDeadLetter. Say it with [RequestReplay].
	GapReplay
)

// String returns the policy's word.
func (p GapPolicy) String() string {
	switch p {
	case GapDeadLetter:
		return "dead-letter"
	case GapSkip:
		return "skip"
	case GapReplay:
		return "replay"
	}
	return fmt.Sprintf("GapPolicy(%d)", uint8(p))
}

// Standing is where an event's number stands in its stream.
type Standing struct {
	// Next is the number that the stream waits for.
	Next int64
	// Known says that the number came before, Same that it was with the same source and id.
	Known, Same bool
	// Skipped says that the stream went on without the number.
	Skipped bool
}

type sequence SequenceSettings

func (sequence) Name() string { return "sequence" }
func (sequence) Kind() Kind   { return KindSequence }

// Settings returns what the options said, for the wiring.
func (s sequence) Settings() SequenceSettings { return SequenceSettings(s) }

func (sequence) Stamp(e *event.Event, own bool) (event.Stamp, error) {
	bad := &event.DecodeError{
		Codec: "guard sequence", Field: "version", Expected: "the entity's number, a whole number without gaps",
		Mend: "let the producer number the entity's events, or use guards.Timestamp()",
	}
	switch {
	case !e.HasVersion:
		bad.Found = "none"
		return event.Stamp{}, bad
	case e.Version == math.MaxInt64:
		bad.Found = "the highest number that there is, which has no successor"
		return event.Stamp{}, bad
	}
	return event.Stamp{Time: e.Version, Tie: e.Tie(own)}, nil
}

// Judge compares the number with the stream. It passes the number that the stream waits
// for.
func (sequence) Judge(e *event.Event, s *State) Verdict {
	n, st := e.Version, s.Standing
	v := Verdict{Action: Discard, Numbers: Comparison{What: "sequence", Event: n, Against: st.Next}}
	switch {
	case st.Known && st.Same:
		v.Reason = Duplicate
	case st.Known:
		v.Action, v.Reason = DeadLetter, Conflict
		v.Detail = "this number came before with another source or id; find out which of the two events is right"
	case st.Skipped:
		v.Action, v.Reason = DeadLetter, Gap
		v.Detail = "the stream went on without this number when it had waited long enough"
	case n < st.Next:
		v.Reason = Superseded
	case n > st.Next:
		v.Action, v.Reason = Park, Gap
	default:
		return Pass()
	}
	return v
}
