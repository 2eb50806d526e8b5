package stage

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// group is the members, each a process of its own.
type group struct {
	self   []string // the command that runs this program
	config []byte
	dir    string

	mu      sync.Mutex
	members []*process
}

// process is one member.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	log   string
	done  chan struct{} // closed when it has ended and its output is read

	mu     sync.Mutex
	last   memberReport
	killed bool
	err    error
}

func newGroup(self []string, config memberConfig, dir string) (*group, error) {
	line, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	return &group{self: self, config: append(line, '\n'), dir: dir}, nil
}

// start starts one more member.
func (g *group) start() (*process, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := &process{name: fmt.Sprintf("member %d", len(g.members)+1), done: make(chan struct{})}
	p.log = filepath.Join(g.dir, strings.ReplaceAll(p.name, " ", "-")+".log")
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the child has its own handle
	// Not with a context: a member is told to stop, and killed only on purpose.
	p.cmd = exec.Command(g.self[0], append(g.self[1:len(g.self):len(g.self)], memberCommand)...) //nolint:gosec,noctx // this very program
	p.cmd.Stderr = log
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	p.stdin = stdin
	g.members = append(g.members, p)
	go p.follow(stdout)
	if _, err := stdin.Write(g.config); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// follow reads the member's reports and then waits for its end. It is owned by the
// process that it follows: done tells when it has ended.
func (p *process) follow(stdout io.Reader) {
	defer close(p.done)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var r memberReport
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue
		}
		p.mu.Lock()
		p.last = r
		p.mu.Unlock()
	}
	err := p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.killed:
	case p.last.Error != "":
		p.err = fmt.Errorf("%s: %s", p.name, p.last.Error)
	case err != nil:
		p.err = fmt.Errorf("%s: %w", p.name, err)
	}
}

func (p *process) report() memberReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// kill ends the member as a crash would, and waits until it is gone.
func (p *process) kill() error {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// failed returns the error of a member that ended though nobody told it to.
func (g *group) failed() error {
	for _, p := range g.all() {
		select {
		case <-p.done:
			p.mu.Lock()
			killed, err := p.killed, p.err
			p.mu.Unlock()
			if killed {
				continue
			}
			if err == nil {
				err = fmt.Errorf("%s has ended by itself", p.name)
			}
			return fmt.Errorf("%w\n%s", err, tail(p.log))
		default:
		}
	}
	return nil
}

func (g *group) all() []*process {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]*process(nil), g.members...)
}

// busiest is the living member that has committed the most.
func (g *group) busiest() *process {
	var most *process
	for _, p := range g.all() {
		if most == nil || p.report().Records > most.report().Records {
			most = p
		}
	}
	return most
}

// stop tells the members to stop, waits, and kills those that do not.
func (g *group) stop() error {
	all := g.all()
	for _, p := range all {
		p.stdin.Close() //nolint:errcheck // gone already, then
	}
	var errs []error
	late, stop := every(stopBound)
	defer stop()
	for _, p := range all {
		select {
		case <-p.done:
			p.mu.Lock()
			err := p.err
			p.mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("%w\n%s", err, tail(p.log)))
			}
		case <-late:
			errs = append(errs, fmt.Errorf("%s did not stop within %s", p.name, stopBound), p.kill())
		}
	}
	return errors.Join(errs...)
}

// kill ends all members at once.
func (g *group) kill() {
	for _, p := range g.all() {
		p.kill() //nolint:errcheck // there is nothing more to do
	}
}

// sum adds up the members' last reports.
func (g *group) sum() (s memberReport, living int) {
	s.Verdicts = map[string]int64{}
	for _, p := range g.all() {
		r := p.report()
		s.Records, s.Made = s.Records+r.Records, s.Made+r.Made
		for v, n := range r.Verdicts {
			s.Verdicts[v] += n
		}
		select {
		case <-p.done:
		default:
			living++
			s.Partitions += r.Partitions
		}
	}
	return s, living
}

// tail is the end of a member's log, for an error message.
func tail(path string) string {
	b, err := os.ReadFile(path) //nolint:gosec // a file of our own
	if err != nil || len(b) == 0 {
		return "(its log is empty)"
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return "  | " + strings.Join(lines[max(0, len(lines)-12):], "\n  | ")
}
