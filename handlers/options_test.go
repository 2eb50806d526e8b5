package handlers

import "testing"

func TestOnMissingPolicyString(t *testing.T) {
	t.Parallel()
	for p, want := range map[OnMissingPolicy]string{
		missingUnsaid: "MissingPlaceholder", MissingPlaceholder: "MissingPlaceholder", MissingPark: "MissingPark",
		MissingDeadLetter: "MissingDeadLetter", MissingDiscard: "MissingDiscard", MissingDiscard + 1: "OnMissingPolicy(5)",
	} {
		same(t, "name", p.String(), want)
	}
}
