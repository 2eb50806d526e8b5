package store

import (
	"fmt"
	"strconv"
)

// KindHorizon is the kind of memo that says up to which event time, in microseconds, a
// scope's ids are forgotten (R8).
const KindHorizon MemoKind = "horizon"

// HorizonOf names the horizon of a scope of ids.
func HorizonOf(scope string) MemoKey { return MemoKey{Kind: KindHorizon, Scope: scope} }

// Horizon reads a memo of kind KindHorizon.
func (m *Memo) Horizon() (int64, error) {
	at, err := strconv.ParseInt(m.Body, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("evenkeel_memos: the horizon of %q is %q, expected microseconds since 1970; restore it, as without it nobody can tell which ids are forgotten", m.Scope, m.Body)
	}
	return at, nil
}
