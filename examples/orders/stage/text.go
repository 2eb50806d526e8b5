package stage

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/guards"
)

func (r *result) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// writeText prints the consumers side by side.
func (r *result) writeText(w io.Writer) {
	fmt.Fprintf(w, "\n%d records about %d orders in %d partitions, seed %d; %d duplicates, %d that nobody handles.\n", r.Records, r.Orders, r.Partitions, r.Seed, r.Duplicates, r.Unhandled)
	fmt.Fprintf(w, "%s; %s.\n\n", r.Broker, r.Database)

	arms, heads := []arm{r.Evenkeel, r.Naive}, []string{"evenkeel", "naive"}
	if r.ByHand != nil {
		arms, heads = append(arms, *r.ByHand), append(heads, "by hand")
	}
	line := func(name string, cells ...string) {
		text := fmt.Sprintf("%-28s", name)
		for _, c := range cells {
			text += fmt.Sprintf(" %12s", c)
		}
		fmt.Fprintln(w, strings.TrimRight(text, " "))
	}
	row := func(name string, of func(arm) any) {
		cells := make([]string, len(arms))
		for i, a := range arms {
			cells[i] = fmt.Sprint(of(a))
		}
		line(name, cells...)
	}
	line("", heads...)
	row("orders right", func(a arm) any { return a.Right })
	row("orders wrong", func(a arm) any { return a.Wrong })
	row("  lost", func(a arm) any { return a.Lost })
	row("  duplicate effects", func(a arm) any { return a.Duplicate })
	row("  stale overwrites", func(a arm) any { return a.Stale })
	line("events stuck", fmt.Sprint(r.Evenkeel.Stuck), "-")
	line("offsets ahead of effects", fmt.Sprint(r.Evenkeel.Ahead), "-")
	row("events read", func(a arm) any { return a.Records })
	row("events per second", func(a arm) any { return int(a.PerSecond) })

	fmt.Fprintf(w, "\nEvenkeel's rate is that of %d members before the kill, while the stream is produced beside them;\nthe others are one process each and find everything there.\n", members)
	r.writeLetters(w)
	e := r.Evenkeel
	fmt.Fprintf(w, "\nPlaceholders for early events: %d made, %d completed, %d still open; by the oracle's count %d made.\n", e.PlaceholdersMade, e.PlaceholdersCompleted, e.PlaceholdersOpen, r.PlaceholdersPredicted)
	if e.PlaceholdersMade != int64(r.PlaceholdersPredicted) {
		fmt.Fprintln(w, "(The members count them, and the one that was killed took its last batch's count with it.)")
	}
	list := func(head string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(w, "\n%s\n", head)
		for _, l := range lines {
			fmt.Fprintf(w, "  * %s.\n", l)
		}
	}
	list("What is wrong with Evenkeel:", e.Deviations)
	list(fmt.Sprintf("Three of the naive consumer's wrong orders (%d of the %d are wrong only because it let in\nevents that are refused):", r.OnlyRefused, r.Naive.Wrong), r.Naive.Deviations)
	if r.ByHand != nil {
		list("What is wrong with the consumer by hand:", r.ByHand.Deviations)
		if r.ByHand.PerSecond > 0 && r.Evenkeel.PerSecond > 0 {
			fmt.Fprintf(w, "\nEvenkeel's rate is %.1f times that of one transaction and one commit per event.\n", r.Evenkeel.PerSecond/r.ByHand.PerSecond)
		}
	}
	fmt.Fprintln(w)
}

func (r *result) writeLetters(w io.Writer) {
	fmt.Fprintf(w, "\n%-28s %12s %12s\n", "dead letters", "predicted", "actual")
	reasons := make(map[guards.Reason]bool)
	for reason := range r.Predicted {
		reasons[reason] = true
	}
	for reason := range r.Evenkeel.Letters {
		reasons[reason] = true
	}
	total, actual := 0, 0
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(w, "  %-26s %12d %12d\n", reason, r.Predicted[reason], r.Evenkeel.Letters[reason])
		total, actual = total+r.Predicted[reason], actual+r.Evenkeel.Letters[reason]
	}
	fmt.Fprintf(w, "  %-26s %12d %12d\n", "together", total, actual)
	fmt.Fprintf(w, "  %-26s %12s %12d\n", "on the dead-letter topic", "", r.Evenkeel.Published)
}
