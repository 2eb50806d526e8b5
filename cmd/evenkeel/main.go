// Command evenkeel shows what an Evenkeel consumer could not apply, decides what becomes of
// it, and makes its tables. Beside the commands of package cli it has what only a program of
// its own needs: the demo and the manual.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var demoCode int
	if code := cli.Execute(ctx, command(&demoCode)); code != 0 {
		return code
	}
	return demoCode
}

// command is the whole of the binary; the demo leaves its exit code.
func command(demoCode *int) *cobra.Command {
	root := cli.Command()
	root.AddCommand(demo(demoCode), manual(root))
	return root
}
