package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state State
		end   int64
		not   Ranges
	}{
		"nothing":                      {State{Next: -1, High: -1}, 0, nil},
		"a prefix":                     {State{Next: 7, High: 7}, 7, nil},
		"after a rewind":               {State{Next: 2, High: 7}, 7, nil},
		"a gap was never read":         {State{Next: 7, High: 7, Gaps: Gaps{{From: 3, To: 5}}}, 7, Ranges{{From: 3, To: 5}}},
		"what is done above is read":   {State{Next: 7, High: 7, Done: Ranges{{From: 9, To: 10}, {From: 12, To: 14}}}, 14, Ranges{{From: 7, To: 9}, {From: 10, To: 12}}},
		"done below high adds nothing": {State{Next: 2, High: 9, Done: Ranges{{From: 4, To: 5}}}, 9, nil},
	} {
		end, not := c.state.Seen()
		require.Equal(t, c.end, end, name)
		if len(c.not) == 0 {
			require.Empty(t, not, name)
			continue
		}
		require.Equal(t, c.not, not, name)
	}
}
