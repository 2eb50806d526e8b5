// Package guards decides what an event may do to an entity. A [Guard] compares an
// event with what the row and the stream remember and returns a [Verdict]; guards are
// pure functions without I/O and without a clock of their own.
//
// [Timestamp], [Version], [Lamport] and [Vector] say which stamp orders the events of a
// model, [Sequence] applies numbered events without gaps, [Once] is for changes that need
// no order, [None] is the loud way out of ordering. [MaxLateness] and [MaxFuture] refuse
// what comes hopelessly late or from the future. [Chain] joins guards, and any type with a
// Judge method is a guard of your own. A model that Evenkeel keeps right embeds [Guarded],
// and is queried with the scopes [Live] and [Placeholders].
package guards
