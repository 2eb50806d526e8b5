package conformance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// harm is what a pgProxy does to a batch's transaction.
type harm int

const (
	// harmless passes everything on.
	harmless harm = iota
	// loseAnswer lets the COMMIT through and cuts the connection instead of passing
	// its answer on.
	loseAnswer
	// cutBefore cuts the connection before the COMMIT is passed on.
	cutBefore
	// holdLedger keeps back what follows the batch's rows: the ledger's statement and
	// the COMMIT, as if the member had been frozen between two packets.
	holdLedger
)

// pgProxy stands between a member and PostgreSQL and harms the transactions of batches,
// which it knows by their ledger statement.
type pgProxy struct {
	t      testing.TB
	target string
	dsn    string // by way of the proxy

	mu      sync.Mutex
	harm    harm
	times   int // how often
	done    int
	conns   map[net.Conn]bool
	release chan struct{}
}

// newProxy starts a proxy in front of the server that dsn names.
func newProxy(t testing.TB, dsn string) *pgProxy {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &pgProxy{t: t, target: u.Host, conns: map[net.Conn]bool{}, release: make(chan struct{})}
	u.Host = l.Addr().String()
	p.dsn = u.String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.letGo()
		p.cut()
		serving.Wait()
	})
	return p
}

// arm makes the proxy harm the transactions of the next batches.
func (p *pgProxy) arm(h harm, times int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.harm, p.times, p.done = h, times, 0
}

// harmed is how many transactions have come to harm since arm.
func (p *pgProxy) harmed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// letGo ends a hold.
func (p *pgProxy) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.release:
	default:
		close(p.release)
	}
}

// cut ends all connections.
func (p *pgProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// strike decides whether this transaction is one to harm.
func (p *pgProxy) strike() harm {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.harm == harmless || p.done >= p.times {
		return harmless
	}
	p.done++
	return p.harm
}

func (p *pgProxy) keep(c net.Conn) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	return func() {
		c.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
	}
}

func (p *pgProxy) serve(client net.Conn) {
	defer p.keep(client)()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer p.keep(server)()
	s := &pgSession{p: p, client: client, server: server, statements: map[string]string{}, mute: make(chan struct{})}
	var back sync.WaitGroup
	back.Go(func() {
		s.answers()
		client.Close()
		server.Close()
	})
	_ = s.questions()
	client.Close()
	server.Close()
	back.Wait()
}

// pgSession is one connection.
type pgSession struct {
	p              *pgProxy
	client, server net.Conn
	statements     map[string]string // by name
	harm           harm              // to the transaction under way
	mute           chan struct{}     // closed when answers are to be kept back
}

var errCut = errors.New("cut")

// message reads one message of the protocol; the first of a connection has no type.
func message(from io.Reader, first bool) (kind byte, whole []byte, err error) {
	head := make([]byte, 5)
	if first {
		head = head[:4]
	}
	if _, err := io.ReadFull(from, head); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(head[len(head)-4:])) - 4
	whole = make([]byte, len(head)+n)
	copy(whole, head)
	_, err = io.ReadFull(from, whole[len(head):])
	return head[0], whole, err
}

// questions passes on what the client sends.
func (s *pgSession) questions() error {
	for first := true; ; first = false {
		kind, whole, err := message(s.client, first)
		if err != nil {
			return err
		}
		if !first {
			if err := s.look(kind, whole[5:]); err != nil {
				return err
			}
		}
		if _, err := s.server.Write(whole); err != nil {
			return err
		}
	}
}

// look follows the extended protocol: Parse names a statement, Bind runs it.
func (s *pgSession) look(kind byte, b []byte) error {
	texts := bytes.SplitN(b, []byte{0}, 3)
	switch {
	case kind == 'P' && len(texts) == 3:
		s.statements[string(texts[0])] = string(texts[1])
	case kind == 'B' && len(texts) == 3:
		sql := s.statements[string(texts[1])]
		switch {
		case strings.HasPrefix(sql, "BEGIN"):
			s.harm = harmless
		case strings.HasPrefix(sql, "WITH w AS (UPDATE evenkeel_ledger SET rev = rev + 1"):
			s.harm = s.p.strike()
			if s.harm == holdLedger {
				<-s.p.release
			}
			if s.harm == loseAnswer {
				close(s.mute)
			}
		case sql == "COMMIT" && s.harm == cutBefore:
			return errCut
		}
	}
	return nil
}

// answers passes on what the server says, until the answer to COMMIT that must be lost.
func (s *pgSession) answers() {
	for {
		kind, whole, err := message(s.server, false)
		if err != nil {
			return
		}
		select {
		case <-s.mute:
			if kind == 'C' && bytes.HasPrefix(whole[5:], []byte("COMMIT")) {
				return
			}
			continue
		default:
		}
		if _, err := s.client.Write(whole); err != nil {
			return
		}
	}
}
