package converge

import (
	"context"
	"fmt"
	"strings"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
)

// told is an order with all that happened in it.
type told struct {
	order  order
	lines  [][]string
	result *result
}

// tell plays an order and writes down what happens. Fields that hide reports have values that
// no two runs share, and are not shown.
func (c *Checker) tell(ctx context.Context, o order, hide func(*handlers.Column) bool) (*told, error) {
	t := &told{order: o}
	several := c.severalEntities(eventsOf(o))
	var err error
	t.result, err = c.play(ctx, o, func(m *moment) {
		if m.kind == reread {
			t.lines = append(t.lines, []string{"", "the partition is set back and read again"})
		}
		for i := range m.verdicts {
			v := &m.verdicts[i]
			if m.kind == reread && v.Verdict.Action == guards.Discard {
				continue
			}
			line := []string{fmt.Sprint(c.eventOf(v) + 1), v.Item.Event.Type}
			if several {
				line = append(line, c.entity(v))
			}
			switch m.kind {
			case undone:
				line = append(line, verdictText(v.Verdict)+", but the commit is lost")
			case sweeping:
				line = append(line, "later: "+verdictText(v.Verdict), c.rowText(v, hide))
			case live, reread:
				line = append(line, verdictText(v.Verdict))
				if lastOnRow(m.verdicts, i) {
					line = append(line, c.rowText(v, hide))
				}
			}
			t.lines = append(t.lines, line)
		}
	})
	return t, err
}

// lastOnRow reports whether no later verdict of the batch is about the same row: there is one
// row to show after a batch.
func lastOnRow(all []batch.Judged, i int) bool {
	for _, v := range all[i+1:] {
		if v.Entity == all[i].Entity && v.Handler != "" {
			return false
		}
	}
	return true
}

// severalEntities reports whether the events are about more than one row.
func (c *Checker) severalEntities(events []int) bool {
	seen := map[string]bool{}
	for _, i := range events {
		for _, u := range c.units[i] {
			seen[u.handler.Model.Table+" "+u.key] = true
		}
	}
	return len(seen) > 1
}

func (c *Checker) entity(v *batch.Judged) string {
	if h := c.handlerOf(v); h != nil {
		return h.Model.Name + " " + v.Entity
	}
	return ""
}

// verdictText is a verdict in few words.
func verdictText(v guards.Verdict) string {
	switch v.Action {
	case guards.Apply:
		if len(v.Masked) > 0 {
			return "applied, but for " + strings.Join(v.Masked, ", ")
		}
		return "applied"
	case guards.Discard:
		return "discarded: " + string(v.Reason)
	case guards.Park:
		return "waits: " + string(v.Reason)
	case guards.DeadLetter:
		return "dead letter: " + string(v.Reason)
	}
	return v.Action.String()
}

// rowText is the row of a verdict as it stands.
func (c *Checker) rowText(v *batch.Judged, hide func(*handlers.Column) bool) string {
	h := c.handlerOf(v)
	if h == nil {
		return ""
	}
	row, ok := c.store.Row(h.Model, v.Entity)
	if !ok {
		return "no row"
	}
	return c.showRow(&row, hide)
}

// showRow shows what is not zero.
func (c *Checker) showRow(row *memory.Row, hide func(*handlers.Column) bool) string {
	if row == nil {
		return "no row"
	}
	words := []string{existence(row)}
	for _, col := range row.Model.Columns {
		v := col.Value(row.Entity)
		switch {
		case hide != nil && hide(col):
			words = append(words, col.GoName()+"=…")
		case !v.IsZero():
			words = append(words, col.GoName()+"="+c.show(v))
		}
	}
	return strings.Join(words, "  ")
}
