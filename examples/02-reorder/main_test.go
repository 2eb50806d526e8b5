package main

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/examples/play"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/testutil"
)

func start(t *testing.T, patience time.Duration, hooks ...any) (p *play.Play, replays string) {
	t.Helper()
	broker := testutil.Kafka(t)
	replays = broker.Topic(t, "account-replays", 1)
	scene := play.Scene{
		Models: []any{&Account{}}, Config: config(patience, replays), DB: testutil.SQLite(t), Brokers: broker.Brokers,
	}
	scene.Config.Hooks = hooks
	p, err := play.Start(t.Context(), scene)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	require.NoError(t, err)
	return p, replays
}

// Whatever the order of arrival, the moves are applied in their own.
func TestMovesAreAppliedInTheirOrder(t *testing.T) {
	t.Parallel()
	p, _ := start(t, time.Minute)
	rng := rand.New(rand.NewPCG(2, 2))
	cents := []int64{50, -80, 100, -120, -60, 30}
	var events []play.Event
	accounts := 40
	for i := range accounts {
		var moves []play.Event
		for n, c := range cents {
			e := move("a-"+strconv.Itoa(i), int64(n)+1, c)
			moves = append(moves, e, e)
		}
		rng.Shuffle(len(moves), func(a, b int) { moves[a], moves[b] = moves[b], moves[a] })
		events = append(events, moves...)
	}
	require.NoError(t, p.Send(t.Context(), events...))
	var rows []Account
	require.NoError(t, p.DB.Find(&rows).Error)
	require.Len(t, rows, accounts)
	for _, a := range rows {
		// 50, refused, 150, 30, refused, 60
		require.EqualValues(t, 60, a.Balance)
		require.Equal(t, 2, a.Refused)
		require.Equal(t, a.ID+"#6", a.LastMove)
	}
	require.Empty(t, p.Consumer.Stats().Letters)
}

// secondGap holds up who tells it of a second gap until hold is closed. So no event is given
// up before what was asked for has come, however long that takes.
type secondGap struct {
	heard atomic.Int64
	hold  chan struct{}
}

func (g *secondGap) OnGap(framework.Gap) {
	if g.heard.Add(1) == 2 {
		<-g.hold
	}
}

// A number that does not come is asked for; what comes then is applied in its turn, and what
// never comes leaves a letter.
func TestAGapIsAskedFor(t *testing.T) {
	t.Parallel()
	ear := &secondGap{hold: make(chan struct{})}
	answered := sync.OnceFunc(func() { close(ear.hold) })
	p, replays := start(t, time.Second, ear)
	t.Cleanup(answered) // before the play ends, which waits for it
	require.NoError(t, p.Send(t.Context(), move("a", 1, 50), move("a", 3, -60), move("b", 1, 5), move("b", 3, 6)))
	requests, err := asked(t.Context(), p, replays, 2)
	require.NoError(t, err)
	require.Len(t, requests, 2)
	for _, r := range requests {
		require.EqualValues(t, 2, r.From)
		require.EqualValues(t, 2, r.To)
		if r.Key == "a" { // of b the bank has lost it
			require.NoError(t, p.Send(t.Context(), move(r.Key, r.From, 1000)))
		}
	}
	require.NoError(t, p.Until(t.Context(), func() bool {
		var a Account
		return p.DB.First(&a, "id = ?", "a").Error == nil && a.LastMove == "a#3"
	}))
	answered()
	require.NoError(t, p.Until(t.Context(), func() bool { return p.Consumer.Stats().Letters["gap"] == 1 }))
	var a, b Account
	require.NoError(t, p.DB.First(&a, "id = ?", "a").Error)
	require.NoError(t, p.DB.First(&b, "id = ?", "b").Error)
	require.EqualValues(t, 990, a.Balance)
	require.EqualValues(t, 5, b.Balance)
}
