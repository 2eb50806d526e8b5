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
	{name: "B08", what: "killed in a batch, after COMMIT, after publication: no second effect, nothing lost, one letter per unit"},
	{name: "B08 answer", what: "COMMIT applied, or not, and its answer lost: the same", notFor: sqliteHasNoServer},
	{name: "B09", what: "a member frozen past its session timeout wakes up: its transaction is refused"},
	{name: "B09 fence", what: "the end of a transaction that comes after the takeover is refused", notFor: sqliteHasNoServer},
	{name: "B09 commit", what: "a late commit to Kafka rewinds nothing"},
	{name: "B09 inside", what: "frozen inside its transaction, a member does not hold up the new owner", notFor: sqliteHasNoServer},
	{name: "B10", what: "1 → 3 → 2 members while events flow"},
	{name: "B10 partition", what: "a partition is added while events flow: keys move, two lanes hold events of one entity"},
	{name: "B10 insert", what: "two lanes insert the same new row at once: no lane's fields are lost"},
	{name: "B11 database", what: "the database is down for a while: nothing lost, no offset ahead, one line per change of state", notFor: sqliteHasNoServer},
	{name: "B11 broker", what: "the broker is down for a while: likewise"},
	{name: "B11 letters", what: "the dead-letter topic is missing, and refuses, for a while: likewise, and effects go on"},
	{name: "B12", what: "offsets reset to earlier and to later while the members are down"},
	{name: "B12 tool", what: "offsets reset with Kafka's own tool", notFor: func(at combination) string {
		if at.broker == brokerKfake {
			return "kfake has no tools; B12 sends it the same request"
		}
		return ""
	}},
	{name: "B12 range", what: "offsets out of range, while the members are down and under way"},
	{name: "B12 topic", what: "a topic deleted and made again with more records than before"},
	{name: "B12 restored", what: "the database restored to an older state, and emptied"},
	{name: "B12 holes", what: "holes left by transactions"},
	{name: "B12 compacted", what: "holes left by compaction"},
	{name: "B12 tombstones", what: "null values with and without headers"},
	{name: "B13", what: "Run returns within its bound, with a stuck handler too, and leaves no goroutine"},
	{name: "B14", what: "1,000,000 events of backlog in front of a slow database: memory stays where it was"},
	{name: "C02", semantic: true, what: "numbered events in any order, twice, on several partitions, apply once each and in order"},
	{name: "C02 gaps", semantic: true, what: "a gap that stays is passed over, or becomes a letter, as its policy says; a backlog is no gap"},
	{name: "C02 letters", semantic: true, what: "old numbers, conflicts and what fills a skipped number end as designed, and a rewind repeats nothing"},
	{name: "C04", semantic: true, what: "a failing event and its letter hold the numbers after it, and nothing else; what the database refuses is its own failure"},
	{name: "C04 cap", semantic: true, what: "no more than so many events wait under one key, whatever their handler"},
	{name: "B15", what: "mistakes in wiring, configuration, schema and topics are reported at start, all together, with their mends"},
}
