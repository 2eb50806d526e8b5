package stage

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/examples/orders/service"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
)

// waiting is how much in the database waits for something to come.
type waiting struct {
	// Parked events wait for the numbers before theirs.
	Parked int64 `json:"parked_events"`
	// Placeholders are orders that were not created yet.
	Placeholders int64 `json:"placeholders"`
}

func (w waiting) String() string {
	return fmt.Sprintf("%d parked, %d placeholders", w.Parked, w.Placeholders)
}

// lookEvery is how often the waiting is counted. Counting is not to take more than a
// twentieth of the time, but what is shown is not to be older than lookAtLeast on a machine
// that is busy.
const (
	lookEvery   = 100 * time.Millisecond
	lookAtLeast = 2 * time.Second
)

// waits follows how the waiting rises and falls.
type waits struct {
	next      time.Time
	now, most waiting
}

// look counts, if it is time to, or if it must.
func (w *waits) look(ctx context.Context, db *gorm.DB, group string, must bool) (err error) {
	began := now()
	if began.Before(w.next) && !must {
		return nil
	}
	if w.now.Parked, err = framework.CountParked(ctx, db, framework.ParkedFilter{Group: group}); err != nil {
		return err
	}
	err = db.WithContext(ctx).Model(&service.Order{}).Scopes(guards.Placeholders).Count(&w.now.Placeholders).Error
	if err != nil {
		return fmt.Errorf("count placeholders: %w", err)
	}
	w.most.Parked = max(w.most.Parked, w.now.Parked)
	w.most.Placeholders = max(w.most.Placeholders, w.now.Placeholders)
	w.next = now().Add(min(max(lookEvery, 20*since(began)), lookAtLeast))
	return nil
}
