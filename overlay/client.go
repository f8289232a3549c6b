package overlay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"iod/keepalive"
	"iod/key"
	"iod/overlay/wire"
)

// handshakeTimeout bounds each step of reaching a relay: TCP, TLS, the first answer.
const handshakeTimeout = 10 * time.Second

// tokenTimeout bounds a relay's answer to CONNECT. A relay that is asked too much does not answer.
const tokenTimeout = 5 * time.Second

// clientLink is a node's end of the control connection to a relay.
type clientLink struct {
	*link
	addr        RelayAddr
	dial        DialFunc
	keep        *keepalive.Search
	pingTimeout time.Duration

	sent, heard moment       // of the last frame
	interval    atomic.Int64 // ns, what keep wants
	rtt         atomic.Int64 // ns, of the last ping; 0: none was answered yet

	mu      sync.Mutex
	seq     uint32
	pongs   map[uint32]chan struct{}
	lastID  uint32
	tokens  map[uint32]chan wire.TokenFor
	goodbye error

	// onFrame takes what the link itself does not answer. Set before run.
	onFrame func(wire.Frame) error
	// onProbed takes the answers to probes. Set before run.
	onProbed func(wire.Probed)
}

// dialLink reaches a relay and checks its key. who is asked for the identity to show while the connection is made.
func dialLink(ctx context.Context, addr RelayAddr, who func() (*identity, error), dial DialFunc) (*clientLink, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	var raw net.Conn
	var dialErr error
	var dialling sync.WaitGroup
	dialling.Go(func() { raw, dialErr = dial(ctx, "tcp", addr.Host) })
	ident, err := who()
	dialling.Wait()
	if dialErr != nil {
		return nil, fmt.Errorf("relay %s: %w", addr.Host, dialErr)
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	quiet(raw)
	conn := tls.Client(raw, ident.config(wire.ALPN, &addr.ID))
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("relay %s: handshake: %w", addr.Host, err)
	}
	l, err := newLink(conn)
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("relay %s: %w", addr.Host, err)
	}
	c := &clientLink{
		link: l, addr: addr, dial: dial,
		pongs: make(map[uint32]chan struct{}), tokens: make(map[uint32]chan wire.TokenFor),
	}
	c.sent.now()
	c.heard.now()
	return c, nil
}

// quiet turns off what a transport sends on its own.
func quiet(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetKeepAlive(false) //nolint:errcheck // costs bytes only
	}
}

// dialData opens a data connection to the machine that the link reached, and claims a token.
func (c *clientLink) dialData(ctx context.Context, t wire.Token) (net.Conn, error) {
	host := c.addr.Host
	if a, ok := c.raw.RemoteAddr().(*net.TCPAddr); ok {
		host = a.String() // a name may stand for several machines
	}
	conn, err := c.dial(ctx, "tcp", host)
	if err != nil {
		return nil, fmt.Errorf("relay %s: data connection: %w", c.addr.Host, err)
	}
	quiet(conn)
	if err := sendPreamble(conn, t); err != nil {
		conn.Close()
		return nil, fmt.Errorf("relay %s: data connection: %w", c.addr.Host, err)
	}
	return conn, nil
}

func (c *clientLink) send(f wire.Frame) error {
	c.sent.now()
	return c.link.send(f)
}

// run serves the link until it ends, and says why.
func (c *clientLink) run(ctx context.Context) error {
	c.interval.Store(int64(c.keep.Interval()))
	var pinger sync.WaitGroup
	pinger.Go(func() { c.pingWhenIdle() })
	err := c.link.run(ctx, c.handle)
	if d := c.silence(); d >= worthNoting && ctx.Err() == nil && !errors.Is(err, errFrozen) && !errors.Is(err, errUnused) {
		c.keep.Died(d) // something on the way closed what was silent, maybe
	}
	pinger.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.goodbye != nil {
		return c.goodbye
	}
	return err
}

func (c *clientLink) handle(f wire.Frame) error {
	c.heard.now()
	c.mu.Lock()
	switch f := f.(type) {
	case wire.Pong:
		if ch, ok := c.pongs[f.Seq]; ok {
			delete(c.pongs, f.Seq)
			close(ch)
		}
	case wire.TokenFor:
		if ch, ok := c.tokens[f.ID]; ok {
			delete(c.tokens, f.ID)
			ch <- f
		}
	case wire.Goodbye:
		c.goodbye = goodbyeError(f)
	default:
		c.mu.Unlock()
		if p, ok := f.(wire.Probed); ok {
			if c.onProbed != nil {
				c.onProbed(p)
			}
			return nil
		}
		if c.onFrame != nil {
			return c.onFrame(f)
		}
		return fmt.Errorf("relay %s: unexpected frame %T", c.addr.Host, f)
	}
	c.mu.Unlock()
	return nil
}

func goodbyeError(f wire.Goodbye) error {
	switch f.Reason {
	case wire.ReasonDisplaced:
		return ErrDisplaced
	case wire.ReasonLimit:
		return fmt.Errorf("the relay ended the connection: too much was asked: %s", f.Text)
	}
	return fmt.Errorf("the relay ended the connection: %s", f.Text)
}

var errFrozen = errors.New("the relay does not answer")

// pingWhenIdle pings whenever one direction has been silent for the current interval.
func (c *clientLink) pingWhenIdle() {
	interval := c.keep.Next()
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-c.gone:
			return
		}
		if d := interval - max(c.sent.ago(), c.heard.ago()); d > 0 {
			timer.Reset(d)
			continue
		}
		silence := c.silence()
		switch alive := c.ping(); {
		case silence < interval:
		case alive:
			c.keep.Survived(silence)
		default:
			c.keep.Died(silence)
		}
		c.interval.Store(int64(c.keep.Interval()))
		interval = c.keep.Next()
		timer.Reset(interval)
	}
}

// worthNoting is the shortest silence that may be to blame for the end of a connection.
const worthNoting = 20 * time.Second

// silence is how long nothing went either way.
func (c *clientLink) silence() time.Duration { return min(c.sent.ago(), c.heard.ago()) }

// ping closes the link and returns false when the relay does not answer in time.
func (c *clientLink) ping() bool { return c.pingWithin(c.pingTimeout) }

func (c *clientLink) pingWithin(patience time.Duration) bool {
	c.mu.Lock()
	c.seq++
	seq, pong := c.seq, make(chan struct{})
	c.pongs[seq] = pong
	c.mu.Unlock()
	began := time.Now()
	if err := c.send(wire.Ping{Seq: seq, Idle: c.idle()}); err != nil {
		return false
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-pong:
		c.rtt.Store(int64(max(time.Since(began), 1)))
		return true
	case <-c.gone:
		return false
	case <-timer.C:
		c.close(errFrozen)
		return false
	}
}

// idle is the silence that the relay may have to bear next.
func (c *clientLink) idle() uint16 {
	next := time.Duration(c.interval.Load())*2 + c.pingTimeout
	return uint16(min(next/time.Second+1, 1<<16-1))
}

// pending is a knock on its way.
type pending struct {
	wire.TokenFor
	link *clientLink
}

// connect sends a knock and waits for the token of its data connection.
func (c *clientLink) connect(ctx context.Context, target key.NodeID, hops []RelayAddr, k wire.Knock) (pending, error) {
	ch := make(chan wire.TokenFor, 1)
	c.mu.Lock()
	c.lastID++
	id := c.lastID
	c.tokens[id] = ch
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.tokens, id)
		c.mu.Unlock()
	}()
	if err := c.send(wire.Connect{ID: id, Target: target, Hops: hops, Knock: k}); err != nil {
		return pending{}, fmt.Errorf("relay %s: %w", c.addr.Host, err)
	}
	timer := time.NewTimer(tokenTimeout)
	defer timer.Stop()
	select {
	case t := <-ch:
		return pending{t, c}, nil
	case <-c.gone:
		return pending{}, fmt.Errorf("relay %s: %w", c.addr.Host, c.reason())
	case <-timer.C:
		return pending{}, fmt.Errorf("relay %s: no answer to a knock within %v: it may be overloaded", c.addr.Host, tokenTimeout)
	case <-ctx.Done():
		c.send(wire.Cancel{Session: uint64(id)}) //nolint:errcheck // a closed link has forgotten the knock
		return pending{}, context.Cause(ctx)
	}
}

// cancel withdraws the knock.
func (p pending) cancel() {
	p.link.send(wire.Cancel{Session: uint64(p.ID)}) //nolint:errcheck // a closed link has forgotten the knock
}
