package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// setJSON puts a value where a JSON pointer (RFC 6901) says and leaves every other byte as it
// is, numbers included. A member that is not there yet is added to its object.
func setJSON(doc []byte, pointer, value string) ([]byte, error) {
	if pointer == "" || pointer[0] != '/' {
		return nil, fmt.Errorf("%q is no JSON pointer, expected one such as /data/total", pointer)
	}
	if !json.Valid([]byte(value)) {
		return nil, fmt.Errorf("%s=%s: expected JSON behind the sign, e.g. 12 or \"a text\" with its quotes", pointer, value)
	}
	if !json.Valid(doc) {
		return nil, fmt.Errorf("the value is no JSON, so %s means nothing in it; give the whole of it with --value-file", pointer)
	}
	from, to := 0, len(doc)
	steps := strings.Split(pointer[1:], "/")
	for i, step := range steps {
		name := strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		members, object := parts(doc[from:to])
		at := -1
		for n, m := range members {
			if object && m.name == name || !object && strconv.Itoa(n) == name {
				at = n // of several with one name the last counts
			}
		}
		switch {
		case at >= 0:
			from, to = from+members[at].from, from+members[at].to
		case object && i == len(steps)-1:
			key, err := json.Marshal(name)
			if err != nil {
				return nil, err
			}
			end := from + bytes.LastIndexByte(doc[from:to], '}')
			member := string(key) + ":" + value
			if len(members) > 0 {
				member = "," + member
			}
			return []byte(string(doc[:end]) + member + string(doc[end:])), nil
		default:
			return nil, fmt.Errorf("%s: there is no %q in /%s", pointer, name, strings.Join(steps[:i], "/"))
		}
	}
	return []byte(string(doc[:from]) + value + string(doc[to:])), nil
}

// part is a member of an object or an element of a list, and where its value stands.
type part struct {
	name     string
	from, to int
}

// parts are those of a valid JSON value; none where it is neither object nor list.
func parts(value []byte) (all []part, object bool) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	open, err := d.Token()
	if err != nil || open != json.Delim('{') && open != json.Delim('[') {
		return nil, false
	}
	object = open == json.Delim('{')
	for d.More() {
		var p part
		if object {
			name, err := d.Token()
			if err != nil {
				return nil, object
			}
			p.name, _ = name.(string)
		}
		var raw json.RawMessage
		if d.Decode(&raw) != nil {
			return nil, object
		}
		p.to = int(d.InputOffset())
		p.from = p.to - len(raw)
		all = append(all, p)
	}
	return all, object
}
