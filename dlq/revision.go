package dlq

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// Revision is what an [Edit] has made of a letter's record. The record that came stays as it
// was: a replay takes the newest revision's value and headers in place of its own.
type Revision struct {
	// N counts a letter's revisions; the first is 1.
	N      int
	At     time.Time // by the database's clock
	By     Actor
	Reason string

	Value   []byte
	Headers []event.Header
	// Lost: value and headers were too large for the dead-letter topic from which the letter
	// was imported. Such a letter can't be replayed before it is edited again.
	Lost bool
}

// Revised is the letter's record as a replay takes it: with the newest revision's value and
// headers, if there is one. Don't change what it points to.
func (l *Letter) Revised() *event.Record {
	if len(l.Edits) == 0 {
		return l.Record
	}
	r, last := *l.Record, &l.Edits[len(l.Edits)-1]
	r.Value, r.Headers = last.Value, last.Headers
	return &r
}

// revisionJSON is a revision as it is stored, exported and published.
type revisionJSON struct {
	N       int             `json:"n"`
	At      int64           `json:"at"` // microseconds since 1970
	By      string          `json:"by"`
	Via     string          `json:"via"`
	Why     string          `json:"why"`
	Lost    bool            `json:"lost,omitempty"`
	Value   json.RawMessage `json:"value"`
	Headers json.RawMessage `json:"headers"`
}

// EncodeEdits writes revisions as the JSON that the column edits, exports and the header
// evenkeel-edits hold: bytes that are UTF-8 as text, others in base64. None are no text.
func EncodeEdits(edits []Revision) string {
	if len(edits) == 0 {
		return ""
	}
	list := make([]revisionJSON, len(edits))
	for i := range edits {
		e := &edits[i]
		list[i] = revisionJSON{
			N: e.N, At: e.At.UnixMicro(), By: e.By.Name, Via: e.By.Via, Why: e.Reason, Lost: e.Lost,
			Value: plainJSON(bytesJSON(e.Value)), Headers: plainJSON(headersJSON(e.Headers)),
		}
	}
	return string(plainJSON(list))
}

// plainJSON leaves < and & readable. What it gets always marshals.
func plainJSON(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("evenkeel: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

var errEdits = errors.New(`a list of revisions with n, at, by, via, why, value and headers, n one more each time`)

// DecodeEdits reads what [EncodeEdits] wrote. It takes any text and never panics.
func DecodeEdits(text string) ([]Revision, error) {
	if text == "" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	var list []revisionJSON
	if err := d.Decode(&list); err != nil || len(list) == 0 || d.More() {
		return nil, errEdits
	}
	edits := make([]Revision, len(list))
	for i := range list {
		j := &list[i]
		// A copy that had to leave bytes out has the newest revision alone.
		if j.N < 1 || i > 0 && j.N != list[i-1].N+1 || len(j.Value) == 0 || len(j.Headers) == 0 {
			return nil, errEdits
		}
		value, err := parseBytes(j.Value)
		if err != nil {
			return nil, fmt.Errorf("at %d: value: %w", i, err)
		}
		headers, err := parseHeaders(j.Headers)
		if err != nil {
			return nil, fmt.Errorf("at %d: headers: %w", i, err)
		}
		edits[i] = Revision{
			N: j.N, At: time.UnixMicro(j.At).UTC(), By: Actor{Name: j.By, Via: j.Via}, Reason: j.Why,
			Value: value, Headers: headers, Lost: j.Lost,
		}
	}
	return edits, nil
}

// withoutBytes is the newest revision without its bytes, for a copy that has no room.
func withoutBytes(edits []Revision) []Revision {
	if len(edits) == 0 {
		return nil
	}
	last := edits[len(edits)-1]
	last.Value, last.Headers, last.Lost = nil, nil, true
	last.By.Name, last.By.Via, last.Reason = clip(last.By.Name, maxName), clip(last.By.Via, maxName), clip(last.Reason, maxDetail)
	return []Revision{last}
}
