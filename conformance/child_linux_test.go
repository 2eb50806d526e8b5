package conformance

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// leashed makes a child die with the thread that started it.
func leashed() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// frozen reports whether a process is stopped by a signal.
func frozen(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// pid (name) state …; a name may hold parentheses and spaces.
	rest := bytes.TrimSpace(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(rest) > 0 && rest[0] == 'T'
}

// resident is how many bytes of memory a process has.
func resident(pid int) int64 {
	var pages, rss int64
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	if _, err := fmt.Sscan(string(statm), &pages, &rss); err != nil {
		return 0
	}
	return rss * int64(os.Getpagesize())
}
