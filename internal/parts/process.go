//go:build unix

package parts

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed keeper.sh
var keeper string

// Command says what [Command.Start] runs.
type Command struct {
	// Args is the program and its arguments.
	Args []string
	// Env is added to the environment.
	Env []string
	// State is a directory of this process's own for the pid, the exit code and the log.
	// It must exist and be writable for Credential.
	State string
	// Scratch is removed when the program that started this one has died or called
	// [Process.Close]. Defaults to nothing.
	Scratch string
	// Parent is removed with Scratch once nothing else is in it. Defaults to nothing.
	Parent string
	// Signal ends the process in those two cases, by its name without SIG. Defaults to KILL.
	Signal string
	// Credential is the user to run as. Defaults to the current one.
	Credential *syscall.Credential
}

// Process is a server in a process of its own. A shell stands between it and us: it ends
// the server and removes its files when this program is gone, even by kill -9, and it
// needs no goroutine here, so a server may live as long as the test process without
// being taken for a leak.
type Process struct {
	command Command
	shell   *exec.Cmd
	hold    *os.File
	pid     int
}

// Start starts the process and returns when it has a pid; what it then says is in
// [Process.Log].
func (c Command) Start(ctx context.Context) (*Process, error) {
	for _, name := range []string{"pid", "exit", "keep"} {
		if err := os.Remove(filepath.Join(c.State, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	signal := c.Signal
	if signal == "" {
		signal = "KILL"
	}
	log, err := os.OpenFile(c.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the process has its own descriptor
	read, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close() //nolint:errcheck // likewise

	// Not CommandContext: the process outlives the call that starts it.
	shell := exec.Command("/bin/sh", append([]string{"-c", keeper, "keeper"}, c.Args...)...) //nolint:gosec,noctx // G204: our own commands
	shell.Dir = c.State
	shell.Env = append(append(os.Environ(), c.Env...), "STATE="+c.State, "SIGNAL="+signal, "SCRATCH="+c.Scratch, "PARENT="+c.Parent)
	shell.Stdin, shell.Stdout, shell.Stderr = read, log, log
	// A session of its own: Ctrl-C is for this program, which then stops the server in
	// order. A process group would do for that, but when this program dies the kernel sends
	// SIGHUP to a group that it leaves behind with a frozen process in it, and the keeper
	// would be gone before its work.
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.Credential}
	if err := shell.Start(); err != nil {
		hold.Close() //nolint:errcheck // nothing was written
		return nil, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	p := &Process{command: c, shell: shell, hold: hold}
	err = Until(ctx, time.Millisecond, func(context.Context) (bool, error) {
		text, err := os.ReadFile(filepath.Join(c.State, "pid"))
		if err != nil {
			return false, err
		}
		p.pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return true, err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", c.Args[0], err), p.Close())
	}
	return p, nil
}

func (c Command) logPath() string { return filepath.Join(c.State, "log") }

// Pid is the server's own process id.
func (p *Process) Pid() int { return p.pid }

// Exited reports whether the server has ended.
func (p *Process) Exited() bool {
	_, err := os.Stat(filepath.Join(p.command.State, "exit"))
	return err == nil
}

// Signal sends a signal to the server. One that has ended gets none, which is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	if p.Exited() {
		return nil
	}
	if err := syscall.Kill(p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %v to %d: %w", sig, p.pid, err)
	}
	return nil
}

// Kill ends the server and the processes that it has started with SIGKILL. A server that
// works in child processes would else go on serving for a moment, which no crash does.
func (p *Process) Kill(ctx context.Context) error {
	// Frozen first, so that it starts no more of them.
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	children, err := childrenOf(p.pid)
	if err != nil {
		return err
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	for _, pid := range children {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill %d: %w", pid, err)
		}
	}
	return p.Stop(ctx, syscall.SIGKILL)
}

// Stop sends the signal and waits for the server's end. If ctx ends before that, the
// server is killed and the error says so.
func (p *Process) Stop(ctx context.Context, sig syscall.Signal) error {
	if err := p.Signal(sig); err != nil {
		return err
	}
	if err := p.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	err := Until(ctx, time.Millisecond, func(context.Context) (bool, error) { return p.Exited(), nil })
	if err != nil {
		err = fmt.Errorf("process %d did not stop on %v, was killed: %w", p.pid, sig, err)
		err = errors.Join(err, p.Signal(syscall.SIGKILL))
	}
	p.hold.WriteString("keep\n") //nolint:errcheck // a keeper that is gone removes nothing either
	p.reap()
	return err
}

// Close ends the server as its Signal says, removes its Scratch and waits for both.
func (p *Process) Close() error {
	p.reap()
	if p.command.Scratch == "" {
		return nil
	}
	// After Stop the keeper is gone and has kept the files.
	return os.RemoveAll(p.command.Scratch)
}

// reap lets go of the keeper and waits for it. Its exit code is the server's, which a
// signal ended.
func (p *Process) reap() {
	p.hold.Close() //nolint:errcheck // the reader is what counts, and may be gone
	if p.shell.ProcessState == nil {
		p.shell.Wait() //nolint:errcheck // see above
	}
}

// LogTail returns the last lines of what the server has said, for an error message.
func (p *Process) LogTail() string {
	const most = 2000
	text, err := os.ReadFile(p.command.logPath())
	if err != nil {
		return err.Error()
	}
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return strings.TrimSpace(string(text))
}
