package overlay

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"iod/key"
	"iod/overlay/wire"
)

// Relay joins nodes that both dialled out. It sees node ids of devices, addresses, sizes and times, and ciphertext.
type Relay struct {
	o      RelayOptions
	ident  *identity
	secret [32]byte // of the source tags
	pool   *pool    // links to other relays
	conns  sync.WaitGroup

	bytes, dropped atomic.Uint64

	mu      sync.Mutex
	addr    string
	total   int
	splices int
	number  uint64 // of the last pair; starts at random, so that a restarted relay does not repeat itself
	sources map[netip.Prefix]*source
	devices map[key.NodeID]*client
	tokens  map[wire.Token]claim
	pairs   map[uint64]*pair
	queue   []*pair // not yet expired, oldest first
	queued  chan struct{}
}

// source is what a relay remembers of one address.
type source struct {
	conns              int
	handshakes, knocks bucket
}

// NewRelay checks the options.
func NewRelay(o RelayOptions) (*Relay, error) {
	if o.Key.Seed() == [32]byte{} {
		return nil, errors.New("relay: no node key is given")
	}
	ident, err := newIdentity(o.Key)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	o.setDefaults()
	r := &Relay{
		o: o, ident: ident, addr: o.Advertise,
		sources: make(map[netip.Prefix]*source),
		devices: make(map[key.NodeID]*client),
		tokens:  make(map[wire.Token]claim),
		pairs:   make(map[uint64]*pair),
		queued:  make(chan struct{}, 1),
	}
	rand.Read(r.secret[:]) //nolint:errcheck // never fails
	r.number = uint64(binary.BigEndian.Uint32(r.secret[:])) << 24
	return r, nil
}

func (o *RelayOptions) setDefaults() {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	o.MaxConns = cmp.Or(o.MaxConns, 16384)
	o.MaxConnsPerIP = cmp.Or(o.MaxConnsPerIP, 4096)
	o.HandshakesPerIP = cmp.Or(o.HandshakesPerIP, 50)
	o.KnocksPerConn = cmp.Or(o.KnocksPerConn, 50)
	o.KnocksPerIP = cmp.Or(o.KnocksPerIP, 20)
	o.KnocksPerDevice = cmp.Or(o.KnocksPerDevice, 20)
	o.MaxTokens = cmp.Or(o.MaxTokens, 16384)
	o.MaxSplices = cmp.Or(o.MaxSplices, 8192)
	o.TokenLife = cmp.Or(o.TokenLife, 60*time.Second)
	o.HandshakeTimeout = cmp.Or(o.HandshakeTimeout, handshakeTimeout)
	o.SpliceIdle = cmp.Or(o.SpliceIdle, 24*time.Hour)
}

// Addr is the address to give to devices; without Advertise it is known once Serve runs.
func (r *Relay) Addr() RelayAddr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return RelayAddr{Host: r.addr, ID: r.ident.id}
}

// Status counts what the relay holds.
func (r *Relay) Status() RelayReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	return RelayReport{
		Node: r.ident.id, Devices: len(r.devices), Conns: r.total, Tokens: len(r.tokens), Splices: r.splices,
		Bytes: r.bytes.Load(), Dropped: r.dropped.Load(),
	}
}

// Serve accepts control and data connections on ln until ctx ends or ln fails for good. It closes ln, and returns when all
// connections are over. A relay serves once.
func (r *Relay) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.mu.Lock()
	r.addr = cmp.Or(r.addr, ln.Addr().String())
	r.mu.Unlock()
	r.pool = newPool(r.forwardDial(), handshakeTimeout)
	r.pool.onLink = r.onUpstream
	defer r.pool.close()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	r.conns.Go(func() { r.expire(ctx) })
	err := r.accept(ctx, ln)
	cancel(net.ErrClosed)
	ln.Close()
	r.conns.Wait()
	return err
}

// accept returns nil when ctx has ended.
func (r *Relay) accept(ctx context.Context, ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("relay: accept: %w", err)
		case err != nil: // out of file descriptors, or a peer that was gone already: others must not suffer
			r.o.Log.Warn("relay: accept", "err", err)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		src := sourceOf(conn.RemoteAddr())
		if !r.admit(src) {
			r.dropped.Add(1)
			conn.Close()
			continue
		}
		r.conns.Go(func() {
			defer r.leave(src)
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			if err := r.serveConn(ctx, conn, src); err != nil {
				r.o.Log.Debug("relay: connection ended", "source", r.tag(src), "err", err)
			}
		})
	}
}

// sourceOf is the address that limits count by: one IPv4 address, or a /64, of which a host may use any part.
func sourceOf(a net.Addr) netip.Prefix {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip, bits := t.AddrPort().Addr().Unmap(), 64
	if ip.Is4() {
		bits = 32
	}
	p, _ := ip.WithZone("").Prefix(bits)
	return p
}

// tag hides an address from devices and logs.
func (r *Relay) tag(src netip.Prefix) wire.Source {
	h := hmac.New(sha256.New, r.secret[:])
	b, _ := src.MarshalBinary()
	h.Write(b)
	return wire.Source(h.Sum(nil))
}

// admit counts a connection in, unless there are too many.
func (r *Relay) admit(src netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sources[src]
	if s == nil {
		s = &source{}
	}
	if r.total >= r.o.MaxConns || s.conns >= r.o.MaxConnsPerIP {
		return false
	}
	r.sources[src] = s
	r.total++
	s.conns++
	return true
}

func (r *Relay) leave(src netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total--
	r.sources[src].conns--
	if len(r.sources) > 4*r.o.MaxConns {
		clear(r.sources) // cannot happen while expire prunes
	}
}

// prune forgets addresses without connections and without a recent past. r.mu is held.
func (r *Relay) prune(now time.Time) {
	for p, s := range r.sources {
		if s.conns == 0 && s.handshakes.full(now, r.o.HandshakesPerIP, 20*r.o.HandshakesPerIP) &&
			s.knocks.full(now, r.o.KnocksPerIP, 50*r.o.KnocksPerIP) {
			delete(r.sources, p)
		}
	}
}

// mayHandshake charges an address for a TLS handshake.
func (r *Relay) mayHandshake(src netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sources[src].handshakes.take(r.o.Now(), r.o.HandshakesPerIP, 20*r.o.HandshakesPerIP)
}

// serveConn tells the two kinds of connection apart by the first byte.
func (r *Relay) serveConn(ctx context.Context, conn net.Conn, src netip.Prefix) error {
	quiet(conn)
	conn.SetDeadline(time.Now().Add(r.o.HandshakeTimeout)) //nolint:errcheck // a closed connection fails the read
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return err
	}
	switch first[0] {
	case wire.FirstData:
		return r.serveData(ctx, conn)
	case wire.FirstTLS:
		if !r.mayHandshake(src) {
			r.dropped.Add(1)
			return errors.New("too many handshakes")
		}
		return r.serveControl(ctx, &replay{Conn: conn, first: first[:]}, src)
	}
	return fmt.Errorf("first byte %#x is none of ours", first[0])
}

// replay gives back what was read of a connection to find out its kind.
type replay struct {
	net.Conn
	first []byte
}

func (c *replay) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

func (r *Relay) serveControl(ctx context.Context, conn net.Conn, src netip.Prefix) error {
	t := tls.Server(conn, r.ident.config(wire.ALPN, nil))
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	l, err := newLink(t)
	if err != nil {
		return err
	}
	c := &client{link: l, relay: r, src: src, pairs: make(map[uint32]*pair)}
	defer r.drop(c)
	return l.run(ctx, func(f wire.Frame) error { return c.handle(ctx, f) })
}
