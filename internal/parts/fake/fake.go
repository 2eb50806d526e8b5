// Package fake runs kfake, a Kafka broker in this process and in memory, behind real
// ports.
package fake

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Config says how to run a cluster.
type Config struct {
	// Nodes is how many brokers there are. Defaults to 1.
	Nodes int
	// Properties are broker settings, as far as kfake knows them.
	Properties map[string]string
	// Ports to listen on at 127.0.0.1, one for each node. Defaults to free ones.
	Ports []int
}

// Start starts a cluster. The caller calls its Close.
func Start(config Config) (*kfake.Cluster, error) {
	var id [16]byte
	rand.Read(id[:]) // never fails
	properties := map[string]string{
		// Rebalances at test speed, as for the real broker.
		"group.consumer.heartbeat.interval.ms": "200",
		"group.consumer.session.timeout.ms":    "6000",
	}
	for name, value := range config.Properties {
		properties[name] = value
	}
	options := []kfake.Opt{
		kfake.NumBrokers(max(config.Nodes, 1)),
		// kfake's own default is the same for every cluster.
		kfake.ClusterID(base64.RawURLEncoding.EncodeToString(id[:])),
		kfake.GroupMinSessionTimeout(500 * time.Millisecond),
		kfake.BrokerConfigs(properties),
	}
	if len(config.Ports) > 0 {
		options = append(options, kfake.Ports(config.Ports...))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return cluster, nil
}

// Brokers are the addresses of a cluster's brokers, comma-separated.
func Brokers(cluster *kfake.Cluster) string { return strings.Join(cluster.ListenAddrs(), ",") }
