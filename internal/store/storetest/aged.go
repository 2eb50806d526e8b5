package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func agedCases() []testCase {
	return []testCase{
		{"rows go for good by revision", rowsGo},
		{"orphans go unless somebody was first", orphansGo},
		{"sweeps and events for one orphan exclude each other", orphansRace},
		{"placeholders and tombstones come in pages", agedPages},
		{"an index for aged rows is asked for and used", agedIndex},
		{"origins are kept per life of a placeholder", origins},
		{"tables tell their keys, kinds and horizons", tablesTell},
	}
}

// born makes a row in a state, born then, whose newest stamp is at a time.
func (b *bench) born(entity any, table string, state guards.Existence, born, newest time.Time) {
	b.t.Helper()
	r := b.row(b.t, entity, table, newest.UnixMicro())
	r.State = state
	now := b.now
	b.now = born
	require.NoError(b.t, b.commit(b.t, &store.Batch{Insert: []*store.Row{r}}))
	b.now = now
}

func rowsGo(b *bench) {
	t := b.t
	for _, id := range []string{"a", "b", "c"} {
		b.born(&Order{ID: id}, "orders", guards.Placeholder, start, start)
	}
	b.born(&Line{ID: 7}, "a_lines", guards.Placeholder, start, start)
	mine := b.load(t, "orders", "a", "b", "c")
	line := b.one(t, "a_lines", "7")
	theirs := b.load(t, "orders", "b")
	require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{theirs["b"]}}))
	require.ErrorIs(t, b.commit(t, &store.Batch{Delete: []*store.Row{mine["a"], mine["b"]}}), store.ErrConflict, "one has changed")
	require.Len(t, b.load(t, "orders", "a", "b"), 2, "nothing of it was written")
	require.NoError(t, b.commit(t, &store.Batch{Delete: []*store.Row{mine["c"], line, mine["a"]}}))
	require.Len(t, b.load(t, "orders", "a", "b", "c"), 1)
	require.Empty(t, b.load(t, "a_lines", "7"))
	require.ErrorIs(t, b.commit(t, &store.Batch{Delete: []*store.Row{mine["a"]}}), store.ErrConflict, "one is gone")

	// One that is made again under the key is another one.
	b.now = b.now.Add(time.Second)
	b.born(&Order{ID: "a"}, "orders", guards.Placeholder, b.now, start)
	require.ErrorIs(t, b.commit(t, &store.Batch{Delete: []*store.Row{mine["a"]}}), store.ErrConflict)
	require.ErrorIs(t, b.commit(t, &store.Batch{Update: []*store.Row{mine["a"]}}), store.ErrConflict)
}

// orphan is a row as a sweep removes it, with a verdict.
func orphan(key string, rev int64) store.Orphan {
	return store.Orphan{Key: key, Rev: rev, Born: rev, Events: []store.OrphanEvent{{Source: "s", ID: key}}}
}

func (b *bench) removeOrphans(table string, orphans ...store.Orphan) []bool {
	b.t.Helper()
	gone, err := b.s.RemoveOrphans(b.t.Context(), &store.OrphanRemoval{Group: group, Model: b.model(table), Verdict: orphaned(table), Orphans: orphans, Now: b.now})
	require.NoError(b.t, err)
	return gone
}

// orphaned is what all verdicts of a sweep say.
func orphaned(table string) store.Verdict {
	return store.Verdict{Table: table, Verdict: guards.Verdict{
		Action: guards.Discard, Reason: guards.Orphaned, Detail: "removed",
		Numbers: guards.Comparison{What: "born", Against: 9, AgainstTie: "t", Bound: 3},
	}}
}

// judged are the verdicts' entities and events, where there is a table to ask.
func (b *bench) judged(fallback ...string) (entities []string) {
	b.t.Helper()
	if b.db == nil {
		return fallback
	}
	require.NoError(b.t, b.db.Table("evenkeel_verdicts").Order("entity, event_id").Pluck("entity || ' ' || source || '/' || event_id", &entities).Error)
	return entities
}

func orphansGo(b *bench) {
	t := b.t
	for _, id := range []string{"z goes", "changed", "parked", "streamed", "blocked", "settled", "theirs"} {
		b.born(&Order{ID: id}, "orders", guards.Placeholder, start, start)
	}
	b.born(&Line{ID: 7}, "a_lines", guards.Placeholder, start, start)
	require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{b.one(t, "orders", "changed")}}))
	blocks, settled, theirs := b.letter("blocks"), b.letter("settled"), b.parked("theirs", "theirs", 1)
	blocks.Entity, settled.Entity, settled.State, theirs.Group = "blocked", "settled", dlq.Resolved, "other"
	require.NoError(t, b.commit(t, &store.Batch{
		Park:    []*store.Parked{b.parked("p", "parked", 1), b.waits("q", "orders", "streamed", 2, store.CauseGap), theirs},
		Letters: []*dlq.Letter{blocks, settled},
	}))

	rev := start.UnixMicro()
	all := []store.Orphan{
		orphan("z goes", rev), orphan("changed", rev), orphan("parked", rev), orphan("streamed", rev),
		orphan("blocked", rev), orphan("settled", rev), orphan("nobody", rev), orphan("theirs", rev),
	}
	all[0].Events = append(all[0].Events, store.OrphanEvent{Source: "another", ID: "z goes too"})
	want := []bool{true, false, false, false, false, true, false, true}
	require.Equal(t, want, b.removeOrphans("orders", all...))
	require.Len(t, b.load(t, "orders", "z goes", "changed", "parked", "streamed", "blocked", "settled", "theirs"), 4)
	written := []string{"settled s/settled", "theirs s/theirs", "z goes s/z goes", "z goes another/z goes too"}
	require.Equal(t, written, b.judged(written...), "of those that went")
	require.Equal(t, make([]bool, len(all)), b.removeOrphans("orders", all...), "a second sweep finds nothing")
	require.Equal(t, written, b.judged(written...))
	if b.db != nil {
		var n int64
		require.NoError(t, b.db.Table("evenkeel_verdicts").Where("at = ? AND grp = ? AND tbl = 'orders' AND handler = '' AND action = ? AND reason = ? AND compared = 'born' AND cmp_event = ? AND cmp_against = 9 AND cmp_bound = 3 AND cmp_event_tie = ? AND cmp_against_tie = ? AND detail = 'removed' AND leader_epoch = 0",
			b.now.UnixMicro(), group, guards.Discard, guards.Orphaned, rev, []byte{}, []byte("t")).Count(&n).Error)
		require.EqualValues(t, len(written), n)
	}

	require.Equal(t, []bool{true}, b.removeOrphans("a_lines", orphan("7", rev)))
	require.Empty(t, b.load(t, "a_lines", "7"))
	require.Empty(t, b.removeOrphans("orders"))
}

// orphansRace: members sweep the same rows while events come for them. Of a row and what is
// parked under it both are there, or neither, and who removes it says so once.
func orphansRace(b *bench) {
	t := b.t
	const keys, sweeps = 24, 3
	var orphans []store.Orphan
	rows := make([]*store.Row, keys)
	for i := range rows {
		k := fmt.Sprintf("key-%02d", i)
		b.born(&Order{ID: k}, "orders", guards.Placeholder, start, start)
		rows[i] = b.one(t, "orders", k)
		orphans = append(orphans, orphan(k, rows[i].Rev))
	}
	var g errgroup.Group
	var parks [keys]error
	var gone [sweeps][]bool
	g.Go(func() error { // from the other end, so that they meet
		for i, r := range slices.Backward(rows) {
			parks[i] = retry(func() error {
				return b.s.Commit(t.Context(), &store.Batch{Group: group, Now: start, Update: []*store.Row{r}, Park: []*store.Parked{b.parked("p-"+r.Key, r.Key, 1)}})
			})
		}
		return nil
	})
	for i := range gone {
		g.Go(func() error {
			for portion := range slices.Chunk(orphans, 4) {
				var of []bool
				err := retry(func() (err error) {
					of, err = b.s.RemoveOrphans(t.Context(), &store.OrphanRemoval{Group: group, Model: b.model("orders"), Verdict: orphaned("orders"), Orphans: portion, Now: b.now})
					return err
				})
				if err != nil {
					return err
				}
				gone[i] = append(gone[i], of...)
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	var removed []string
	for i, r := range rows {
		n := 0
		for _, of := range gone {
			if of[i] {
				n++
				removed = append(removed, r.Key+" s/"+r.Key)
			}
		}
		require.LessOrEqual(t, n, 1, r.Key)
		there := len(b.load(t, "orders", r.Key)) == 1
		require.Equal(t, n == 0, there, r.Key)
		require.Equal(t, there, parks[i] == nil, "%s: %v", r.Key, parks[i])
		if !there {
			require.ErrorIs(t, parks[i], store.ErrConflict)
		}
	}
	require.ElementsMatch(t, removed, b.judged(removed...))
}

func (b *bench) table(name string) store.Table {
	b.t.Helper()
	all, err := b.s.Tables(b.t.Context(), group)
	require.NoError(b.t, err)
	for _, t := range all {
		if t.Name == name {
			return t
		}
	}
	b.t.Fatalf("no table %s in %v", name, all)
	return store.Table{}
}

// pages reads all pages of so many rows.
func (b *bench) pages(q store.AgedQuery) (keys []string) {
	b.t.Helper()
	for {
		page, err := b.s.Aged(b.t.Context(), q)
		require.NoError(b.t, err)
		for _, a := range page {
			keys = append(keys, a.Key)
		}
		if len(page) < q.Limit {
			return keys
		}
		q.After = &page[len(page)-1]
	}
}

func agedPages(b *bench) {
	t := b.t
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	b.born(&Order{ID: "b"}, "orders", guards.Placeholder, at(1), at(50))
	b.born(&Order{ID: "a"}, "orders", guards.Placeholder, at(1), at(40))
	b.born(&Order{ID: "new"}, "orders", guards.Placeholder, at(9), at(1))
	b.born(&Order{ID: "first"}, "orders", guards.Placeholder, at(0), at(60))
	b.born(&Order{ID: "live"}, "orders", guards.Alive, at(0), at(1))
	b.born(&Order{ID: "gone"}, "orders", guards.Deleted, at(0), at(3))
	b.born(&Order{ID: "gone before"}, "orders", guards.Deleted, at(5), at(2))
	b.born(&Order{ID: "born lately"}, "orders", guards.Deleted, at(9), at(2))
	b.born(&Order{ID: "gone lately"}, "orders", guards.Deleted, at(0), at(9))
	for id := range int64(12) {
		b.born(&Line{ID: id + 1}, "a_lines", guards.Placeholder, at(0), at(0))
	}
	q := store.AgedQuery{Table: b.table("orders"), State: guards.Placeholder, Before: at(9)}
	for q.Limit = 1; q.Limit < 5; q.Limit++ {
		require.Equal(t, []string{"first", "a", "b"}, b.pages(q), "by birth and key, %d a page", q.Limit)
	}
	page, err := b.s.Aged(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, store.Aged{Key: "first", Born: at(0), Newest: stampAt(at(60).UnixMicro()), Rev: at(0).UnixMicro(), Gen: 1}, page[0])
	n, first, err := b.s.CountAged(t.Context(), q)
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	require.Equal(t, "first", first.Key)
	q.Limit = 2
	n, _, err = b.s.CountAged(t.Context(), q)
	require.NoError(t, err)
	require.EqualValues(t, 2, n, "the limit bounds the work")
	q.Before = at(0)
	n, first, err = b.s.CountAged(t.Context(), q)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Nil(t, first)

	require.Equal(t, []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"},
		b.pages(store.AgedQuery{Table: b.table("a_lines"), State: guards.Placeholder, Before: at(9), Limit: 5}), "numbers in their own order")
	require.Equal(t, []string{"gone before", "gone"},
		b.pages(store.AgedQuery{Table: b.table("orders"), State: guards.Deleted, Before: at(9), Limit: 1}), "by the newest stamp, and none that was born lately")
}

func agedIndex(b *bench) {
	t := b.t
	b.sql() // nothing else has indexes
	for _, c := range []struct {
		state guards.Existence
		order string
	}{{guards.Placeholder, "ek_born"}, {guards.Deleted, "ek_time"}} {
		state, order := c.state, c.order
		sql, err := b.s.MissingIndex(t.Context(), b.table("orders"), state)
		require.NoError(t, err)
		require.Contains(t, sql, fmt.Sprintf(`ON "orders" (%s, "id") WHERE ek_state = %d;`, order, state))
		require.NoError(t, b.sql().Exec(sql).Error, sql)
		again, err := b.s.MissingIndex(t.Context(), b.table("orders"), state)
		require.NoError(t, err)
		require.Empty(t, again)
	}
	other, err := b.s.MissingIndex(t.Context(), b.table("a_lines"), guards.Placeholder)
	require.NoError(t, err)
	require.NotEmpty(t, other, "of its own table")

	for index, query := range map[string]string{
		"evenkeel_orders_placeholder": `SELECT id FROM orders WHERE ek_state = 1 AND ek_born < 5 AND (ek_born, id) > (1, 'a') ORDER BY ek_born, id LIMIT 3`,
		"evenkeel_orders_deleted":     `SELECT id FROM orders WHERE ek_state = 3 AND ek_time < 5 AND ek_born < 5 ORDER BY ek_time, id LIMIT 3`,
	} {
		plan := strings.ToLower(b.explain(query))
		require.Contains(t, plan, index)
		require.NotContains(t, plan, "sort", "the pages come in its order")
		require.NotContains(t, plan, "temp b-tree", "likewise")
	}
}

// explain returns the plan of a query on a table that is worth an index.
func (b *bench) explain(query string) string {
	b.t.Helper()
	var plan strings.Builder
	require.NoError(b.t, b.sql().Transaction(func(tx *gorm.DB) error {
		explain := "EXPLAIN QUERY PLAN "
		if b.postgres() {
			explain = "EXPLAIN "
			// The table has no rows, and so the planner would rather read it whole.
			require.NoError(b.t, tx.Exec("SET LOCAL enable_seqscan = off").Error)
		}
		var rows []struct {
			Detail string
			Plan   string `gorm:"column:QUERY PLAN"`
		}
		require.NoError(b.t, tx.Raw(explain+query).Scan(&rows).Error)
		fmt.Fprintln(&plan, rows)
		return nil
	}))
	return plan.String()
}

func origins(b *bench) {
	t := b.t
	one := func(entity string, born, rev int64, id string) *store.Origin {
		r := &event.Record{Key: []byte{0xff}, Headers: []event.Header{{Key: "h"}}, Timestamp: start, TimestampType: event.TimestampLogAppend}
		r.Coordinates = event.Coordinates{Cluster: "cluster", Topic: "orders", TopicID: "topic-id", Partition: 1, Offset: rev, LeaderEpoch: -1}
		r.Timestamp = r.Timestamp.Truncate(time.Millisecond)
		return &store.Origin{OriginKey: store.OriginKey{Table: "orders", Born: born, Entity: entity}, Group: group, Rev: rev, ID: id, Handler: "h", Record: r}
	}
	all := []*store.Origin{one("b", 10, 11, "x"), one("b", 10, 10, "y"), one("a", 20, 20, "x"), one("a", 10, 10, "x"), one("a", 10, 10, "w")}
	require.NoError(t, b.commit(t, &store.Batch{Origins: all}))
	read := func(before int64, after store.OriginKey, limit int) (found []string) {
		list, err := b.s.Origins(t.Context(), group, "orders", time.UnixMicro(before), after, limit)
		require.NoError(t, err)
		for _, o := range list {
			found = append(found, fmt.Sprint(o.Entity, o.Born, "/", o.Rev, o.ID))
		}
		return found
	}
	require.Equal(t, []string{"a10/10w", "a10/10x", "b10/10y", "b10/11x", "a20/20x"}, read(100, store.OriginKey{}, 10))
	require.Equal(t, []string{"a10/10w", "a10/10x", "b10/10y"}, read(20, store.OriginKey{}, 3), "born before")
	require.Equal(t, []string{"b10/10y", "b10/11x", "a20/20x"}, read(100, all[4].OriginKey, 3))
	list, err := b.s.Origins(t.Context(), group, "orders", time.UnixMicro(100), all[0].OriginKey, 9)
	require.NoError(t, err)
	require.Equal(t, []*store.Origin{all[2]}, list, "as it was")
	none, err := b.s.Origins(t.Context(), "other", "orders", time.UnixMicro(100), store.OriginKey{}, 10)
	require.NoError(t, err)
	require.Empty(t, none)

	require.NoError(t, b.commit(t, &store.Batch{Forget: []store.OriginKey{all[0].OriginKey, all[3].OriginKey, {Table: "orders", Born: 10, Entity: "nobody"}}}))
	require.Equal(t, []string{"a20/20x"}, read(100, store.OriginKey{}, 10))
}

func tablesTell(b *bench) {
	t := b.t
	require.Equal(t, store.Table{Name: "orders", Group: group, Model: "Order", Key: "id", Kind: "timestamp"}, b.table("orders"))
	all, err := b.s.Tables(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, all, len(b.models))
	none, err := b.s.Tables(t.Context(), "other")
	require.NoError(t, err)
	require.Empty(t, none)
	require.False(t, b.lay["orders"].Purged)

	at := int64(-5)
	h := store.Horizon{Announced: 7, At: &at}
	require.NoError(t, b.commit(t, &store.Batch{Memos: []*store.Memo{h.Memo("orders", nil)}}))
	require.True(t, b.table("orders").Purged)
	require.False(t, b.table("a_lines").Purged)
	layouts, err := b.s.Claim(t.Context(), group, b.models, false)
	require.NoError(t, err)
	for i, m := range b.models {
		require.Equal(t, m.Table == "orders", layouts[i].Purged, m.Table)
	}
	k := store.TombstoneHorizon("orders")
	memo := b.memory(&store.Want{Memos: []store.MemoKey{k}}).Memos[k]
	back, err := store.ReadHorizon(memo)
	require.NoError(t, err)
	require.Equal(t, h, back)
	_, err = store.ReadHorizon(&store.Memo{MemoKey: k, Body: "x"})
	require.ErrorContains(t, err, "restore the row")

	// A release that did not write these has claimed the tables before.
	require.NoError(t, b.sql().Exec("UPDATE evenkeel_models SET model = '', key_column = '', kind = ''").Error)
	_, err = b.s.Claim(t.Context(), group, b.models, false)
	require.NoError(t, err)
	require.Equal(t, "id", b.table("orders").Key)
}
