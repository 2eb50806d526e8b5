package guards_test

import (
	"fmt"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// What a number is to a stream that waits for 5 and went on without 3.
func ExampleSequence() {
	guard := guards.Sequence(guards.OnGap(guards.GapSkip))
	judge := func(number int64, standing guards.Standing) {
		standing.Next = 5
		e := &event.Event{ID: "e", Version: number, HasVersion: true}
		v := guard.Judge(e, &guards.State{Standing: standing})
		fmt.Println(number, v.Action, v.Reason)
	}
	judge(5, guards.Standing{})
	judge(7, guards.Standing{})                        // waits for 5 and 6
	judge(4, guards.Standing{Known: true, Same: true}) // the same event again
	judge(4, guards.Standing{Known: true})             // another one
	judge(3, guards.Standing{Skipped: true})           // kept: it might be needed
	judge(2, guards.Standing{})                        // so old that its id is forgotten
	// Output:
	// 5 apply applied
	// 7 park gap
	// 4 discard duplicate
	// 4 dead-letter conflict
	// 3 dead-letter gap
	// 2 discard superseded
}
