// Package parts starts the real things that Evenkeel is tested and tried against:
// Apache Kafka, PostgreSQL and the embedded broker. Its subpackages know the parts;
// this one knows what they share, which is where fetched files are kept, which ports
// are used, and how a server is kept from outliving the program that started it.
//
// Package testutil wraps it for tests, and internal/parts/cmd/parts for the Makefile.
package parts
