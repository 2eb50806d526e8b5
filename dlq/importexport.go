package dlq

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
)

// Export writes the letters that f chooses to w as [LineWriter] does, in the order of
// their ids, and returns how many. They are one state of the table, and one at a time is
// in memory. A Limit of 0 is no limit here, and Brief is ignored. Errors are the driver's
// and w's.
func Export(ctx context.Context, db *gorm.DB, w io.Writer, f Filter) (n int64, err error) {
	return ExportLines(ctx, db, NewLineWriter(w), f)
}

// ExportLines is [Export] to a writer that is set up already.
func ExportLines(ctx context.Context, db *gorm.DB, lines *LineWriter, f Filter) (n int64, err error) {
	where, args := f.where()
	rest := where + " ORDER BY id"
	if f.Limit > 0 && f.Match == nil {
		rest, args = rest+" LIMIT ?", append(args, f.Limit)
	}
	f.Brief = false
	write := func(l *Letter) error {
		if err := lines.Write(l); err != nil {
			return fmt.Errorf("write letter %s: %w", l.ID, err)
		}
		if n++; f.Match != nil && n == int64(f.Limit) {
			return errEnough
		}
		return nil
	}
	err = eachLetter(ctx, db, func(l *Letter) error { return f.each(l, write) }, columns(false), rest, args...)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return n, err
}

// RecordError says that a record of a dead-letter topic was not made a letter.
type RecordError struct {
	Topic     string
	Partition int32
	Offset    int64
	Err       error
}

// Error tells where the record is and what is wrong with it.
func (e *RecordError) Error() string {
	return fmt.Sprintf("topic %s, partition %d, offset %d: %v", e.Topic, e.Partition, e.Offset, e.Err)
}

// Unwrap returns what [FromRecord] said.
func (e *RecordError) Unwrap() error { return e.Err }

// FromRecords makes letters of the records of a dead-letter topic, as [FromRecord] does,
// for [Import]. Where that returns an error there is a [*RecordError] and the letters go
// on; an error among the records is the last. The letters are on a topic, so they count as
// published at now.
func FromRecords(records iter.Seq2[*event.Record, error], now time.Time) iter.Seq2[*Letter, error] {
	return func(yield func(*Letter, error) bool) {
		for r, err := range records {
			if err != nil {
				yield(nil, err)
				return
			}
			l, _, err := FromRecord(r)
			if err != nil {
				err = &RecordError{r.Topic, r.Partition, r.Offset, err}
			} else {
				l.PublishedAt = now
			}
			if !yield(l, err) {
				return
			}
		}
	}
}

// Imported says what became of the letters that an [Import] was given.
type Imported struct {
	// New letters are in the table now. Present ones were there before and were not
	// touched. Copies are further copies of a letter of the same import. Refused is what
	// is no letter.
	New, Present, Copies, Refused int64
	// Reopened are those of New that were being replayed when they were written: see [Import].
	Reopened int64
}

// LetterError says that the database refused a letter.
type LetterError struct {
	ID  string
	Err error
}

// Error tells the letter and what the database said.
func (e *LetterError) Error() string { return fmt.Sprintf("letter %s: %v", e.ID, e.Err) }

// Unwrap returns the driver's error.
func (e *LetterError) Unwrap() error { return e.Err }

// Portions of an import, each in a transaction of its own.
const (
	portionLetters = 100
	portionBytes   = 4 << 20
)

// Import adds letters to the table evenkeel_dead_letters. A letter whose id is there
// already is never touched, so an import raises no letter that was dealt with, and may be
// run again after an error. Of several copies in one import the one with the highest
// revision counts, the first of equal ones. What it has added it finds in the table, so that
// its memory does not grow with the letters.
//
// What is refused, a [*LineError] or [*RecordError] among the letters or a [*LetterError],
// goes to the function; the import goes on unless that returns an error. Without a function
// the first one ends it. Any other error ends it too; what was added before stays.
//
// A letter that was being replayed when it was written is open in the table: a letter tells
// nothing of what was to carry that out, and what became of it is in a later copy, if in any.
//
// Letters that are not yet on the dead-letter topic are published by the members of their
// group. No Kafka offset waits for them.
func Import(ctx context.Context, db *gorm.DB, letters iter.Seq2[*Letter, error], refused func(error) error) (Imported, error) {
	in := importer{db: db, refused: refused, name: rand.Text()}
	for l, err := range letters {
		var line *LineError
		var record *RecordError
		switch {
		case err == nil:
			err = in.take(ctx, l)
		case errors.As(err, &line), errors.As(err, &record):
			err = in.refuse(err)
		}
		if err != nil {
			// What came before the error is as good as what comes before an end.
			return in.done, errors.Join(err, in.flush(ctx))
		}
	}
	return in.done, in.flush(ctx)
}

type importer struct {
	db      *gorm.DB
	refused func(error) error
	done    Imported
	// name marks the rows that this import has added.
	name    string
	portion []*Letter
	size    int
}

func (in *importer) take(ctx context.Context, l *Letter) error {
	if i := slices.IndexFunc(in.portion, func(p *Letter) bool { return p.ID == l.ID }); i >= 0 {
		in.done.Copies++
		if l.Rev > in.portion[i].Rev {
			in.size += weight(l) - weight(in.portion[i])
			in.portion[i] = l
		}
		return nil
	}
	in.portion = append(in.portion, l)
	if in.size += weight(l); len(in.portion) < portionLetters && in.size < portionBytes {
		return nil
	}
	return in.flush(ctx)
}

func weight(l *Letter) int {
	n := l.Record.Size() + len(l.Error) + len(l.Stack)
	for i := range l.Edits {
		r := event.Record{Value: l.Edits[i].Value, Headers: l.Edits[i].Headers}
		n += r.Size()
	}
	return n
}

// flush adds the portion in one transaction, and if the database refuses what is in it,
// each letter alone.
func (in *importer) flush(ctx context.Context) error {
	portion := in.portion
	in.portion, in.size = nil, 0
	if len(portion) == 0 {
		return nil
	}
	err := in.add(ctx, portion)
	if !isDataError(err) {
		return err
	}
	for _, l := range portion {
		err := in.add(ctx, []*Letter{l})
		if isDataError(err) {
			err = in.refuse(&LetterError{l.ID, err})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (in *importer) refuse(err error) error {
	in.done.Refused++
	if in.refused == nil {
		return err
	}
	return in.refused(err)
}

func (in *importer) add(ctx context.Context, portion []*Letter) error {
	var done Imported
	err := in.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		done = Imported{}
		before, err := in.added(tx, portion)
		if err != nil {
			return err
		}
		insert := make([]*Letter, 0, len(portion))
		for _, l := range portion {
			b, again := before[l.ID]
			if again {
				done.Copies++
			}
			if again && (b.changed || l.Rev <= b.rev) {
				continue
			}
			// An older copy of this import's own makes room, if nobody changes it now.
			if again {
				if err := tx.Exec("DELETE FROM evenkeel_dead_letters WHERE id = ? AND rev = ?", l.ID, b.rev).Error; err != nil {
					return err
				}
			}
			if b.reopened {
				done.Reopened--
			}
			insert = append(insert, l)
		}
		fresh, err := in.insertAbsent(tx, insert)
		if err != nil {
			return err
		}
		for _, l := range insert {
			_, again := before[l.ID]
			switch {
			case again:
			case fresh[l.ID]:
				done.New++
			default:
				done.Present++
			}
			if fresh[l.ID] && l.State == Replaying {
				done.Reopened++
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("import letters: %w; run the import again, what was added stays", err)
	}
	in.done.New += done.New
	in.done.Present += done.Present
	in.done.Copies += done.Copies
	in.done.Reopened += done.Reopened
	return nil
}

// mark is what a row that this import adds has in its column imported.
func (in *importer) mark(rev int64) string { return fmt.Sprintf("%s %d", in.name, rev) }

// reopenedMark follows it where the letter was being replayed.
const reopenedMark = " reopened"

// addedRow is a row that this import has added.
type addedRow struct {
	rev               int64
	reopened, changed bool // changed by somebody since
}

// added finds the letters that this import has added before.
func (in *importer) added(tx *gorm.DB, letters []*Letter) (map[string]addedRow, error) {
	ids := make([]string, len(letters))
	for i, l := range letters {
		ids[i] = l.ID
	}
	var rows []struct {
		ID       string
		Rev      int64
		Imported string
	}
	if err := tx.Raw("SELECT id, rev, imported FROM evenkeel_dead_letters WHERE id IN ?", ids).Scan(&rows).Error; err != nil {
		return nil, err
	}
	found := map[string]addedRow{}
	for _, r := range rows {
		if strings.HasPrefix(r.Imported, in.name) {
			mark, reopened := strings.CutSuffix(r.Imported, reopenedMark)
			found[r.ID] = addedRow{rev: r.Rev, reopened: reopened, changed: mark != in.mark(r.Rev)}
		}
	}
	return found, nil
}

// isDataError reports that Postgres refused what is in a row: classes 22, data exception,
// 23, integrity, and 54, a limit such as the size of an index entry. SQLite takes any row.
func isDataError(err error) bool {
	var refused interface{ SQLState() string }
	if !errors.As(err, &refused) || len(refused.SQLState()) < 2 {
		return false
	}
	return slices.Contains([]string{"22", "23", "54"}, refused.SQLState()[:2])
}

// insertAbsent inserts the letters whose ids are not there, and says which.
func (in *importer) insertAbsent(tx *gorm.DB, letters []*Letter) (fresh map[string]bool, err error) {
	fresh = map[string]bool{}
	if len(letters) == 0 {
		return fresh, nil
	}
	names := []string{"imported"}
	for i := range importColumns {
		names = append(names, importColumns[i].name)
	}
	row := "(" + strings.Repeat("?, ", len(names)-1) + "?)"
	args := make([]any, 0, len(names)*len(letters))
	for _, l := range letters {
		mark := in.mark(l.Rev)
		if l.State == Replaying {
			mark += reopenedMark
		}
		args = append(args, mark)
		for i := range importColumns {
			args = append(args, importColumns[i].value(l))
		}
	}
	rows, err := tx.Raw("INSERT INTO evenkeel_dead_letters ("+strings.Join(names, ", ")+") VALUES "+
		strings.Repeat(row+", ", len(letters)-1)+row+" ON CONFLICT (id) DO NOTHING RETURNING id", args...).Rows()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		fresh[id] = true
	}
	return fresh, rows.Err()
}
