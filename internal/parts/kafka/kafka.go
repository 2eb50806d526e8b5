//go:build unix

// Package kafka fetches Apache Kafka and runs it for tests and for trying things out. It
// needs Java and, to fetch, Maven.
package kafka

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/parts"
	"github.com/evenkeel-go/evenkeel/internal/parts/kclient"
)

// Version is the Apache Kafka that is fetched. The jars' versions are in pom.xml.
const Version = "4.3.1"

// MinJava is the oldest Java that this Kafka runs on.
const MinJava = 17

//go:embed pom.xml
var pom []byte

// startTimeout is how long a cluster may take to be ready. One broker on an idle machine
// takes five seconds.
const startTimeout = 3 * time.Minute

// Config says how to run a cluster.
type Config struct {
	// Brokers is how many there are, each in its own process and each a controller as
	// well. Defaults to 1; topics are made with as many replicas, at most three, and need
	// one less in sync.
	Brokers int
	// Port of the first broker, on 127.0.0.1; the next ones follow. Defaults to free ones.
	Port int
	// Heap is each broker's largest heap in megabytes. Defaults to 512.
	Heap int
	// Properties are added to each broker's, as in server.properties.
	Properties map[string]string
}

// Cluster is a running cluster. Its methods may not be called concurrently.
type Cluster struct {
	libs  string
	id    string
	dir   string
	nodes []*Node
}

// Check says in one line what is missing to run Apache Kafka: Java, or Maven while the
// jars have not been fetched.
func Check(ctx context.Context) error {
	java, err := exec.LookPath("java")
	if err != nil {
		return fmt.Errorf("Apache Kafka needs Java %d or later, and there is no java in PATH (Debian: apt-get install openjdk-17-jre-headless)", MinJava) //nolint:staticcheck // ST1005: a name
	}
	out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput() //nolint:gosec // G204: found above
	if err != nil {
		return fmt.Errorf("Apache Kafka needs Java %d or later, and %s does not run: %w: %s", MinJava, java, err, firstLine(out)) //nolint:staticcheck // ST1005: a name
	}
	if v, ok := javaVersion(string(out)); ok && v < MinJava {
		return fmt.Errorf("Apache Kafka needs Java %d or later, and %s is %s", MinJava, java, firstLine(out)) //nolint:staticcheck // ST1005: a name
	}
	cache, err := parts.CacheDir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(cache, cacheName)); err == nil {
		return nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return errors.New("fetching Apache Kafka needs Maven, and there is no mvn in PATH (Debian: apt-get install maven)")
	}
	return nil
}

// javaVersion reads the feature version from what java -version prints, such as
// `openjdk version "17.0.15" 2025-04-15`; before 9 it was written 1.8.
func javaVersion(out string) (int, bool) {
	_, rest, _ := strings.Cut(out, `version "`)
	rest = strings.TrimPrefix(rest, "1.")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		return 0, false
	}
	v, err := strconv.Atoi(rest[:end])
	return v, err == nil
}

func firstLine(out []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return string(line)
}

const cacheName = "kafka-" + Version

// Jars returns the directory of Kafka's jars, after fetching them with Maven if need be.
func Jars(ctx context.Context) (string, error) {
	if err := Check(ctx); err != nil {
		return "", err
	}
	return parts.Cached(cacheName, func(dir string) error {
		file := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(file, pom, 0o644); err != nil { //nolint:gosec // G306: no secret
			return err
		}
		cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", file, //nolint:gosec // G204: our own command
			"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("mvn could not fetch Apache Kafka: %w\n%s", err, bytes.TrimSpace(out))
		}
		return nil
	})
}

// Start fetches Apache Kafka if need be, formats and starts a cluster on a temporary
// directory, and returns when it serves produce, transactions and groups. The caller
// calls Close; a program that dies without doing so takes the cluster with it.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	if config.Brokers == 0 {
		config.Brokers = 1
	}
	if config.Heap == 0 {
		config.Heap = 512
	}
	libs, err := Jars(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := parts.TempDir("evenkeel-kafka-", nil)
	if err != nil {
		return nil, err
	}
	c := &Cluster{libs: libs, id: newID(), dir: dir}
	if err := c.start(ctx, config); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// newID makes a cluster id as Kafka writes one: sixteen bytes in base64 for URLs.
func newID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	id[0] &= 0x7f    // a leading '-' would be taken for an option
	return base64.RawURLEncoding.EncodeToString(id[:])
}

func (c *Cluster) start(ctx context.Context, config Config) error {
	ports, err := parts.FreePorts(2 * config.Brokers)
	if err != nil {
		return err
	}
	voters := make([]string, config.Brokers)
	for i := range config.Brokers {
		if config.Port != 0 {
			ports[i] = config.Port + i
		}
		voters[i] = fmt.Sprintf("%d@127.0.0.1:%d", i+1, ports[config.Brokers+i])
	}
	for i := range config.Brokers {
		n := &Node{cluster: c, id: i + 1, port: ports[i], controllerPort: ports[config.Brokers+i], heap: config.Heap}
		c.nodes = append(c.nodes, n)
		if err := n.format(ctx, strings.Join(voters, ","), config); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := n.launch(ctx); err != nil {
			return err
		}
	}
	return c.ready(ctx, len(c.nodes))
}

// ready waits until so many brokers are in the cluster and it does what clients need of a
// fresh one; the first transaction and the first group make internal topics.
func (c *Cluster) ready(ctx context.Context, brokers int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("Apache Kafka was not ready within %s", startTimeout)) //nolint:staticcheck // ST1005: a name
	defer cancel()
	client, err := kclient.New(c.Brokers())
	if err != nil {
		return err
	}
	defer client.Close()
	return parts.Until(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		for _, n := range c.nodes {
			if n.process != nil && n.process.Exited() {
				return true, fmt.Errorf("Kafka broker %d did not start:\n%s", n.id, n.process.LogTail()) //nolint:staticcheck // ST1005: a name
			}
		}
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return ready(attempt, client, brokers)
	})
}

func ready(ctx context.Context, client *kclient.Client, brokers int) (bool, error) {
	n, err := client.Nodes(ctx)
	if err != nil {
		return false, err
	}
	if n < brokers {
		return false, fmt.Errorf("%d of %d brokers are there", n, brokers)
	}
	err = client.Warm(ctx)
	return err == nil, err
}

// Brokers are the addresses of all brokers, comma-separated, for bootstrap.servers.
func (c *Cluster) Brokers() string {
	addrs := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addrs[i] = n.Addr()
	}
	return strings.Join(addrs, ",")
}

// Nodes are the brokers; the first has node id 1.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Tool runs one of Kafka's console tools and returns what it printed, on standard error
// too: for example org.apache.kafka.tools.consumer.group.ConsumerGroupCommand with
// --reset-offsets. Each call starts a JVM and takes a second or two.
func (c *Cluster) Tool(ctx context.Context, class string, args ...string) (string, error) {
	out, err := c.java(ctx, class, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", class, err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

func (c *Cluster) java(ctx context.Context, class string, args ...string) *exec.Cmd {
	// A tool lives for a second: the first compiler is enough, and half as expensive.
	args = append([]string{"-XX:TieredStopAtLevel=1", "-cp", filepath.Join(c.libs, "*"), class}, args...)
	return exec.CommandContext(ctx, "java", args...) //nolint:gosec // G204: our own command
}

// Close ends all brokers at once and removes their data.
func (c *Cluster) Close() error {
	var errs []error
	for _, n := range c.nodes {
		if n.process != nil {
			errs = append(errs, n.process.Close())
			n.process = nil
		}
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
