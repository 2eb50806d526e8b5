package dlq

// watermill is written by Watermill's poison queue (Go). The key is lost, headers come in
// random order, and of repeated ones one is left.
//
//nolint:gochecknoglobals // a table, never written
var watermill = Dialect{
	name: "watermill", library: "Watermill",
	marks: [][]string{{"reason_poisoned"}, {"topic_poisoned"}},
	order: replaces,
	key:   Absent, value: Uncertain,
	tells: []tell{
		aTopic("topic_poisoned"),
		aName("handler_poisoned", func(r *Reading) **string { return &r.Handler }),
		aText("reason_poisoned", MaxErrorBytes, func(r *Reading) **string { return &r.Message }),
		aFact("subscriber_poisoned", "subscriber"),
		aFact("_watermill_message_uuid", "message id"),
	},
}
