// Command evenkeel shows what an Evenkeel consumer could not apply, and makes its tables.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/evenkeel-go/evenkeel/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Execute(ctx, cli.Command())
}
