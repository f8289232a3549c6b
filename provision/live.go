package provision

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"iod/access"
	"iod/audit"
	"iod/chain"
	"iod/key"
	"iod/overlay"
)

// live is what runs once the chain was reached.
type live struct {
	client *chain.Client
	court  *court
	node   *overlay.Device
	docs   *reconciler
}

// online connects to the chain, however long that takes, and then publishes, judges and serves.
func (d *Device) online(ctx context.Context) error {
	client, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	d.log.Info(MsgChain, "genesis", client.Genesis().String())
	l := &live{client: client}
	l.docs = &reconciler{client: client, self: d.o.Key, displaced: d.displaced, log: d.log, note: d.note, clock: d.clock,
		state: d.state, wake: make(chan struct{}, 1), rewatch: make(chan struct{}, 1)}
	l.court = &court{d: d, client: client, changed: make(chan struct{}, 1), next: make(chan struct{})}
	if l.node, err = d.join(l.court); err != nil {
		return err
	}
	d.reloading.Lock() // so that no reload falls between
	m := d.manifest.Load()
	l.docs.set(m, d.ownerOf(m))
	err = errors.Join(client.SetEndpoints(d.endpoints(m)), l.node.SetRelays(relaysOf(m)))
	d.mu.Lock()
	d.live = l
	d.mu.Unlock()
	d.reloading.Unlock()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.node.Run(ctx) })
	group.Go(func() error { return l.court.run(ctx) })
	group.Go(func() error { return l.docs.run(ctx) })
	return group.Wait()
}

// running returns what runs; nil before the chain was reached.
func (d *Device) running() *live {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.live
}

// relaysOf are the relays where the device is to be registered: none while it shares nothing.
func relaysOf(m *Manifest) []overlay.RelayAddr {
	if len(m.Streams) == 0 {
		return nil
	}
	return m.Relays
}

// join makes the device's part in the overlay.
func (d *Device) join(c *court) (*overlay.Device, error) {
	node, err := overlay.NewDevice(overlay.DeviceOptions{Key: d.node, Gate: gate{c, d}, Streams: d.handler, Log: d.log, Dial: d.o.Dial,
		Fresh: d.fresh, OnSession: d.onSession, OnDropped: d.onDropped,
		Displaced: func(r overlay.RelayAddr) {
			d.mu.Lock()
			d.lost[r] = true
			d.mu.Unlock()
			d.note(audit.Entry{Kind: audit.Conflict, Relay: r.Host, Reason: overlay.ErrDisplaced.Error()})
			d.log.Error(MsgConflict, "relay", r.Host, "reason", overlay.ErrDisplaced.Error(), "hint", conflictHint)
		}})
	if err != nil {
		return nil, fmt.Errorf("join the overlay: %w", err)
	}
	return node, nil
}

// court holds the judges. An owner that changes brings others, and what the old ones granted ends.
type court struct {
	d       *Device
	client  *chain.Client
	changed chan struct{}

	mu     sync.Mutex
	judges access.Judges // nil before run
	next   chan struct{} // closed when others take over
}

// run runs judges until ctx ends.
func (c *court) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.session(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// session runs judges until their owner changes or ctx ends.
func (c *court) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := c.d.manifest.Load()
	owner := c.d.ownerOf(m)
	judges := access.NewJudges(access.JudgeOptions{Chain: access.OnChain(c.client), Owner: owner, Streams: c.d.hasStream, Lease: m.Lease,
		Log: c.d.log, Now: c.d.clock.Steady, OnEvent: c.d.onJudged}, access.Scopes(owner, c.d.account, m.Fleet))
	c.mu.Lock()
	close(c.next)
	c.judges, c.next = judges, make(chan struct{})
	c.mu.Unlock()
	ended := make(chan error, 1)
	go func() { ended <- judges.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-c.changed:
		}
		now := c.d.manifest.Load()
		judges.SetLease(now.Lease)
		if c.d.ownerOf(now) != owner || now.Fleet != m.Fleet {
			cancel()
			return <-ended
		}
	}
}

// set makes the court go by the manifest as it is now.
func (c *court) set() { signal(c.changed) }

// sitting returns the judges of the moment, and what is closed when others take over.
func (c *court) sitting() (access.Judges, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.judges, c.next
}

// Admit asks the judges. Those who leave hand the question to those who come.
func (c *court) Admit(ctx context.Context, account key.AccountID, stream string) (*access.Pass, error) {
	for {
		judges, next := c.sitting()
		if judges != nil {
			pass, err := judges.Admit(ctx, account, stream)
			if !errors.Is(err, access.ErrStopped) {
				return pass, err
			}
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
