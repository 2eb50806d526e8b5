// Package conformance holds the behaviours that Evenkeel promises, as one suite that runs
// on every broker and every store: on the embedded broker by `make test`, on Apache Kafka
// by `make test-kafka`, both with SQLite and PostgreSQL and under both group protocols
// where the broker has them. Each behaviour is a test TestB01… to TestB15…; matrix_test.go
// says which runs where, and why one does not apply, and the suite prints that table.
package conformance
