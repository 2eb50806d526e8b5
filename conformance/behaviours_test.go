package conformance

// behaviours are the rows of the matrix.
var behaviours = []behaviour{
	{name: "B01", what: "any shuffle of a set of events, with duplicates, gives the oracle's rows and clocks"},
	{name: "B02", what: "equal stamps with different sources or ids have the same winner in every order"},
	{name: "B03", what: "an early event makes a placeholder that its creating event completes; whole rows, fields, NULLs and equal values mix in any order"},
	{name: "B04", what: "late and future events become letters with the compared numbers, and an operator's rewind repeats nothing"},
	{name: "B05", what: "a two-hour outage with a healthy backlog dead-letters nothing"},
	{name: "B06", what: "bad input, failing handlers and panics end as designed; a retry blocks no other key and reorders none"},
	{name: "B07", what: "what the database or a projection refuses is one event's failure, whatever its batch"},
	{name: "B13", what: "Run returns within its bound, with a stuck handler too, and leaves no goroutine"},
	{name: "B15", what: "mistakes in wiring, configuration, schema and topics are reported at start, all together, with their mends"},
}
