package dlq

// smallRye is written by SmallRye Reactive Messaging (Quarkus).
//
//nolint:gochecknoglobals // a table, never written
var smallRye = Dialect{
	name: "smallrye", library: "SmallRye Reactive Messaging",
	marks: [][]string{{"dead-letter-topic"}, {"dead-letter-exception-class-name"}},
	order: prepends,
	key:   Uncertain, value: Uncertain,
	tells: []tell{
		aTopic("dead-letter-topic"),
		aPartition("dead-letter-partition", parseDecimal),
		anOffset("dead-letter-offset", parseDecimal),
		aText("dead-letter-exception-class-name", maxName, func(r *Reading) **string { return &r.Exception }),
		aText("dead-letter-reason", MaxErrorBytes, func(r *Reading) **string { return &r.Message }),
		aText("dead-letter-cause-class-name", maxName, func(r *Reading) **string { return &r.Cause }),
		aFact("dead-letter-cause", "cause's message"),
		aFact("deserialization-failure-deserializer", "deserializer"),
		aFact("deserialization-failure-topic", "deserializing topic"),
		aFact("deserialization-failure-reason", "deserialization failure"),
		aFact("deserialization-failure-value-data", "undecoded value"),
		aFact("deserialization-failure-data", "undecoded bytes"),
	},
}
