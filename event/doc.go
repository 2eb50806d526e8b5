// Package event holds what the rest of Evenkeel reasons about: a Kafka record as it
// came, the event that was decoded from it, and the stamp that says where that event
// stands in its entity's history. It imports nothing of Evenkeel's.
//
// A [Codec] turns a [Record] into an [Event]. Use [CloudEvents] for CloudEvents 1.0 in
// either mode, [Envelope] for a JSON object with fields of your choosing, and [Headers]
// when the metadata travels in Kafka headers; [CodecFunc] makes a codec of a function
// of your own. What they refuse, they refuse with a [DecodeError]. The record itself is
// never changed: its key, value, headers and timestamp reach a dead letter byte for
// byte.
package event
