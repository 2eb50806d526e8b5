package main

import (
	"context"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/examples/play"
)

var at = time.Now().Add(-time.Hour) //nolint:gochecknoglobals,forbidigo // when the story plays

// facts are the changes of one cart, in the order in which they were made.
func facts(cart string) []play.Event {
	change := func(device string, seen event.Vector, items ...string) (play.Event, event.Vector) {
		v := seen.Next(device)
		return play.Event{ID: cart + "/" + v.String(), Type: "cart.changed", Source: device, Key: cart, Time: at, Vector: v.String(), Data: Changed{Items: items}}, v
	}
	milk, v := change("phone", nil, "milk")
	bread, onPhone := change("phone", v, "bread", "milk")
	eggs, onLaptop := change("laptop", v, "eggs", "milk") // it has not seen the bread
	both, _ := change("phone", onPhone.Merge(onLaptop), "bread", "eggs")
	return []play.Event{milk, bread, eggs, both}
}

func main() {
	play.Main(play.Scene{Models: []any{&Cart{}}, Config: config()}, func(ctx context.Context, p *play.Play) error {
		f := facts("c-1")
		for _, step := range []struct {
			what  string
			event play.Event
		}{
			{"the laptop puts eggs in", f[2]},
			{"the phone has bread, and knows nothing of the eggs", f[1]},
			{"the phone's first change comes late: both have seen it", f[0]},
			{"the phone has seen all, and takes the milk out", f[3]},
		} {
			if err := p.Send(ctx, step.event); err != nil {
				return err
			}
			var c Cart
			if err := p.DB.WithContext(ctx).First(&c).Error; err != nil {
				return err
			}
			fmt.Printf("%-54s %-16s: %s (of %d)\n", step.what, step.event.Vector, c.Items, c.Versions)
		}
		return nil
	})
}
