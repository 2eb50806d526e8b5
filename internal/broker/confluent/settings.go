package confluent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Settings are what the framework decides of a client, and what the user adds.
type Settings struct {
	Brokers  string
	Group    string
	Protocol string         // "classic" or "consumer"
	User     map[string]any // librdkafka properties
}

// Owned returns why a user can't set a librdkafka property, or "" for those that are the
// user's.
func Owned(key string) string {
	if strings.HasPrefix(key, "go.") {
		return "properties that begin with go. belong to the client's binding"
	}
	return owned[key]
}

var owned = map[string]string{ //nolint:gochecknoglobals // a table
	"bootstrap.servers":             "set Config.Brokers",
	"metadata.broker.list":          "set Config.Brokers",
	"group.id":                      "set Config.Group",
	"group.protocol":                "set Config.Protocol",
	"partition.assignment.strategy": "the classic protocol runs cooperative-sticky, the other assigns on the broker",
	"enable.auto.commit":            "offsets are committed once their effect is in the database",
	"auto.commit.interval.ms":       "offsets are committed once their effect is in the database",
	"enable.auto.offset.store":      "offsets are committed once their effect is in the database",
	"auto.offset.reset":             "where to start is decided from the ledger; set Config.Start",
	"enable.partition.eof":          "the framework reads it",
	"acks":                          "letters are written with acks=all",
	"request.required.acks":         "letters are written with acks=all",
	"enable.idempotence":            "letters are written idempotently",
	"message.timeout.ms":            "a letter that can't be published is tried again from the outbox",
	"delivery.timeout.ms":           "a letter that can't be published is tried again from the outbox",
	"transactional.id":              "the outbox takes its place",
}

func isOwned(key string) bool { return Owned(key) != "" }

// OwnedIn returns the owned properties among the user's, sorted.
func OwnedIn(user map[string]any) []string {
	var found []string
	for k := range user {
		if isOwned(k) {
			found = append(found, k)
		}
	}
	slices.Sort(found)
	return found
}

func (s Settings) common() kafka.ConfigMap {
	cfg := kafka.ConfigMap{}
	for k, v := range s.User {
		cfg[k] = fmt.Sprint(v) // the binding takes few types
	}
	cfg["bootstrap.servers"] = s.Brokers
	return cfg
}
