package overlay

import (
	"context"
	"errors"
	"time"

	"iod/key"
	"iod/overlay/wire"
)

// knock is a valid knock that waits for the gate.
type knock struct {
	key     sessionKey
	request Request
	handler Handler
	link    *clientLink
	token   wire.Token
	cancel  context.CancelFunc
	ends    time.Time
}

// Why knocks are dropped. Consumers never learn it.
var (
	errRate      = errors.New("knocks come too often")
	errElsewhere = errors.New("the knock is for another node or another relay")
	errTime      = errors.New("the knock's time is too far from this device's clock")
	errReplay    = errors.New("the knock came before")
	errStream    = errors.New("there is no such stream")
	errPending   = errors.New("too many knocks are pending")
)

// invitation is a knock that waits to be checked.
type invitation struct {
	from *registration
	link *clientLink
	wire.Invite
}

// invited takes a knock, on the link's reader. Checking it there would hold up the answers to probes when many come.
func (d *Device) invited(g *registration, link *clientLink, f wire.Invite) {
	if !d.knocks.pass(d.o.Now(), &g.rate, sourceKey{g.addr, f.Source}) {
		d.dropped(g, nil, false, errRate)
		return
	}
	select {
	case d.invitations <- &invitation{g, link, f}:
	default:
		d.dropped(g, nil, false, errRate)
	}
}

// checkKnocks checks one knock at a time, until ctx ends: strangers can keep no more than one core busy.
func (d *Device) checkKnocks(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case i := <-d.invitations:
			d.check(ctx, i)
		}
	}
}

// dropped notes a knock that the gate was not asked about; q is what it said, nil when nobody could tell.
func (d *Device) dropped(g *registration, q *wire.Request, proved bool, err error) {
	d.refuse.Add(1)
	d.o.Log.Debug("overlay: knock dropped", "relay", g.addr.Host, "err", err)
	if d.o.OnDropped == nil {
		return
	}
	drop := Dropped{Relay: g.addr, Proved: proved, Err: err}
	if q != nil {
		drop.Account, drop.Node, drop.Stream = q.Account.Account(), q.Node, q.Stream
	}
	d.o.OnDropped(drop)
}

// check checks a knock, cheapest check first, and lets a valid one wait for the gate.
func (d *Device) check(ctx context.Context, i *invitation) {
	q, err := d.opener.Open(&i.Knock)
	if err != nil {
		d.dropped(i.from, nil, false, err)
		return
	}
	proved, err := d.examine(ctx, i, &q)
	if err != nil {
		d.dropped(i.from, &q.Request, proved, err)
	}
}

// examine checks what is in a knock. proved tells whether its signature was found right.
func (d *Device) examine(ctx context.Context, i *invitation, q *wire.Opened) (proved bool, err error) {
	g := i.from
	handler, ok := d.o.Streams(q.Stream)
	switch {
	case q.Device != d.ident.id || q.Relay != g.addr.ID:
		return false, errElsewhere
	case !d.o.Fresh(q.Time):
		d.late.warn(d.o.Log, "overlay: knock dropped", "err", errTime, "knock_time", q.Time, "now", d.o.Now())
		return false, errTime
	case d.knocks.seen(&q.Request):
		return false, errReplay
	case !ok:
		return false, errStream
	}
	if err := q.Verify(); err != nil {
		return false, err
	}
	d.knocks.remember(&q.Request)
	k := &knock{
		key:     sessionKey{g.addr.ID, i.Session},
		request: Request{Account: q.Account.Account(), Node: q.Node, Stream: q.Stream},
		handler: handler, link: i.link, token: i.Token,
		ends: time.Now().Add(time.Duration(i.Life) * time.Second),
	}
	return true, d.enter(ctx, k)
}

// enter makes a valid knock pending.
func (d *Device) enter(ctx context.Context, k *knock) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, twice := d.pending[k.key]
	_, live := d.sessions[k.key]
	switch {
	case twice || live:
		return errReplay
	case len(d.pending) >= d.o.MaxPending || d.accounts[k.request.Account] >= d.o.MaxPendingPerAccount,
		len(d.sessions) >= d.o.MaxSessions:
		return errPending
	}
	d.pending[k.key] = k
	d.accounts[k.request.Account]++
	d.suspect(k)
	wait, cancel := context.WithDeadline(ctx, k.ends)
	k.cancel = cancel
	d.work.Go(func() {
		defer cancel()
		d.answer(ctx, wait, k)
	})
	return nil
}

// suspect checks the relays of a consumer's older sessions when it comes over another relay: it may know that they are dead. d.mu is held.
func (d *Device) suspect(k *knock) {
	for id, s := range d.sessions {
		if s.request.Node != k.request.Node || id.relay == k.key.relay {
			continue
		}
		for _, g := range d.relays {
			if g.addr.ID == id.relay {
				g.check(d.o.PingTimeout)
			}
		}
	}
}

// answer waits for the gate and serves the session. wait ends with the token or when the consumer goes away.
func (d *Device) answer(ctx, wait context.Context, k *knock) {
	log := d.o.Log.With("account", k.request.Account, "stream", k.request.Stream)
	pass, err := d.o.Gate.Admit(wait, k.request)
	if err != nil {
		d.leave(k)
		d.refuse.Add(1)
		log.Debug("overlay: knock refused", "err", err)
		return
	}
	defer pass.Release()
	s := newSession(ctx, d, k, pass)
	d.mu.Lock()
	d.sessions[k.key] = s
	d.mu.Unlock()
	d.leave(k)
	err = s.run(wait)
	d.mu.Lock()
	delete(d.sessions, k.key)
	d.retire()
	d.mu.Unlock()
	if s.served && d.o.OnSession != nil {
		d.o.OnSession(SessionEvent{SessionStatus: s.status(), Ended: true, Err: err, Lasted: time.Since(s.began)})
	}
	switch {
	case errors.Is(err, ErrGone):
		log.Info("overlay: session ended", "err", err)
	case errors.Is(err, ErrCut):
		log.Info("overlay: session cut", "err", err)
	case err != nil && s.served:
		log.Warn("overlay: session ended", "err", err)
	case err != nil:
		log.Debug("overlay: session not begun", "err", err)
	}
}

// leave ends a knock's waiting.
func (d *Device) leave(k *knock) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pending, k.key)
	if d.accounts[k.request.Account]--; d.accounts[k.request.Account] == 0 {
		delete(d.accounts, k.request.Account)
	}
	d.retire()
}

// withdrawn ends a pending knock whose consumer went away.
func (d *Device) withdrawn(id sessionKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.pending[id]; k != nil {
		k.cancel()
	}
}

// probed tells how a session is, or the knock for it.
func (d *Device) probed(id sessionKey) wire.Probed {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := wire.Probed{Session: id.number, Alive: d.sessions[id] != nil || d.pending[id] != nil}
	if s := d.sessions[id]; s != nil {
		if c := s.conn.Load(); c != nil {
			f.In, f.Out, f.Waits = c.in.Load(), c.out.Load(), c.reading.Load() > 0
		}
	}
	return f
}

// tellAll tells the consumers of all sessions over a relay, unasked, how far they have come: after a time without network their
// connections may be dead, and only both ends together can see it. Those whose sessions have ended are told that, too.
func (d *Device) tellAll(g *registration, link *clientLink) {
	d.mu.Lock()
	ids := g.severed
	g.severed = nil
	for id, s := range d.sessions {
		if id.relay == g.addr.ID && s.conn.Load() != nil {
			ids = append(ids, id)
		}
	}
	d.mu.Unlock()
	for _, id := range ids {
		link.send(d.probed(id)) //nolint:errcheck // the link's end is noticed elsewhere
	}
}

// cutRelay ends the sessions that run over a relay. Their consumers are told when the relay is reached again.
func (d *Device) cutRelay(g *registration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, s := range d.sessions {
		if id.relay == g.addr.ID {
			s.cut(err)
			g.severed = append(g.severed, id)
		}
	}
}

// tell sends a frame to a relay, if there is a link to it.
func (d *Device) tell(relay key.NodeID, f wire.Frame) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range d.relays {
		g.mu.Lock()
		if g.addr.ID == relay && g.link != nil && g.connected {
			g.link.send(f) //nolint:errcheck // a relay that is gone took its sessions along
		}
		g.mu.Unlock()
	}
}
