package overlay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"iod/keepalive"
	"iod/overlay/wire"
)

// registration keeps a device known to one relay.
type registration struct {
	device *Device
	addr   RelayAddr
	keep   *keepalive.Search  // used by one link after the other
	rate   bucket             // of knocks; used by the link's reader only
	stop   context.CancelFunc // ends run; guarded by device.mu; nil before it runs

	severed []sessionKey // that ended with the link; their consumers do not know it yet; guarded by device.mu

	mu        sync.Mutex
	link      *clientLink // nil while there is none
	connected bool
	since     time.Time
	err       error
	checking  bool // a ping asked for by check is on its way
	retired   bool // the relay is listed no more
}

func newRegistration(d *Device, a RelayAddr) *registration {
	return &registration{device: d, addr: a, keep: keepalive.New(d.o.KeepAliveMin, d.o.KeepAliveMax), since: d.o.Now()}
}

func (g *registration) status() RelayStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := RelayStatus{Addr: g.addr, Connected: g.connected, Since: g.since, Retiring: g.retired}
	if g.err != nil && !g.connected {
		s.Error = g.err.Error()
	}
	if g.link != nil && g.connected {
		s.KeepAlive, s.RTT = time.Duration(g.link.interval.Load()), time.Duration(g.link.rtt.Load())
	}
	return s
}

func (g *registration) setRetired(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retired = on
}

func (g *registration) isRetired() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.retired
}

// jitter spreads what many would do at once over half to one and a half of d.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d+1)
}

// spread draws a pause evenly between a tenth and twice of d. A relay that goes takes all its devices by surprise at one moment:
// they must not all come back at one moment.
func spread(d time.Duration) time.Duration {
	return d/10 + rand.N(2*d-d/10+1)
}

// run connects again and again until ctx ends, or the link to a relay that is listed no more.
func (g *registration) run(ctx context.Context) {
	o := &g.device.o
	wait := o.RetryMin
	for ctx.Err() == nil {
		began := time.Now()
		nudged := g.device.nudged.wait()
		err := g.once(ctx, nudged)
		if ctx.Err() != nil {
			return
		}
		pause := jitter(wait)
		if time.Since(began) > 10*time.Second {
			wait, pause = o.RetryMin, spread(o.RetryMin)
		}
		if errors.Is(err, ErrDisplaced) {
			// Not a reason to fight: whoever came last has it, until an owner looks at the warning.
			pause = jitter(o.DisplacedRetry)
			if o.Displaced != nil {
				o.Displaced(g.addr)
			}
		}
		o.Log.Warn("overlay: relay lost", "relay", g.addr.Host, "err", err, "retry_in", pause.Round(time.Millisecond))
		g.set(nil, false, err)
		if g.isRetired() {
			return
		}
		if g.pause(ctx, pause, nudged) && !errors.Is(err, ErrDisplaced) {
			wait = o.RetryMin
			continue
		}
		wait = min(2*wait, o.RetryMax)
	}
}

// pause waits before the next try. A nudge since the last one cuts it short, to a moment that differs from device to device.
func (g *registration) pause(ctx context.Context, d time.Duration, nudged <-chan struct{}) (cut bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return cut
		case <-nudged:
			nudged, cut = nil, true
			timer.Reset(min(d, rand.N(g.device.o.RetryMin+1)))
		}
	}
}

func (g *registration) set(l *clientLink, connected bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.link, g.err = l, err
	if connected != g.connected {
		g.connected, g.since = connected, g.device.o.Now()
	}
}

// errNudged ends an attempt to reach a relay that began before the network came back.
var errNudged = errors.New("begun anew, since the network may have come back")

// once connects, registers, and serves knocks until the link ends. A link that ends for silence takes its sessions along: the relay is
// frozen or gone, and their consumers look for another one. A nudge before the relay has answered ends it: what was sent while there
// was no network is lost, and waiting for an answer to it would take long.
func (g *registration) once(ctx context.Context, nudged <-chan struct{}) error {
	d := g.device
	var waiter sync.WaitGroup
	defer waiter.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reached := make(chan struct{})
	waiter.Go(func() {
		select {
		case <-nudged:
			cancel(errNudged)
		case <-reached:
		case <-ctx.Done():
		}
	})
	link, err := dialLink(ctx, g.addr, func() (*identity, error) { return d.ident, nil }, d.o.Dial)
	if err != nil {
		return err
	}
	link.keep, link.pingTimeout = g.keep, d.o.PingTimeout
	g.set(link, false, nil)
	registered, asked := false, time.Now()
	link.onFrame = func(f wire.Frame) error {
		if v, ok := f.(wire.Registered); ok {
			if registered || v.Version != wire.Version {
				return errors.New("register: unexpected answer")
			}
			registered = true
			close(reached)
			link.rtt.Store(int64(max(time.Since(asked), 1)))
			link.raw.SetReadDeadline(time.Time{}) //nolint:errcheck // a closed connection fails the read
			g.set(link, true, nil)
			d.tellAll(g, link)
			d.o.Log.Info("overlay: relay reached", "relay", g.addr.Host, "node", g.addr.ID)
			return nil
		}
		if !registered {
			return fmt.Errorf("register: unexpected frame %T", f)
		}
		return d.serveFrame(g, link, f)
	}
	link.raw.SetReadDeadline(time.Now().Add(handshakeTimeout)) //nolint:errcheck // a closed connection fails the read
	link.interval.Store(int64(g.keep.Interval()))
	asked = time.Now()
	if err := link.send(wire.Register{Version: wire.Version, Idle: link.idle()}); err != nil {
		link.close(err)
	}
	err = link.run(ctx)
	if errors.Is(err, errFrozen) {
		d.cutRelay(g, err)
	}
	return err
}

// live returns the link to the relay that the device is registered at, nil if it is not.
func (g *registration) live() *clientLink {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.connected {
		return nil
	}
	return g.link
}

// check finds out soon whether the relay is alive; the answer is the link's end or nothing.
func (g *registration) check(patience time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.link == nil || !g.connected || g.checking {
		return
	}
	g.checking = true
	link := g.link
	g.device.work.Go(func() {
		link.pingWithin(patience)
		g.mu.Lock()
		g.checking = false
		g.mu.Unlock()
	})
}

// serveFrame serves a frame of a registered link, on the link's reader.
func (d *Device) serveFrame(g *registration, link *clientLink, f wire.Frame) error {
	switch f := f.(type) {
	case wire.Invite:
		if !g.isRetired() {
			d.invited(g, link, f)
		}
		return nil
	case wire.Cancel:
		d.withdrawn(sessionKey{g.addr.ID, f.Session})
		return nil
	case wire.Probe:
		answer := d.probed(sessionKey{g.addr.ID, f.Session})
		answer.Seq = f.Seq
		return link.send(answer)
	}
	return fmt.Errorf("unexpected frame %T", f)
}
