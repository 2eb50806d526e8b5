package handlers

import (
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

func TestMistakesOfUsesTx(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "e", onOrder, Writes("Customer"), OnMissing(MissingPlaceholder))
	Project(r, func(*Order) {}, Writes("Status"), UsesTx())
	mistaken(t, r, "the projection of Order has an option that only handlers take; a projection takes Writes alone")

	r = NewRegistry(guards.Vector())
	Resolve(r, "e", func(*Order, []Sibling[Placed]) error { return nil }, guards.Vector(), Writes("Customer"), UsesTx())
	mistaken(t, r, `the handler of "e" on Order is a Resolve with handlers.UsesTx; a resolver runs for each event anew and must have no effects: drop it`)
}

// The memory of a Set with SQL of its own covers what MaxLateness lets in.
func TestMemoryOfUsesTx(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		late    time.Duration
		options []Option
		want    time.Duration
	}{
		{late: time.Hour},
		{late: time.Hour, options: []Option{UsesTx()}, want: guards.DefaultMemory},
		{late: 30 * 24 * time.Hour, options: []Option{UsesTx()}, want: 30 * 24 * time.Hour},
	} {
		r := NewRegistry(guards.MaxLateness(c.late), guards.MaxFuture(5*time.Minute))
		Set(r, "e", onPayment, append(c.options, Creates())...)
		h := wire(t, r).Handlers("e")[0]
		got, ok := h.Memory()
		same(t, "memory", got, c.want)
		same(t, "remembers", ok, c.want > 0)
		same(t, "uses", h.UsesTx, c.options != nil)
	}
	r := NewRegistry()
	Modify(r, "e", onPayment, guards.Timestamp(), Writes("Amount"), UsesTx(), External())
	if d, ok := wire(t, r).Handlers("e")[0].Memory(); ok {
		t.Errorf("the clocks tell what a Modify has done; it remembers ids for %s", d)
	}
}

// Whatever is called on a handle without a database ends with the error, and nothing
// panics.
func TestTxWithoutARun(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(*gorm.DB) error{
		"create": func(tx *gorm.DB) error { return tx.Create(&Line{ID: 1}).Error },
		"save":   func(tx *gorm.DB) error { return tx.Save(&Line{ID: 1}).Error },
		"first":  func(tx *gorm.DB) error { return tx.Where("id = ?", 1).First(&Line{}).Error },
		"find":   func(tx *gorm.DB) error { return tx.Find(&[]Line{}).Error },
		"count":  func(tx *gorm.DB) error { var n int64; return tx.Model(&Line{}).Count(&n).Error },
		"update": func(tx *gorm.DB) error { return tx.Model(&Line{ID: 1}).Update("order_id", "x").Error },
		"delete": func(tx *gorm.DB) error { return tx.Delete(&Line{ID: 1}).Error },
		"exec":   func(tx *gorm.DB) error { return tx.Exec("DELETE FROM lines WHERE id = ?", 1).Error },
		"named": func(tx *gorm.DB) error {
			return tx.Exec("DELETE FROM lines WHERE id = @id", map[string]any{"id": 1}).Error
		},
		"raw":         func(tx *gorm.DB) error { return tx.Raw("SELECT 1").Scan(new(int)).Error },
		"rows":        func(tx *gorm.DB) error { _, err := tx.Raw("SELECT 1").Rows(); return err }, //nolint:rowserrcheck,sqlclosecheck // there are none
		"transaction": func(tx *gorm.DB) error { return tx.Transaction(func(*gorm.DB) error { return nil }) },
		"begin":       func(tx *gorm.DB) error { return tx.Begin().Error },
		"commit":      func(tx *gorm.DB) error { return tx.Commit().Error },
		"savepoint":   func(tx *gorm.DB) error { return tx.SavePoint("a").Error },
		"session":     func(tx *gorm.DB) error { return tx.Session(&gorm.Session{}).Create(&Line{ID: 1}).Error },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &Delivery[Placed, Order]{Event: &event.Event{}, Entity: &Order{}}
			// GORM adds errors up, and only the last is found by errors.Is.
			if err := do(d.Tx()); err == nil || !strings.HasPrefix(err.Error(), errTxNoRun.Error()) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestUseTx(t *testing.T) {
	t.Parallel()
	given, runtimes := &gorm.DB{}, &gorm.DB{}
	d := &Delivery[Placed, Order]{}
	d.UseTx(given)
	if d.Tx() != given {
		t.Error("a delivery made by hand takes what it is given")
	}
	d.call = &Call{Handler: "h", Tx: func() (*gorm.DB, error) { return runtimes, nil }}
	d.UseTx(given)
	if d.Tx() != runtimes {
		t.Error("a consumer's delivery keeps its own")
	}
	d.call.Tx = func() (*gorm.DB, error) { return nil, UndeclaredTx("h") }
	if err := d.Tx().Error; err == nil || !strings.Contains(err.Error(), "handler h: d.Tx: declare handlers.UsesTx()") {
		t.Errorf("got %v", err)
	}
}
