package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// what names the kind of an error.
func what(err error) string {
	var (
		unknown   *store.UnknownError
		data      *store.DataError
		transient *store.TransientError
	)
	switch {
	case errors.Is(err, store.ErrConflict):
		return "conflict"
	case errors.Is(err, store.ErrFenced):
		return "fenced"
	case errors.As(err, &unknown):
		return "unknown"
	case errors.As(err, &data):
		return "data"
	case errors.As(err, &transient) && transient.Away:
		return "away"
	case errors.As(err, &transient):
		return "transient"
	}
	return "as it is"
}

func TestErrorsGoBySQLSTATE(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]struct{ before, at string }{
		"EK001": {"conflict", "conflict"},
		"EK002": {"fenced", "fenced"},
		"40001": {"conflict", "conflict"}, // serialization failure
		"40P01": {"conflict", "conflict"}, // deadlock
		"40002": {"data", "data"},
		"40003": {"as it is", "unknown"}, // completion unknown
		"22001": {"data", "data"},
		"23505": {"data", "data"},
		"23503": {"data", "data"}, // also a deferred one, at COMMIT
		"54000": {"data", "data"},
		"P0001": {"data", "data"},
		"55P03": {"transient", "transient"}, // lock timeout
		"57014": {"transient", "unknown"},   // cancelled
		"57P01": {"away", "unknown"},        // the server shuts down
		"08006": {"away", "unknown"},
		"53300": {"transient", "unknown"},
		"58030": {"transient", "unknown"},
		"25006": {"transient", "transient"},
		"42P01": {"as it is", "as it is"},
		"42501": {"as it is", "as it is"},
		"XX000": {"as it is", "unknown"},
		"":      {"as it is", "as it is"},
	} {
		err := fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code, TableName: "orders"})
		require.Equal(t, want.before, what(classify(err)), code)
		require.Equal(t, want.at, what(lost(err)), "%s at COMMIT", code)
		require.ErrorIs(t, errors.Join(classify(classify(err)), err), err)
		require.Equal(t, want.before, what(classify(classify(err))), "%s, classified twice", code)
	}
	require.Equal(t, "away", what(classify(io.ErrUnexpectedEOF)))
	require.Equal(t, "unknown", what(lost(io.ErrUnexpectedEOF)))
	require.Equal(t, "unknown", what(lost(pgconn.ErrConnClosed)), "pgx says so of answers that it has lost")
	require.Equal(t, "transient", what(classify(context.Canceled)))
	require.NoError(t, classify(nil))
	require.NoError(t, lost(nil))
}
