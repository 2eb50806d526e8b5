// Package cli is the command line of Evenkeel, for the people on call: what was
// dead-lettered and why, what is to become of it, and whether the database is ready. The
// binary cmd/evenkeel adds no more than a demo and man pages; a service can mount it into a
// command of its own, where replays are rehearsed and rows rebuilt by its handlers:
//
//	root.AddCommand(cli.Command(cli.WithConfig(config)))
//
// What is read from letters came from outside: everything that goes to a terminal has its
// control characters escaped, and passwords of a DSN are never shown.
package cli
