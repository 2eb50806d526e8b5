package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/examples/play"
	"github.com/evenkeel-go/evenkeel/framework"
)

var at = time.Now().Add(-time.Hour) //nolint:gochecknoglobals,forbidigo // when the story plays

// move is the n-th event of an account: in if the cents are above zero, out if below.
func move(account string, n, cents int64) play.Event {
	e := play.Event{
		ID: fmt.Sprintf("%s#%d", account, n), Type: "account.paid-in", Source: "bank", Key: account,
		Time: at.Add(time.Duration(n) * time.Second), Version: n, Data: Move{Cents: cents},
	}
	if cents < 0 {
		e.Type, e.Data = "account.drawn", Move{Cents: -cents}
	}
	return e
}

func show(ctx context.Context, p *play.Play, what string) error {
	var a Account
	if err := p.DB.WithContext(ctx).Limit(1).Find(&a).Error; err != nil {
		return err
	}
	waiting, err := framework.CountParked(ctx, p.DB, framework.ParkedFilter{})
	if err != nil {
		return err
	}
	fmt.Printf("%-51s balance %4d, refused %d, last %q; %d waiting\n", what, a.Balance, a.Refused, a.LastMove, waiting)
	return nil
}

// asked waits until the bank has been asked n times, and returns what for.
func asked(ctx context.Context, p *play.Play, replays string, n int) ([]event.ReplayRequest, error) {
	if err := p.Until(ctx, func() bool { return p.Consumer.Stats().EmittedPublished >= int64(n) }); err != nil {
		return nil, err
	}
	events, err := p.Read(ctx, replays)
	if err != nil {
		return nil, err
	}
	requests := make([]event.ReplayRequest, len(events))
	for i, e := range events {
		if err := json.Unmarshal(e.Data, &requests[i]); err != nil {
			return nil, err
		}
	}
	return requests, nil
}

func main() {
	const patience = 2 * time.Second // short, for a story
	const replays = "account-replays"
	scene := play.Scene{Models: []any{&Account{}}, Config: config(patience, replays), Further: []string{replays}}
	play.Main(scene, func(ctx context.Context, p *play.Play) error {
		send := func(what string, e play.Event) error {
			if err := p.Send(ctx, e); err != nil {
				return err
			}
			return show(ctx, p, what)
		}
		for _, step := range []struct {
			what  string
			event play.Event
		}{
			{"1: 50 paid in", move("a-1", 1, 50)},
			{"3: 120 drawn, before the 100 that cover it", move("a-1", 3, -120)},
			{"2: 100 paid in, and 3 follows", move("a-1", 2, 100)},
			{"2 once more", move("a-1", 2, 100)},
			{"5: 7 paid in, but where is 4?", move("a-1", 5, 7)},
		} {
			if err := send(step.what, step.event); err != nil {
				return err
			}
		}
		requests, err := asked(ctx, p, replays, 1)
		if err != nil {
			return err
		}
		r := requests[0]
		fmt.Printf("the bank is asked for numbers %d to %d of %s: %s\n", r.From, r.To, r.Key, r.Reason)
		if err := send("the bank sends 4 again, 1000 paid in, and 5 follows", move(r.Key, r.From, 1000)); err != nil {
			return err
		}
		if err := send("8: 1 paid in, and nobody knows of 6 and 7", move("a-1", 8, 1)); err != nil {
			return err
		}
		if err := p.Until(ctx, func() bool { return p.Consumer.Stats().Gaps["dead-letter/time"] == 1 }); err != nil {
			return err
		}
		return show(ctx, p, "asked for in vain: 8 becomes a dead letter")
	})
}
