package dlq

// wolverine is written by Wolverine (.NET). Its names are common, so it takes two to know
// it.
//
//nolint:gochecknoglobals // a table, never written
var wolverine = Dialect{
	name: "wolverine", library: "Wolverine",
	marks: [][]string{{"exception-type", "failed-at"}, {"exception-type", "original-destination"}},
	key:   Uncertain, value: Uncertain,
	tells: []tell{
		// Where the message was meant to go, which need not be a topic's bare name.
		aFact("original-destination", "destination"),
		aPartition("original-partition", parseDecimal),
		anOffset("original-offset", parseDecimal),
		aText("exception-type", maxName, func(r *Reading) **string { return &r.Exception }),
		aText("exception-message", MaxErrorBytes, func(r *Reading) **string { return &r.Message }),
		aText("exception-stack", MaxStackBytes, func(r *Reading) **string { return &r.Stack }),
		aCount("attempts", func(r *Reading) **int { return &r.Attempts }),
		{name: "failed-at", set: func(r *Reading, value []byte) string {
			n, ok := parseDecimal(value)
			at := aTime(n, milliseconds)
			if !ok || at == nil {
				return "a time in milliseconds since 1970, in decimal text"
			}
			r.LastFailed = at
			return ""
		}},
	},
}
