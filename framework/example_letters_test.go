package framework_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

// Two people look at the same letter, and both want to discard it.
func ExampleDiscard() {
	ctx := context.Background()
	db, remove := openDatabase()
	defer remove()
	check(framework.Migrate(ctx, db))
	check(lettertest.Insert(ctx, db, lettertest.Full()))

	seen, err := dlq.Refs(ctx, db, dlq.Filter{Group: "billing", State: dlq.Open})
	check(err)
	for _, name := range []string{"ann", "bob"} {
		report, err := framework.Discard(ctx, db, seen, framework.LetterAct{
			By: dlq.Actor{Name: name}, Reason: "the order was a test",
		})
		check(err)
		fmt.Println(name, "discarded", report.Done)
		for _, refused := range report.Refused {
			var taken *dlq.TakenError
			if errors.As(refused, &taken) {
				fmt.Println("first was", taken.First.By.Name+":", taken.First.Reason)
			}
		}
	}
	// Output:
	// ann discarded 1
	// bob discarded 0
	// first was ann: the order was a test
}

// A letter that is to be replayed is in nobody else's hand until a member has carried it out,
// or somebody takes it back.
func ExampleReplay() {
	ctx := context.Background()
	db, remove := openDatabase()
	defer remove()
	check(framework.Migrate(ctx, db))
	check(lettertest.Insert(ctx, db, lettertest.Full()))

	act := framework.LetterAct{By: dlq.Actor{Name: "ann"}, Reason: "fixed in 1.4.2"}
	seen, err := dlq.Refs(ctx, db, dlq.Filter{Group: "billing", State: dlq.Open})
	check(err)
	report, err := framework.Replay(ctx, db, seen, act)
	check(err)
	letter, err := dlq.Get(ctx, db, seen[0].ID)
	check(err)
	fmt.Println(report.Done, letter.State)
	report, err = framework.Discard(ctx, db, []dlq.Ref{letter.Ref()}, act)
	check(err)
	fmt.Println(report.Done, "discarded")
	report, err = framework.CancelReplay(ctx, db, []dlq.Ref{letter.Ref()}, act)
	check(err)
	fmt.Println(report.Done, "cancelled")
	// Output:
	// 1 replaying
	// 0 discarded
	// 1 cancelled
}

// What came broken is mended beside the original, and a replay judges that.
func ExampleEdit() {
	ctx := context.Background()
	db, remove := openDatabase()
	defer remove()
	check(framework.Migrate(ctx, db))
	check(lettertest.Insert(ctx, db, lettertest.Full()))

	letter, err := dlq.Get(ctx, db, lettertest.Full().ID)
	check(err)
	edit := letter.Edit()
	edit.Value = []byte(`{"total": 12}`)
	check(framework.Edit(ctx, db, edit, framework.LetterAct{By: dlq.Actor{Name: "ann"}, Reason: "the total was no number"}))

	letter, err = dlq.Get(ctx, db, letter.ID)
	check(err)
	fmt.Println("came:  ", string(letter.Record.Value))
	fmt.Println("is now:", string(letter.Revised().Value))
	// Output:
	// came:   {"total": 1e400, "id": 9007199254740993}
	// is now: {"total": 12}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// A replay of many is a job, which the running members of the group carry out.
func ExampleStartJob() {
	ctx := context.Background()
	db, remove := openDatabase()
	defer remove()
	check(framework.Migrate(ctx, db))
	check(lettertest.Insert(ctx, db, lettertest.Full()))

	act := framework.LetterAct{By: dlq.Actor{Name: "ann"}, Reason: "fixed in 1.4.2", Selection: "all open"}
	chosen, err := dlq.Refs(ctx, db, dlq.Filter{Group: "billing", State: dlq.Open})
	check(err)
	job, err := framework.StartJob(ctx, db, framework.Refs(chosen...), dlq.JobPlan{Rate: 50, Ramp: []int{1, 5, 20, 100}}, act)
	check(err)
	fmt.Println(job.State, job.Count(dlq.ResultWaiting), "of", job.Total, "wait")

	// Somebody else does the same.
	second, err := framework.StartJob(ctx, db, framework.Refs(chosen...), dlq.JobPlan{}, act)
	check(err)
	fmt.Println(second.State, second.Count(dlq.ResultRefused), "refused")

	job, err = framework.CancelJob(ctx, db, job.ID, act)
	check(err)
	fmt.Println(job.State)
	// Output:
	// running 1 of 1 wait
	// done 1 refused
	// cancelled
}
