// Command orders is Evenkeel's demo. The package service is the consumer as a user would
// write it: start with its handlers.go. The package stage is what is built
// around it to show that it holds: a broker, a stream in which everything goes wrong,
// members that are killed, a naive consumer beside it, and an oracle that counts.
package main

import (
	"os"

	"github.com/evenkeel-go/evenkeel/examples/orders/stage"
)

func main() {
	os.Exit(stage.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
