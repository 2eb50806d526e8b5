package event

// ReplayRequestType is the type of the events by which a consumer asks the source of a
// stream of numbers for those that it misses (guards.RequestReplay). The event's key is the
// entity's, its payload a [ReplayRequest] in JSON.
const ReplayRequestType = "evenkeel.replay-request"

// ReplayRequest asks for the events of one entity whose numbers are From to To, both
// included. Send them again as they were, under their own ids; what has come meanwhile is
// found to be a duplicate.
type ReplayRequest struct {
	Group  string `json:"group"`  // who asks
	Stream string `json:"stream"` // the topic, unless guards.Stream names another
	Key    string `json:"key"`
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Reason string `json:"reason"` // for people
}
