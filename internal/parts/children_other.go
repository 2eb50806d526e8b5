//go:build unix && !linux

package parts

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// childrenOf returns the processes that the process has started and that still run.
func childrenOf(parent int) ([]int, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=", "-o", "ppid=").Output() //nolint:noctx // local, at once
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	var children []int
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(fields[0]); err == nil {
			children = append(children, pid)
		}
	}
	return children, nil
}
