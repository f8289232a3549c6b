package overlay

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"iod/key"
	"iod/overlay/wire"
)

// Dialer reaches streams of devices for one account. Close it when it is no longer needed.
type Dialer struct {
	o     DialerOptions
	ident *identity
	pool  *pool
	err   error // of the options

	ctx    context.Context
	cancel context.CancelCauseFunc
	work   sync.WaitGroup // tries to reach a device, and probers

	mu     sync.Mutex
	closed bool
	probes map[*clientLink]*prober
	shared map[sharedKey]*shared
	uses   map[sharedKey]use
}

// NewDialer makes a dialer. What is wrong with the options is the error of every Dial.
func NewDialer(o DialerOptions) *Dialer {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.KnockTime == nil {
		o.KnockTime = o.Now
	}
	if o.Dial == nil {
		o.Dial = dialNetwork
	}
	o.Stagger = cmp.Or(o.Stagger, 300*time.Millisecond)
	o.ProbeAfter = cmp.Or(o.ProbeAfter, 2*time.Second)
	o.ProbeTimeout = cmp.Or(o.ProbeTimeout, 2*time.Second)
	if o.Node.Seed() == [32]byte{} {
		o.Node = key.NewNodeKey()
	}
	d := &Dialer{
		o: o, pool: newPool(o.Dial, probeTries*o.ProbeTimeout),
		probes: make(map[*clientLink]*prober), shared: make(map[sharedKey]*shared), uses: make(map[sharedKey]use),
	}
	d.ctx, d.cancel = context.WithCancelCause(context.Background())
	d.pool.onLink = d.onLink
	if d.ident, d.err = newIdentity(o.Node); d.err == nil && o.Account == nil {
		d.err = errors.New("no account is given")
	}
	return d
}

// Close ends all sessions and waits for what the dialer started.
func (d *Dialer) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.cancel(ErrClosed)
	d.work.Wait()
	d.pool.close()
	return nil
}

// Dial returns a connection to a stream, which has CloseWrite too. It blocks until the device lets the account in: while the answer is no
// the knock stays pending and is repeated whenever its token ends. It returns ErrUnreachable when no relay of the target
// can be reached, and ErrSilent together with ctx's error when ctx ended first.
func (d *Dialer) Dial(ctx context.Context, t Target, stream string) (net.Conn, error) {
	switch {
	case d.err != nil:
		return nil, fmt.Errorf("dial %s: %w", stream, d.err)
	case stream == "" || len(stream) > wire.MaxStream:
		return nil, fmt.Errorf("dial: the stream's name has %d bytes, 1 to %d are allowed", len(stream), wire.MaxStream)
	case len(t.Relays) == 0:
		return nil, fmt.Errorf("dial %s at %s: the device names no relay: %w", stream, t.Node, ErrUnreachable)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(d.ctx, func() { cancel(ErrClosed) })
	defer stop()
	conn, err := d.dial(ctx, t, stream)
	if err != nil {
		return nil, fmt.Errorf("dial %s at %s: %w", stream, t.Node, err)
	}
	return conn, nil
}

func (d *Dialer) dial(ctx context.Context, t Target, stream string) (net.Conn, error) {
	k := sharedKey{t.Node, stream}
	if !d.o.Solo && d.inUse(k) {
		return d.dialShared(ctx, k, t)
	}
	return d.dialSolo(ctx, t, stream)
}

// dialSolo gives the stream a session of its own.
func (d *Dialer) dialSolo(ctx context.Context, t Target, stream string) (net.Conn, error) {
	a, err := d.reach(ctx, t, stream, wire.ModeStream)
	if err != nil {
		return nil, err
	}
	k := sharedKey{t.Node, stream}
	c := &streamConn{Conn: a.conn, raw: a.raw, traffic: new(traffic), watch: newWatch(d.o.ProbeAfter, d.o.Now), failed: make(chan struct{})}
	kept, over := d.keep(a, c.watch, c.fail), d.used(k)
	c.onClose = func() {
		kept()
		over()
	}
	return c, nil
}

// arrival is a session that the device let in.
type arrival struct {
	pending
	conn    *tls.Conn
	raw     net.Conn
	data    *measured // raw, as conn uses it
	release func()    // of the link
}

// Pauses between rounds that ended early: a relay that keeps closing must not be hammered.
const (
	minRound = time.Second
	maxPause = 15 * time.Second
)

// reach knocks, round after round, until the device lets the consumer in.
func (d *Dialer) reach(ctx context.Context, t Target, stream string, mode byte) (*arrival, error) {
	pause := 100 * time.Millisecond
	for {
		began := time.Now()
		a, err := d.round(ctx, t, stream, mode)
		switch {
		case err == nil:
			return a, nil
		case ctx.Err() != nil:
			if errors.Is(context.Cause(ctx), ErrClosed) {
				return nil, ErrClosed
			}
			return nil, fmt.Errorf("%w: %w", ErrSilent, ctx.Err())
		case errors.Is(err, ErrUnreachable):
			return nil, err
		}
		d.o.Log.Debug("overlay: knock unanswered", "device", t.Node, "stream", stream, "err", err)
		if time.Since(began) >= minRound {
			pause = 100 * time.Millisecond
			continue
		}
		select {
		case <-time.After(jitter(pause)):
		case <-ctx.Done():
		}
		pause = min(2*pause, maxPause)
	}
}

// route is one way to a device: the relays in order, of which the last is the device's.
type route []RelayAddr

// maxRoutes bounds the ways that are tried at a time.
const maxRoutes = 8

func (d *Dialer) routes(t Target) []route {
	var all []route
	for _, r := range t.Relays {
		if len(d.o.Via) == 0 {
			all = append(all, route{r})
		}
		for _, v := range d.o.Via {
			if v.ID == r.ID {
				all = append(all, route{r})
			} else {
				all = append(all, route{v, r})
			}
		}
	}
	return all[:min(len(all), maxRoutes)]
}

// outcome is what one route came to.
type outcome struct {
	arrival *arrival
	err     error
	reached bool // the knock was on its way before the failure
}

// round knocks once over every route, the later ones a little later, and returns the first arrival. All others end.
func (d *Dialer) round(ctx context.Context, t Target, stream string, mode byte) (*arrival, error) {
	routes := d.routes(t)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan outcome)
	start := func(r route) {
		d.work.Go(func() {
			o := d.try(ctx, t, stream, r)
			select {
			case results <- o:
			case <-ctx.Done():
				o.arrival.drop()
			}
		})
	}
	if !d.begin() {
		return nil, ErrClosed
	}
	defer d.work.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var errs []error
	reached := false
	for running := 0; ; {
		select {
		case <-timer.C:
			if len(routes) > 0 {
				start(routes[0])
				routes, running = routes[1:], running+1
				timer.Reset(d.o.Stagger)
			}
		case o := <-results:
			if o.err == nil {
				if _, o.err = o.arrival.conn.Write([]byte{mode}); o.err == nil {
					return o.arrival, nil
				}
				o.arrival.drop()
			}
			running--
			reached = reached || o.reached
			errs = append(errs, o.err)
			if len(routes) > 0 {
				timer.Reset(0)
			} else if running == 0 {
				err := errors.Join(errs...)
				if !reached {
					err = fmt.Errorf("%w: %w", ErrUnreachable, err)
				}
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// begin counts work in, unless the dialer is closed.
func (d *Dialer) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.work.Add(1)
	return true
}

// drop gives up an arrival that lost the race.
func (a *arrival) drop() {
	if a != nil {
		abort(a.raw)
		a.release()
	}
}

// try knocks over one route and waits for the device at the other end of the data connection.
func (d *Dialer) try(ctx context.Context, t Target, stream string, r route) outcome {
	var sealed wire.Knock
	var sealErr error
	var sealing sync.WaitGroup
	sealing.Go(func() { sealed, sealErr = d.seal(t, stream, r) }) // while the link is made
	link, release, err := d.pool.get(ctx, r[0])
	sealing.Wait()
	if err == nil && sealErr != nil {
		release()
		err = sealErr
	}
	if err != nil {
		return outcome{err: err}
	}
	p, err := link.connect(ctx, t.Node, r[1:], sealed)
	if err != nil && link.isGone() && ctx.Err() == nil {
		// It was an old link to a relay that has restarted since.
		release()
		if link, release, err = d.pool.get(ctx, r[0]); err != nil {
			return outcome{err: err}
		}
		p, err = link.connect(ctx, t.Node, r[1:], sealed)
	}
	if err != nil {
		release()
		return outcome{err: err}
	}
	a, err := d.await(ctx, p, t)
	if err != nil {
		p.cancel()
		release()
		return outcome{err: err, reached: true}
	}
	a.release = release
	return outcome{arrival: a, reached: true}
}

// seal makes a knock for one route.
func (d *Dialer) seal(t Target, stream string, r route) (wire.Knock, error) {
	q := wire.Request{Node: d.ident.id, Device: t.Node, Relay: r[len(r)-1].ID, Time: d.o.KnockTime(), Stream: stream}
	rand.Read(q.Nonce[:]) //nolint:errcheck // never fails
	return q.Seal(d.o.Account)
}

// await opens the data connection and does the handshake, which lasts until the device comes or the token ends.
func (d *Dialer) await(ctx context.Context, p pending, t Target) (*arrival, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(p.Life)*time.Second+handshakeTimeout)
	defer cancel()
	raw, err := p.link.dialData(ctx, p.Token)
	if err != nil {
		return nil, err
	}
	data := &measured{Conn: raw}
	conn := tls.Client(data, d.ident.config(wire.ALPNData, &t.Node))
	done := make(chan struct{})
	defer close(done)
	d.work.Go(func() { // a relay that froze or went away takes the token along
		select {
		case <-p.link.gone:
			abort(raw)
		case <-done:
		}
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("relay %s: session: %w", p.link.addr.Host, err)
	}
	return &arrival{pending: p, conn: conn, raw: raw, data: data}, nil
}
