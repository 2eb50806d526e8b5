package dlq_test

import (
	"reflect"
	"testing"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

func TestOwnDialect(t *testing.T) {
	t.Parallel()
	var samples []sample
	for what, l := range map[string]*dlq.Letter{"full": lettertest.Full()} {
		m, _ := dlq.Encode(l, 0)
		m.Topic = "orders.dlq"
		samples = append(samples, sample{what, record(&m)})
	}
	poison, _ := dlq.Encode(lettertest.Poison(), 0)
	large := lettertest.Full()
	large.Record.Value = make([]byte, 100_000)
	cut, _ := dlq.Encode(large, 1)
	readings(t, "evenkeel", append(samples, sample{"poison", record(&poison)}, sample{"without the value, which is in the table", record(&cut)}))
}

// Letter, copy, letter: what the headers carry comes back.
func TestOwnLetterComesBackFromItsCopy(t *testing.T) {
	t.Parallel()
	for _, want := range []*dlq.Letter{lettertest.Full(), lettertest.Poison()} {
		m, _ := dlq.Encode(want, 0)
		got, told, err := dlq.FromRecord(record(&m))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) || told.Letter != got {
			t.Errorf("got  %+v\n     %+v\nwant %+v\n     %+v", got, got.Record, want, want.Record)
		}
		if again, _ := dlq.Encode(got, 0); !reflect.DeepEqual(again, m) {
			t.Errorf("written anew it is\n%+v\nand was\n%+v", again, m)
		}
	}
}
