package confluent

import (
	"context"
	"errors"
	"fmt"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const cleanupPolicy = "cleanup.policy"

var errNoPolicy = errors.New("the broker names none")

// CleanupPolicy asks for a topic's cleanup.policy: "delete", "compact", or both with a
// comma between them.
func (p *Producer) CleanupPolicy(ctx context.Context, topic string) (string, error) {
	if err := p.gate.enter(); err != nil {
		return "", err
	}
	defer p.gate.leave()
	resources := []kafka.ConfigResource{{Type: kafka.ResourceTopic, Name: topic}}
	results, err := p.admin.DescribeConfigs(ctx, resources, kafka.SetAdminRequestTimeout(callTimeout))
	if err != nil {
		return "", fmt.Errorf("asking for the settings of topic %s: %w", topic, err)
	}
	for _, r := range results {
		if r.Error.Code() != kafka.ErrNoError {
			return "", fmt.Errorf("asking for the settings of topic %s: %w", topic, r.Error)
		}
		if entry, ok := r.Config[cleanupPolicy]; ok {
			return entry.Value, nil
		}
	}
	return "", fmt.Errorf("asking for %s of topic %s: %w", cleanupPolicy, topic, errNoPolicy)
}
