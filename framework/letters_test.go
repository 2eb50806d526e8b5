package framework_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

func TestActsThatCantBeRecorded(t *testing.T) {
	t.Parallel()
	db := testutil.SQLite(t)
	require.NoError(t, framework.Migrate(t.Context(), db))
	l := lettertest.Full()
	require.NoError(t, lettertest.Insert(t.Context(), db, l))
	ann := dlq.Actor{Name: "ann"}
	refs := []dlq.Ref{l.Ref()}

	_, err := framework.Discard(t.Context(), db, refs, framework.LetterAct{By: ann, Reason: " "})
	require.EqualError(t, err, "LetterAct.Reason is empty, expected why the events are not to be applied; it is kept in the audit")
	_, err = framework.Discard(t.Context(), db, refs, framework.LetterAct{Reason: "x"})
	require.EqualError(t, err, "LetterAct.By.Name is empty, expected who does it; it is kept in the audit")
	_, err = framework.Restore(t.Context(), db, refs, framework.LetterAct{By: dlq.Actor{Via: "cli"}})
	require.ErrorAs(t, err, new(*framework.ActError))
	report, err := framework.Discard(t.Context(), db, []dlq.Ref{{ID: "none"}, l.Ref()}, framework.LetterAct{By: ann, Reason: "x"})
	require.NoError(t, err)
	require.Equal(t, framework.LetterReport{Done: 1, Refused: []error{&dlq.NotFoundError{ID: "none"}}}, report)

	for want, n := range map[string]dlq.Note{
		"By.Name":                     {Letter: l.ID, Body: "x"},
		"found letter \"\" and":       {By: ann, Body: "x"},
		"a letter or a fingerprint":   {By: ann, Letter: l.ID, Fingerprint: "f", Body: "x"},
		"Body is empty":               {By: ann, Letter: l.ID},
		"Body has 16385 bytes, expec": {By: ann, Letter: l.ID, Body: strings.Repeat("x", dlq.MaxNoteBytes+1)},
	} {
		err := framework.AddNote(t.Context(), db, n)
		require.ErrorAs(t, err, new(*framework.NoteError))
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, &dlq.NotFoundError{ID: "none"}, framework.AddNote(t.Context(), db, dlq.Note{By: ann, Letter: "none", Body: "x"}))
	require.NoError(t, framework.AddNote(t.Context(), db, dlq.Note{By: ann, Letter: l.ID, Body: "x"}))
}
