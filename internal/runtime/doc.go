// Package runtime runs a group member: it polls the broker, gives each partition a lane,
// and lets the lanes turn records into committed batches. What is decided here without
// I/O lives in small types of its own (queue, tracker, next, and the packages batch and
// ledger); what is left is thin and blocks only on the broker, the store and the clock.
package runtime
