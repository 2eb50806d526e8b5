//go:build !unix

package cli

import "io"

// terminalColumns doesn't know: tables are as wide as what is in them.
func terminalColumns(io.Writer) int { return 0 }
