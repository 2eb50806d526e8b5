package confluent

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const (
	cleanupPolicy   = "cleanup.policy"
	maxMessageBytes = "max.message.bytes"
)

var errNoSetting = errors.New("the broker names none")

// CleanupPolicy asks for a topic's cleanup.policy: "delete", "compact", or both with a
// comma between them.
func (p *Producer) CleanupPolicy(ctx context.Context, topic string) (string, error) {
	return p.setting(ctx, topic, cleanupPolicy)
}

// MaxBytes is the largest message that both the topic and the client take. Where the topic's
// limit can't be read it is Kafka's default, and the error says why.
func (p *Producer) MaxBytes(ctx context.Context, topic string) (int, error) {
	const kafkasDefault = 1048588
	text, err := p.setting(ctx, topic, maxMessageBytes)
	if err != nil {
		return min(kafkasDefault, p.maxBytes), err
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return min(kafkasDefault, p.maxBytes), err
	}
	return min(n, p.maxBytes), nil
}

// setting asks for one of a topic's settings.
func (p *Producer) setting(ctx context.Context, topic, name string) (string, error) {
	if err := p.gate.enter(); err != nil {
		return "", err
	}
	defer p.gate.leave()
	return setting(ctx, p.admin, topic, name)
}

func setting(ctx context.Context, admin *kafka.AdminClient, topic, name string) (string, error) {
	resources := []kafka.ConfigResource{{Type: kafka.ResourceTopic, Name: topic}}
	results, err := admin.DescribeConfigs(ctx, resources, kafka.SetAdminRequestTimeout(callTimeout))
	if err != nil {
		return "", fmt.Errorf("asking for the settings of topic %s: %w", topic, err)
	}
	for _, r := range results {
		if r.Error.Code() != kafka.ErrNoError {
			return "", fmt.Errorf("asking for the settings of topic %s: %w", topic, r.Error)
		}
		if entry, ok := r.Config[name]; ok {
			return entry.Value, nil
		}
	}
	return "", fmt.Errorf("asking for %s of topic %s: %w", name, topic, errNoSetting)
}
