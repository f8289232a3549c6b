package provision_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// simnet is a network in memory with virtual time. Hosts speak over paths, each of which can go down. What is sent while one is down
// waits for a retransmission, as TCP does it: for as long again as the outage has lasted. Or the path forgets its connections, as
// address translators do: what is sent over them later is swallowed, or answered by a reset.
type simnet struct {
	latency time.Duration

	mu        sync.Mutex
	dice      *rand.Rand
	listeners map[string]*simListener
	paths     map[string]*simPath // by the host, or the address at which something listens
}

func newSimnet(dice *rand.Rand) *simnet {
	return &simnet{latency: 20 * time.Millisecond, dice: dice, listeners: map[string]*simListener{}, paths: map[string]*simPath{}}
}

// simPath is one host's way to the network.
type simPath struct {
	n *simnet

	// Guarded by n.mu.
	down  bool
	since time.Time // of the outage
	pairs map[*simPair]bool
}

func (n *simnet) path(host string) *simPath {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.paths[host]
	if p == nil {
		p = &simPath{n: n, pairs: map[*simPair]bool{}}
		n.paths[host] = p
	}
	return p
}

// cut takes the path down.
func (p *simPath) cut() {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	p.down, p.since = true, time.Now()
}

// mend brings the path back. With forget it has forgotten its connections.
func (p *simPath) mend(forget bool) {
	p.n.mu.Lock()
	lasted := time.Since(p.since)
	p.down = false
	var resumed []*simPair
	for c := range p.pairs {
		if forget {
			c.forget(p.n.dice.IntN(2) == 0)
			delete(p.pairs, c)
		} else {
			resumed = append(resumed, c)
		}
	}
	again := time.Duration(p.n.dice.Int64N(int64(min(lasted, 2*time.Minute)) + 1))
	p.n.mu.Unlock()
	for _, c := range resumed {
		c.resume(again)
	}
}

// dialer dials from a host.
func (n *simnet) dialer(host string) func(ctx context.Context, network, address string) (net.Conn, error) {
	p := n.path(host)
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		far := n.path(address)
		up, hopeless := n.up(p, far), n.roll(2) == 0
		for _, wait := range []time.Duration{0, 1, 2, 4, 8, 16} { // seconds, as TCP tries again
			if !up {
				if err := nap(ctx, wait*time.Second); err != nil {
					return nil, err
				}
				up = n.up(p, far)
			}
			if up || n.up(far) && hopeless { // half of the systems know at once that there is no network of their own
				break
			}
		}
		if err := nap(ctx, 2*n.latency); err != nil {
			return nil, err
		}
		n.mu.Lock()
		l := n.listeners[address]
		n.mu.Unlock()
		switch {
		case !up && hopeless:
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ENETUNREACH}
		case !up:
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
		case l == nil:
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		return l.join(ctx, p, far)
	}
}

func nap(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *simnet) up(paths ...*simPath) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !slices.ContainsFunc(paths, func(p *simPath) bool { return p.down })
}

func (n *simnet) roll(sides int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dice.IntN(sides)
}

// simListener accepts what is dialled at an address.
type simListener struct {
	n       *simnet
	address string
	conns   chan net.Conn
	done    chan struct{}
	once    sync.Once
}

func (n *simnet) listen(address string) *simListener {
	l := &simListener{n: n, address: address, conns: make(chan net.Conn, 64), done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[address] = l
	return l
}

func (l *simListener) join(ctx context.Context, paths ...*simPath) (net.Conn, error) {
	pair := &simPair{n: l.n, paths: paths}
	near, far := newSimConn(pair, "far", l.address), newSimConn(pair, l.address, "far")
	near.peer, far.peer = far, near
	pair.ends = [2]*simConn{near, far}
	l.n.mu.Lock()
	for _, p := range paths {
		p.pairs[pair] = true
	}
	l.n.mu.Unlock()
	select {
	case l.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
}

// Accept implements net.Listener.
func (l *simListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *simListener) Close() error {
	l.once.Do(func() {
		l.n.mu.Lock()
		if l.n.listeners[l.address] == l {
			delete(l.n.listeners, l.address)
		}
		l.n.mu.Unlock()
		close(l.done)
	})
	return nil
}

// Addr implements net.Listener.
func (l *simListener) Addr() net.Addr { return simAddr(l.address) }

type simAddr string

func (a simAddr) Network() string { return "sim" }
func (a simAddr) String() string  { return string(a) }

// simPair is a connection: its two ends, and what is on its way.
type simPair struct {
	n     *simnet
	paths []*simPath
	ends  [2]*simConn

	mu      sync.Mutex
	lost    bool      // the path has forgotten it
	resets  bool      // and answers what is sent by a reset
	stalled time.Time // nothing arrives before: a retransmission is waited for
	waiting bool      // something was sent while the path was down
}

// leave forgets a connection of which both ends are closed.
func (p *simPair) leave() {
	for _, c := range p.ends {
		c.mu.Lock()
		closed := c.closed
		c.mu.Unlock()
		if !closed {
			return
		}
	}
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	for _, x := range p.paths {
		delete(x.pairs, p)
	}
}

func (p *simPair) forget(resets bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost, p.resets = true, resets
}

// resume has what waits arrive after a while, and everything that is sent before then with it.
func (p *simPair) resume(again time.Duration) {
	p.mu.Lock()
	waiting := p.waiting
	p.waiting = false
	if waiting {
		p.stalled = time.Now().Add(again)
	}
	p.mu.Unlock()
	if waiting {
		time.AfterFunc(again, func() {
			p.ends[0].arrive()
			p.ends[1].arrive()
		})
	}
}

// passage says when what is sent now arrives; never, if it waits for the path or is swallowed.
func (p *simPair) passage() (after time.Duration, arrives, reset bool) {
	p.n.mu.Lock()
	down := slices.ContainsFunc(p.paths, func(x *simPath) bool { return x.down })
	p.n.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.lost:
		return 0, false, p.resets && !down
	case down:
		p.waiting = true
		return 0, false, false
	}
	return max(time.Until(p.stalled), 0) + p.n.latency, true, false
}

// simConn is one end of a connection.
type simConn struct {
	pair     *simPair
	peer     *simConn
	from, to string

	mu         sync.Mutex
	changed    chan struct{} // closed and replaced when something below changes
	inbox      []byte        // that has arrived
	sky        []byte        // that is on its way here
	finSky     bool          // and then the end
	fin        bool
	closed     bool
	abrupt     bool  // Close is to be a reset
	mortal     bool  // the system will give up on what is not acknowledged
	err        error // a reset
	readBy     time.Time
	writeBy    time.Time
	readTimer  *time.Timer
	writeTimer *time.Timer
}

// window is how much may be on its way to one end or unread there.
const window = 256 << 10

func newSimConn(p *simPair, from, to string) *simConn {
	return &simConn{pair: p, from: from, to: to, changed: make(chan struct{})}
}

// poke wakes who waits. c.mu is held.
func (c *simConn) poke() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// arrive moves what is on its way into the inbox.
func (c *simConn) arrive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox = append(c.inbox, c.sky...)
	c.sky = nil
	c.fin = c.fin || c.finSky
	c.poke()
}

// kill ends this end by a reset.
func (c *simConn) kill(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		c.poke()
	}
}

// Read implements net.Conn.
func (c *simConn) Read(b []byte) (int, error) {
	for {
		c.mu.Lock()
		changed := c.changed
		switch {
		case c.closed:
			c.mu.Unlock()
			return 0, net.ErrClosed
		case len(c.inbox) > 0:
			n := copy(b, c.inbox)
			if c.inbox = c.inbox[n:]; len(c.inbox) == 0 {
				c.inbox = nil
			}
			c.mu.Unlock()
			c.peer.mu.Lock()
			c.peer.poke() // its window may be open
			c.peer.mu.Unlock()
			return n, nil
		case c.err != nil:
			defer c.mu.Unlock()
			return 0, c.err
		case c.fin:
			c.mu.Unlock()
			return 0, io.EOF
		case !c.readBy.IsZero() && !time.Now().Before(c.readBy):
			c.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		c.mu.Unlock()
		<-changed
	}
}

// Write implements net.Conn.
func (c *simConn) Write(b []byte) (int, error) {
	for {
		c.mu.Lock()
		changed, err := c.changed, c.err
		switch {
		case c.closed:
			err = net.ErrClosed
		case err == nil && !c.writeBy.IsZero() && !time.Now().Before(c.writeBy):
			err = os.ErrDeadlineExceeded
		}
		c.mu.Unlock()
		if err != nil {
			return 0, err
		}
		c.peer.mu.Lock()
		full := len(c.peer.inbox)+len(c.peer.sky) >= window
		c.peer.mu.Unlock()
		if full {
			<-changed
			continue
		}
		c.send(b, false)
		return len(b), nil
	}
}

// send puts something, or the end, on its way.
func (c *simConn) send(b []byte, fin bool) {
	after, arrives, reset := c.pair.passage()
	if reset {
		c.kill(errReset)
		return
	}
	if !arrives {
		c.giveUp()
	}
	c.peer.mu.Lock()
	gone := c.peer.closed
	c.peer.sky = append(c.peer.sky, b...)
	c.peer.finSky = c.peer.finSky || fin
	c.peer.mu.Unlock()
	switch {
	case arrives && gone && !fin:
		time.AfterFunc(2*after, func() { c.kill(errReset) })
	case arrives:
		time.AfterFunc(after, c.peer.arrive)
	}
}

var errReset = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}

// giveUp has the system end the connection when what was sent is not acknowledged for long.
func (c *simConn) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mortal || c.closed {
		return
	}
	c.mortal = true
	time.AfterFunc(15*time.Minute, func() {
		c.pair.mu.Lock()
		dead := c.pair.lost || c.pair.waiting
		c.pair.mu.Unlock()
		if dead {
			c.kill(&net.OpError{Op: "read", Net: "tcp", Err: syscall.ETIMEDOUT})
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.mortal = false
	})
}

// CloseWrite ends the writing half.
func (c *simConn) CloseWrite() error {
	c.send(nil, true)
	return nil
}

// SetLinger makes Close a reset, as of a *net.TCPConn.
func (c *simConn) SetLinger(int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abrupt = true
	return nil
}

// Close implements net.Conn. The other end learns it when the path allows.
func (c *simConn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	c.poke()
	for _, t := range []*time.Timer{c.readTimer, c.writeTimer} {
		if t != nil {
			t.Stop()
		}
	}
	abrupt := c.abrupt
	c.mu.Unlock()
	if abrupt {
		if after, arrives, _ := c.pair.passage(); arrives {
			time.AfterFunc(after, func() { c.peer.kill(errReset) })
		}
	} else {
		c.send(nil, true)
	}
	c.pair.leave()
	return nil
}

// LocalAddr implements net.Conn.
func (c *simConn) LocalAddr() net.Addr { return simAddr(c.from) }

// RemoteAddr implements net.Conn.
func (c *simConn) RemoteAddr() net.Addr { return simAddr(c.to) }

// SetDeadline implements net.Conn.
func (c *simConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *simConn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(&c.readBy, &c.readTimer, t)
}

// SetWriteDeadline implements net.Conn.
func (c *simConn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(&c.writeBy, &c.writeTimer, t)
}

func (c *simConn) setDeadline(by *time.Time, timer **time.Timer, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *timer != nil {
		(*timer).Stop()
		*timer = nil
	}
	*by = t
	if !t.IsZero() {
		*timer = time.AfterFunc(time.Until(t), func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.poke()
		})
	}
	c.poke()
	return nil
}
