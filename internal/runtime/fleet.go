package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// AlarmMembersDiffer says that other members of the group have handlers that this one has not.
const AlarmMembersDiffer ledger.AlarmKind = "members-differ"

// compareEvery is how often a member looks at what the others say: each of them reads all.
const compareEvery = time.Minute

// fleet is what a member knows of the others.
type fleet struct {
	next time.Time
	told string // what it has warned of last; empty when there is nothing
}

// handles are the member's handlers by event type.
func (m *Member) handles() store.Handles {
	all := store.Handles{}
	for _, h := range m.Judge.Wiring.All() {
		all[h.EventType] = append(all[h.EventType], h.Name)
	}
	return all
}

// compare warns of what other members handle and this one does not: it leaves that out of what
// it reads, and nobody sees it (R22). It does so once for each difference.
func (m *Member) compare(ctx context.Context, f *fleet, self *store.Member) {
	now := m.Clock.Now()
	if now.Before(f.next) {
		return
	}
	peers, err := m.Store.Peers(ctx, m.Group, m.id)
	if err != nil {
		m.log(Debug, "what other members handle could not be read", "error", err)
		return
	}
	f.next = now.Add(compareEvery)
	what, who := lacking(self, peers)
	switch what {
	case f.told:
	case "":
		m.log(Info, "no other member of the group has handlers that this one lacks any more")
	default:
		a := ledger.Alarm{Kind: AlarmMembersDiffer, Detail: what + " (they are in " + who + ")"}
		m.log(Warn, "alarm: "+a.Detail, "alarm", string(a.Kind), "next", store.HandlesMend)
		m.Observe.Alarm(broker.Partition{Number: store.AllPartitions}, a)
	}
	f.told = what
}

// lacking says what one member lacks, and which others have it.
func lacking(self *store.Member, peers []store.Member) (what, who string) {
	all := []store.Handles{self.State.Handles}
	for i := range peers {
		all = append(all, peers[i].State.Handles)
	}
	var types, handlers, members []string
	for _, g := range store.HandlesGaps(all) {
		if !slices.Contains(g.Without, 0) {
			continue
		}
		if g.Handler == "" {
			types = append(types, g.EventType)
		} else {
			handlers = append(handlers, fmt.Sprintf("%s of %s", g.Handler, g.EventType))
		}
		for _, i := range g.With {
			p := &peers[i-1]
			name := p.Owner
			if p.Version != "" {
				name += ", version " + p.Version
			}
			if !slices.Contains(members, name) {
				members = append(members, name)
			}
		}
	}
	var parts []string
	if len(types) > 0 {
		end := "are discarded as unhandled"
		if self.State.UnhandledLetters {
			end = "become dead letters"
		}
		parts = append(parts, "events of types that only other members of the group handle "+end+" where this one reads them: "+someOf(types))
	}
	if len(handlers) > 0 {
		parts = append(parts, "handlers that only other members of the group have do not run for the events that this one reads: "+someOf(handlers))
	}
	return strings.Join(parts, "; "), someOf(members)
}

// someOf lists the first few.
func someOf(words []string) string {
	const few = 10
	if len(words) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:few], ", "), len(words)-few)
	}
	return strings.Join(words, ", ")
}
