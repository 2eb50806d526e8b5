package storetest

import (
	"cmp"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func consumerCases() []testCase {
	return []testCase{
		{"what a group's members are told", told},
		{"members come, beat, and go", members},
		{"members hear of each other", peers},
	}
}

func told(b *bench) {
	t := b.t
	m := &store.Member{ID: "m", Group: group, Owner: "here", Started: b.now}
	heard := func() (words []string) {
		t.Helper()
		controls, err := b.s.Beat(t.Context(), m)
		require.NoError(t, err)
		slices.SortFunc(controls, func(a, b store.Control) int {
			return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
		})
		for _, c := range controls {
			require.Equal(t, group, c.Group)
			require.False(t, c.At.IsZero())
			if c.Paused {
				require.Equal(t, []string{"ann", "why"}, []string{c.By, c.Reason})
				words = append(words, c.String())
			}
		}
		return words
	}
	resumes := func() int64 {
		t.Helper()
		controls, err := b.s.Beat(t.Context(), m)
		require.NoError(t, err)
		for _, c := range controls {
			if c.Topic == "" {
				return c.Resumes
			}
		}
		return 0
	}
	act := func(topic string, partition int32) *store.ControlAct {
		return &store.ControlAct{Scope: store.Scope{Group: group, Topic: topic, Partition: partition}, By: ann, Reason: "why"}
	}
	pause := func(topic string, partition int32) bool {
		t.Helper()
		ok, err := b.s.Pause(t.Context(), act(topic, partition))
		require.NoError(t, err)
		return ok
	}
	resume := func(topic string, partition int32) int64 {
		t.Helper()
		n, err := b.s.Resume(t.Context(), act(topic, partition))
		require.NoError(t, err)
		return n
	}
	const all = store.AllPartitions
	require.Empty(t, heard())
	require.Zero(t, resumes())
	require.True(t, pause("orders", 3))
	require.False(t, pause("orders", 3), "they know")
	require.True(t, pause("orders", all))
	require.True(t, pause("notes", all))
	require.True(t, pause("", all))
	other := act("", all)
	other.Group = "other"
	ok, err := b.s.Pause(t.Context(), other)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, []string{"everything", "topic notes", "topic orders", "partition 3 of topic orders"}, heard())

	require.EqualValues(t, 0, resume("orders", 4))
	require.EqualValues(t, 1, resumes())
	require.EqualValues(t, 1, resume("orders", 3))
	require.True(t, pause("orders", 3))
	require.EqualValues(t, 2, resume("orders", all))
	require.Equal(t, []string{"everything", "topic notes"}, heard())
	require.EqualValues(t, 2, resume("", all))
	require.Empty(t, heard())
	require.EqualValues(t, 4, resumes())
	require.True(t, pause("", all))
	require.EqualValues(t, 4, resumes(), "a pause keeps the count")

	db := b.sql()
	lines, err := dlq.Audit(t.Context(), db, dlq.AuditFilter{Group: group, Verb: dlq.VerbPause})
	require.NoError(t, err)
	require.Len(t, lines, 6)
	require.Equal(t, []any{ann, "why", "everything"}, []any{lines[0].By, lines[0].Reason, lines[0].Selection})
	lines, err = dlq.Audit(t.Context(), db, dlq.AuditFilter{Group: group, Verb: dlq.VerbResume})
	require.NoError(t, err)
	require.Len(t, lines, 4)
	require.Equal(t, "partition 4 of topic orders", lines[3].Selection)
}

func members(b *bench) {
	t := b.t
	db := b.sql()
	beat := func(id, g, text string) {
		t.Helper()
		m := &store.Member{ID: id, Group: g, Owner: "here\x00", Version: "1.0", Started: b.now}
		m.State.Breakers = []store.MemberBreaker{{Handler: "h", Error: text}}
		_, err := b.s.Beat(t.Context(), m)
		require.NoError(t, err)
	}
	ids := func() (ids []string) {
		t.Helper()
		require.NoError(t, db.Raw("SELECT id FROM evenkeel_members ORDER BY id").Scan(&ids).Error)
		return ids
	}
	beat("a", group, "first")
	beat("b", group, "\x00\xff")
	beat("c", "other", "")
	beat("a", group, "second")
	require.Equal(t, []string{"a", "b", "c"}, ids())
	var state string
	require.NoError(t, db.Raw("SELECT state FROM evenkeel_members WHERE id = 'a'").Scan(&state).Error)
	require.Contains(t, state, "second")

	silent := db.Exec("UPDATE evenkeel_members SET seen = seen - ? WHERE id <> 'a'", (store.MemberSilence + time.Second).Microseconds())
	require.NoError(t, silent.Error)
	beat("a", group, "third")
	require.Equal(t, []string{"a", "c"}, ids(), "each group forgets its own")
	require.NoError(t, b.s.Leave(t.Context(), "a"))
	require.NoError(t, b.s.Leave(t.Context(), "a"))
	require.Equal(t, []string{"c"}, ids())
}

// A member hears what the others of its group that live say of themselves.
func peers(b *bench) {
	t := b.t
	beat := func(id, g, owner string, state store.MemberState) {
		t.Helper()
		_, err := b.s.Beat(t.Context(), &store.Member{ID: id, Group: g, Owner: owner, Version: "v " + owner, Started: b.now, State: state})
		require.NoError(t, err)
	}
	of := func(id string) (all []string) {
		t.Helper()
		found, err := b.s.Peers(t.Context(), group, id)
		require.NoError(t, err)
		for _, m := range found {
			require.Equal(t, group, m.Group)
			require.Equal(t, "v "+m.Owner, m.Version)
			all = append(all, m.ID+" "+m.Owner)
		}
		return all
	}
	state := store.MemberState{
		Partitions: []store.MemberPartition{{Topic: "o", Next: 7}}, Breakers: []store.MemberBreaker{},
		Handles: store.Handles{"paid": {"a", "b→c"}}, UnhandledLetters: true,
	}
	beat("c", group, "one", state)
	beat("b", group, "two", store.MemberState{})
	beat("a", group, "two", store.MemberState{})
	beat("d", "other", "one", store.MemberState{})
	require.Equal(t, []string{"c one", "b two"}, of("a"))
	require.Equal(t, []string{"a two", "b two"}, of("c"))
	found, err := b.s.Peers(t.Context(), group, "a")
	require.NoError(t, err)
	require.Equal(t, state, found[0].State, "what it says comes back as it was")
	require.NoError(t, b.s.Leave(t.Context(), "b"))
	require.Equal(t, []string{"c one"}, of("a"))
	if b.db == nil {
		return
	}
	silent := b.db.Exec("UPDATE evenkeel_members SET seen = seen - ? WHERE id = 'c'", (store.MemberSilent + time.Second).Microseconds())
	require.NoError(t, silent.Error)
	require.Empty(t, of("a"), "silent for too long")
	beat("c", group, "one", state)
	require.NoError(t, b.db.Exec("UPDATE evenkeel_members SET state = 'a release to come' WHERE id = 'c'").Error)
	require.Equal(t, []string{"c one"}, of("a"), "what can't be read tells nothing")
}
