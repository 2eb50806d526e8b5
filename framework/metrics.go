package framework

// Metrics takes counters and gauges; labels alternate name and value. It is called from
// many goroutines and must not block.
//
// The counters are evenkeel_records_total, evenkeel_batches_total,
// evenkeel_verdicts_total (labels action and reason), evenkeel_letters_total (reason),
// evenkeel_letters_published_total, evenkeel_emitted_total and
// evenkeel_emitted_published_total (both with the topic that the events are for),
// evenkeel_conflicts_total, evenkeel_alarms_total (kind),
// evenkeel_placeholders_swept_total and evenkeel_tombstones_purged_total (table),
// evenkeel_gaps_total (policy, and bound: time or count),
// all with topic and partition where they belong to one; the gauges, every few seconds,
// evenkeel_lag (records behind the log's end, by topic and partition) and
// evenkeel_queued_bytes and evenkeel_paused (1 while a partition that holds enough in
// memory is not fetched), with slow handlers also evenkeel_held (records in them or waiting
// for one, by topic and partition) and evenkeel_slow_running; evenkeel_breaker_open (1 from
// when a handler's breaker opens until it has closed again, by handler); and, after each
// look, evenkeel_placeholders_old (table).
type Metrics interface {
	Count(name string, n int64, labels ...string)
	Gauge(name string, value float64, labels ...string)
}
