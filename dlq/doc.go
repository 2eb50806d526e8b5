// Package dlq holds dead letters: what they are, how they travel on the dead-letter
// topic, and how people and programs read them. The table evenkeel_dead_letters is the
// authority, the topic the copy that any Kafka tool can read (R10).
//
// [Encode] makes the copy: the original record byte for byte, and beside it text headers
// that say what happened, in Evenkeel's own words (evenkeel-…) and in those of Kafka's
// KIP-1191 (__dlq.errors.…). [Decode] reads it back. [Publisher] brings copies to the
// topic through a [Producer] and says for each letter whether it is there.
//
// A letter that changes its state ([State]) is published again with the same id, the next
// revision (evenkeel-rev) and its state (evenkeel-state): of several copies the one with the
// highest revision counts, and only one that is open asks for somebody's attention.
//
// [List], [Count] and [Get] read the table; [Fingerprint] groups letters with one cause,
// [Groups] and [ReadStats] count them. [Audit] and [Notes] tell what people did and found out.
// What changes letters is in package framework, since it changes the entities' rows, too.
// [Export] writes letters to a file and [Import] reads them into a table, byte for byte.
//
// [ReadRecord] reads the dead letters of other libraries as well, each in its [Dialect];
// what they don't tell is unknown. [FromRecord] makes letters of them.
package dlq
