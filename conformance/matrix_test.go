package conformance

import (
	"database/sql"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// Stores and brokers of the matrix.
const (
	storeSQLite   = "SQLite"
	storePostgres = "PostgreSQL"
	brokerKfake   = "kfake"
	brokerKafka   = "Apache Kafka"
)

// combination is one column of the matrix.
type combination struct {
	broker, store string
	protocol      framework.Protocol
}

func (c combination) String() string {
	return c.broker + "×" + c.store + "×" + string(c.protocol)
}

// client is what of librdkafka's settings makes a test quick. Under the consumer protocol
// these are the broker's.
func (c combination) client() map[string]any {
	if c.protocol == framework.ProtocolConsumer {
		return map[string]any{}
	}
	return map[string]any{"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}
}

func broker() string {
	if os.Getenv(testutil.KafkaEnv) != "" {
		return brokerKafka
	}
	return brokerKfake
}

// combinations are those of this run: one broker, both stores, both protocols.
func combinations() []combination {
	var cs []combination
	for _, store := range []string{storeSQLite, storePostgres} {
		for _, protocol := range []framework.Protocol{framework.ProtocolClassic, framework.ProtocolConsumer} {
			cs = append(cs, combination{broker(), store, protocol})
		}
	}
	return cs
}

// behaviour is one row of the matrix. notFor returns why it does not apply to a
// combination, or "".
type behaviour struct {
	name   string
	what   string
	notFor func(combination) string
	// semantic marks behaviours of the rules, which the group's protocol can't touch.
	semantic bool
}

// without returns why the behaviour does not run on a combination, or "".
func (b *behaviour) without(at combination) string {
	if b.semantic && at.protocol != framework.ProtocolClassic {
		return "the group protocol does not matter to it"
	}
	if b.notFor != nil {
		return b.notFor(at)
	}
	return ""
}

// each runs a behaviour on every combination that it applies to.
func each(t *testing.T, name string, run func(t *testing.T, at combination)) {
	t.Helper()
	for _, b := range behaviours {
		if b.name != name {
			continue
		}
		if b.semantic {
			t.Parallel() // nothing in it takes anything down
		}
		for _, at := range combinations() {
			if b.without(at) != "" {
				continue
			}
			t.Run(at.String(), func(t *testing.T) {
				if b.semantic {
					t.Parallel()
				}
				run(t, at)
			})
		}
		return
	}
	t.Fatalf("%s is not in the matrix", name)
}

func printMatrix(out io.Writer) {
	fmt.Fprintf(out, "conformance on %s:\n", broker())
	for _, b := range behaviours {
		fmt.Fprintf(out, "  %s %s\n", b.name, b.what)
		for _, at := range combinations() {
			verdict := "runs"
			if why := b.without(at); why != "" {
				verdict = "not applicable: " + why
			}
			fmt.Fprintf(out, "      %-40s %s\n", at, verdict)
		}
	}
}

func openDB(t testing.TB, store, dsn string) *gorm.DB {
	t.Helper()
	dialector := sqlite.Open(dsn)
	if store == storePostgres {
		dialector = postgres.Open(dsn)
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Default.LogMode(logger.Silent)})
	require.NoError(t, err)
	pool, err := pooled(db)
	require.NoError(t, err)
	t.Cleanup(func() { _ = pool.Close() })
	return db
}

// pooled bounds a pool, and keeps what it has opened: database/sql keeps two connections else,
// and a new one to PostgreSQL costs a process there and a login here, which is much under the
// race detector.
func pooled(db *gorm.DB) (*sql.DB, error) {
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(20)
	pool.SetMaxIdleConns(20)
	return pool, nil
}
