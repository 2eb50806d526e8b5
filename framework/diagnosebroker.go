package framework

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/broker/confluent"
)

func (d *diagnosis) broker(ctx context.Context) {
	if owned := confluent.OwnedIn(d.cfg.Kafka); len(owned) > 0 {
		d.add("broker", "", HealthFail, fmt.Sprintf("the Kafka property %s can't be set: %s", owned[0], confluent.Owned(owned[0])), "leave it out")
		return
	}
	topics := slices.Clone(d.cfg.Topics)
	for _, t := range d.emits {
		if !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	if t := d.cfg.DeadLetterTopic; t != "" {
		topics = append(topics, t)
	}
	told, err := confluent.Examine(ctx, confluent.Settings{Brokers: d.cfg.Brokers, Group: d.cfg.Group, User: d.cfg.Kafka}, topics)
	if err != nil {
		d.add("broker", "", HealthFail, fmt.Sprintf("Kafka at %s does not answer: %v", d.cfg.Brokers, err), "check the brokers' names and ports and, with SASL or TLS, the Kafka properties")
		return
	}
	d.add("broker", "", HealthOK, fmt.Sprintf("the cluster %s answers, with %d brokers", told.Cluster, told.Brokers), "")
	var largest int
	for i := range told.Topics {
		t := &told.Topics[i]
		d.topic(t)
		switch d.checkOf(t.Name) {
		case checkLetters:
			d.letterTopic(t, largest)
			continue
		case checkEmitted:
			continue
		}
		d.sourceTopic(t)
		if n, err := strconv.Atoi(t.Settings["max.message.bytes"]); err == nil {
			largest = max(largest, n)
		}
	}
	if d.cfg.DeadLetterTopic == "" {
		d.add(checkLetters, "", HealthWarn, "the dead-letter topic was not looked at", "name it, as Config.DeadLetterTopic or --dead-letter-topic")
	}
	if d.cfg.Group != "" {
		d.members(&told.Group)
	}
}

const (
	checkTopic   = "topic"
	checkLetters = "dead-letter topic"
	checkEmitted = "emitted topic"
)

// checkOf is what a topic is first of all: one that is read may be written, too.
func (d *diagnosis) checkOf(topic string) string {
	switch {
	case topic == d.cfg.DeadLetterTopic:
		return checkLetters
	case slices.Contains(d.cfg.Topics, topic):
		return checkTopic
	}
	return checkEmitted
}

// uses are the operations that a topic is there for.
func (d *diagnosis) uses(topic string) (may []string) {
	if d.checkOf(topic) == checkTopic {
		may = append(may, "read")
	}
	if topic == d.cfg.DeadLetterTopic || slices.Contains(d.emits, topic) {
		may = append(may, "write")
	}
	return append(may, "describe")
}

// topic looks at what counts for every topic.
func (d *diagnosis) topic(t *confluent.ExaminedTopic) {
	check := d.checkOf(t.Name)
	switch {
	case t.Missing:
		err := &MissingTopicError{Topic: t.Name, DeadLetter: check == checkLetters, Brokers: d.cfg.Brokers}
		text, mend, _ := strings.Cut(err.Error(), "; ")
		if check == checkEmitted {
			text += ", and handlers emit to it (handlers.Emits, guards.RequestReplay)"
		}
		d.add(check, t.Name, HealthFail, strings.TrimPrefix(text, "evenkeel: "), mend)
		return
	case t.Err != nil:
		d.add(check, t.Name, HealthFail, "it can't be looked at: "+t.Err.Error(), "allow this client to describe it (DESCRIBE)")
		return
	}
	if t.Away > 0 {
		d.add(check, t.Name, HealthFail, fmt.Sprintf("%d of %d partitions have no leader", t.Away, t.Partitions), "brokers are down; look at the cluster")
	} else if t.Lagging > 0 {
		d.add(check, t.Name, HealthWarn, fmt.Sprintf("%d of %d partitions have replicas that are not in sync", t.Lagging, t.Partitions), "a broker is down or slow; look at the cluster")
	}
	if lacks := missing(t.May, d.uses(t.Name)...); t.May != nil && len(lacks) > 0 {
		d.add(check, t.Name, HealthFail, "this client may not "+strings.Join(lacks, " or ")+" it", "add ACLs for "+strings.ToUpper(strings.Join(lacks, ", "))+" on the topic")
	}
	if t.SettingsErr != nil {
		d.add(check, t.Name, HealthWarn, "its settings can't be read: "+t.SettingsErr.Error(), "allow this client to describe them (DESCRIBE_CONFIGS)")
		return
	}
	n := len(d.findings)
	d.replicas(check, t)
	if t.Settings["unclean.leader.election.enable"] == "true" {
		d.add(check, t.Name, HealthWarn, "unclean.leader.election.enable=true: acknowledged records may be lost, and offsets given twice", d.alter(t, "unclean.leader.election.enable=false"))
	}
	if n == len(d.findings) {
		d.add(check, t.Name, HealthOK, fmt.Sprintf("%d partitions, %d replicas, keeps records for %s", t.Partitions, t.Replicas, keeps(t)), "")
	}
}

// replicas looks at how many copies there are and must be.
func (d *diagnosis) replicas(check string, t *confluent.ExaminedTopic) {
	least, err := strconv.Atoi(t.Settings["min.insync.replicas"])
	switch {
	case err == nil && least > t.Replicas:
		d.add(check, t.Name, HealthFail, fmt.Sprintf("min.insync.replicas=%d and there are %d replicas: nothing can be written with acks=all", least, t.Replicas), d.alter(t, "min.insync.replicas="+strconv.Itoa(max(t.Replicas-1, 1))))
	case t.Replicas == 1:
		d.add(check, t.Name, HealthWarn, "there is 1 replica: when its broker is lost, so are the records", "give the topic 3 replicas (kafka-reassign-partitions.sh)")
	case err == nil && least == t.Replicas:
		d.add(check, t.Name, HealthWarn, fmt.Sprintf("min.insync.replicas=%d, as many as there are replicas: one broker that is down stops all writing", least), d.alter(t, "min.insync.replicas="+strconv.Itoa(t.Replicas-1)))
	case err == nil && least == 1:
		d.add(check, t.Name, HealthWarn, "min.insync.replicas=1: what is acknowledged may be on one broker only", d.alter(t, "min.insync.replicas=2"))
	}
}

func (d *diagnosis) alter(t *confluent.ExaminedTopic, setting string) string {
	return fmt.Sprintf("kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s", d.cfg.Brokers, t.Name, setting)
}

// sourceTopic looks at a topic of events.
func (d *diagnosis) sourceTopic(t *confluent.ExaminedTopic) {
	if !strings.Contains(t.Settings["cleanup.policy"], "compact") {
		return
	}
	if d.cfg.Handlers == nil {
		d.add(checkTopic, t.Name, HealthWarn, "cleanup.policy="+t.Settings["cleanup.policy"]+": guards.Once and guards.Sequence need every event, and a service that has them would not start", d.alter(t, "cleanup.policy=delete"))
		return
	}
	if d.wholeLog != nil {
		d.add(checkTopic, t.Name, HealthFail, fmt.Sprintf("cleanup.policy=%s, and the handler %s needs every event", t.Settings["cleanup.policy"], d.wholeLog.Name), d.alter(t, "cleanup.policy=delete"))
	}
}

// letterTopic looks at what the copies of letters need; largest is the largest event.
func (d *diagnosis) letterTopic(t *confluent.ExaminedTopic, largest int) {
	if t.Settings == nil {
		return
	}
	if strings.Contains(t.Settings["cleanup.policy"], "compact") {
		d.add(checkLetters, t.Name, HealthWarn, "cleanup.policy="+t.Settings["cleanup.policy"]+": of the letters of one key only the last copy stays", d.alter(t, "cleanup.policy=delete"))
	}
	if ms, err := strconv.ParseInt(t.Settings["retention.ms"], 10, 64); err == nil && ms >= 0 && time.Duration(ms)*time.Millisecond < d.cfg.KeepLetters {
		d.add(checkLetters, t.Name, HealthWarn, fmt.Sprintf("it keeps copies for %s, and the table keeps letters for %s: older ones are in the table only", keeps(t), days(d.cfg.KeepLetters)), d.alter(t, "retention.ms="+strconv.FormatInt(d.cfg.KeepLetters.Milliseconds(), 10)))
	}
	if n, err := strconv.Atoi(t.Settings["max.message.bytes"]); err == nil && n < largest {
		d.add(checkLetters, t.Name, HealthWarn, fmt.Sprintf("max.message.bytes=%d, and a topic of events takes %d: the copy of a letter for a large event goes without the event", n, largest), d.alter(t, "max.message.bytes="+strconv.Itoa(max(largest+letterHeaders, confluent.MaxMessageBytes))))
	}
}

// letterHeaders is room for what a letter adds to its event.
const letterHeaders = 64 << 10

func keeps(t *confluent.ExaminedTopic) string {
	ms, err := strconv.ParseInt(t.Settings["retention.ms"], 10, 64)
	switch {
	case err != nil:
		return "an unknown time"
	case ms < 0:
		return "ever"
	}
	return days(time.Duration(ms) * time.Millisecond)
}

func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

func (d *diagnosis) members(g *confluent.ExaminedGroup) {
	switch lacks := missing(g.May, "read"); {
	case g.Err != nil:
		d.add("members", d.cfg.Group, HealthWarn, "the group can't be looked at: "+g.Err.Error(), "allow this client to describe the group (DESCRIBE)")
	case g.May != nil && len(lacks) > 0:
		d.add("members", d.cfg.Group, HealthFail, "this client may not read as the group", "add an ACL for READ on the group")
	case len(g.Members) == 0:
		d.add("members", d.cfg.Group, HealthWarn, "no member runs; Kafka says the group is "+g.State, "start the service")
	default:
		d.add("members", d.cfg.Group, HealthOK, fmt.Sprintf("%d members run (%s): %s", len(g.Members), g.State, strings.Join(g.Members, ", ")), "")
	}
}
