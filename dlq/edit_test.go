package dlq_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// edited has revisions with all that bytes can be.
func edited() *dlq.Letter {
	l := lettertest.Full()
	l.Edits = []dlq.Revision{
		{N: 1, At: lettertest.At(3), By: dlq.Actor{Name: "ann", Via: "cli"}, Reason: "a <typo>", Value: []byte("\xff\x00<1e400>"), Headers: []event.Header{{Key: "k"}, {Key: "k", Value: []byte{}}, {Key: "\xfe", Value: []byte{0}}}},
		{N: 2, At: lettertest.At(4), By: dlq.Actor{Name: "bob"}, Value: nil},
		{N: 3, At: lettertest.At(5), By: dlq.Actor{Name: "bob"}, Value: []byte{}},
	}
	return l
}

func TestEditsGoRoundByteForByte(t *testing.T) {
	t.Parallel()
	l := edited()
	var file, again bytes.Buffer
	require.NoError(t, dlq.NewLineWriter(&file).Write(l))
	got, err := dlq.NewLineReader(bytes.NewReader(file.Bytes())).Read()
	require.NoError(t, err)
	require.Equal(t, l, got)
	require.NoError(t, dlq.NewLineWriter(&again).Write(got))
	require.Equal(t, file.String(), again.String())

	m, fit := dlq.Encode(l, 0)
	require.Equal(t, dlq.FitWhole, fit)
	require.Equal(t, l.Record.Value, m.Value, "the copy has what came")
	copied, _, err := dlq.Decode(&event.Record{Key: m.Key, Value: m.Value, Headers: m.Headers, Timestamp: m.Timestamp, TimestampType: event.TimestampCreate})
	require.NoError(t, err)
	require.Equal(t, l.Edits, copied.Edits)

	// Through the table, from both.
	for _, from := range []*dlq.Letter{got, copied} {
		db := testutil.SQLite(t)
		require.NoError(t, framework.Migrate(t.Context(), db))
		_, err := dlq.Import(t.Context(), db, func(yield func(*dlq.Letter, error) bool) { yield(from, nil) }, nil)
		require.NoError(t, err)
		kept, err := dlq.Get(t.Context(), db, l.ID)
		require.NoError(t, err)
		require.Equal(t, l.Edits, kept.Edits)
	}

	plain := lettertest.Full()
	file.Reset()
	require.NoError(t, dlq.NewLineWriter(&file).Write(plain))
	require.NotContains(t, file.String(), `"edits"`, "a letter without edits is exported as before")
	m, _ = dlq.Encode(plain, 0)
	for _, h := range m.Headers {
		require.NotEqual(t, "evenkeel-edits", h.Key)
	}
}

// A copy without room names the newest revision, so that nobody replays what came instead.
func TestEditsThatDontFit(t *testing.T) {
	t.Parallel()
	l := edited()
	l.Edits[2].Value = bytes.Repeat([]byte("x"), 100<<10)
	m, fit := dlq.Encode(l, 64<<10)
	require.Equal(t, dlq.FitNoEdits, fit)
	require.Equal(t, l.Record.Value, m.Value)
	require.LessOrEqual(t, m.Size(), 64<<10)
	got, _, err := dlq.FromRecord(&event.Record{Key: m.Key, Value: m.Value, Headers: m.Headers, Timestamp: m.Timestamp, TimestampType: event.TimestampCreate})
	require.NoError(t, err)
	require.Equal(t, []dlq.Revision{{N: 3, At: lettertest.At(5), By: dlq.Actor{Name: "bob"}, Lost: true}}, got.Edits)
}

func TestEditsAreReadInFull(t *testing.T) {
	t.Parallel()
	whole := dlq.EncodeEdits(edited().Edits)
	for _, text := range []string{"x", "[]", "null", "{}", whole + whole, whole[:len(whole)-1], strings.Replace(whole, `"n":2`, `"n":3`, 1), strings.Replace(whole, `"value":null,`, "", 1), strings.Replace(whole, `"why"`, `"because"`, 1)} {
		_, err := dlq.DecodeEdits(text)
		require.Error(t, err, text)
	}
	got, err := dlq.DecodeEdits(whole)
	require.NoError(t, err)
	require.Equal(t, edited().Edits, got)
	require.Empty(t, dlq.EncodeEdits(nil))
	require.WithinDuration(t, lettertest.At(5), got[2].At, time.Duration(0))
}
