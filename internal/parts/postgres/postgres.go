//go:build unix

// Package postgres fetches PostgreSQL and runs it for tests and for trying things out.
package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	embedded "github.com/fergusstrange/embedded-postgres"
	"github.com/jackc/pgx/v5"

	"github.com/evenkeel-go/evenkeel/internal/parts"
)

// Version is the PostgreSQL that is fetched.
const Version = embedded.V18

// BinEnv names the environment variable that names the bin directory of an installed
// PostgreSQL, to be run instead of a fetched one.
const BinEnv = "EVENKEEL_POSTGRES_BIN"

// startTimeout is how long a server may take to answer. On an idle machine it takes a
// tenth of a second; test machines are not idle.
const startTimeout = 2 * time.Minute

// Config says how to run a server.
type Config struct {
	// Durable turns fsync and full_page_writes on. Defaults to off: the data of a test
	// need not survive the machine, and they do survive the server's death.
	Durable bool
	// Port on 127.0.0.1. Defaults to a free one.
	Port int
	// Settings are server settings, as in postgresql.conf.
	Settings map[string]string
}

// Server is a PostgreSQL server with a directory of its own. Its methods may not be
// called concurrently, but for DSN and Port.
type Server struct {
	config   Config
	bin      string
	dir      string
	port     int
	password string
	owner    *syscall.Credential
	process  *parts.Process // nil while it is stopped
}

// Start fetches PostgreSQL if need be, makes a database cluster in a temporary directory
// and starts a server on it. The caller calls Close; a program that dies without doing so
// takes the server and the directory with it.
func Start(ctx context.Context, config Config) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	owner, err := parts.Unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := parts.TempDir("evenkeel-postgres-", owner)
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, bin: bin, dir: dir, port: config.Port, password: rand.Text(), owner: owner}
	if err := s.initialize(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}

	// Between the look for a free port and the server's taking it, somebody else may.
	const tries = 5
	for try := 1; ; try++ {
		if config.Port == 0 {
			ports, err := parts.FreePorts(1)
			if err != nil {
				return nil, errors.Join(err, s.Close())
			}
			s.port = ports[0]
		}
		err := s.Start(ctx)
		if err == nil {
			return s, nil
		}
		if try == tries || config.Port != 0 || ctx.Err() != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
}

// initialize runs initdb.
func (s *Server) initialize(ctx context.Context) error {
	// The server listens on a port that every user of the machine can reach, and its
	// superuser can run programs.
	file := filepath.Join(s.dir, "password")
	if err := os.WriteFile(file, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	if s.owner != nil {
		if err := os.Chown(file, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), //nolint:gosec // G204: our own command
		"--pgdata="+s.data(), "--username=postgres", "--pwfile="+file, "--auth=scram-sha-256",
		"--encoding=UTF8", "--no-locale", "--no-sync")
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s%s", err, bytes.TrimSpace(out), s.hint(err))
	}
	return os.Remove(file)
}

// hint explains the one failure that the message of the system does not.
func (s *Server) hint(err error) string {
	if s.owner == nil || !errors.Is(err, os.ErrPermission) {
		return ""
	}
	return fmt.Sprintf(" (root runs PostgreSQL as uid %d, which must be able to reach %s and %s; %s and TMPDIR move them)",
		s.owner.Uid, s.bin, s.dir, parts.CacheEnv)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Start starts the server again after Stop or Kill, on the same port and the same data,
// and returns when it answers queries.
func (s *Server) Start(ctx context.Context) error {
	if s.process != nil {
		return errors.New("the PostgreSQL server is running")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("PostgreSQL did not answer within %s", startTimeout))
	defer cancel()
	// After a kill the next server refuses to start while a child of the last one is still
	// attached to its memory, which it is for some milliseconds.
	return parts.Until(ctx, 20*time.Millisecond, func(ctx context.Context) (bool, error) {
		err := s.start(ctx)
		return err == nil || !errors.Is(err, errAttached), err
	})
}

var errAttached = errors.New("the killed server's children are still there")

func (s *Server) start(ctx context.Context) error {
	args := []string{filepath.Join(s.bin, "postgres"), "-D", s.data()}
	for name, value := range s.settings() {
		args = append(args, "-c", name+"="+value)
	}
	state := filepath.Join(s.dir, "state")
	if err := os.RemoveAll(state); err != nil {
		return err
	}
	if err := os.Mkdir(state, 0o700); err != nil {
		return err
	}
	if s.owner != nil {
		if err := os.Chown(state, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
			return err
		}
	}
	p, err := parts.Command{
		Args: args, State: state, Scratch: s.dir,
		Signal:     "QUIT", // nothing has to be saved
		Credential: s.owner,
	}.Start(ctx)
	if err != nil {
		return err
	}
	err = parts.Until(ctx, 5*time.Millisecond, func(ctx context.Context) (bool, error) {
		if p.Exited() {
			tail := p.LogTail()
			if bytes.Contains([]byte(tail), []byte("pre-existing shared memory block")) {
				return true, errAttached
			}
			return true, fmt.Errorf("PostgreSQL did not start:\n%s", tail)
		}
		conn, err := pgx.Connect(ctx, s.DSN())
		if err != nil {
			return false, err
		}
		return true, conn.Close(ctx)
	})
	if err != nil {
		return errors.Join(err, p.Stop(ctx, syscall.SIGQUIT))
	}
	s.process = p
	return nil
}

func (s *Server) settings() map[string]string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(s.port),
		"unix_socket_directories": "",
		"max_connections":         "500",
	}
	if !s.config.Durable {
		settings["fsync"] = "off"
		settings["full_page_writes"] = "off"
	}
	for name, value := range s.config.Settings {
		settings[name] = value
	}
	return settings
}

// Port is the server's TCP port on 127.0.0.1. It stays the same when the server is
// started again.
func (s *Server) Port() int { return s.port }

// DSN names the server's maintenance database, as its superuser.
func (s *Server) DSN() string {
	return fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", s.password, s.port)
}

// Stop ends all sessions and then the server, in order; the data stay.
func (s *Server) Stop(ctx context.Context) error {
	p, err := s.take()
	if err != nil {
		return err
	}
	return p.Stop(ctx, syscall.SIGINT)
}

// Kill ends the server and all its sessions with SIGKILL, as a crash would; the next
// Start recovers the data.
func (s *Server) Kill(ctx context.Context) error {
	p, err := s.take()
	if err != nil {
		return err
	}
	return p.Kill(ctx)
}

func (s *Server) take() (*parts.Process, error) {
	if s.process == nil {
		return nil, errors.New("the PostgreSQL server is not running")
	}
	p := s.process
	s.process = nil
	return p, nil
}

// Restart stops the server in order and starts it again.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx)
}

// Close ends the server and removes its data.
func (s *Server) Close() error {
	if s.process == nil {
		return os.RemoveAll(s.dir)
	}
	p := s.process
	s.process = nil
	return p.Close()
}

// binaries returns the bin directory of the PostgreSQL to run, after fetching it if need
// be.
func binaries() (string, error) {
	if bin := os.Getenv(BinEnv); bin != "" {
		return bin, nil
	}
	name := fmt.Sprintf("postgres-%s-%s-%s", Version, runtime.GOOS, runtime.GOARCH)
	dir, err := parts.Cached(name, fetch)
	if err != nil {
		return "", fmt.Errorf("fetching PostgreSQL %s (%s names the bin directory of an installed one): %w", Version, BinEnv, err)
	}
	return filepath.Join(dir, "bin"), nil
}

// fetch unpacks PostgreSQL into dir. The library can fetch only as part of a start, so
// this is a start that stops after that step: initdb refuses the locale. Its own start
// would do for a user who is not root, but not for root.
func fetch(dir string) error {
	archive, err := os.MkdirTemp("", "evenkeel-fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(archive) //nolint:errcheck // a temporary directory

	err = embedded.NewDatabase(embedded.DefaultConfig().
		Version(Version).
		Port(0).
		CachePath(archive).
		RuntimePath(filepath.Join(archive, "run")).
		BinariesPath(dir).
		Locale("evenkeel fetches only").
		Logger(&bytes.Buffer{})).
		Start()
	if _, missing := os.Stat(filepath.Join(dir, "bin", "postgres")); missing != nil {
		return errors.Join(err, missing)
	}
	return nil
}
