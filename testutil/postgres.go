//go:build unix

package testutil

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	server "github.com/evenkeel-go/evenkeel/internal/parts/postgres"
)

// PostgresEnv names the environment variable with the DSN of the PostgreSQL server to
// test against. Its user must be allowed to create databases.
const PostgresEnv = "EVENKEEL_TEST_POSTGRES"

// Postgres returns a new PostgreSQL database, which is dropped when the test ends. All
// tests of the process share one server, which is started by the first of them.
func Postgres(t testing.TB) *gorm.DB {
	t.Helper()
	return open(t, postgres.Open(PostgresDSN(t)))
}

// PostgresDSN returns the DSN of a new database on the server that [Postgres] uses, for a
// test that opens it itself. The user is the server's superuser, unless the server is one
// that EVENKEEL_TEST_POSTGRES names.
func PostgresDSN(t testing.TB) string {
	t.Helper()
	admin := os.Getenv(PostgresEnv)
	if admin == "" {
		s, err := sharedPostgres()
		if err != nil {
			t.Fatalf("testutil: PostgreSQL: %v", err)
		}
		admin = s.DSN()
	}
	return newDatabase(t, admin)
}

// sharedPostgres is the server of this test process. Nothing stops it: it goes away with
// the process, see internal/parts.
var sharedPostgres = sync.OnceValues(func() (*server.Server, error) { //nolint:gochecknoglobals // one per process is the point
	return server.Start(context.Background(), server.Config{})
})

func newDatabase(t testing.TB, admin string) string {
	t.Helper()
	name := "ek_" + strings.ToLower(rand.Text())
	dsn, err := server.CreateDatabase(t.Context(), admin, name)
	if err != nil {
		t.Fatalf("testutil: %v", err)
	}
	t.Cleanup(func() {
		// The test's context has ended by now.
		if err := server.DropDatabase(context.WithoutCancel(t.Context()), admin, name); err != nil {
			t.Errorf("testutil: %v", err)
		}
	})
	return dsn
}

// PostgresOption says how [PostgresServer] and [StartPostgres] run the server.
type PostgresOption func(*server.Config)

// PostgresDurable turns fsync and full_page_writes on, as in production. Defaults to off,
// which is several times faster and loses data only if the machine crashes.
func PostgresDurable() PostgresOption {
	return func(c *server.Config) { c.Durable = true }
}

// PostgresSetting sets a server setting, as in postgresql.conf.
func PostgresSetting(name, value string) PostgresOption {
	return func(c *server.Config) {
		if c.Settings == nil {
			c.Settings = make(map[string]string)
		}
		c.Settings[name] = value
	}
}

// PostgresPort is the port to listen on at 127.0.0.1. Defaults to a free one.
func PostgresPort(port int) PostgresOption {
	return func(c *server.Config) { c.Port = port }
}

// Server is a PostgreSQL server that a test may stop, start and kill. Its port and data
// stay. One goroutine at a time may use it.
type Server struct {
	server *server.Server
	dsn    string
}

// PostgresServer starts a server for this test alone, with one empty database. It is
// always an embedded one, whatever the environment says.
func PostgresServer(t testing.TB, options ...PostgresOption) *Server {
	t.Helper()
	s, err := StartPostgres(t.Context(), options...)
	if err != nil {
		t.Fatalf("testutil: PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("testutil: PostgreSQL: %v", err)
		}
	})
	return s
}

// StartPostgres is [PostgresServer] for a program that is not a test, such as a demo. The
// caller calls Close; if the program dies without doing so, the server goes away too.
func StartPostgres(ctx context.Context, options ...PostgresOption) (*Server, error) {
	var config server.Config
	for _, option := range options {
		option(&config)
	}
	s, err := server.Start(ctx, config)
	if err != nil {
		return nil, err
	}
	dsn, err := server.CreateDatabase(ctx, s.DSN(), "evenkeel")
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Server{server: s, dsn: dsn}, nil
}

// DSN names the server's database, which is called evenkeel.
func (s *Server) DSN() string { return s.dsn }

// Port is the server's TCP port on 127.0.0.1.
func (s *Server) Port() int { return s.server.Port() }

// Open connects to the database until the test ends. Connections that Stop or Kill broke
// are replaced by new ones, as database/sql does.
func (s *Server) Open(t testing.TB) *gorm.DB {
	t.Helper()
	return open(t, postgres.Open(s.dsn))
}

// Stop ends all sessions and then the server, in order.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.must(t, s.server.Stop(t.Context()))
}

// Kill ends the server with SIGKILL, as a crash would. The next Start recovers from the
// write-ahead log.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.must(t, s.server.Kill(t.Context()))
}

// Start starts the server again after Stop or Kill and returns when it answers queries.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.must(t, s.server.Start(t.Context()))
}

// Restart is Stop and Start.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.must(t, s.server.Restart(t.Context()))
}

// Close ends the server and removes its data. [PostgresServer] does it by itself.
func (s *Server) Close() error { return s.server.Close() }

func (s *Server) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("testutil: PostgreSQL: %v", err)
	}
}
