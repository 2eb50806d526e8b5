package dlq_test

import (
	"errors"
	"testing"

	"github.com/evenkeel-go/evenkeel/dlq"
)

// The whole table, refusals included.
func TestMoves(t *testing.T) {
	t.Parallel()
	const (
		open, replaying, resolved, discarded, purged = dlq.Open, dlq.Replaying, dlq.Resolved, dlq.Discarded, dlq.Purged
		no                                           = dlq.State("")
	)
	for move, to := range map[dlq.Move][5]dlq.State{
		//                 open       replaying  resolved  discarded purged
		dlq.MoveDiscard:   {discarded, no, no, no, no},
		dlq.MoveRestore:   {no, no, no, open, no},
		dlq.MoveReplay:    {replaying, no, no, no, no},
		dlq.MoveCancel:    {no, open, no, no, no},
		dlq.MoveFail:      {no, open, no, no, no},
		dlq.MoveResolve:   {no, resolved, no, no, no},
		dlq.MovePurge:     {no, no, purged, purged, no},
		dlq.MoveEdit:      {open, no, no, no, no},
		dlq.MoveReissue:   {discarded, no, no, no, no},
		dlq.MoveRepublish: {open, no, resolved, discarded, no},
		"burn":            {no, no, no, no, no},
	} {
		for i, from := range dlq.States() {
			got, err := from.After(move)
			if to[i] != no {
				if err != nil || got != to[i] {
					t.Errorf("%s of %s: %s, %v", move, from, got, err)
				}
				continue
			}
			var refused *dlq.MoveError
			if !errors.As(err, &refused) || got != from || refused.From != from || refused.Move != move {
				t.Errorf("%s of %s: %s, %v", move, from, got, err)
			}
		}
	}
	for i, s := range dlq.States() {
		if s.Unresolved() != (i < 2) {
			t.Errorf("%s", s)
		}
	}
	_, err := dlq.Open.After(dlq.MovePurge)
	if got := err.Error(); got != "purge takes a letter that is resolved or discarded, found open" {
		t.Error(got)
	}
	_, err = dlq.Open.After("burn")
	if got := err.Error(); got != `there is no move "burn"` {
		t.Error(got)
	}
}
