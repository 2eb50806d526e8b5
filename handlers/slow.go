package handlers

// Slow says that the handler takes long, e.g. because it calls other systems: more than a few
// milliseconds for each event. Its events run beside the batches of their partition, each in
// a transaction of its own, up to Config.Parallel of them at once in a member. No database
// connection is held while the function runs, no event of another key waits for it, and
// Kafka's offset stays below it until it is done. Events that share an entity, or a stream
// of numbers, still run one after the other in the order of the log.
//
// Give what the handler calls a timeout, or the context that it gets, which ends when the
// partition is taken away or the service stops. What had been done outside the database by
// then is done again by the next owner: use Delivery.IdempotencyKey, and see [External].
func Slow() Option { return func(d *declaration) { d.slow = true } }

// Slow reports whether some handler is declared Slow.
func (w *Wiring) Slow() bool { return w.slow }

// slowly notes a handler that takes long, and that its stream does then, since an event may
// let others of its stream go.
func (w *wirer) slowly(what string, h *Handler) {
	w.slow = w.slow || h.Slow
	s := h.Stream
	if s == nil {
		return
	}
	s.Slow = s.Slow || h.Slow
	if s.Slow && s.UsesTx && (!h.Slow || !h.UsesTx) {
		w.mistake("%s is in %s, one of whose handlers is declared handlers.Slow and one handlers.UsesTx; what fills a gap lets both go, and a transaction would be open all the while: give one of them a stream of its own with guards.Stream", what, streamName(s.Stream))
	}
}
