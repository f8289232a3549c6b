package overlay

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"crypto/tls"

	"iod/key"
	"iod/overlay/wire"
)

// recent is how long after its last connection a stream still counts as in use: the next Dial to it is multiplexed, and a multiplexed
// session without streams is kept.
const recent = 30 * time.Second

// sharedKey names what a multiplexed session may carry: one stream of one device.
type sharedKey struct {
	node   key.NodeID
	stream string
}

// use counts the connections to one stream.
type use struct {
	conns int
	ended time.Time // of the last one
}

// shared is a multiplexed session that is being made, or made.
type shared struct {
	ready chan struct{} // closed when mux or err is set
	mux   *mux
	err   error
	idle  *time.Timer // guarded by the dialer's mutex
}

// inUse reports whether a stream is used, or was a moment ago: then a Dial shares a session instead of knocking.
func (d *Dialer) inUse(k sharedKey) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.uses[k]
	return u.conns > 0 || !u.ended.IsZero() && time.Since(u.ended) < recent
}

// used counts a connection in and returns what to call when it is over.
func (d *Dialer) used(k sharedKey) func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, u := range d.uses { // few: the streams that one consumer uses
		if u.conns == 0 && time.Since(u.ended) >= recent {
			delete(d.uses, k)
		}
	}
	u := d.uses[k]
	u.conns++
	d.uses[k] = u
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		u := d.uses[k]
		u.conns--
		u.ended = time.Now()
		d.uses[k] = u
	})
}

// dialShared opens a stream in the session that all connections to one stream of a device share, which is made if need be.
func (d *Dialer) dialShared(ctx context.Context, k sharedKey, t Target) (net.Conn, error) {
	for {
		s, mine := d.claim(k)
		if mine {
			s.err = d.share(ctx, k, t, s)
			if s.err != nil {
				d.unshare(k, s)
			}
			close(s.ready)
			if s.err != nil {
				return nil, s.err
			}
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return nil, errors.Join(ErrSilent, ctx.Err())
		}
		if s.err != nil {
			if errors.Is(s.err, ErrUnreachable) || errors.Is(s.err, ErrClosed) {
				return nil, s.err
			}
			continue // whoever knocked gave up: this one knocks
		}
		c, err := s.mux.open()
		if err == nil {
			over := d.used(k)
			c.mux.mu.Lock()
			c.onClose = func() {
				over()
				d.linger(k, s)
			}
			c.mux.mu.Unlock()
			return c, nil
		}
		select {
		case <-s.mux.gone: // it ended a moment ago
			d.unshare(k, s)
		default:
			return d.dialSolo(ctx, t, k.stream) // it is full
		}
	}
}

// claim returns the shared session of a stream, and whether the caller is to make it.
func (d *Dialer) claim(k sharedKey) (*shared, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.shared[k]
	if !ok {
		s = &shared{ready: make(chan struct{})}
		d.shared[k] = s
	}
	if s.idle != nil {
		s.idle.Stop()
		s.idle = nil
	}
	return s, !ok
}

func (d *Dialer) unshare(k sharedKey, s *shared) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shared[k] == s {
		delete(d.shared, k)
	}
}

// share makes the session.
func (d *Dialer) share(ctx context.Context, k sharedKey, t Target, s *shared) error {
	a, err := d.reach(ctx, t, k.stream, wire.ModeMux)
	if err != nil {
		return err
	}
	if !d.begin() {
		a.drop()
		return ErrClosed
	}
	m := newMux(a.conn, a.raw, new(traffic))
	m.watch = newWatch(d.o.ProbeAfter, d.o.Now)
	s.mux = m
	over := d.keep(a, m.watch, m.fail)
	go func() {
		defer d.work.Done()
		defer over()
		defer d.unshare(k, s)
		if err := m.run(); err != nil {
			d.o.Log.Debug("overlay: shared session ended", "device", k.node, "stream", k.stream, "err", err)
		}
	}()
	return nil
}

// linger closes the session when nobody has used it for a while.
func (d *Dialer) linger(k sharedKey, s *shared) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.idle != nil || s.mux.count() > 0 || d.closed {
		return
	}
	s.idle = time.AfterFunc(recent, func() {
		if s.mux.count() == 0 {
			d.unshare(k, s)
			s.mux.fail(nil)
		}
	})
}

// serveMux serves the streams of a multiplexed session, on the device.
func (s *session) serveMux(conn *tls.Conn, raw net.Conn) error {
	var streams sync.WaitGroup
	defer streams.Wait()
	m := newMux(conn, raw, &s.traffic)
	m.accept = func(c *muxStream) {
		streams.Go(func() {
			if err := s.serveStream(c); err != nil && s.ctx.Err() == nil {
				s.device.ended.warn(s.device.o.Log, "overlay: stream ended", "account", s.request.Account, "stream", s.request.Stream, "err", err)
			}
		})
	}
	err := m.run()
	s.cut(err) // the handlers' context ends with the session
	return err
}
