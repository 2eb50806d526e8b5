package main

import (
	"context"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/examples/play"
)

var at = time.Now().Add(-time.Hour).Truncate(time.Minute) //nolint:gochecknoglobals,forbidigo // when the story plays

// The two events of an order.
func facts(key string) (created, completed play.Event) {
	created = play.Event{ID: key + "-1", Type: "order.created", Source: "shop", Key: key, Time: at, Data: Created{Customer: "Ada"}}
	completed = play.Event{ID: key + "-2", Type: "order.completed", Source: "warehouse", Key: key, Time: at.Add(5 * time.Minute), Data: Completed{}}
	return created, completed
}

func main() {
	play.Main(play.Scene{Models: []any{&Order{}}, Config: config()}, func(ctx context.Context, p *play.Play) error {
		created, completed := facts("o-1")
		renamed := created
		renamed.ID, renamed.Time, renamed.Data = "o-1-0", at.Add(-time.Minute), Created{Customer: "nobody"}
		for _, step := range []struct {
			what  string
			event play.Event
		}{
			{"completed, before anybody has heard of the order", completed},
			{"created, five minutes older than what is there already", created},
			{"completed once more: the producer sends it twice", completed},
			{"an older version of created: overtaken", renamed},
		} {
			if err := p.Send(ctx, step.event); err != nil {
				return err
			}
			var o Order
			if err := p.DB.WithContext(ctx).First(&o, "id = ?", "o-1").Error; err != nil {
				return err
			}
			fmt.Printf("%s\n    %s %-9s customer=%q (%s)\n", step.what, o.ID, o.Status, o.Customer, o.EkState)
		}
		return nil
	})
}
