// Package handlers is where a service says what its events do to its rows.
//
// The question to answer first: does the handler need to look at the row? If not, it is
// a [Set] handler: the event states facts, the handler fills in a blank entity, and the
// framework merges it field by field, so that any order of events gives the same row.
// If it does, it is a [Modify] handler, which gets the row and needs a guard that fits:
// guards.Sequence when each event counts, in its order, guards.Once when the changes
// commute, guards.Timestamp or guards.Version when only the newest matters. Where several
// writers change it without asking each other, a [Resolve] handler gets all versions. What
// follows from other columns is computed by a [Project] function from the merged row.
//
// Every column has one owner, and mistakes in the wiring are reported all together when
// the consumer is made, each with its mend.
package handlers
