package overlay

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"iod/key"
)

// maxRelays bounds the relays of a device.
const maxRelays = 16

// keep runs a registration. d.mu is held.
func (d *Device) keep(g *registration) {
	if d.running == nil || d.running.Err() != nil {
		return
	}
	ctx, stop := context.WithCancel(d.running)
	g.stop = stop
	d.keeping.Go(func() {
		defer stop()
		g.run(ctx)
		d.forget(g)
	})
}

// SetRelays changes the relays that the device is registered at. What is at relays that stay goes on; a relay that is not listed any
// more brings no further knocks and is left when the last session over it is over.
func (d *Device) SetRelays(addrs []RelayAddr) error {
	if len(addrs) > maxRelays {
		return fmt.Errorf("device: %d relays are given, at most %d are allowed", len(addrs), maxRelays)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range addrs {
		if i := slices.IndexFunc(d.relays, func(g *registration) bool { return g.addr == a }); i >= 0 {
			d.relays[i].setRetired(false)
			continue
		}
		g := newRegistration(d, a)
		d.relays = append(d.relays, g)
		d.keep(g)
	}
	for _, g := range d.relays {
		if !slices.Contains(addrs, g.addr) {
			g.setRetired(true)
		}
	}
	d.retire()
	return nil
}

// retire leaves the relays that are listed no more and bear no session. d.mu is held.
func (d *Device) retire() {
	d.relays = slices.DeleteFunc(d.relays, func(g *registration) bool {
		if !g.isRetired() || d.bears(g.addr.ID) {
			return false
		}
		if g.stop != nil {
			g.stop()
		}
		return true
	})
}

// bears reports whether a session, or a knock that is being answered, goes over a relay. d.mu is held.
func (d *Device) bears(relay key.NodeID) bool {
	for id := range d.sessions {
		if id.relay == relay {
			return true
		}
	}
	for id := range d.pending {
		if id.relay == relay {
			return true
		}
	}
	return false
}

// forget takes a registration that has ended out of the list.
func (d *Device) forget(g *registration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running != nil && d.running.Err() == nil {
		d.relays = slices.DeleteFunc(d.relays, func(x *registration) bool { return x == g })
	}
}

// End ends the sessions for which match says so, with ErrGone as reason, and withdraws such knocks that wait for the gate.
func (d *Device) End(match func(Request) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.pending {
		if match(k.request) {
			k.cancel()
		}
	}
	for _, s := range d.sessions {
		if match(s.request) {
			s.gone.once()
		}
	}
}

// nudgePatience is how long a relay may take to answer when the network has just come back: most connections have died then.
const nudgePatience = 1500 * time.Millisecond

// Nudge says that the network may be there again: what waits before it tries to reach a relay tries soon, and relays that were
// not heard of lately are asked whether they are alive.
func (d *Device) Nudge() {
	d.nudged.send()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range d.relays {
		g.check(min(d.o.PingTimeout, nudgePatience))
		if link := g.live(); link != nil {
			d.work.Go(func() { d.tellAll(g, link) })
		}
	}
}

// broadcast wakes all who wait at the moment. The zero value is ready.
type broadcast struct {
	mu sync.Mutex
	c  chan struct{}
}

func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c == nil {
		b.c = make(chan struct{})
	}
	return b.c
}

func (b *broadcast) send() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
}

// flag is an event that happens once.
type flag struct {
	c    chan struct{}
	done sync.Once
}

func (f *flag) once() { f.done.Do(func() { close(f.c) }) }
