package overlay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"iod/overlay/wire"
)

// firstIdle is how long a control connection may be silent before its first frame that says otherwise has come.
const firstIdle = 10 * time.Minute

// idleSlack is added to what a node promised, for slow paths.
const idleSlack = time.Minute

// framesPerSecond bounds all frames of one control connection; bursts are ten times as large.
const framesPerSecond = 500

// client is the relay's end of a control connection: a device, a consumer, or another relay.
type client struct {
	*link
	relay      *Relay
	src        netip.Prefix
	idle       time.Duration // how long it may be silent
	registered bool
	frames     bucket
	knocks     bucket
	invites    bucket // knocks brought to it; a device may be on a metered line

	pairs map[uint32]*pair // by the id of its CONNECT; guarded by relay.mu
	last  uint32           // largest id of a CONNECT
}

var errTooMany = errors.New("too many frames")

// handle serves one frame. It runs on the link's reader only.
func (c *client) handle(ctx context.Context, f wire.Frame) error {
	now := c.relay.o.Now()
	if !c.frames.take(now, framesPerSecond, 10*framesPerSecond) {
		c.send(wire.Goodbye{Reason: wire.ReasonLimit, Text: "frames"}) //nolint:errcheck // the connection ends either way
		return errTooMany
	}
	if c.idle == 0 {
		c.idle = firstIdle
	}
	var err error
	switch f := f.(type) {
	case wire.Register:
		err = c.register(f)
	case wire.Connect:
		err = c.connect(ctx, f)
	case wire.Cancel:
		c.relay.cancelled(c, f.Session)
	case wire.Probe:
		c.relay.probe(c, f)
	case wire.Probed:
		c.relay.probed(c, f)
	case wire.Ping:
		c.idle = time.Duration(f.Idle) * time.Second
		err = c.send(wire.Pong{Seq: f.Seq})
	default:
		err = fmt.Errorf("unexpected frame %T", f)
	}
	c.raw.SetDeadline(time.Time{})                            //nolint:errcheck // a closed connection fails the read
	c.raw.SetReadDeadline(time.Now().Add(c.idle + idleSlack)) //nolint:errcheck // likewise
	return err
}

func (c *client) register(f wire.Register) error {
	if f.Version != wire.Version {
		return fmt.Errorf("register: version %d is not known here", f.Version)
	}
	if c.registered {
		return errors.New("register: registered already")
	}
	c.registered = true
	c.idle = time.Duration(f.Idle) * time.Second
	r := c.relay
	r.mu.Lock()
	old := r.devices[c.peer]
	r.devices[c.peer] = c
	var waiting []*wire.Invite
	for _, p := range r.queue {
		if p.target == c.peer && p.invite != nil {
			waiting = append(waiting, p.invite)
		}
	}
	r.mu.Unlock()
	if old != nil {
		old.send(wire.Goodbye{Reason: wire.ReasonDisplaced}) //nolint:errcheck // it may be gone already
	}
	if err := c.send(wire.Registered{Version: wire.Version}); err != nil {
		return err
	}
	// Consumers are often back sooner than the device after a restart: their knocks have waited for it. Those that it
	// has seen it drops.
	for _, f := range waiting {
		if err := c.send(*f); err != nil {
			return err
		}
	}
	return nil
}

// connect issues a token and brings the knock on its way. What the consumer sees does not depend on whether the target is known.
func (c *client) connect(ctx context.Context, f wire.Connect) error {
	if f.ID <= c.last {
		return errors.New("connect: the id was used before")
	}
	c.last = f.ID
	r := c.relay
	now := r.o.Now()
	r.mu.Lock()
	ok := c.knocks.take(now, r.o.KnocksPerConn, 10*r.o.KnocksPerConn) &&
		r.sources[c.src].knocks.take(now, r.o.KnocksPerIP, 50*r.o.KnocksPerIP) &&
		len(r.tokens)+2 <= r.o.MaxTokens
	if !ok {
		r.mu.Unlock()
		r.dropped.Add(1)
		return nil
	}
	p := r.newPair(c, f.ID, f.Target)
	dev := r.devices[f.Target]
	if dev != nil && !dev.invites.take(now, r.o.KnocksPerDevice, 100*r.o.KnocksPerDevice) {
		r.dropped.Add(1)
		dev = nil // the consumer sees what it sees when nobody answers
	}
	life := uint16(min((r.o.TokenLife+time.Second-1)/time.Second, 1<<16-1))
	invite := &wire.Invite{
		Session: p.number, Life: life, Source: r.tag(c.src), Token: p.tokens[deviceSide], Knock: f.Knock,
	}
	if len(f.Hops) == 0 {
		p.invite = invite
	}
	r.mu.Unlock()
	if err := c.send(wire.TokenFor{ID: f.ID, Life: life, Token: p.tokens[consumerSide]}); err != nil {
		return err
	}
	switch {
	case len(f.Hops) > 0:
		r.conns.Go(func() { r.forward(ctx, p, f) })
	case dev != nil:
		dev.send(*invite) //nolint:errcheck // a device that cannot be told is as silent as one that does not answer
	}
	return nil
}

// drop forgets a client whose connection is over. Its pending knocks end; its sessions don't.
func (r *Relay) drop(c *client) {
	r.mu.Lock()
	if r.devices[c.peer] == c {
		delete(r.devices, c.peer)
	}
	var dead []*pair
	for id, p := range c.pairs {
		p.from = nil
		delete(c.pairs, id)
		if !p.isJoined() {
			dead = append(dead, p)
		}
	}
	r.mu.Unlock()
	for _, p := range dead {
		r.end(p, true)
	}
}
