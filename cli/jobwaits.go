package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
)

// waits is what a job waits for, as it may be shown.
func (a *app) waits(ctx context.Context, db *gorm.DB, job *dlq.Job) ([]framework.JobWait, error) {
	waits, err := framework.JobWaits(ctx, db, job)
	for i := range waits {
		waits[i].Error = a.hide.text(waits[i].Error)
	}
	return waits, err
}

// waitText tells one of them in a line.
func (a *app) waitText(w *framework.JobWait) string {
	text, now := w.Text, a.now()
	var times []string
	if !w.Since.IsZero() {
		times = append(times, "since "+ago(now, w.Since))
	}
	if w.Until.After(now) {
		times = append(times, "goes on, or tries to, "+ago(now, w.Until))
	}
	if len(times) > 0 {
		text += " (" + strings.Join(times, "; ") + ")"
	}
	if w.Error != "" {
		text += ": " + w.Error
	}
	return text
}

// tellWaits tells whoever looks on.
func (a *app) tellWaits(w io.Writer, waits []framework.JobWait) {
	for i := range waits {
		fmt.Fprintf(w, "it waits: %s\n  next: %s\n", safe(a.waitText(&waits[i])), safe(waits[i].Next))
	}
}

// waitWords are the causes, for where there is no room.
func waitWords(waits []framework.JobWait) string {
	var words []string
	for i := range waits {
		words = append(words, string(waits[i].Cause))
	}
	return strings.Join(words, ", ")
}

// jobWaitJSON is something that a job waits for, for programs.
type jobWaitJSON struct {
	Cause string  `json:"cause"` // members, pause, pace, breaker, letter, parked, rebuild, retry
	Text  string  `json:"text"`
	Next  string  `json:"next"`
	Since *string `json:"since"`
	Until *string `json:"until"` // when it goes on by itself, or tries to
	Error string  `json:"error"`
}

func newJobWaitsJSON(waits []framework.JobWait) []jobWaitJSON {
	all := []jobWaitJSON{}
	for _, w := range waits {
		all = append(all, jobWaitJSON{Cause: string(w.Cause), Text: w.Text, Next: w.Next, Since: orNull(w.Since), Until: orNull(w.Until), Error: w.Error})
	}
	return all
}
