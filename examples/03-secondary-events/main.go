package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel-go/evenkeel/examples/play"
	"github.com/evenkeel-go/evenkeel/framework"
)

var at = time.Now().Add(-time.Hour).Truncate(time.Hour).UTC() //nolint:gochecknoglobals,forbidigo // when the story plays

// slowScan takes one to two seconds.
func slowScan(ctx context.Context, order, hash string) (string, error) {
	sum := fnv.New32a()
	sum.Write([]byte(order))
	took := time.NewTimer(time.Second + time.Duration(sum.Sum32()%1000)*time.Millisecond) //nolint:forbidigo // it plays in real time
	defer took.Stop()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-took.C:
		return kindOf(hash), nil
	}
}

func kindOf(hash string) string {
	if strings.HasSuffix(hash, ".exe") {
		return "program"
	}
	return "archive"
}

func added(id, hash string, minute int, parents ...string) play.Event {
	return play.Event{ID: id, Type: "hash.added", Source: "lab", Key: hash, Time: at.Add(time.Duration(minute) * time.Minute), Data: Change{Parents: parents}}
}

func removed(id, hash string, minute int, parents ...string) play.Event {
	e := added(id, hash, minute, parents...)
	e.Type = "hash.removed"
	return e
}

// teller prints what becomes of each event, and when.
type teller struct {
	mu    sync.Mutex
	began time.Time
}

func (t *teller) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began = time.Now() //nolint:forbidigo // it plays in real time
}

// OnVerdict is called by all members.
func (t *teller) OnVerdict(v framework.Verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seconds := time.Since(t.began).Seconds() //nolint:forbidigo // it plays in real time
	whose := "its own"
	if v.Event.Lineage != nil {
		whose = "from " + v.Event.Lineage.ID
	}
	fmt.Printf("    after %4.1fs  %s %-12s  %-9s  %-15s  %s\n", seconds, v.Event.OccurredAt.Format("15:04"), v.Event.Type, v.Entity, whose, v.Reason)
}

func main() {
	const topic = "hashes"
	tell := &teller{}
	scene := play.Scene{Models: []any{&Hash{}}, Config: config(topic, slowScan), Members: 3, Partitions: 6}
	scene.Config.Hooks = []any{tell}
	play.Main(scene, func(ctx context.Context, p *play.Play) error {
		fmt.Println("sent together, in this order:")
		var events []play.Event
		for _, step := range []struct {
			what  string
			event play.Event
		}{
			{"virus.exe is bad, and so are mail.zip that it lies in, and disk.tar", added("add-virus", "virus.exe", 10, "mail.zip", "disk.tar")},
			{"somebody has cleaned mail.zip; that holds for disk.tar, too", removed("clear-mail", "mail.zip", 20, "disk.tar")},
			{"worm.exe is bad, and so are old.zip and disk.tar", added("add-worm", "worm.exe", 15, "old.zip", "disk.tar")},
			{"disk.tar is bad, says an event of its own at the time of clear-mail", added("add-disk", "disk.tar", 20)},
		} {
			fmt.Printf("    %s %-10s  %s\n", step.event.Time.Format("15:04"), step.event.ID, step.what)
			events = append(events, step.event)
		}
		fmt.Println("what three members make of it:")
		tell.begin()
		if err := p.Send(ctx, events...); err != nil {
			return err
		}
		var rows []Hash
		if err := p.DB.WithContext(ctx).Order("id").Find(&rows).Error; err != nil {
			return err
		}
		fmt.Println("the list:")
		for _, h := range rows {
			fmt.Printf("    %-9s  %-7s  present=%-5t  because of %s\n", h.ID, h.Kind, h.Present, h.Because)
		}
		return nil
	})
}
