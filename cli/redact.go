package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
)

// hidden stands where something was redacted.
const hidden = "[redacted]"

// redactor hides what must not be seen, wherever letters, records or payloads are shown.
// It hides too much rather than too little: a payload that can't be read is hidden whole.
// Its zero value hides nothing.
type redactor struct {
	rules   []string
	key     bool       // the record's key, and the entity that is made of it
	errors  bool       // the texts of errors
	headers []string   // names, or *
	payload [][]string // paths
	columns []string   // names, or *
}

// redactRules tells how a rule is written.
const redactRules = "payload.FIELD.FIELD (* is any one field, ** any number of them), header.NAME, payload, header.*, column.NAME, key or error"

func parseRedaction(rules []string) (*redactor, error) {
	r := &redactor{}
	for _, rule := range rules {
		rule = strings.TrimSpace(rule)
		part, rest, deeper := strings.Cut(rule, ".")
		switch {
		case rule == "":
			continue
		case rule == "key":
			r.key = true
		case rule == "error":
			r.errors = true
		case rule == "payload":
			r.payload = append(r.payload, nil)
		case part == "payload" && deeper && !slices.Contains(strings.Split(rest, "."), ""):
			r.payload = append(r.payload, strings.Split(rest, "."))
		case part == "header" && rest != "": // names may have dots
			r.headers = append(r.headers, rest)
		case part == "column" && rest != "":
			r.columns = append(r.columns, rest)
		default:
			return nil, fmt.Errorf("redact: expected %s, found %q", redactRules, rule)
		}
		r.rules = append(r.rules, rule)
	}
	return r, nil
}

// any reports whether there is something to hide.
func (r *redactor) any() bool { return r != nil && len(r.rules) > 0 }

// letter returns a copy of l without what is hidden, or l. A letter that was read
// without its record can't be told what of the record its error quotes: read it whole.
func (r *redactor) letter(l *dlq.Letter) *dlq.Letter {
	if !r.any() || l == nil {
		return l
	}
	quoted := r.quoting(l)
	copied := *l
	copied.Record = r.record(l.Record)
	copied.Edits = slices.Clone(l.Edits)
	for i := range copied.Edits {
		e := &copied.Edits[i]
		e.Value = r.value(e.Value)
		e.Headers, _ = r.hideHeaders(e.Headers, nil)
	}
	copied.Entity = r.entity(l.Entity)
	copied.Error, copied.Stack, copied.Verdict.Detail = quoted(l.Error), quoted(l.Stack), quoted(l.Verdict.Detail)
	return &copied
}

// record returns a copy of a record without what is hidden.
func (r *redactor) record(of *event.Record) *event.Record {
	if !r.any() {
		return of
	}
	copied := *of
	copied.Value = r.value(of.Value)
	copied.Headers, _ = r.hideHeaders(of.Headers, nil)
	if r.key {
		copied.Key = mask(of.Key)
	}
	return &copied
}

// quoting is what hides in a text about a letter what the text quotes of the letter's
// record or of one of its edits: all of the text, where it may quote anything.
func (r *redactor) quoting(l *dlq.Letter) func(string) string {
	if !r.any() {
		return func(s string) string { return s }
	}
	var secrets []string
	all := r.errors
	look := func(value []byte, headers []event.Header) {
		_, found, whole := r.hide(value)
		_, secrets = r.hideHeaders(headers, append(secrets, found...))
		all = all || whole
	}
	look(l.Record.Value, l.Record.Headers)
	for i := range l.Edits {
		look(l.Edits[i].Value, l.Edits[i].Headers)
	}
	if all {
		return maskText
	}
	if r.key {
		secrets = append(secrets, string(l.Record.Key), l.Entity)
	}
	return func(s string) string { return scrub(s, secrets) }
}

// entity returns the key of an entity, which is made of a record's.
func (r *redactor) entity(key string) string {
	if r.any() && r.key {
		return maskText(key)
	}
	return key
}

// naming hides a sentence's entity. One that is too short to be told from other words hides
// the sentence.
func (r *redactor) naming(s, entity string) string {
	switch {
	case !r.any() || !r.key || entity == "" || !strings.Contains(s, entity):
		return s
	case len(entity) < minSecret:
		return maskText(s)
	}
	return scrub(s, []string{entity})
}

// column reports whether a row's column is hidden, which has a value: by its name, or since
// a rule hides a field of payloads that is likely what handlers write there, as it ends with
// that name. An entity's key is one with the record's.
func (r *redactor) column(name, value, entity string) bool {
	if !r.any() {
		return false
	}
	if r.key && entity != "" && value == entity {
		return true
	}
	if slices.ContainsFunc(r.columns, func(c string) bool { return c == "*" || strings.EqualFold(c, name) }) {
		return true
	}
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
	return slices.ContainsFunc(r.payload, func(path []string) bool {
		if len(path) == 0 {
			return true
		}
		words := ""
		for _, field := range slices.Backward(path) {
			if strings.HasPrefix(field, "*") {
				return words == ""
			}
			if words = plain(field) + words; words == plain(name) {
				return true
			}
		}
		return false
	})
}

// text returns an error's text that comes without its record: what it quotes of that can't
// be known, so that any rule hides it.
func (r *redactor) text(s string) string {
	if !r.any() {
		return s
	}
	return maskText(s)
}

// value returns a payload, or the value of a record, without what is hidden: what every
// command shows of one that doesn't come with a letter.
func (r *redactor) value(b []byte) []byte {
	if !r.any() {
		return b
	}
	b, _, _ = r.hide(b)
	return b
}

func (r *redactor) hideHeaders(headers []event.Header, secrets []string) ([]event.Header, []string) {
	headers = slices.Clone(headers)
	for i, h := range headers {
		if slices.ContainsFunc(r.headers, func(name string) bool { return name == "*" || strings.EqualFold(name, h.Key) }) {
			secrets = append(secrets, string(h.Value))
			headers[i].Value = mask(h.Value)
		}
	}
	return headers, secrets
}

func mask(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	return []byte(hidden)
}

func maskText(s string) string {
	if s == "" {
		return s
	}
	return hidden
}

// minSecret is the shortest text that is looked for in errors: a shorter one is in any.
const minSecret = 4

// scrub hides what a text quotes of the hidden values.
func scrub(text string, secrets []string) string {
	for _, s := range secrets {
		if len(s) >= minSecret {
			text = strings.ReplaceAll(text, s, hidden)
		}
	}
	return text
}

// hide returns the payload with its hidden fields replaced and every other byte as it was,
// and the texts that went; whole: there was nothing to be read, so all of it went.
func (r *redactor) hide(b []byte) (shown []byte, secrets []string, whole bool) {
	if len(r.payload) == 0 || len(b) == 0 {
		return b, nil, false
	}
	if slices.ContainsFunc(r.payload, func(path []string) bool { return len(path) == 0 }) {
		return mask(b), nil, true
	}
	f := &fieldFinder{d: json.NewDecoder(bytes.NewReader(b)), rules: r.payload}
	f.d.UseNumber()
	if err := f.value(nil); err != nil {
		return mask(b), nil, true
	}
	if _, err := f.d.Token(); !errors.Is(err, io.EOF) { // something behind the value
		return mask(b), nil, true
	}
	at := 0
	for _, s := range f.found {
		shown = append(shown, b[at:s.from]...)
		shown = append(shown, `"`+hidden+`"`...)
		at = s.to
	}
	return append(shown, b[at:]...), f.secrets, false
}

// fieldFinder finds the spans of the fields that rules name.
type fieldFinder struct {
	d       *json.Decoder
	rules   [][]string
	depth   int
	found   []bytesSpan
	secrets []string
}

type bytesSpan struct{ from, to int }

// maxRedactDepth is how deep a payload may be nested; a deeper one is hidden whole.
const maxRedactDepth = 1000

var errTooDeep = errors.New("nested too deeply")

// value reads one value at a path. Elements of a list are at the list's path.
func (f *fieldFinder) value(path []string) error {
	if f.depth++; f.depth > maxRedactDepth {
		return errTooDeep
	}
	defer func() { f.depth-- }()
	if f.named(path) {
		var raw json.RawMessage
		if err := f.d.Decode(&raw); err != nil {
			return err
		}
		end := int(f.d.InputOffset())
		f.found = append(f.found, bytesSpan{end - len(raw), end})
		f.collect(raw)
		return nil
	}
	token, err := f.d.Token()
	if err != nil {
		return err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	for f.d.More() {
		at := path
		if delim == '{' {
			key, err := f.d.Token()
			if err != nil {
				return err
			}
			name, _ := key.(string)
			at = append(slices.Clip(path), name)
		}
		if err := f.value(at); err != nil {
			return err
		}
	}
	_, err = f.d.Token()
	return err
}

// named reports whether a rule names the path: from the top, or from the data of a
// CloudEvent in its JSON form, whose data in base64 no rule can look into.
func (f *fieldFinder) named(path []string) bool {
	if len(path) == 1 && path[0] == "data_base64" {
		return true
	}
	return slices.ContainsFunc(f.rules, func(rule []string) bool {
		return pathMatches(rule, path) || len(path) > 1 && path[0] == "data" && pathMatches(rule, path[1:])
	})
}

func pathMatches(rule, path []string) bool {
	if len(rule) == 0 {
		return len(path) == 0
	}
	if rule[0] == "**" {
		return pathMatches(rule[1:], path) || len(path) > 0 && pathMatches(rule, path[1:])
	}
	return len(path) > 0 && (rule[0] == "*" || strings.EqualFold(rule[0], path[0])) && pathMatches(rule[1:], path[1:])
}

// collect keeps the texts of a value that went, since an error may quote them.
func (f *fieldFinder) collect(raw json.RawMessage) {
	f.secrets = append(f.secrets, string(raw))
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return
		}
		switch v := token.(type) {
		case string:
			f.secrets = append(f.secrets, v)
		case json.Number:
			f.secrets = append(f.secrets, v.String())
		}
	}
}
