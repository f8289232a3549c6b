package overlay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"iod/overlay/wire"
)

// session is an admitted consumer's connection to one stream, on the device.
type session struct {
	device  *Device
	id      sessionKey
	request Request
	handler Handler
	knock   *knock
	pass    Pass
	since   time.Time // by the device's clock
	began   time.Time
	conn    atomic.Pointer[measured] // its data connection, once there is one
	why     atomic.Pointer[error]    // for which it is withdrawn
	gone    flag                     // the stream is not there any more as it was
	ctx     context.Context
	cut     context.CancelCauseFunc // ends everything at once

	traffic
	streams atomic.Int64
	served  bool // the consumer's mode was read; used by run's goroutine and whoever called it
}

// traffic counts the bytes of a session's streams.
type traffic struct{ in, out atomic.Uint64 }

func newSession(ctx context.Context, d *Device, k *knock, p Pass) *session {
	s := &session{device: d, id: k.key, request: k.request, handler: k.handler, knock: k, pass: p, since: d.o.Now(), began: time.Now(), gone: flag{c: make(chan struct{})}}
	s.ctx, s.cut = context.WithCancelCause(ctx)
	return s
}

func (s *session) status() SessionStatus {
	return SessionStatus{
		Account: s.request.Account, Node: s.request.Node, Stream: s.request.Stream, Relay: s.id.relay, Since: s.since,
		In: s.in.Load(), Out: s.out.Load(), Streams: int(s.streams.Load()),
	}
}

// cutLead lets the word that access was withdrawn reach the relay before the reset, so that the consumer learns why.
const cutLead = 5 * time.Millisecond

// run serves the session until it ends or its pass is withdrawn.
func (s *session) run(wait context.Context) error {
	defer s.cut(nil)
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer s.cut(nil)
	watcher.Go(func() {
		select {
		case <-s.pass.Done():
			s.withdraw(fmt.Errorf("%w: %w", ErrCut, s.pass.Err()))
		case <-s.gone.c:
			s.withdraw(ErrGone)
		case <-s.ctx.Done():
		}
	})
	raw, err := s.knock.link.dialData(wait, s.knock.token)
	if err != nil {
		return err
	}
	defer raw.Close()
	stop := context.AfterFunc(s.ctx, func() { abort(raw) })
	defer stop()
	data := &measured{Conn: raw}
	s.conn.Store(data)
	conn, mode, err := s.handshake(data)
	if err != nil {
		return s.cause(err)
	}
	s.knock, s.served = nil, true
	if s.device.o.OnSession != nil {
		s.device.o.OnSession(SessionEvent{SessionStatus: s.status()})
	}
	switch mode {
	case wire.ModeStream:
		err = s.serveStream(&streamConn{Conn: conn, raw: raw, traffic: &s.traffic})
	case wire.ModeMux:
		err = s.serveMux(conn, raw)
	default:
		err = fmt.Errorf("session: mode %d is not known here", mode)
	}
	return s.cause(err)
}

// withdraw ends the session from this end, and says so.
func (s *session) withdraw(why error) {
	s.why.Store(&why) // the relay's reset may come before ours
	s.device.tell(s.id.relay, wire.Cancel{Session: s.id.number})
	sleep(s.ctx, cutLead)
	s.cut(why)
}

// cause prefers the reason for which the session was ended to the error that this led to.
func (s *session) cause(err error) error {
	if why := s.why.Load(); why != nil {
		return *why
	}
	if c := context.Cause(s.ctx); c != nil && err != nil {
		return c
	}
	return err
}

// handshake proves both node keys to each other and reads the mode. A consumer that knocked over several relays goes no further
// than this on all but one.
func (s *session) handshake(raw net.Conn) (*tls.Conn, byte, error) {
	ctx, cancel := context.WithTimeout(s.ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Server(raw, s.device.ident.config(wire.ALPNData, &s.request.Node))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, 0, fmt.Errorf("session: handshake: %w", err)
	}
	raw.SetReadDeadline(time.Now().Add(handshakeTimeout)) //nolint:errcheck // a closed connection fails the read
	var mode [1]byte
	if _, err := io.ReadFull(conn, mode[:]); err != nil {
		return nil, 0, fmt.Errorf("session: mode: %w", err)
	}
	raw.SetReadDeadline(time.Time{}) //nolint:errcheck // likewise
	return conn, mode[0], nil
}

// serveStream hands one stream to the handler and closes it in order after that.
func (s *session) serveStream(conn net.Conn) error {
	s.streams.Add(1)
	defer s.streams.Add(-1)
	err := s.handler.ServeStream(s.ctx, conn, s.request)
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return errors.Join(err, conn.Close())
}

// streamConn is a stream that has a connection of its own.
type streamConn struct {
	*tls.Conn
	raw     net.Conn
	traffic *traffic
	watch   *watch // nil on a device
	onClose func() // nil on a device
	once    sync.Once
	failing sync.Once
	failed  chan struct{} // closed by fail; nil on a device
	failure error         // why; set before failed is closed
}

// Read implements net.Conn.
func (c *streamConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.traffic.in.Add(uint64(n))
		c.watch.heard()
	}
	return n, c.explain(err)
}

// Write implements net.Conn.
func (c *streamConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if n > 0 {
		c.traffic.out.Add(uint64(n))
		c.watch.said()
	}
	return n, c.explain(err)
}

// reasonWait is how long an end waits for its own shortly before or after a reset.
const reasonWait = 30 * time.Millisecond

// explain replaces an error that fail has led to by its reason. The reason for a reset comes over the control connection, and may come a
// moment later.
func (c *streamConn) explain(err error) error {
	if err == nil || err == io.EOF || c.failed == nil {
		return err
	}
	wait := time.Duration(0)
	if errors.Is(err, syscall.ECONNRESET) {
		wait = reasonWait
	}
	if isClosedWithin(c.failed, wait) {
		return c.failure
	}
	return err
}

// isClosedWithin waits for a channel to be closed.
func isClosedWithin(c <-chan struct{}, d time.Duration) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-c:
		case <-timer.C:
		}
	}
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// fail ends the stream at once, with a reason for whoever reads or writes.
func (c *streamConn) fail(err error) {
	c.failing.Do(func() {
		if c.failed != nil {
			c.failure = err
			close(c.failed)
		}
	})
	abort(c.raw)
}

// Close ends the stream in order, both ways.
func (c *streamConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		if c.onClose != nil {
			c.onClose()
		}
	})
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
