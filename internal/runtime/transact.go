package runtime

import (
	"context"

	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// transact loads what is wanted, under locks if lock is set, and commits what judge makes of
// it; a nil batch writes nothing. An error of loading is a *loadError.
func (m *Member) transact(ctx context.Context, want *store.Want, lock bool, judge func(*store.Loaded) (*store.Batch, error)) error {
	return transact(ctx, m.Store, want, lock, judge)
}

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
	m.relay.enqueue(nil, out.Batch.Letters)
	m.Observe.Swept(out.Verdicts)
	m.gaps(out.Gaps)
}
