package parts

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are picked below the range that systems take outgoing connections' ports from
// (32768 and up on Linux, 49152 and up elsewhere): a port that a stopped server gives up
// for a moment must not be gone when the server comes back.
const (
	firstPort = 20000
	lastPort  = 32000
)

// FreePorts returns n different TCP ports that nobody listens on at 127.0.0.1. Another
// process may take one before the caller does, so a server that fails to listen is worth
// another try with other ports.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	taken := make(map[int]bool, n)
	for range 100 * n {
		if len(ports) == n {
			return ports, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort) //nolint:gosec // G404: no secret
		if taken[port] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // local, at once
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return nil, fmt.Errorf("port %d: %w", port, err)
		}
		taken[port] = true
		ports = append(ports, port)
	}
	if len(ports) == n {
		return ports, nil
	}
	return nil, fmt.Errorf("no %d free ports between %d and %d", n, firstPort, lastPort)
}
