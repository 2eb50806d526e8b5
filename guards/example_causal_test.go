package guards_test

import (
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// What an event waits for whose entity has seen two events of the till and one of the shop.
func ExampleCausal() {
	guard := guards.Vector(guards.Causal(30 * time.Second)).(*guards.VectorGuard)
	seen, _ := event.ParseVector("shop=1,till=2")
	for _, e := range []struct{ node, vector string }{
		{"till", "shop=1,till=3"}, // the till's next
		{"till", "shop=1,till=4"}, // one of the till's has not come
		{"shop", "shop=2"},        // concurrent with what the till wrote
		{"till", "shop=2,till=3"}, // the till had seen it
		{"shop", "shop=1"},        // seen before
	} {
		v, _ := event.ParseVector(e.vector)
		if missing, waits := guard.Lacks(e.node, v, seen); waits {
			fmt.Println(v, "waits for", event.Vector{missing})
		} else {
			fmt.Println(v, "is judged")
		}
	}
	// Output:
	// shop=1,till=3 is judged
	// shop=1,till=4 waits for till=3
	// shop=2 is judged
	// shop=2,till=3 waits for shop=2
	// shop=1 is judged
}
