package stage

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/evenkeel-go/evenkeel/guards"
)

func (r *result) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// writeText prints the consumers side by side, not wider than a terminal.
func (r *result) writeText(w io.Writer) {
	fmt.Fprintf(w, "\n%d records, %d of them duplicates, %d that nobody handles; %d partitions\nof two topics each; seed %d; %s; %s.\n\n",
		r.Records, r.Duplicates, r.Unhandled, r.Partitions, r.Seed, r.Broker, r.Database)

	arms, heads := []arm{r.Evenkeel, r.Naive}, []any{"evenkeel", "naive"}
	if r.ByHand != nil {
		arms, heads = append(arms, *r.ByHand), append(heads, "by hand")
	}
	row := func(name string, of func(arm) any) {
		cells := make([]any, len(arms))
		for i, a := range arms {
			cells[i] = of(a)
		}
		line(w, name, cells...)
	}
	wrong := func(name, table string) {
		cells := []any{r.Evenkeel.WrongIn[table], r.Naive.WrongIn[table]}
		if r.ByHand != nil && table == orders {
			cells = append(cells, r.ByHand.WrongIn[table])
		}
		line(w, fmt.Sprintf("%s wrong, of %d", name, r.Rows[table]), cells...)
	}
	line(w, "", heads...)
	wrong("orders (Set)", orders)
	wrong("shipments (Sequence)", shipments)
	wrong("customers (Once)", customers)
	row("rows with lost effects", func(a arm) any { return a.Lost })
	row("  with duplicate effects", func(a arm) any { return a.Duplicate })
	row("  with stale overwrites", func(a arm) any { return a.Stale })
	line(w, "events stuck", r.Evenkeel.Stuck, "-")
	line(w, "offsets ahead of effects", r.Evenkeel.Ahead, "-")
	row("events read", func(a arm) any { return a.Records })
	row("events per second", func(a arm) any { return int(a.PerSecond) })
	fmt.Fprintf(w, "\nEvenkeel's rate is that of %d members before the kill, while the stream is\nproduced beside them; the others are one process each and find all there.\n", members)

	r.writeLetters(w)
	r.writeWaiting(w)
	r.writeDeviations(w)
	fmt.Fprintln(w)
}

// line prints a name and numbers, in columns.
func line(w io.Writer, name string, cells ...any) {
	text := fmt.Sprintf("%-36s", name)
	for _, c := range cells {
		text += fmt.Sprintf(" %12v", c)
	}
	fmt.Fprintln(w, strings.TrimRight(text, " "))
}

func (r *result) writeWaiting(w io.Writer) {
	e := r.Evenkeel
	fmt.Fprintln(w)
	line(w, "what came early", "most at once", "left", "predicted")
	line(w, "  events parked", e.Most.Parked, e.Left.Parked, r.LeftPredicted.Parked)
	line(w, "  placeholders", e.Most.Placeholders, e.Left.Placeholders, r.LeftPredicted.Placeholders)
	paragraph(w, "", fmt.Sprintf("%d events were parked, and %d placeholders made, of %d predicted. Those left are orders whose creation became a dead letter.",
		e.EverParked, e.PlaceholdersMade, r.MadePredicted))
	if e.PlaceholdersMade != int64(r.MadePredicted) {
		paragraph(w, "", "(The members count, and the one that was killed took its last batch's count with it.)")
	}
}

func (r *result) writeDeviations(w io.Writer) {
	list := func(head string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintln(w)
		paragraph(w, "", head)
		for _, l := range lines {
			paragraph(w, "  * ", l+".")
		}
	}
	list("What is wrong with Evenkeel:", r.Evenkeel.Deviations)
	list(fmt.Sprintf("Some of the naive consumer's %d wrong rows (%d are wrong only because it let in events that are refused):", r.Naive.Wrong, r.OnlyRefused), r.Naive.Deviations)
	if r.ByHand == nil {
		return
	}
	list("What is wrong with the consumer by hand:", r.ByHand.Deviations)
	if r.ByHand.PerSecond > 0 && r.Evenkeel.PerSecond > 0 {
		fmt.Fprintln(w)
		paragraph(w, "", fmt.Sprintf("Evenkeel's rate is %.1f times that of one transaction and one commit per event.", r.Evenkeel.PerSecond/r.ByHand.PerSecond))
	}
}

// paragraph prints text in lines of 80 columns; the first begins with mark.
func paragraph(w io.Writer, mark, text string) {
	const width = 80
	at := mark
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(at)+1+utf8.RuneCountInString(word) > width {
			fmt.Fprintln(w, at)
			at, empty = strings.Repeat(" ", len(mark)), true
		}
		if !empty {
			at += " "
		}
		at, empty = at+word, false
	}
	fmt.Fprintln(w, at)
}

func (r *result) writeLetters(w io.Writer) {
	fmt.Fprintln(w)
	line(w, "dead letters", "predicted", "actual")
	reasons := make(map[guards.Reason]bool)
	for reason := range r.Predicted {
		reasons[reason] = true
	}
	for reason := range r.Evenkeel.Letters {
		reasons[reason] = true
	}
	total, actual := 0, 0
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		line(w, "  "+string(reason), r.Predicted[reason], r.Evenkeel.Letters[reason])
		total, actual = total+r.Predicted[reason], actual+r.Evenkeel.Letters[reason]
	}
	line(w, "  together", total, actual)
	line(w, "  on the dead-letter topic", "", r.Evenkeel.Published)
}
