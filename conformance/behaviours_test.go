package conformance

import "github.com/evenkeel-go/evenkeel/framework"

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
	{name: "B14", what: "1,000,000 events of backlog in front of a slow database: memory stays where it was", notFor: func(at combination) string {
		if (at.store == storePostgres) != (at.protocol == framework.ProtocolConsumer) {
			return "each store and each protocol has it once"
		}
		return ""
	}},
	{name: "B15", what: "mistakes in wiring, configuration, schema and topics are reported at start, all together, with their mends"},
	{name: "C01", what: "placeholders are listed, and reported while they are old, once per change of state", semantic: true},
	{name: "C01 missing", what: "each answer to a missing row does what it says", semantic: true},
	{name: "C01 race", what: "a sweep and the completing event can't both win", semantic: true},
	{name: "C01 swept", what: "old placeholders go by policy, what made them is recorded or becomes letters, and a rewind repeats nothing", semantic: true},
	{name: "C02", semantic: true, what: "numbered events in any order, twice, on several partitions, apply once each and in order"},
	{name: "C02 gaps", semantic: true, what: "a gap that stays is passed over, asked for, or becomes a letter, as its policy says; a backlog is no gap"},
	{name: "C02 letters", semantic: true, what: "old numbers, conflicts and what fills a skipped number end as designed, and a rewind repeats nothing"},
	{name: "C02 broken", semantic: true, what: "a row that can't be read holds the numbers of its own entity, and nobody else"},
	{name: "C03", what: "under Once each id counts once, across batches, partitions and retries, and nothing behind the horizon is guessed", semantic: true},
	{name: "C03 compacted", what: "compacted topics are refused where every event counts"},
	{name: "C04", semantic: true, what: "a failing event and its letter hold the numbers after it, and nothing else; what the database refuses is its own failure"},
	{name: "C04 cap", semantic: true, what: "no more than so many events wait under one key, whatever their handler"},
	{name: "C05", what: "Lamport times: one row in every order, under Set and under Modify", semantic: true},
	{name: "C05 clock", what: "what the service sends is after what its group has seen, also after a restart", semantic: true},
	{name: "C06", what: "vector clocks: concurrent versions are merged alike in every order, and without a resolver one wins", semantic: true},
	{name: "C06 letters", what: "a concurrent version becomes a letter when asked", semantic: true},
	{name: "C06 causal", what: "a handler gets an event after what its writer had seen, whatever order they come in", semantic: true},
	{name: "C06 causal bound", what: "what never comes is not waited for for ever", semantic: true},
	{name: "C07", what: "derived events have their root's place in history, whichever arrives first, and come once though they are read again", semantic: true},
	{name: "C07 killed", what: "killed between COMMIT and the sending of children: they are found, under the same ids, in order per key", semantic: true},
	{name: "C07 away", what: "the children's topic is gone for a while: effects go on, offsets wait, then all is sent in order", semantic: true},
	{name: "C07 letters", what: "an emitted event that its topic does not take is the unit's failure", semantic: true},
	{name: "C08", what: "an event that touches many rows of a model has a verdict for each", semantic: true},
	{name: "C09", what: "slow handlers run beside the others, in order per key, through kill, revoke and a key that is stuck", semantic: true},
	{name: "C10", semantic: true, what: "SQL of a handler's own takes effect once: with duplicates, early and superseded events, retries, conflicts and rewinds"},
	{name: "C10 failures", semantic: true, what: "a handler's own SQL that fails, is refused or breaks COMMIT is undone alone"},
	{name: "C10 deadlock", semantic: true, what: "a deadlock of handlers' own SQL is nobody's failure", notFor: sqliteHasNoServer},
	{name: "C10 killed", what: "a member that is killed in the middle leaves nothing of its handlers' own SQL behind"},
	{name: "C11", what: "deletes and re-creations in any order give one row", semantic: true},
	{name: "C11 purge", what: "tombstones are purged behind a horizon that holds from then on", semantic: true},
	{name: "C11 resolver", what: "a resolver deletes an entity, and a later version brings it back", semantic: true},
	{name: "C11 tombstones", what: "a topic's tombstones are events where they have a handler", semantic: true},
	{name: "C12", what: "a rebuild mends what a bug has written, beside the service, and touches nothing else; one at a time", semantic: true},
	{name: "C12 refused", what: "a rebuild that would give other rows than expected is refused, with its mend, before anything is touched", semantic: true},
	{name: "C12 killed", what: "a rebuild that is killed in any phase goes on where it was, and nothing counts twice", semantic: true},
	{name: "C12 waits", what: "what waits, and what lies as a letter, keeps its outcome in a rebuild; what fails in one waits its turn", semantic: true},
	{name: "C13", what: "the dead-letter topic, or an export, rebuilds the table of letters; a rewind then repeats nothing"},
	{name: "D01", what: "a discarded letter lets its entity go on at once, a restored one holds it up again", semantic: true},
	{name: "D01 causal", what: "what waits for a discarded event goes on at once", semantic: true},
	{name: "D01 known", what: "what was discarded stays without effect, and the topic hears of it", semantic: true},
	{name: "D01 race", what: "operators and lanes meet at a letter: each event once, in order, and none left behind", semantic: true},
	{name: "D02", what: "a mended service replays its letters through the guards: applied or obsolete, once, and in order", semantic: true},
	{name: "D02 cancel", what: "a replay waits for a member, and can be taken back until then; a replayed gap lets its stream go on", semantic: true},
	{name: "D02 killed", what: "a member that is killed while it replays leaves no letter with two ends, or none", semantic: true},
	{name: "D02 race", what: "operators who replay, discard and cancel the same letters give each of them one end", semantic: true},
	{name: "D04", what: "a replay job stops after failures, goes on in steps when it is resumed, and finds nothing to do a second time", semantic: true},
	{name: "D04 killed", what: "a member that is killed in the middle of a job leaves each letter with one result, after another has gone on", semantic: true},
	{name: "D04 operators", what: "of two jobs over the same letters no letter is acted on twice, and the loser hears who was first", semantic: true},
	{name: "D08 console", semantic: true, what: "Kafka's console consumer shows the dead-letter topic's records and their standard headers", notFor: func(at combination) string {
		if at.broker == brokerKfake {
			return "kfake has no tools"
		}
		if at.store == storeSQLite {
			return "the store does not matter to it"
		}
		return ""
	}},
	{name: "D06", what: "an edited letter is applied in its place, and a reissued one comes as a new event", semantic: true},
	{name: "D06 rebuild", what: "a rebuild applies what an edited letter was resolved with, and not what came", semantic: true},
	{name: "D06 race", what: "of two people who act on a letter at once one does, and the other is told who was first", semantic: true},
	{name: "D03", what: "a dry run changes nothing, and a replay does to each letter and its row what the dry run has told", semantic: true},
	{name: "D07", what: "a handler that fails on everything leaves its events in Kafka, and has them all when it is mended", semantic: true},
	{name: "D07 pause", what: "a paused topic waits, also for a member that begins later, and goes on when it is told", semantic: true},
	{name: "D05", what: "of each event a person is told what became of it, and what beat it", semantic: true},
}
