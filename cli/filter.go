package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/dlq/letterfilter"
)

// readFilter compiles --filter.
func (l *letterFlags) readFilter(c *cobra.Command, now time.Time) error {
	if l.expr == "" {
		return nil
	}
	expression, err := letterfilter.Compile(l.expr, now)
	if err != nil {
		return usage(c, "--filter: %v", err)
	}
	missed := unansweredOf(c.Context())
	l.filter.Match = func(letter *dlq.Letter) (bool, error) {
		chosen, err := expression.Match(c.Context(), letter)
		var without *letterfilter.UnansweredError
		if errors.As(err, &without) {
			missed.add(without)
			return false, nil
		}
		return chosen, err
	}
	return nil
}

// unanswered are the letters that --filter could not be asked about, e.g. as their payload
// has not the field. They are not chosen.
type unanswered struct {
	n     int64
	first error
}

func (u *unanswered) add(err error) {
	if u.n++; u.first == nil {
		u.first = err
	}
}

// tell says once how many there were, so that nobody takes "not asked" for "no".
func (u *unanswered) tell(c *cobra.Command) {
	if u.n > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "--filter could not be asked about %s, which count as not chosen, e.g. %s\n", count(u.n, "letter"), safe(u.first.Error()))
	}
	*u = unanswered{}
}

type unansweredKey struct{}

// withUnanswered gives a command its own count.
func withUnanswered(c *cobra.Command) *unanswered {
	u := &unanswered{}
	c.SetContext(context.WithValue(c.Context(), unansweredKey{}, u))
	return u
}

func unansweredOf(ctx context.Context) *unanswered {
	if u, ok := ctx.Value(unansweredKey{}).(*unanswered); ok {
		return u
	}
	return &unanswered{}
}
