package framework

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/evenkeel-go/evenkeel/handlers"
)

// CompactedTopicError says that a topic is compacted, or may be, which a handler's guard
// does not bear: compaction takes away events of a key that newer ones follow, and to a
// counter or a sequence of numbers each event counts.
type CompactedTopicError struct {
	Topic string
	// Policy is the topic's cleanup.policy; empty when Err says why it can't be read.
	Policy string
	// Handler and Guard are those of one handler that needs every event.
	Handler, Guard string
	Brokers        string
	Err            error
}

// Error names the topic, its cleanup.policy and the mend.
func (c *CompactedTopicError) Error() string {
	if c.Err != nil {
		return fmt.Sprintf("evenkeel: the cleanup.policy of topic %s can't be read, and handler %s is under guards.%s, which must not read a compacted topic: %v; allow this client to describe the topic's settings (DESCRIBE_CONFIGS)", c.Topic, c.Handler, c.Guard, c.Err)
	}
	return fmt.Sprintf("evenkeel: the topic %s has cleanup.policy=%s, but handler %s is under guards.%s, which needs every event: compaction takes away those that newer ones of the same key follow; keep them with: kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config cleanup.policy=delete, or state facts with handlers.Set",
		c.Topic, c.Policy, c.Handler, c.Guard, c.Brokers, c.Topic)
}

// Unwrap returns the client's error.
func (c *CompactedTopicError) Unwrap() error { return c.Err }

// checkPolicies finds compacted topics where a handler needs the whole log (R7, R8); h is
// nil where none does, and then nothing is asked.
func (c *Consumer) checkPolicies(ctx context.Context, h *handlers.Handler) error {
	if h == nil {
		return nil
	}
	var errs []error
	for _, t := range c.cfg.Topics {
		policy, err := c.producer.CleanupPolicy(ctx, t)
		if err != nil || strings.Contains(policy, "compact") {
			guard := h.Stamper.Kind().String()
			errs = append(errs, &CompactedTopicError{
				Topic: t, Policy: policy, Handler: h.Name, Guard: strings.ToUpper(guard[:1]) + guard[1:], Brokers: c.cfg.Brokers, Err: err,
			})
		}
	}
	return errors.Join(errs...)
}
