package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ago is a time as people say it, in the largest unit that is whole.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	if d < 0 {
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return "0s"
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < 2*day:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/day)) + "d"
}

// instant is a time for machines: RFC 3339 in UTC, as exact as it is stored.
func instant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// parseTime takes what --since and --until take: how long ago ("90m", "2h30m", "7d"), a
// day (UTC), or a time in RFC 3339.
func parseTime(now time.Time, s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 100_000 {
			return now.AddDate(0, 0, -n), nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("expected how long ago (90m, 7d), a day (2026-10-14) or a time in RFC 3339, found %q", s)
}
