package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Memo is a row of the service's own, which belongs to an Order.
type Memo struct {
	ID      string  `gorm:"primaryKey"`
	OrderID *string `gorm:"size:64"`
	Order   *Order
	Hooked  bool
}

// TableName keeps clear of Evenkeel's own.
func (Memo) TableName() string { return "own_memos" }

// BeforeCreate is GORM's hook.
func (m *Memo) BeforeCreate(*gorm.DB) error {
	m.Hooked = true
	return nil
}

func txCases() []testCase {
	return []testCase{
		{"SQL of a handler's own is kept or undone by its savepoint", txSavepoints},
		{"SQL of a handler's own finds a row that was flushed", txFlush},
		{"a flush that fails is undone by the savepoint", txFlushFails},
		{"SQL of a handler's own goes with the transaction", txGoes},
		{"what is not for a handler's own SQL is refused", txRefuses},
		{"rows that a handler leaves open are closed", txLeaks},
		{"a statement that failed is undone by the savepoint", txSpoils},
	}
}

// transaction locks the orders a and b, for SQL of handlers' own.
func (b *bench) transaction(t *testing.T) (store.Locked, store.Tx) {
	t.Helper()
	if !b.sql().Migrator().HasTable(&Memo{}) {
		require.NoError(t, b.sql().AutoMigrate(&Memo{}))
	}
	l, err := b.s.Lock(t.Context(), b.want("orders", true, "a", "b"))
	require.NoError(t, err)
	t.Cleanup(l.Rollback)
	require.NotNil(t, l.Loaded().Tx)
	return l, l.Loaded().Tx
}

func point(t *testing.T, tx store.Tx) (store.Savepoint, *gorm.DB) {
	t.Helper()
	p, err := tx.Savepoint(t.Context())
	require.NoError(t, err)
	return p, p.DB(t.Context())
}

func (b *bench) memos(t *testing.T) (ids []string) {
	t.Helper()
	require.NoError(t, b.sql().Model(&Memo{}).Order("id").Pluck("id", &ids).Error)
	return ids
}

func txSavepoints(b *bench) {
	t := b.t
	l, tx := b.transaction(t)
	for _, id := range []string{"undone", "kept", "undone too", "kept too"} {
		p, db := point(t, tx)
		require.NoError(t, db.Create(&Memo{ID: id}).Error)
		require.NoError(t, db.Transaction(func(db *gorm.DB) error { return db.Create(&Memo{ID: id + ", nested"}).Error }))
		require.ErrorIs(t, db.Transaction(func(db *gorm.DB) error {
			require.NoError(t, db.Create(&Memo{ID: id + ", undone"}).Error)
			return context.Canceled
		}), context.Canceled)
		require.Equal(t, store.Ended{}, p.Close())
		end := p.Keep
		if id[0] == 'u' {
			end = p.Undo
		}
		require.NoError(t, end(t.Context()))
	}
	require.NoError(t, b.commitWith(t, l.Commit, &store.Batch{}))
	require.Equal(t, []string{"kept", "kept too", "kept too, nested", "kept, nested"}, b.memos(t))
	var m Memo
	require.NoError(t, b.sql().First(&m, "id = ?", "kept").Error)
	require.True(t, m.Hooked, "the model's hooks have run")
	_, err := tx.Savepoint(t.Context())
	require.Error(t, err)
	require.Error(t, tx.Flush(t.Context(), &store.Batch{}))
}

func txFlush(b *bench) {
	t := b.t
	l, tx := b.transaction(t)
	p, db := point(t, tx)
	row := b.order(t, &Order{ID: "a", Status: "stub"}, 1)
	require.NoError(t, tx.Flush(t.Context(), &store.Batch{Group: group, Now: b.now, Insert: []*store.Row{row}, Absent: []store.AbsentKey{{Model: row.Model, Key: "a"}}}))
	require.NoError(t, db.Create(&Memo{ID: "m", OrderID: ptr("a")}).Error)
	var status string
	require.NoError(t, db.Model(&Order{}).Where("id = ?", "a").Pluck("status", &status).Error)
	require.Equal(t, "stub", status)
	require.Equal(t, store.Ended{}, p.Close())
	require.NoError(t, p.Keep(t.Context()))
	last := b.order(t, &Order{ID: "a", Status: "whole"}, 2)
	last.Rev = b.now.UnixMicro()
	require.NoError(t, b.commitWith(t, l.Commit, &store.Batch{Update: []*store.Row{last}}))
	require.Equal(t, []string{"m"}, b.memos(t))
	got := b.one(t, "orders", "a")
	o := got.Entity.Interface().(*Order)
	require.Equal(t, "whole", o.Status)
	require.True(t, b.now.Equal(o.CreatedAt), "the stub's")
	require.Equal(t, b.now.UnixMicro()+1, got.Rev)
	require.Equal(t, b.now.UnixMicro(), got.Born.UnixMicro())
	require.Equal(t, last.Clocks, got.Clocks)
}

func txFlushFails(b *bench) {
	t := b.t
	l, tx := b.transaction(t)
	var data *store.DataError
	p, _ := point(t, tx)
	bad := b.row(t, &Line{ID: 1, Text: "12345"}, "a_lines", 1)
	bad.Entity.Interface().(*Line).OrderID = ptr("nowhere")
	if b.postgres() { // SQLite's foreign keys are looked at in the end
		require.ErrorAs(t, tx.Flush(t.Context(), &store.Batch{Group: group, Now: b.now, Insert: []*store.Row{bad}}), &data)
		require.True(t, p.Close().Spoiled)
	}
	require.NoError(t, p.Undo(t.Context()))
	require.NoError(t, b.commitWith(t, l.Commit, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 1)}}))

	l, tx = b.transaction(t)
	p, _ = point(t, tx)
	again := b.order(t, &Order{ID: "a", Status: "again"}, 1)
	require.ErrorIs(t, tx.Flush(t.Context(), &store.Batch{Group: group, Now: b.now, Insert: []*store.Row{again}}), store.ErrConflict)
	require.NoError(t, p.Undo(t.Context()))
	p, db := point(t, tx)
	require.NoError(t, db.Create(&Memo{ID: "after"}).Error)
	require.NoError(t, p.Keep(t.Context()))
	require.NoError(t, b.commitWith(t, l.Commit, &store.Batch{}))
	require.Equal(t, []string{"after"}, b.memos(t))
	require.Empty(t, b.one(t, "orders", "a").Entity.Interface().(*Order).Status)
}

// A batch that is refused, or fenced, takes the handlers' SQL with it.
func txGoes(b *bench) {
	t := b.t
	enter := func(id string) store.Locked {
		l, tx := b.transaction(t)
		p, db := point(t, tx)
		require.NoError(t, db.Create(&Memo{ID: id}).Error)
		require.NoError(t, p.Keep(t.Context()))
		return l
	}
	enter("rolled back").Rollback()
	fenced := b.full(&store.Batch{})
	fenced.Ledger.Epoch--
	require.ErrorIs(t, enter("fenced").Commit(t.Context(), fenced), store.ErrFenced)
	gone := b.order(t, &Order{ID: "b"}, 1)
	gone.Rev = 7
	require.ErrorIs(t, enter("conflict").Commit(t.Context(), b.full(&store.Batch{Update: []*store.Row{gone}})), store.ErrConflict)
	require.NoError(t, b.commitWith(t, enter("kept").Commit, &store.Batch{}))
	require.Equal(t, []string{"kept"}, b.memos(t))
}

func txRefuses(b *bench) {
	t := b.t
	l, tx := b.transaction(t)
	for name, do := range map[string]func(*gorm.DB) error{
		"create":     func(db *gorm.DB) error { return db.Create(&Order{ID: "a"}).Error },
		"save":       func(db *gorm.DB) error { return db.Save(&Order{ID: "a"}).Error },
		"update":     func(db *gorm.DB) error { return db.Model(&Order{ID: "a"}).Update("status", "x").Error },
		"delete":     func(db *gorm.DB) error { return db.Delete(&Line{ID: 1}).Error },
		"raw":        func(db *gorm.DB) error { return db.Exec("DELETE FROM orders WHERE id = ?", "a").Error },
		"returning":  func(db *gorm.DB) error { return db.Raw("DELETE FROM orders RETURNING id").Scan(&[]string{}).Error },
		"row":        func(db *gorm.DB) error { return db.Raw("DELETE FROM orders RETURNING id").Row().Scan(new(string)) },
		"ours":       func(db *gorm.DB) error { return db.Exec("UPDATE evenkeel_ledger SET next = 0").Error },
		"commit":     func(db *gorm.DB) error { return db.Commit().Error },
		"rollback":   func(db *gorm.DB) error { return db.Rollback().Error },
		"end":        func(db *gorm.DB) error { return db.Exec("SELECT 1; COMMIT").Error },
		"ours ended": func(db *gorm.DB) error { return db.Exec("ROLLBACK TO evenkeel_unit").Error },
		"prepared": func(db *gorm.DB) error {
			return db.Session(&gorm.Session{PrepareStmt: true}).Create(&Memo{ID: "outside"}).Error
		},
		"association": func(db *gorm.DB) error { return db.Create(&Memo{ID: "with", Order: &Order{ID: "x"}}).Error },
		"migration":   func(db *gorm.DB) error { return db.Migrator().DropTable(&Order{}) },
	} {
		p, db := point(t, tx)
		require.NoError(t, db.Create(&Memo{ID: name}).Error)
		require.ErrorContains(t, do(db), "d.Tx refuses", name)
		e := p.Close()
		require.ErrorContains(t, e.Refused, "d.Tx refuses", name)
		require.NoError(t, e.Failed, name)
		require.False(t, e.Spoiled, "nothing was sent: %s", name)
		require.NoError(t, p.Undo(t.Context()))
	}
	p, db := point(t, tx)
	require.Error(t, db.Begin().Error)
	_, err := db.DB()
	require.Error(t, err, "no way to the pool")
	require.NoError(t, p.Keep(t.Context()))
	for _, do := range []func(*gorm.DB) error{
		func(db *gorm.DB) error { return db.Create(&Memo{ID: "late"}).Error },
		func(db *gorm.DB) error { return db.Raw("SELECT 1").Scan(new(int)).Error },
		func(db *gorm.DB) error { return db.Raw("SELECT 1").Row().Scan(new(int)) },
		func(db *gorm.DB) error { return db.Commit().Error },
		func(db *gorm.DB) error { return db.Session(&gorm.Session{PrepareStmt: true}).Exec("SELECT 1").Error },
	} {
		require.ErrorContains(t, do(db), "after its handler had returned")
	}
	require.NoError(t, b.commitWith(t, l.Commit, &store.Batch{}))
	require.Empty(t, b.memos(t))
}

func txLeaks(b *bench) {
	t := b.t
	l, tx := b.transaction(t)
	p, db := point(t, tx)
	for _, id := range []string{"m-1", "m-2", "m-3"} {
		require.NoError(t, db.Create(&Memo{ID: id}).Error)
	}
	rows, err := db.Model(&Memo{}).Rows()
	require.NoError(t, err)
	require.True(t, rows.Next())
	require.NoError(t, p.Keep(t.Context()))
	require.False(t, rows.Next())
	p, db = point(t, tx)
	_ = db.Raw("SELECT id FROM own_memos").Row() // never scanned
	require.NoError(t, p.Keep(t.Context()))
	require.NoError(t, b.commitWith(t, l.Commit, &store.Batch{}))
	pool, err := b.sql().DB()
	require.NoError(t, err)
	require.Zero(t, pool.Stats().InUse)
	require.NoError(t, rows.Err())
	require.Len(t, b.memos(t), 3)
}

func txSpoils(b *bench) {
	t := b.t
	l, tx := b.transaction(t)
	p, db := point(t, tx)
	require.NoError(t, db.Create(&Memo{ID: "twice"}).Error)
	require.Error(t, db.Create(&Memo{ID: "twice"}).Error)
	e := p.Close()
	var data *store.DataError
	require.ErrorAs(t, e.Class, &data)
	require.Error(t, e.Failed)
	require.Equal(t, b.postgres(), e.Spoiled)
	require.NoError(t, p.Undo(t.Context()))
	p, db = point(t, tx)
	require.NoError(t, db.Create(&Memo{ID: "once"}).Error)
	require.Equal(t, store.Ended{}, p.Close())
	require.NoError(t, p.Keep(t.Context()))
	require.NoError(t, b.commitWith(t, l.Commit, &store.Batch{}))
	require.Equal(t, []string{"once"}, b.memos(t))
}
