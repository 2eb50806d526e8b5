package oracle

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/evenkeel-go/evenkeel/guards"
)

// ParseClocks reads a row's clocks from its ek_ columns: ek_time and ek_tie hold the
// newest stamp, ek_fields the fields whose stamp is older, one line for each stamp:
//
//	1700000000000000 1shop|o-1|%00 = customer amount
//	- = paid_at @exists
//
// A field that is in no line has the newest stamp; "-" is "never". The fields are those
// whose clocks are wanted; [Exists] is added.
func ParseClocks(g guards.Guarded, fields []string) (map[string]Stamp, error) {
	newest, err := stampOf(g.EkTime, string(g.EkTie))
	if err != nil {
		return nil, fmt.Errorf("ek_tie: %w", err)
	}
	clocks := map[string]Stamp{Exists: newest}
	for _, f := range fields {
		clocks[f] = newest
	}
	if g.EkFields == "" {
		return clocks, nil
	}
	for _, line := range strings.Split(g.EkFields, "\n") {
		left, right, ok := strings.Cut(line, " = ")
		if !ok {
			return nil, fmt.Errorf("ek_fields: no \" = \" in %q", line)
		}
		var stamp Stamp
		if left != "-" {
			number, tie, _ := strings.Cut(left, " ")
			n, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("ek_fields: %w in %q", err, line)
			}
			raw, err := unescape(strings.ReplaceAll(tie, "|", "%00%01"))
			if err != nil {
				return nil, fmt.Errorf("ek_fields: %w in %q", err, line)
			}
			if stamp, err = stampOf(n, raw); err != nil {
				return nil, fmt.Errorf("ek_fields: %w in %q", err, line)
			}
		}
		for _, name := range strings.Fields(right) {
			plain, err := unescape(name)
			if err != nil {
				return nil, fmt.Errorf("ek_fields: %w in %q", err, line)
			}
			if _, wanted := clocks[plain]; wanted {
				clocks[plain] = stamp
			}
		}
	}
	return clocks, nil
}

// stampOf takes a tie apart: "1" for the entity's own event and "0" for one that was derived
// from another's, source, id, path length, and a derived event's path. Source, id and what
// the path consists of end with 00 01, and a 00 within is followed by FF. The path is left
// out: a Stamp does not tell the children of one root apart.
func stampOf(number int64, tie string) (Stamp, error) {
	if tie == "" {
		return Stamp{}, nil
	}
	rest := tie[1:]
	part := func() (string, bool) {
		var b strings.Builder
		for i := 0; i+1 < len(rest); i++ {
			if rest[i] != 0 {
				b.WriteByte(rest[i])
				continue
			}
			end := rest[i+1] == 1
			i++
			if end {
				rest = rest[i+1:]
				return b.String(), true
			}
			b.WriteByte(0)
		}
		return "", false
	}
	source, ok1 := part()
	id, ok2 := part()
	if tie[0] != '0' && tie[0] != '1' || !ok1 || !ok2 || rest == "" {
		return Stamp{}, fmt.Errorf("%q is not the tie of an event", tie)
	}
	derived := tie[0] == '0'
	steps := int(rest[0])
	rest = rest[1:]
	for range steps {
		if _, ok := part(); !ok {
			return Stamp{}, fmt.Errorf("%q is not the tie of an event: its path ends early", tie)
		}
	}
	if rest != "" || derived != (steps > 0) {
		return Stamp{}, fmt.Errorf("%q is not the tie of a primary event on its own entity, nor of a derived one on another's", tie)
	}
	return Stamp{Number: number, Derived: derived, Source: source, ID: id}, nil
}

func unescape(s string) (string, error) {
	first, rest, found := strings.Cut(s, "%")
	var b strings.Builder
	b.WriteString(first)
	for found {
		if len(rest) < 2 {
			return "", fmt.Errorf("a %% without two digits in %q", s)
		}
		c, err := hex.DecodeString(rest[:2])
		if err != nil {
			return "", err
		}
		b.Write(c)
		var text string
		text, rest, found = strings.Cut(rest[2:], "%")
		b.WriteString(text)
	}
	return b.String(), nil
}
