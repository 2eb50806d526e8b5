package oracle_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// What is derived has its root's time, and at equal time less weight than the entity's own
// events, whatever the ids are.
func TestDerivedUnitsHaveTheirRootsPlace(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		own, root line
		want      string
	}{
		"own is newer":            {line{ID: "a", Minute: 2}, line{ID: "z", Minute: 1}, "own"},
		"equal, own has less id":  {line{ID: "a", Minute: 1}, line{ID: "z", Minute: 1}, "own"},
		"equal, own has more id":  {line{ID: "z", Minute: 1}, line{ID: "a", Minute: 1}, "own"},
		"own is older":            {line{ID: "z", Minute: 1}, line{ID: "a", Minute: 2}, "root"},
		"own is older, other ids": {line{ID: "a", Minute: 1}, line{ID: "z", Minute: 2}, "root"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.own.Type, tt.own.Key, tt.own.Facts = "created", "parent", facts("customer", "own")
			tt.root.Type, tt.root.Key, tt.root.Facts = "created", "child", facts("customer", "root")
			o := newOracle()
			o.Parse = func(r *event.Record) (oracle.Event, error) {
				e, err := parse(r)
				if err == nil && e.Units[0].Key == "child" {
					up := e.Units[0]
					up.Key, up.Derived = "parent", true
					e.Units = append(e.Units, up)
				}
				return e, err
			}
			for _, order := range [][]line{{tt.own, tt.root}, {tt.root, tt.own}} {
				p, err := o.Predict(logOf(t, order...))
				require.NoError(t, err)
				row := p.Rows["orders"]["parent"]
				require.Equal(t, tt.want, row.Fields["customer"])
				require.Equal(t, tt.want == "root", row.Clocks["customer"].Derived)
				require.Equal(t, "root", p.Rows["orders"]["child"].Fields["customer"])
			}
		})
	}
}
