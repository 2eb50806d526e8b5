//go:build !linux

package conformance

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// leashed is nothing here; a child also ends when its standard input does.
func leashed() *syscall.SysProcAttr { return nil }

// frozen reports whether a process is stopped by a signal.
func frozen(pid int) bool {
	return strings.HasPrefix(ps("state", pid), "T")
}

// resident is how many bytes of memory a process has.
func resident(pid int) int64 {
	var kib int64
	if _, err := fmt.Sscan(ps("rss", pid), &kib); err != nil {
		return 0
	}
	return kib << 10
}

func ps(column string, pid int) string {
	out, err := exec.Command("ps", "-o", column+"=", "-p", fmt.Sprint(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
