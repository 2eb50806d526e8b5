//go:build unix

package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"github.com/evenkeel-go/evenkeel/internal/parts"
)

// Node is one broker of a cluster.
type Node struct {
	cluster        *Cluster
	id             int
	port           int
	controllerPort int
	heap           int
	process        *parts.Process // nil while it is stopped
}

// ID is the node id.
func (n *Node) ID() int { return n.id }

// Addr is the host and port that clients connect to. It stays the same when the broker is
// started again.
func (n *Node) Addr() string { return address(n.port) }

func (n *Node) dir() string { return filepath.Join(n.cluster.dir, strconv.Itoa(n.id)) }

func (n *Node) propertiesFile() string { return filepath.Join(n.dir(), "server.properties") }

// format writes the broker's properties and makes its data directory.
func (n *Node) format(ctx context.Context, voters string, config Config) error {
	if err := os.Mkdir(n.dir(), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(n.propertiesFile(), n.properties(voters, config), 0o600); err != nil {
		return err
	}
	out, err := n.cluster.java(ctx, "kafka.tools.StorageTool", "format", "-t", n.cluster.id, "-c", n.propertiesFile()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("formatting Kafka's data directory: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}

func (n *Node) properties(voters string, config Config) []byte {
	replicas := min(config.Brokers, 3)
	inSync := max(replicas-1, 1)
	p := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(n.id),
		"controller.quorum.voters":       voters,
		"listeners":                      "PLAINTEXT://" + n.Addr() + ",CONTROLLER://" + address(n.controllerPort),
		"advertised.listeners":           "PLAINTEXT://" + n.Addr(),
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "PLAINTEXT",
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs":                       filepath.Join(n.dir(), "data"),

		"default.replication.factor":                       strconv.Itoa(replicas),
		"min.insync.replicas":                              strconv.Itoa(inSync),
		"offsets.topic.replication.factor":                 strconv.Itoa(replicas),
		"offsets.topic.num.partitions":                     "5",
		"transaction.state.log.replication.factor":         strconv.Itoa(replicas),
		"transaction.state.log.min.isr":                    strconv.Itoa(inSync),
		"transaction.state.log.num.partitions":             "5",
		"share.coordinator.state.topic.replication.factor": strconv.Itoa(replicas),
		"share.coordinator.state.topic.min.isr":            strconv.Itoa(inSync),

		// A typo in a topic's name should be an error, not a topic.
		"auto.create.topics.enable": "false",

		// Rebalances at test speed: with the defaults a group of two takes ten seconds.
		"group.initial.rebalance.delay.ms":                            "0",
		"group.min.session.timeout.ms":                                "500",
		"group.consumer.min.session.timeout.ms":                       "500",
		"group.consumer.session.timeout.ms":                           "6000",
		"group.consumer.min.heartbeat.interval.ms":                    "50",
		"group.consumer.heartbeat.interval.ms":                        "200",
		"log.initial.task.delay.ms":                                   "5000",
		"log.cleaner.backoff.ms":                                      "500",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
	}
	if config.Brokers > 1 {
		// A broker that was killed is missed after this time, and not before it may it
		// register again.
		p["broker.session.timeout.ms"] = "2000"
		p["broker.heartbeat.interval.ms"] = "250"
	}
	for name, value := range config.Properties {
		p[name] = value
	}
	lines := make([]string, 0, len(p))
	for name, value := range p {
		lines = append(lines, name+"="+value+"\n")
	}
	sort.Strings(lines)
	return []byte(strings.Join(lines, ""))
}

// launch starts the process without waiting for it to serve.
func (n *Node) launch(ctx context.Context) error {
	if n.process != nil {
		return fmt.Errorf("Kafka broker %d is running", n.id) //nolint:staticcheck // ST1005: a name
	}
	state := filepath.Join(n.dir(), "state")
	if err := os.RemoveAll(state); err != nil {
		return err
	}
	if err := os.Mkdir(state, 0o700); err != nil {
		return err
	}
	p, err := parts.Command{
		Args: []string{
			"java", "-Xms128m", fmt.Sprintf("-Xmx%dm", n.heap), "-XX:+UseSerialGC", "-Djava.awt.headless=true",
			"-cp", filepath.Join(n.cluster.libs, "*"), "kafka.Kafka", n.propertiesFile(),
		},
		State: state, Scratch: n.dir(), Parent: n.cluster.dir,
	}.Start(ctx)
	if err != nil {
		return err
	}
	n.process = p
	return nil
}

// Start starts the broker again after Stop or Kill and returns when it is back in the
// cluster.
func (n *Node) Start(ctx context.Context) error {
	if err := n.launch(ctx); err != nil {
		return err
	}
	running := 0
	for _, other := range n.cluster.nodes {
		if other.process != nil {
			running++
		}
	}
	return n.cluster.ready(ctx, running)
}

// Stop shuts the broker down in order: it hands over its leaderships first.
func (n *Node) Stop(ctx context.Context) error { return n.end(ctx, syscall.SIGTERM) }

// Kill ends the broker with SIGKILL, as a crash would.
func (n *Node) Kill(ctx context.Context) error { return n.end(ctx, syscall.SIGKILL) }

func (n *Node) end(ctx context.Context, sig syscall.Signal) error {
	if n.process == nil {
		return fmt.Errorf("Kafka broker %d is not running", n.id) //nolint:staticcheck // ST1005: a name
	}
	p := n.process
	n.process = nil
	return p.Stop(ctx, sig)
}

// Pause freezes the broker with SIGSTOP: its connections stay and nothing answers.
func (n *Node) Pause() error { return n.signal(syscall.SIGSTOP) }

// Resume lets a paused broker go on.
func (n *Node) Resume() error { return n.signal(syscall.SIGCONT) }

func (n *Node) signal(sig syscall.Signal) error {
	if n.process == nil {
		return errors.New("the broker is not running")
	}
	return n.process.Signal(sig)
}
