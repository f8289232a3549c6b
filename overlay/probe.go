package overlay

import (
	"context"
	"fmt"
	"sync"
	"time"

	"iod/overlay/wire"
)

// probeTries is how many probes in a row must stay unanswered: one may be late on a busy machine.
const probeTries = 2

// prober asks for the sessions of one link whether their path is alive, when their watch says so.
type prober struct {
	dialer *Dialer
	link   *clientLink
	wake   chan struct{} // capacity 1: a session was added

	mu       sync.Mutex
	sessions map[uint32]*probed
	seq      uint32
	sleeps   time.Time // until then run does not look again by itself
}

// probed is a session under a prober.
type probed struct {
	watch *watch
	fail  func(error)
	data  *measured
	there lag       // what was sent and has not arrived
	here  lag       // what the device has sent and has not arrived
	again time.Time // when a lag is looked at again; zero: there is none
	asked uint32    // sequence number of the first probe under way, 0 if none
	tries int       // probes under way
	until time.Time // when the answer must have come
}

// onLink starts the prober of a fresh link.
func (d *Dialer) onLink(l *clientLink) {
	p := &prober{dialer: d, link: l, wake: make(chan struct{}, 1), sessions: make(map[uint32]*probed), sleeps: d.o.Now().Add(time.Hour)}
	l.onProbed = p.answer
	l.onFrame = p.cut
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.probes[l] = p
	d.work.Go(func() {
		p.run(d.ctx)
		d.mu.Lock()
		delete(d.probes, l)
		d.mu.Unlock()
	})
}

// keep registers an arrival: as long as it lives it holds its link and is probed. What it returns is to be called once, when the
// session ends.
func (d *Dialer) keep(a *arrival, w *watch, fail func(error)) func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.probes[a.link]
	if p != nil {
		p.add(a.ID, &probed{watch: w, fail: fail, data: a.data})
	}
	stop := context.AfterFunc(d.ctx, func() { fail(ErrClosed) })
	return func() {
		stop()
		if p != nil {
			p.remove(a.ID)
		}
		a.release()
	}
}

func (p *prober) add(id uint32, s *probed) {
	s.watch.soon = p.expect
	p.mu.Lock()
	p.sessions[id] = s
	p.mu.Unlock()
	p.expect(time.Time{})
}

// expect wakes run if it would sleep beyond at.
func (p *prober) expect(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expectLocked(at)
}

func (p *prober) expectLocked(at time.Time) {
	if !p.sleeps.After(at) {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *prober) remove(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sessions, id)
}

// run sends probes when they are due and fails the sessions whose probes stay unanswered.
func (p *prober) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.link.gone:
			p.linkLost()
			return
		case <-p.wake:
		case <-timer.C:
		}
		timer.Reset(p.round())
	}
}

// linkLost fails the sessions over a relay that was found frozen; when only the control connection broke they may well live on, and a
// session that does not will see its own connection break.
func (p *prober) linkLost() {
	if p.link.reason() != errFrozen {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions {
		s.fail(fmt.Errorf("%w: relay %s: %w", ErrLost, p.link.addr.Host, errFrozen))
	}
}

// round looks at all sessions and returns how long nothing will be due.
func (p *prober) round() time.Duration {
	o := &p.dialer.o
	p.mu.Lock()
	defer p.mu.Unlock()
	now := o.Now()
	next := time.Hour
	for id, s := range p.sessions {
		due := s.watch.due()
		if !s.again.IsZero() {
			due = s.again
		}
		switch {
		case s.asked != 0 && due.After(now): // data came after all
			s.asked = 0
		case s.asked != 0 && s.until.After(now):
		case s.asked != 0 && s.tries == probeTries:
			s.fail(fmt.Errorf("%w: no answer through relay %s for %v", ErrLost, p.link.addr.Host, probeTries*o.ProbeTimeout))
			delete(p.sessions, id)
			continue
		case s.asked != 0 || !due.After(now):
			p.ask(id, s, now)
		}
		if s.asked != 0 {
			due = s.until
		}
		next = min(next, due.Sub(now))
	}
	next = max(next, time.Millisecond)
	p.sleeps = now.Add(next)
	return next
}

// ask sends a probe. The missing answer tells if it cannot be sent.
func (p *prober) ask(id uint32, s *probed, now time.Time) {
	p.seq++
	if s.asked == 0 {
		s.asked, s.tries = p.seq, 0
	}
	s.tries++
	s.until = now.Add(p.dialer.o.ProbeTimeout)
	p.link.send(wire.Probe{Session: uint64(id), Seq: p.seq}) //nolint:errcheck // see above
}

// cut takes what else comes from the relay: that the device withdrew a session. It runs on the link's reader.
func (p *prober) cut(f wire.Frame) error {
	c, ok := f.(wire.Cancel)
	if !ok {
		return fmt.Errorf("relay %s: unexpected frame %T", p.link.addr.Host, f)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sessions[uint32(c.Session)]; s != nil {
		s.fail(ErrCut)
		delete(p.sessions, uint32(c.Session))
	}
	return nil
}

// answer takes what came back. It runs on the link's reader.
func (p *prober) answer(f wire.Probed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sessions[uint32(f.Session)]
	asked := s != nil && s.asked != 0 && f.Seq >= s.asked
	if !asked && (s == nil || f.Seq != 0) {
		return
	}
	if asked {
		s.asked = 0
	}
	if !f.Alive {
		s.fail(fmt.Errorf("%w: the device has no such session any more", ErrLost))
		delete(p.sessions, uint32(f.Session))
		return
	}
	now, patience := p.dialer.o.Now(), p.dialer.o.ProbeTimeout
	if s.stalled(f, now, patience) {
		s.fail(fmt.Errorf("%w: nothing passes through relay %s any more although the device answers", ErrLost, p.link.addr.Host))
		delete(p.sessions, uint32(f.Session))
		return
	}
	if s.again = (time.Time{}); s.there.lags() || s.here.lags() {
		s.again = now.Add(patience)
		p.expectLocked(s.again)
		return
	}
	if asked {
		s.watch.answered()
	}
	p.expectLocked(s.watch.due())
}
