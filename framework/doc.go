// Package framework runs Kafka consumers that keep a relational database right although
// events arrive duplicated, late, early and out of order.
//
// # The idea
//
// Each event carries a stamp that says where it stands in its entity's history: a
// timestamp, a version, a number without gaps, a Lamport or a vector time. Each row remembers the stamps that it has absorbed, field by
// field. Before any of your code has an effect, a guard compares the two. So an event
// that comes twice changes nothing, one that was overtaken fills in only what nothing
// newer has written, one that comes before its creating event makes a placeholder, and
// one that comes hopelessly late becomes a dead letter with the numbers that say why.
//
// # Setting up
//
// A model embeds guards.Guarded, whose ek_* columns hold the clocks:
//
//	type Order struct {
//		ID       string `gorm:"primaryKey"`
//		Status   string
//		Customer string
//		PaidAt   *time.Time
//		guards.Guarded
//	}
//
// A registry says what the events do (package handlers), and a Config where they come
// from:
//
//	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxLateness(24*time.Hour))
//	handlers.Set(reg, "order.created", created, handlers.Creates(), handlers.Writes("Customer"))
//	handlers.Set(reg, "order.paid", paid, handlers.Writes("PaidAt"))
//	handlers.Project(reg, func(o *Order) { o.Status = status(o) }, handlers.Writes("Status"))
//
//	err := framework.Migrate(ctx, db) // once per release: the evenkeel_* tables
//	c, err := framework.New(db, &framework.Config{
//		Brokers: "localhost:9092", Group: "orders", Topics: []string{"orders"},
//		DeadLetterTopic: "orders.dlq", Handlers: reg,
//	})
//	err = c.Run(ctx)
//
// [New] checks the configuration, the wiring, the schema, the models' columns and the
// topics, and reports all mistakes together, each with its mend. [Consumer.Run] returns
// nil when its context ends and everything in flight is committed or abandoned.
//
// # What happens to an event
//
// Each assigned partition has a lane. A lane takes what has arrived, up to
// Config.BatchSize records, loads their rows without locks, asks the guards, runs the
// handlers while no transaction is open, and writes everything in one short transaction:
// the rows, guarded by their revisions, the letters, the parked events, the verdicts,
// and last the ledger's position, guarded by the owner's epoch. Only then are letters
// published and the offset committed to Kafka. A member that was frozen, killed or cut
// off can therefore neither lose an effect nor have it twice: the database refuses it.
//
// Events of handlers that are declared handlers.Slow go another way: Config.Parallel of them
// run at once, each in a transaction of its own, and later events wait only where they share
// an entity with one of them. The ledger notes what has finished out of order.
//
// # What a handler may return
//
// nil commits its effect. handlers.DeadLetter, handlers.RetryAfter and handlers.Discard
// say what should become of the event; any other error, and a panic, is tried once more
// at once and then parked with the schedule of [Retry], while the partition goes on.
// Later events of the same entity wait for it where their order counts.
//
// # Looking in
//
// [Consumer.Stats] is a snapshot; [Metrics] takes counters and gauges; hooks hear of
// verdicts, batches, letters, partitions, alarms, gaps, breakers and old placeholders. The
// table evenkeel_verdicts says of every event without plain effect what became of it and
// why. [Explain] puts together what is known of one event, [ShowEntity] of one row;
// [Parked], [Placeholders] and [Streams] list what waits, [Diagnose] what is wrong.
//
// # Dead letters
//
// Package dlq reads them. What changes them is here, since it changes the rows, too:
// [Discard], [Restore], [Edit], [Reissue], [Republish], [Purge], and [Replay], which [DryRun]
// rehearses and [StartJob] does for many. [Rebuild] makes rows anew after a handler was mended.
// The command evenkeel does all this for people.
package framework
