package dlq

// karafka is written by Karafka (Ruby); before 2.5 the names began with original_.
//
//nolint:gochecknoglobals // a table, never written
var karafka = Dialect{
	name: "karafka", library: "Karafka",
	marks: [][]string{
		{"source_topic", "source_partition", "source_offset"},
		{"original_topic", "original_partition", "original_offset"},
	},
	key: Uncertain, value: Uncertain,
	tells: append(karafkaTells("original_"), karafkaTells("source_")...),
}

func karafkaTells(prefix string) []tell {
	return []tell{
		aTopic(prefix + "topic"),
		aPartition(prefix+"partition", parseDecimal),
		anOffset(prefix+"offset", parseDecimal),
		aName(prefix+"consumer_group", func(r *Reading) **string { return &r.Group }),
		aCount(prefix+"attempts", func(r *Reading) **int { return &r.Attempts }),
		aFact(prefix+"trace_id", "trace id"),
	}
}
