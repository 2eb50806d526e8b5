package clocks

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Row is one row's clocks, in the places of its Layout.
type Row struct {
	Stamps []event.Stamp
}

// Stored is how a row's clocks stand in the database: the newest stamp in ek_time and
// ek_tie, and what is older in ek_fields.
type Stored struct {
	Time   int64
	Tie    []byte
	Fields string
	Gen    int32
}

// ErrNewerGeneration says that a newer version of the service has written the row and
// that the layout must be read again before the row can be merged.
var ErrNewerGeneration = errors.New("the row was written with columns that this process does not know yet")

// New returns the clocks of a row that was never written.
func (l *Layout) New() Row { return Row{Stamps: make([]event.Stamp, len(l.Names))} }

// Clone returns a copy that can change by itself.
func (r Row) Clone() Row { return Row{Stamps: slices.Clone(r.Stamps)} }

// Newest is the row's newest stamp.
func (r Row) Newest() event.Stamp {
	var newest event.Stamp
	for _, s := range r.Stamps {
		if s.After(newest) {
			newest = s
		}
	}
	return newest
}

// NewestOf is the newest stamp of the given columns.
func (r Row) NewestOf(columns []*handlers.Column) event.Stamp {
	var newest event.Stamp
	for _, c := range columns {
		if s := r.Stamps[c.Index]; s.After(newest) {
			newest = s
		}
	}
	return newest
}

// Encode writes the clocks as they are stored. The text of Fields has one line for each
// older stamp: its time, its tie with 0x00 0x01 shown as "|" and other bytes that are
// not printable as %XX, " = ", and the columns that have it; "- =" begins the line of
// the columns that were never written. A person can read it with plain SQL.
func (l *Layout) Encode(r Row) Stored {
	newest := r.Newest()
	out := Stored{Time: newest.Time, Tie: []byte(newest.Tie), Gen: l.Current}
	var room [512]byte // enough for most rows, so that the text is the one allocation
	b := room[:0]
	var doneBits [4]uint64 // up to 256 places without an allocation
	done := doneBits[:]
	if len(r.Stamps) > 256 {
		done = make([]uint64, (len(r.Stamps)+63)/64)
	}
	for i, s := range r.Stamps {
		if !l.Clocked[i] || s == newest || done[i/64]&(1<<(i%64)) != 0 {
			continue
		}
		if len(b) > 0 {
			b = append(b, '\n')
		}
		if s.IsZero() {
			b = append(b, '-')
		} else {
			b = strconv.AppendInt(b, s.Time, 10)
			b = append(b, ' ')
			b = appendTie(b, s.Tie)
		}
		b = append(b, " ="...)
		for j := i; j < len(r.Stamps); j++ {
			if l.Clocked[j] && r.Stamps[j] == s {
				done[j/64] |= 1 << (j % 64)
				b = appendName(append(b, ' '), l.Names[j])
			}
		}
	}
	out.Fields = string(b)
	return out
}

// Decode reads the clocks of a row. State Foreign means that the framework did not make
// the row and nothing on it is clocked.
func (l *Layout) Decode(s Stored, state guards.Existence) (Row, error) {
	r := l.New()
	if state == guards.Foreign && len(s.Tie) == 0 {
		return r, nil
	}
	if s.Gen > l.Current {
		return r, ErrNewerGeneration
	}
	newest := event.Stamp{Time: s.Time, Tie: string(s.Tie)}
	for i := range r.Stamps {
		if l.Clocked[i] && l.Gens[i] <= s.Gen {
			r.Stamps[i] = newest
		}
	}
	rest := s.Fields
	for rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if err := l.decodeLine(line, r, s.Gen); err != nil {
			return r, fmt.Errorf("ek_fields: %w in line %q; the column belongs to the framework: restore it, or rebuild the entity", err, line)
		}
	}
	return r, nil
}

var (
	errNoEquals = errors.New("expected \"stamp = columns\"")
	errEscape   = errors.New("a % without two hexadecimal digits")
)

func (l *Layout) decodeLine(line string, r Row, gen int32) error {
	head, names, ok := strings.Cut(line, " =")
	if !ok {
		return errNoEquals
	}
	var stamp event.Stamp
	if head != "-" {
		number, tie, ok := strings.Cut(head, " ")
		if !ok {
			return errNoEquals
		}
		var err error
		if stamp.Time, err = strconv.ParseInt(number, 10, 64); err != nil {
			return err
		}
		if stamp.Tie, err = unescape(tie, true); err != nil {
			return err
		}
		if stamp.Tie == "" {
			return errNoEquals
		}
	}
	for names != "" {
		var name string
		name, names, _ = strings.Cut(strings.TrimPrefix(names, " "), " ")
		if strings.IndexByte(name, '%') >= 0 {
			var err error
			if name, err = unescape(name, false); err != nil {
				return err
			}
		}
		for i, have := range l.Names {
			// A name may stand twice: this process's model has the column without a
			// clock, another release's with one, which must be handed on.
			if have == name && l.Clocked[i] {
				if l.Gens[i] <= gen {
					r.Stamps[i] = stamp
				}
				break
			}
		}
	}
	return nil
}

// PurgedTie is the tie of a stamp that is no event's but the horizon of purged tombstones
// (R13). It stands after that of every event.
const PurgedTie = "~"
