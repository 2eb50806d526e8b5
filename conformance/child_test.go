package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// childEnv tells a child process of the suite what to be: a childSpec in JSON.
const childEnv = "EVENKEEL_CONFORMANCE_CHILD"

// fault is what a member does to itself.
type fault string

const (
	// dieAtHandler: killed in the handler of the nth event.
	dieAtHandler fault = "handler"
	// dieAtLetter: killed after the COMMIT of the nth letter, before it is published.
	dieAtLetter fault = "letter"
	// dieAtPublished: killed after the nth publication, before Kafka or the table know.
	dieAtPublished fault = "published"
	// dieAtEmitted: killed after the COMMIT of the nth emitted event, before it is sent.
	dieAtEmitted fault = "emitted"
	// dieAtSent: killed after the nth was sent, before Kafka or the table know.
	dieAtSent fault = "sent"
	// freezeAtHandler: stopped in the handler of the nth event, until SIGCONT.
	freezeAtHandler fault = "freeze"
)

// childSpec is what a child process is to be: an embedded broker, a rebuild, or a member.
type childSpec struct {
	Broker bool
	// Rebuild makes it a rebuild of the mendable models that dies in this phase.
	Rebuild string

	Store, DSN, Brokers, Topic, DLQ, Group string
	Protocol                               framework.Protocol
	// Children is the second topic of a family, whose member this is then.
	Children  string
	BatchSize int
	Entries   bool // the registry of entries and not of tallies
	Slow      bool // the member with slow handlers
	Replays   bool // the registry of moves whose letters are replayed
	Fault     fault
	Nth       int64
}

// child runs a child process and returns its exit code.
func child() int {
	// Without the parent there is nobody to work for.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	var spec childSpec
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &spec); err != nil {
		fmt.Println(err)
		return 2
	}
	run := spec.member
	if spec.Broker {
		run = spec.broker
	}
	if spec.Rebuild != "" {
		run = spec.rebuild
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// broker is an embedded broker that says where it is.
func (spec childSpec) broker(ctx context.Context) error {
	b, err := testutil.StartKafka()
	if err != nil {
		return err
	}
	defer b.Close()
	fmt.Println("brokers " + b.Brokers)
	<-ctx.Done()
	return nil
}

// printer is a child's log.
type printer struct{}

func (printer) Log(level framework.Level, text string, fields ...any) {
	if level > framework.LevelDebug {
		fmt.Println(text, fmt.Sprint(fields...))
	}
}

// faults does to the process what its spec says.
type faults struct {
	spec               childSpec
	letters, published atomic.Int64
	emitted, sent      atomic.Int64
}

func (f *faults) strike(what fault, n int64) {
	if f.spec.Fault != what || n != f.spec.Nth {
		return
	}
	if what == freezeAtHandler {
		// The signal takes a moment to stop all threads.
		again := make(chan os.Signal, 1)
		signal.Notify(again, syscall.SIGCONT)
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-again
		fmt.Println("awake")
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // not one instruction more
}

// OnLetter is called after COMMIT, before the letters are handed over for publication.
func (f *faults) OnLetter(*dlq.Letter) { f.strike(dieAtLetter, f.letters.Add(1)) }

// OnBatch tells the parent of a commit.
func (f *faults) OnBatch(b framework.Batch) {
	fmt.Printf("committed %d of partition %d up to %d\n", b.Records, b.Partition, b.Next)
}

func (f *faults) Count(name string, n int64, _ ...string) {
	for range n {
		switch name {
		case "evenkeel_letters_published_total":
			f.strike(dieAtPublished, f.published.Add(1))
		case "evenkeel_emitted_total":
			f.strike(dieAtEmitted, f.emitted.Add(1))
		case "evenkeel_emitted_published_total":
			f.strike(dieAtSent, f.sent.Add(1))
		}
	}
}

func (f *faults) Gauge(string, float64, ...string) {}

// member is a member of the group.
func (spec childSpec) member(ctx context.Context) error {
	dialector := sqlite.Open(spec.DSN)
	if spec.Store == storePostgres {
		dialector = postgres.Open(spec.DSN)
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return err
	}
	if _, err := pooled(db); err != nil {
		return err
	}
	f := &faults{spec: spec}
	w := &world{
		at: combination{store: spec.Store, protocol: spec.Protocol}, db: db,
		broker: &testutil.KafkaBroker{Brokers: spec.Brokers},
		topic:  spec.Topic, dlq: spec.DLQ, group: spec.Group,
		registry: func() *handlers.Registry {
			if spec.Entries {
				return entered(func(n int64) {
					f.strike(dieAtHandler, n)
				})
			}
			return tallied(func(n int64, _ *handlers.Delivery[body, Tally]) {
				f.strike(dieAtHandler, n)
				f.strike(freezeAtHandler, n)
			})
		},
	}
	if spec.Children != "" {
		w.registry = func() *handlers.Registry { return purses(spec.Children) }
	}
	if spec.Replays {
		w.registry = moves(f)
	}
	if spec.Slow {
		w.registry = slowMember(f)
	}
	cfg := w.config()
	quick(cfg)
	if spec.Children != "" {
		cfg.Topics = append(cfg.Topics, spec.Children)
	}
	cfg.Logger, cfg.Metrics, cfg.Hooks = printer{}, f, []any{f}
	if spec.Fault == freezeAtHandler {
		// Not to freeze in the sweeper's transaction, which for SQLite is the only one.
		cfg.SweepInterval = time.Hour
	}
	if spec.BatchSize > 0 {
		cfg.BatchSize = spec.BatchSize
	}
	c, err := framework.New(db, cfg)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// process is a child process as its parent sees it.
type process struct {
	t    testing.TB
	pid  int
	done chan struct{}
	cmd  *exec.Cmd

	mu  sync.Mutex
	out strings.Builder
}

// spawn starts a child process that dies with the test.
func spawn(t testing.TB, spec childSpec) *process {
	t.Helper()
	text, err := json.Marshal(spec)
	require.NoError(t, err)
	p := &process{t: t, done: make(chan struct{}), cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	p.cmd.SysProcAttr = leashed()
	_, err = p.cmd.StdinPipe() // closes when this process ends
	require.NoError(t, err)
	p.cmd.Stderr = p
	p.cmd.Stdout = p
	started := make(chan error)
	go func() {
		// The child is bound to the thread that starts it, which must not end.
		runtime.LockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
	}()
	require.NoError(t, <-started)
	p.pid = p.cmd.Process.Pid
	t.Cleanup(p.kill)
	return p
}

// member starts a child process that is a member of the world's group.
func (w *world) spawn(change func(*childSpec)) *process {
	w.t.Helper()
	spec := childSpec{
		Store: w.at.store, DSN: w.dsn, Brokers: w.broker.Brokers, Topic: w.topic, DLQ: w.dlq, Group: w.group,
		Protocol: w.at.protocol,
	}
	if change != nil {
		change(&spec)
	}
	return spawn(w.t, spec)
}

// Write takes what the child says.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// text is what the child has said so far.
func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *process) count(text string) int { return strings.Count(p.text(), text) }

// line waits for a line that begins with prefix and returns the rest of it.
func (p *process) line(prefix string) string {
	p.t.Helper()
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s := bufio.NewScanner(strings.NewReader(p.text()))
		for s.Scan() {
			if rest, ok := strings.CutPrefix(s.Text(), prefix); ok {
				return rest
			}
		}
		select {
		case <-deadline.C:
			p.t.Fatalf("the child has not said %q:\n%s", prefix, p.text())
		case <-tick.C:
		}
	}
}

// died waits for the child's end by its own hand.
func (p *process) died() {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(bound):
		p.t.Fatalf("the child is still there:\n%s", p.text())
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(p.t, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "the child ended otherwise: %s\n%s", p.cmd.ProcessState, p.text())
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// kill ends the child if it is still there.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}
