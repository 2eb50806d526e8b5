package cli

import "github.com/evenkeel-go/evenkeel/framework"

// consumerJSON is a consumer group for programs. Names and meanings are stable; new ones may
// come. All are always there; what isn't known is null, or "" for texts.
type consumerJSON struct {
	Group       string                   `json:"group"`
	Members     []consumerMemberJSON     `json:"members"`
	Differences []consumerDifferenceJSON `json:"differences"`
	Pauses      []consumerPauseJSON      `json:"pauses"`
	Partitions  []consumerPartitionJSON  `json:"partitions"`
}

type consumerMemberJSON struct {
	Owner      string              `json:"owner"`
	Version    string              `json:"version"`
	Started    *string             `json:"started"`
	Seen       *string             `json:"seen"`
	Silent     bool                `json:"silent"`
	Partitions int                 `json:"partitions"`
	Breakers   []breakerJSON       `json:"breakers"` // those that are not closed
	Handles    map[string][]string `json:"handles"`  // handlers by event type; null where its release does not tell
}

// consumerDifferenceJSON is something that only some members handle.
type consumerDifferenceJSON struct {
	EventType string   `json:"event_type"`
	Handler   string   `json:"handler"` // "" for the type itself
	With      []string `json:"with"`    // owners
	Without   []string `json:"without"`
	Letters   bool     `json:"letters"` // they become dead letters there, and are not discarded
	Text      string   `json:"text"`
	Next      string   `json:"next"`
}

type breakerJSON struct {
	Handler   string  `json:"handler"`
	State     string  `json:"state"`
	Since     *string `json:"since"`
	Failed    int     `json:"failed"`
	Of        int     `json:"of"`
	Probes    int     `json:"probes"`
	NextProbe *string `json:"next_probe"`
	Error     string  `json:"error"`
}

type consumerPauseJSON struct {
	Topic     string  `json:"topic"`     // "" for the whole group
	Partition *int32  `json:"partition"` // null for all
	Since     *string `json:"since"`
	By        string  `json:"by"`
	Reason    string  `json:"reason"`
}

type consumerPartitionJSON struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Next      *int64  `json:"next"`
	Lag       *int64  `json:"lag"`
	Watermark *string `json:"watermark"`
	Owner     string  `json:"owner"`
	Owned     *string `json:"owned"`
	Changed   *string `json:"changed"`
	Held      bool    `json:"held"`
}

func newConsumerJSON(g framework.ConsumerGroup) consumerJSON {
	j := consumerJSON{Group: g.Group, Members: []consumerMemberJSON{}, Differences: []consumerDifferenceJSON{}, Pauses: []consumerPauseJSON{}, Partitions: []consumerPartitionJSON{}}
	for _, m := range g.Members {
		of := consumerMemberJSON{Owner: m.Owner, Version: m.Version, Started: timeJSON(m.Started), Seen: timeJSON(m.Seen), Silent: m.Silent, Partitions: m.Partitions, Breakers: []breakerJSON{}, Handles: m.Handles}
		for _, b := range m.Breakers {
			of.Breakers = append(of.Breakers, breakerJSON{Handler: b.Handler, State: string(b.State), Since: timeJSON(b.Since), Failed: b.Failed, Of: b.Of, Probes: b.Probes, NextProbe: timeJSON(b.NextProbe), Error: b.Error})
		}
		j.Members = append(j.Members, of)
	}
	for _, d := range g.Differences {
		j.Differences = append(j.Differences, consumerDifferenceJSON(d))
	}
	for _, p := range g.Pauses {
		of := consumerPauseJSON{Topic: p.Topic, Since: timeJSON(p.Since), By: p.By, Reason: p.Reason}
		if p.Partition >= 0 {
			of.Partition = &p.Partition
		}
		j.Pauses = append(j.Pauses, of)
	}
	for _, p := range g.Partitions {
		j.Partitions = append(j.Partitions, consumerPartitionJSON{
			Topic: p.Topic, Partition: p.Partition, Next: notNegative(p.Next), Lag: notNegative(p.Lag), Watermark: timeJSON(p.Watermark),
			Owner: p.Owner, Owned: timeJSON(p.Owned), Changed: timeJSON(p.Changed), Held: p.Held,
		})
	}
	return j
}

func notNegative(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}
