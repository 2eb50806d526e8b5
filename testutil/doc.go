// Package testutil helps to test Kafka consumers, Evenkeel's own and yours, against real
// parts. One line starts each:
//
//	broker := testutil.Kafka(t)   // a broker on a real port
//	db := testutil.Postgres(t)    // a PostgreSQL database of the test's own
//	db := testutil.SQLite(t)      // a SQLite database of the test's own
//
// They need nothing but Go and a C compiler. The broker is kfake, in this process and in
// memory; PostgreSQL is fetched once, kept in a cache, and runs as long as the test
// process, also as root. The same tests run against servers of your own when the
// environment names them:
//
//	EVENKEEL_TEST_KAFKA=host:port[,host:port…]
//	EVENKEEL_TEST_POSTGRES=postgres://user:password@host:port/database
//
// Everything that a test makes there has a name of its own and is removed in the end.
// Servers for tests that stop and kill them are [PostgresServer] and [KafkaCluster].
//
// # Environment
//
//   - EVENKEEL_TEST_KAFKA, EVENKEEL_TEST_POSTGRES: see above.
//   - EVENKEEL_POSTGRES_BIN: bin directory of an installed PostgreSQL (15 or later) to run
//     instead of fetching one.
//   - EVENKEEL_CACHE: where fetched files are kept. Defaults to /var/cache/evenkeel for
//     root, else evenkeel in the user's cache directory.
package testutil
