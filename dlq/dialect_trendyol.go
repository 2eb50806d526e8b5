package dlq

// trendyol is written by Trendyol's kafka-konsumer and kafka-cronsumer (Go), which tell
// nothing of the origin.
//
//nolint:gochecknoglobals // a table, never written
var trendyol = Dialect{
	name: "trendyol", library: "Trendyol kafka-konsumer",
	marks: [][]string{{"x-error-message"}, {"x-retry-count", "x-produce-time"}},
	key:   Uncertain, value: Uncertain,
	tells: []tell{
		aText("x-error-message", MaxErrorBytes, func(r *Reading) **string { return &r.Message }),
		aCount("x-retry-count", func(r *Reading) **int { return &r.Retries }),
		{name: "x-produce-time", set: func(r *Reading, value []byte) string {
			n, ok := parseDecimal(value)
			at := aTime(n, nanoseconds)
			if !ok || at == nil {
				return "a time in nanoseconds since 1970, in decimal text"
			}
			r.fact("last hop", written(*at))
			return ""
		}},
		aFact("x-retry-attempt-count", "retry attempts"),
	},
}
