package guards

// Guarded is embedded by every model that Evenkeel keeps right. Its columns hold what
// the row remembers of the events that it has absorbed (R5). They are read-only to
// GORM and absent from JSON, so that a service's own Save can't write stale clocks
// back; only the framework's own SQL writes them. All are NOT NULL with zero defaults,
// so that adding them to a table that has rows is one ALTER TABLE.
type Guarded struct {
	// EkRev is the row's revision: it grows by one with each write. A new row starts
	// at the current time in microseconds, so that a row that was purged and made
	// again can't be mistaken for its predecessor.
	EkRev int64 `gorm:"column:ek_rev;->;not null;default:0" json:"-"`
	// EkTime and EkTie are the newest stamp that any column has seen.
	EkTime int64  `gorm:"column:ek_time;->;not null;default:0" json:"-"`
	EkTie  []byte `gorm:"column:ek_tie;->;not null;default:''" json:"-"`
	// EkFields lists the columns whose stamp is older than the row's, as text that a
	// person can read; empty while all columns agree.
	EkFields string `gorm:"column:ek_fields;type:text;->;not null;default:''" json:"-"`
	// EkState tells a placeholder from a live row and from a deleted one.
	EkState Existence `gorm:"column:ek_state;type:smallint;->;not null;default:0" json:"-"`
	// EkBorn is when the framework made the row, in microseconds since 1970; 0 for a
	// row that somebody else made.
	EkBorn int64 `gorm:"column:ek_born;->;not null;default:0" json:"-"`
	// EkGen is the generation of the model's column list that the row was last written
	// with: a column that came later counts as never written.
	EkGen int32 `gorm:"column:ek_gen;->;not null;default:0" json:"-"`
}

// Existence is what a row's ek_state says.
type Existence int16

// What can be said of an entity's row. The numbers are stored, those of rows that are being
// rebuilt with [RebuildingBit].
const (
	// Foreign is a row that the framework did not make: live, without clocks, so that
	// any event wins against it.
	Foreign Existence = 0
	// Placeholder is a row made by an event that came before its creating event.
	Placeholder Existence = 1
	// Alive is a row whose creating event has come.
	Alive Existence = 2
	// Deleted is a row whose deleting event is newer than its creating one.
	Deleted Existence = 3
	// Missing says that there is no row; it is never stored.
	Missing Existence = -1
)

// String returns the word that the command line shows.
func (e Existence) String() string {
	switch e {
	case Foreign:
		return "foreign"
	case Placeholder:
		return "placeholder"
	case Alive:
		return "live"
	case Deleted:
		return "deleted"
	case Missing:
		return "missing"
	}
	if state, yes := e.Rebuilding(); yes {
		return state.String() + ", being rebuilt"
	}
	return "unknown"
}
