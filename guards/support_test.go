package guards

import (
	"reflect"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// noon is the reference of these tests; seconds, minutes and days are counted from it.
var noon = time.Date(2026, 5, 28, 12, 0, 0, 0, time.UTC)

func at(t time.Time) *event.Event {
	return &event.Event{ID: "1", Source: "s", OccurredAt: t, Record: &event.Record{}}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}
