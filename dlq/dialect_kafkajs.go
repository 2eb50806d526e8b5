package dlq

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/evenkeel-go/evenkeel/event"
)

// kafkaJS is written by kafkajs-async-retry (Node.js): one header with JSON, and the group
// in the topic's name.
//
//nolint:gochecknoglobals // a table, never written
var kafkaJS = Dialect{
	name: "kafkajs-async-retry", library: "kafkajs-async-retry",
	marks: [][]string{{"asyncRetry"}},
	order: replaces,
	key:   Uncertain, value: Uncertain,
	tells: []tell{{name: "asyncRetry", set: readAsyncRetry}},
	finish: func(r *Reading, record *event.Record) {
		if group, ok := strings.CutSuffix(record.Topic, "-dlq"); ok && group != "" {
			r.Group = &group
		}
	},
}

// maxAsyncRetry bounds the header, which holds a name and two numbers.
const maxAsyncRetry = 4 << 10

func readAsyncRetry(r *Reading, value []byte) string {
	const expected = `JSON like {"ttl":0,"top":"orders","att":3}`
	if len(value) > maxAsyncRetry || len(bytes.TrimSpace(value)) == 0 || bytes.TrimSpace(value)[0] != '{' {
		return expected
	}
	var told struct {
		TTL *int64  `json:"ttl"`
		Top *string `json:"top"`
		Att *int32  `json:"att"`
	}
	if json.Unmarshal(value, &told) != nil {
		return expected
	}
	if told.Top != nil {
		if why := parseName([]byte(*told.Top), &r.Source.Topic); why != "" {
			return `"top" to be ` + why
		}
	}
	if told.Att != nil {
		if *told.Att < 0 {
			return `"att" to be 0 or more`
		}
		attempts := int(*told.Att)
		r.Attempts = &attempts
	}
	if told.TTL != nil {
		r.fact("ttl", decimal(*told.TTL))
	}
	return ""
}
