package overlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"iod/overlay/wire"
)

var errNotPublic = errors.New("the address is not a public one")

// notPublic lists what netip does not name.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// isPublic reports whether a stranger may make a relay dial the address.
func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// forwardDial is how the relay reaches other relays. Names are judged by the addresses that they turn out to be.
func (r *Relay) forwardDial() DialFunc {
	if r.o.Dial != nil {
		return r.o.Dial
	}
	if r.o.Forward != ForwardPublic {
		return dialNetwork
	}
	d := &net.Dialer{Timeout: handshakeTimeout, KeepAlive: -1, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !isPublic(ap.Addr()) {
			return errNotPublic
		}
		return nil
	}}
	return d.DialContext
}

// onUpstream routes what comes back over a link to another relay: the answers to probes, and cuts.
func (r *Relay) onUpstream(l *clientLink) {
	l.onProbed = func(f wire.Probed) {
		if p, from := r.upstreamPair(l, f.Session); from != nil {
			f.Session = uint64(p.id)
			from.send(f) //nolint:errcheck // the asker may be gone
		}
	}
	l.onFrame = func(f wire.Frame) error {
		c, ok := f.(wire.Cancel)
		if !ok {
			return fmt.Errorf("relay %s: unexpected frame %T", l.addr.Host, f)
		}
		if p, _ := r.upstreamPair(l, c.Session); p != nil {
			r.cut(p)
		}
		return nil
	}
}

// upstreamPair finds the pair of a CONNECT that this relay sent on, and who asked for it. Both uses are rare, so a walk will do.
func (r *Relay) upstreamPair(l *clientLink, session uint64) (*pair, *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pairs {
		if p.up == l && uint64(p.upID) == session {
			return p, p.from
		}
	}
	return nil, nil
}

// forward brings a knock to another relay and lends it the data connection. To the consumer any failure is silence.
func (r *Relay) forward(ctx context.Context, p *pair, f wire.Connect) {
	if err := r.forwardPair(ctx, p, f); err != nil {
		r.o.Log.Debug("relay: forward", "to", f.Hops[0].Host, "err", err)
	}
}

func (r *Relay) forwardPair(ctx context.Context, p *pair, f wire.Connect) error {
	hop := f.Hops[0]
	if r.o.Forward == ForwardOff {
		return errors.New("forwarding is off")
	}
	if hop.ID == r.ident.id {
		return errors.New("the next relay is this one")
	}
	reach, cancel := context.WithDeadline(ctx, p.expires)
	defer cancel()
	link, release, err := r.pool.get(reach, hop)
	if err != nil {
		return err
	}
	defer release()
	if err := r.checkReached(link); err != nil {
		return err
	}
	up, err := link.connect(reach, f.Target, f.Hops[1:], f.Knock)
	if err != nil {
		return err
	}
	r.mu.Lock()
	p.up, p.upID = link, up.ID
	r.mu.Unlock()
	conn, err := link.dialData(reach, up.Token)
	if err != nil {
		up.cancel()
		return err
	}
	defer conn.Close()
	return r.lend(ctx, p, conn)
}

// checkReached applies the policy to the address that was really reached, for a DialFunc that does not know of it.
func (r *Relay) checkReached(l *clientLink) error {
	if r.o.Forward != ForwardPublic || r.o.Dial == nil {
		return nil
	}
	a, ok := l.raw.RemoteAddr().(*net.TCPAddr)
	if !ok || !isPublic(a.AddrPort().Addr()) {
		return fmt.Errorf("relay %s: %w", l.addr.Host, errNotPublic)
	}
	return nil
}

// lend joins the data connection to the next relay with the consumer's. The pair's expiry bounds the wait.
func (r *Relay) lend(ctx context.Context, p *pair, conn net.Conn) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	r.mu.Lock()
	delete(r.tokens, p.tokens[deviceSide])
	r.mu.Unlock()
	return r.join(ctx, p, deviceSide, conn)
}
