package event

// Draft is an event that a handler wants to send, for handlers.Delivery.Emit. What is not
// said here the new event takes from the one that is being handled (R11): its root's time
// and Lamport time, the correlation id, and the causation id, which is the handled event's
// id. Its own id is a function of both, and its source the consumer group.
type Draft struct {
	// Topic must be one that the handler declares with handlers.Emits.
	Topic string
	// Type is the new event's type; it is required.
	Type string
	// Key names the entity that the new event is about. It is the record's key, too, so
	// that events of one key keep their order.
	Key string
	// Payload is sent as it is where it is a []byte, and as JSON otherwise. Nil sends none.
	Payload any
	// ContentType is the media type of a Payload that is not JSON.
	ContentType string
	// Version and Vector are the new event's stamps where its consumers order by them:
	// nobody but the handler knows them, since they count per entity. Nil is none.
	Version *int64
	Vector  Vector
	// CorrelationID is that of the handled event unless it is set.
	CorrelationID string
	// Headers are further headers of the record. Those that begin with evenkeel- are
	// refused.
	Headers []Header
}
