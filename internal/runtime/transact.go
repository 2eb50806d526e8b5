package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// transact loads what is wanted, under locks if lock is set or a handler has SQL of its own
// (R19), and commits what judge makes of it; a nil batch writes nothing. An error of loading
// is a *loadError.
func (m *Member) transact(ctx context.Context, want *store.Want, lock bool, judge func(*store.Loaded) (*store.Batch, error)) error {
	lock = lock || want.Tx
	began := m.Clock.Now()
	err := transact(ctx, m.Store, want, lock, judge)
	if want.Tx && ctx.Err() == nil {
		return overran(err, m.Clock.Now().Sub(began))
	}
	return err
}

// overran puts the loss of a transaction down to handlers that have run inside it for long.
func overran(err error, took time.Duration) error {
	var away *store.TransientError
	if took <= patience || !errors.As(err, &away) {
		return err
	}
	return &batch.TxError{Err: fmt.Errorf("its handlers have run for %s, while the database ends what idles for a minute; do slow work in a handler without handlers.UsesTx: %w", took.Round(time.Second), err)}
}

// patience is how long handlers may run inside a transaction until its loss is put down to
// them and no longer to the database. It is below what the stores allow an idle one.
const patience = 30 * time.Second

func transact(ctx context.Context, st store.Store, want *store.Want, lock bool, judge func(*store.Loaded) (*store.Batch, error)) error {
	commit := st.Commit
	var loaded *store.Loaded
	if lock {
		locked, err := st.Lock(ctx, want)
		if err != nil {
			return &loadError{err}
		}
		defer locked.Rollback()
		loaded, commit = locked.Loaded(), locked.Commit
	} else {
		var err error
		if loaded, err = st.Load(ctx, want); err != nil {
			return &loadError{err}
		}
	}
	b, err := judge(loaded)
	if err != nil || b == nil {
		return err
	}
	return commit(ctx, b)
}

// swept tells of what was committed beside the lanes.
func (m *Member) swept(out *batch.Outcome) {
	for _, l := range out.Batch.Letters {
		m.Observe.Letter(l)
	}
	m.relay.enqueue(letterParcels(nil, out.Batch.Letters))
	m.emitted(nil, out.Batch.Outbox)
	m.Observe.Swept(out.Verdicts)
	m.gaps(out.Gaps)
}
