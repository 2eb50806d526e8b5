//go:build unix

package parts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scratchEnv makes this test binary the program of TestServerGoesWithItsProgram.
const scratchEnv = "EVENKEEL_PARTS_TEST_SCRATCH"

func TestMain(m *testing.M) {
	if scratch := os.Getenv(scratchEnv); scratch != "" {
		program(scratch)
	}
	os.Exit(m.Run())
}

// program starts a server that would run for ever, prints its pid and never ends.
func program(scratch string) {
	state := filepath.Join(scratch, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		panic(err)
	}
	p, err := Command{Args: []string{"tail", "-f", "/dev/null"}, State: state, Scratch: scratch}.Start(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Pid())
	select {}
}

func TestServerGoesWithItsProgram(t *testing.T) {
	t.Parallel()
	scratch := filepath.Join(t.TempDir(), "scratch")
	require.NoError(t, os.Mkdir(scratch, 0o700))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), scratchEnv+"="+scratch)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, 0))
	// A server that was frozen for a test goes as well.
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool {
		_, err := os.Stat(scratch)
		return errors.Is(err, os.ErrNotExist) && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}, time.Minute, 5*time.Millisecond)
}

func TestStopKeepsTheFilesAndCloseDoesNot(t *testing.T) {
	t.Parallel()
	scratch := filepath.Join(t.TempDir(), "scratch")
	state := filepath.Join(scratch, "state")
	require.NoError(t, os.MkdirAll(state, 0o700))
	command := Command{Args: []string{"tail", "-f", "/dev/null"}, State: state, Scratch: scratch}

	p, err := command.Start(t.Context())
	require.NoError(t, err)
	require.False(t, p.Exited())
	require.NoError(t, p.Stop(t.Context(), syscall.SIGTERM))
	require.True(t, p.Exited())
	require.DirExists(t, scratch)
	require.NoError(t, p.Signal(syscall.SIGTERM))

	p, err = command.Start(t.Context())
	require.NoError(t, err)
	require.False(t, p.Exited())
	require.NoError(t, p.Close())
	require.NoDirExists(t, scratch)
	require.ErrorIs(t, syscall.Kill(p.Pid(), 0), syscall.ESRCH)
	require.NoError(t, p.Close())
}

func TestProcessThatEndsByItselfLeavesItsWords(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	p, err := Command{Args: []string{"sh", "-c", "echo no such thing >&2; exit 3"}, State: state}.Start(t.Context())
	require.NoError(t, err)
	require.Eventually(t, p.Exited, time.Minute, time.Millisecond)
	require.Equal(t, "no such thing", p.LogTail())
	require.NoError(t, p.Close())
}
