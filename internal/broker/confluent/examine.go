package confluent

import (
	"context"
	"fmt"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Examined is what a cluster tells about itself to somebody who only asks.
type Examined struct {
	Cluster string
	Brokers int
	Topics  []ExaminedTopic // in the order of the question
	Group   ExaminedGroup
}

// ExaminedTopic is a topic; Err says why nothing is known of it.
type ExaminedTopic struct {
	Name       string
	Missing    bool
	Err        error
	Partitions int
	// Replicas is the smallest number of replicas among its partitions, Away how many
	// partitions have no leader, Lagging how many have replicas that are not in sync.
	Replicas, Away, Lagging int
	// May are the operations that this client is allowed, in Kafka's words (read, write, …);
	// nil where the broker doesn't tell.
	May []string
	// Settings are the topic's, the broker's defaults among them; SettingsErr says why they
	// are not known.
	Settings    map[string]string
	SettingsErr error
}

// ExaminedGroup is a consumer group; Err says why nothing is known of it.
type ExaminedGroup struct {
	State   string // in Kafka's words
	Members []string
	May     []string
	Err     error
}

// Examine asks a cluster about itself, some topics and the settings' group ("" for none). It
// changes nothing. The error says that the cluster can't be reached.
func Examine(ctx context.Context, s Settings, topics []string) (*Examined, error) {
	cfg := s.common()
	cfg["log_level"] = 0 // what matters comes back as an error
	for k := range cfg {
		if isConsumerOnly(k) {
			delete(cfg, k)
		}
	}
	admin, err := kafka.NewAdminClient(&cfg)
	if err != nil {
		return nil, fmt.Errorf("the Kafka client can't be made: %w; check the properties against librdkafka's CONFIGURATION.md", err)
	}
	defer admin.Close()
	cluster, err := admin.DescribeCluster(ctx, kafka.SetAdminRequestTimeout(callTimeout))
	if err != nil {
		return nil, err
	}
	found := &Examined{Brokers: len(cluster.Nodes)}
	if cluster.ClusterID != nil {
		found.Cluster = *cluster.ClusterID
	}
	for _, name := range topics {
		found.Topics = append(found.Topics, examineTopic(ctx, admin, name))
	}
	if s.Group != "" {
		found.Group = examineGroup(ctx, admin, s.Group)
	}
	return found, nil
}

func examineTopic(ctx context.Context, admin *kafka.AdminClient, name string) ExaminedTopic {
	t := ExaminedTopic{Name: name}
	told, err := admin.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames([]string{name}),
		kafka.SetAdminRequestTimeout(callTimeout), kafka.SetAdminOptionIncludeAuthorizedOperations(true))
	if err != nil {
		t.Err = err
		return t
	}
	for _, d := range told.TopicDescriptions {
		if d.Error.Code() == kafka.ErrUnknownTopicOrPart || d.Error.Code() == kafka.ErrUnknownTopic {
			t.Missing = true
			return t
		}
		if d.Error.Code() != kafka.ErrNoError {
			t.Err = d.Error
			return t
		}
		t.May, t.Partitions = operations(d.AuthorizedOperations), len(d.Partitions)
		for i, p := range d.Partitions {
			if i == 0 || len(p.Replicas) < t.Replicas {
				t.Replicas = len(p.Replicas)
			}
			if p.Leader == nil || p.Leader.ID < 0 {
				t.Away++
			}
			if len(p.Isr) < len(p.Replicas) {
				t.Lagging++
			}
		}
	}
	t.Settings, t.SettingsErr = settingsOf(ctx, admin, name)
	return t
}

func settingsOf(ctx context.Context, admin *kafka.AdminClient, topic string) (map[string]string, error) {
	results, err := admin.DescribeConfigs(ctx, []kafka.ConfigResource{{Type: kafka.ResourceTopic, Name: topic}}, kafka.SetAdminRequestTimeout(callTimeout))
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, r := range results {
		if r.Error.Code() != kafka.ErrNoError {
			return nil, r.Error
		}
		for name, entry := range r.Config {
			all[name] = entry.Value
		}
	}
	return all, nil
}

func examineGroup(ctx context.Context, admin *kafka.AdminClient, name string) (g ExaminedGroup) {
	told, err := admin.DescribeConsumerGroups(ctx, []string{name}, kafka.SetAdminRequestTimeout(callTimeout), kafka.SetAdminOptionIncludeAuthorizedOperations(true))
	if err != nil {
		g.Err = err
		return g
	}
	for _, d := range told.ConsumerGroupDescriptions {
		if d.Error.Code() == kafka.ErrGroupIDNotFound { // newer brokers say so, older ones call it dead
			g.State = "unknown"
			return g
		}
		if d.Error.Code() != kafka.ErrNoError {
			g.Err = d.Error
			return g
		}
		g.State, g.May = strings.ToLower(d.State.String()), operations(d.AuthorizedOperations)
		for _, m := range d.Members {
			g.Members = append(g.Members, fmt.Sprintf("%s (%d partitions)", m.Host, len(m.Assignment.TopicPartitions)))
		}
	}
	return g
}

func operations(from []kafka.ACLOperation) (words []string) {
	for _, o := range from {
		words = append(words, strings.ToLower(o.String()))
	}
	return words
}
