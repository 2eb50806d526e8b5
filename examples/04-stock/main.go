package main

import (
	"context"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/examples/play"
)

var at = time.Now().Add(-time.Hour) //nolint:gochecknoglobals,forbidigo // when the story plays

func order(id string, items ...Item) play.Event {
	return play.Event{ID: id, Type: "order.placed", Source: "shop", Key: id, Time: at, Data: Placed{Customer: "Ada", Items: items}}
}

func delivery(id, sku string, pieces int) play.Event {
	return play.Event{ID: id, Type: "stock.arrived", Source: "warehouse", Key: sku, Time: at, Data: Arrived{Pieces: pieces}}
}

func main() {
	play.Main(play.Scene{Models: []any{&Order{}, &Stock{}}, Config: config()}, func(ctx context.Context, p *play.Play) error {
		first := order("o-1", Item{"cup", 2}, Item{"pot", 1})
		for _, step := range []struct {
			what  string
			event play.Event
		}{
			{"an order, before anything has arrived", first},
			{"10 cups arrive", delivery("d-1", "cup", 10)},
			{"the order once more: it counts once", first},
			{"another order, with a pot on two lines", order("o-2", Item{"pot", 1}, Item{"pot", 2})},
			{"5 pots arrive", delivery("d-2", "pot", 5)},
		} {
			if err := p.Send(ctx, step.event); err != nil {
				return err
			}
			var rows []Stock
			if err := p.DB.WithContext(ctx).Order("sku").Find(&rows).Error; err != nil {
				return err
			}
			fmt.Println(step.what)
			for _, s := range rows {
				fmt.Printf("    %s: %2d on hand, %d ordered, %2d left\n", s.SKU, s.OnHand, s.Ordered, s.Left)
			}
		}
		return nil
	})
}
