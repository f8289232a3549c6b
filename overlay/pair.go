package overlay

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"iod/key"
	"iod/overlay/wire"
)

// The sides of a pair.
const (
	consumerSide = 0
	deviceSide   = 1
)

// pair is two data connections that are to be joined, from the knock to the end of the session:
//
//	waiting ── both tokens used ──▶ joined ── both directions ended ──▶ over
//	   └────────── token life ends, or the consumer gives up ─────────────▶ over
//
// Fields without a note are guarded by the relay's mutex.
type pair struct {
	number  uint64 // constant
	id      uint32 // of the CONNECT; constant
	target  key.NodeID
	invite  *wire.Invite // what the target is told when it is at this relay; nil once joined
	from    *client      // nil once its connection ended
	up      *clientLink
	upID    uint32
	tokens  [2]wire.Token // constant
	expires time.Time     // constant
	conns   [2]net.Conn

	joined chan struct{} // closed when both conns are set
	over   chan struct{}
	ended  [2]chan struct{} // a direction that ended
	last   moment           // of the last byte in either direction, coarse
	once   sync.Once
}

// claim is what a token is good for.
type claim struct {
	pair *pair
	side int
}

func (p *pair) isJoined() bool {
	select {
	case <-p.joined:
		return true
	default:
		return false
	}
}

// newPair makes a pair with fresh tokens. r.mu is held.
func (r *Relay) newPair(c *client, id uint32, target key.NodeID) *pair {
	r.number++
	p := &pair{
		number: r.number, id: id, target: target, from: c, expires: time.Now().Add(r.o.TokenLife),
		joined: make(chan struct{}), over: make(chan struct{}),
		ended: [2]chan struct{}{make(chan struct{}), make(chan struct{})},
	}
	for side := range p.tokens {
		rand.Read(p.tokens[side][:]) //nolint:errcheck // never fails
		r.tokens[p.tokens[side]] = claim{p, side}
	}
	c.pairs[id] = p
	r.pairs[p.number] = p
	r.queue = append(r.queue, p)
	select {
	case r.queued <- struct{}{}:
	default:
	}
	return p
}

// expire ends pairs whose tokens' life is over. All lives are equal, so that the queue is in order.
func (r *Relay) expire(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.queued:
		}
		now := time.Now()
		var dead []*pair
		r.mu.Lock()
		r.prune(r.o.Now())
		for len(r.queue) > 0 && !r.queue[0].expires.After(now) {
			dead = append(dead, r.queue[0])
			r.queue = r.queue[1:]
		}
		next := time.Hour
		if len(r.queue) > 0 {
			next = r.queue[0].expires.Sub(now)
		}
		r.mu.Unlock()
		for _, p := range dead {
			if !p.isJoined() {
				r.end(p, false)
			}
		}
		timer.Reset(next)
	}
}

// end forgets a pair and lets its connections go. With tell the device hears that the knock is withdrawn.
func (r *Relay) end(p *pair, tell bool) {
	p.once.Do(func() {
		r.mu.Lock()
		for _, t := range p.tokens {
			delete(r.tokens, t)
		}
		delete(r.pairs, p.number)
		if p.from != nil {
			delete(p.from.pairs, p.id)
		}
		dev, up, upID := r.devices[p.target], p.up, p.upID
		if p.isJoined() {
			r.splices--
		}
		close(p.over)
		r.mu.Unlock()
		switch {
		case !tell:
		case up != nil:
			pending{wire.TokenFor{ID: upID}, up}.cancel()
		case dev != nil:
			dev.send(wire.Cancel{Session: p.number}) //nolint:errcheck // it may be gone
		}
	})
}

// cancelled serves CANCEL: a consumer gives a pending knock up, or a device cuts a session.
func (r *Relay) cancelled(c *client, session uint64) {
	r.mu.Lock()
	mine, theirs := c.pairs[uint32(session)], r.pairs[session]
	r.mu.Unlock()
	switch {
	case theirs != nil && c.registered && theirs.target == c.peer:
		r.cut(theirs)
	case mine != nil && !mine.isJoined():
		r.end(mine, true)
	}
}

// cut ends a session at once and says so towards the consumer. The resets alone would not do: while a consumer does not read, the
// splice waits for it and does not look at the device.
func (r *Relay) cut(p *pair) {
	r.mu.Lock()
	from, conns := p.from, p.conns
	r.mu.Unlock()
	if from != nil {
		from.send(wire.Cancel{Session: uint64(p.id)}) //nolint:errcheck // it may be gone
	}
	for _, c := range conns {
		if c != nil {
			abort(c)
		}
	}
	r.end(p, false)
}

var errToken = errors.New("data connection: the token is not known")

// serveData serves one data connection from its preamble to its end.
func (r *Relay) serveData(ctx context.Context, conn net.Conn) error {
	token, err := wire.ReadPreamble(conn)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Time{}) //nolint:errcheck // a closed connection fails the copy
	r.mu.Lock()
	c, ok := r.tokens[token]
	delete(r.tokens, token)
	r.mu.Unlock()
	if !ok {
		r.dropped.Add(1)
		return errToken
	}
	return r.join(ctx, c.pair, c.side, conn)
}

// join adds a connection to its pair, waits for the other one, and copies from this to the other.
func (r *Relay) join(ctx context.Context, p *pair, side int, conn net.Conn) error {
	r.mu.Lock()
	select {
	case <-p.over:
		r.mu.Unlock()
		return errToken
	default:
	}
	p.conns[side] = conn
	if p.conns[1-side] != nil {
		if r.splices >= r.o.MaxSplices {
			r.mu.Unlock()
			r.dropped.Add(1)
			r.end(p, true)
			return errors.New("too many sessions")
		}
		r.splices++
		p.invite = nil
		p.last.now()
		close(p.joined)
	}
	r.mu.Unlock()
	select {
	case <-p.joined:
	case <-p.over:
		return nil
	case <-ctx.Done():
		r.end(p, false)
		return nil
	}
	defer r.end(p, false)
	return r.splice(p, side)
}

// spliceChunk bounds one call of the kernel's splice, after which the relay counts and looks at the time.
const spliceChunk = 64 << 20

// splice copies from one side to the other until the end, passes the end on, and waits for the other direction. An error resets
// both: a session that was cut must not look like one that ended.
func (r *Relay) splice(p *pair, side int) error {
	src, dst := p.conns[side], p.conns[1-side]
	if t, ok := src.(*net.TCPConn); ok {
		// Rare enough to cost an idle session 1 MB a month, often enough for most address translators.
		t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 4 * time.Minute, Interval: 30 * time.Second, Count: 4}) //nolint:errcheck // costs bytes only
	}
	err := r.copyAll(p, dst, src)
	if err == nil && closeWrite(dst) != nil {
		err = net.ErrClosed // a link that knows no half-close
	}
	if err != nil {
		abort(src)
		abort(dst)
	}
	close(p.ended[side])
	<-p.ended[1-side]
	return err
}

// copyAll copies until src ends, or until neither direction has moved a byte for too long.
func (r *Relay) copyAll(p *pair, dst, src net.Conn) error {
	for {
		src.SetReadDeadline(time.Now().Add(r.o.SpliceIdle)) //nolint:errcheck // a closed connection fails the copy
		n, err := io.Copy(dst, &io.LimitedReader{R: src, N: spliceChunk})
		r.bytes.Add(uint64(n))
		if n > 0 {
			p.last.now()
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && p.last.ago() < r.o.SpliceIdle:
		case err != nil:
			return err
		case n < spliceChunk:
			return nil
		}
	}
}

// closeWrite ends the writing half of a connection.
func closeWrite(c net.Conn) error {
	h, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return h.CloseWrite()
}

// probe passes a consumer's question on towards the device.
func (r *Relay) probe(c *client, f wire.Probe) {
	r.mu.Lock()
	p := c.pairs[uint32(f.Session)]
	var dev *client
	var up *clientLink
	if p != nil {
		dev, up = r.devices[p.target], p.up
	}
	r.mu.Unlock()
	switch {
	case p == nil: // over
		c.send(wire.Probed{Session: f.Session, Seq: f.Seq}) //nolint:errcheck // the asker may be gone
	case up != nil:
		up.send(wire.Probe{Session: uint64(p.upID), Seq: f.Seq}) //nolint:errcheck // silence is an answer
	case dev != nil:
		dev.send(wire.Probe{Session: p.number, Seq: f.Seq}) //nolint:errcheck // likewise
	}
}

// probed brings a device's answer back.
func (r *Relay) probed(dev *client, f wire.Probed) {
	r.mu.Lock()
	p := r.pairs[f.Session]
	if p == nil || p.target != dev.peer || p.from == nil {
		r.mu.Unlock()
		return
	}
	from := p.from
	r.mu.Unlock()
	f.Session = uint64(p.id)
	from.send(f) //nolint:errcheck // the asker may be gone
}
