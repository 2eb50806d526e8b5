package conformance

// childEnv tells a child process of the suite what to be.
const childEnv = "EVENKEEL_CONFORMANCE_CHILD"

func child() int { return 0 }
