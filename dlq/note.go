package dlq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Note is what somebody has found out, about one letter or about all with one fingerprint.
type Note struct {
	At time.Time // by the database's clock
	By Actor     // only the name is kept
	// Letter or Fingerprint is what the note is about; one of them is empty.
	Letter, Fingerprint string
	Body                string
}

// MaxNoteBytes bounds the text of a [Note].
const MaxNoteBytes = 16 << 10

// Notes returns the notes on a letter and on its fingerprint, oldest first; either may be
// empty. Errors are the driver's.
func Notes(ctx context.Context, db *gorm.DB, letter, fingerprint string) (notes []Note, err error) {
	const text = "SELECT id, at, actor, letter, fingerprint, body FROM evenkeel_notes WHERE letter = ? AND fingerprint = ''" +
		" UNION ALL SELECT id, at, actor, letter, fingerprint, body FROM evenkeel_notes WHERE letter = '' AND fingerprint = ? ORDER BY 1"
	rows, err := db.WithContext(ctx).Raw(text, orNothing(letter), orNothing(fingerprint)).Rows()
	if err != nil {
		return nil, fmt.Errorf("read notes: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n Note
		var id, at int64
		if err := rows.Scan(&id, &at, &n.By.Name, &n.Letter, &n.Fingerprint, &n.Body); err != nil {
			return nil, fmt.Errorf("read notes: %w", err)
		}
		n.At = time.UnixMicro(at).UTC()
		notes = append(notes, n)
	}
	return notes, rows.Err()
}

// orNothing is what no note is about, for an empty subject.
func orNothing(subject string) string {
	if subject == "" {
		return "-"
	}
	return subject
}
