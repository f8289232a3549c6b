package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"iod/access"
	"iod/chain"
	"iod/key"
	"iod/overlay"
	"iod/supervise"
)

// Options of a running device.
type Options struct {
	Manifest *Manifest
	Key      *key.Pair    // the device's account
	RPC      []string     // endpoints in place of the manifest's; empty: the manifest's
	Log      *slog.Logger // nil: silent
	Env      func(string) string
}

// keepAlive is the interval between pings of an idle chain connection: well below the least lease, and rare enough for
// a metered link.
const keepAlive = 4 * time.Minute

// Bounds of the pauses between tries of what can fail for a while.
const (
	firstRetry = time.Second
	lastRetry  = 2 * time.Minute
)

// Device is a device that runs.
type Device struct {
	o       Options
	log     *slog.Logger
	account key.AccountID
	node    key.NodeKey
	owner   key.AccountID

	mu         sync.Mutex
	supervisor *supervise.Supervisor
	overlay    *overlay.Device
	sequence   uint64 // of the newest document that this process published
	raw        []byte
	heals      []time.Time
}

// NewDevice prepares a device.
func NewDevice(o Options) (*Device, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Env == nil {
		o.Env = os.Getenv
	}
	if len(o.RPC) == 0 {
		o.RPC = o.Manifest.RPC
	}
	if len(o.RPC) == 0 {
		return nil, errors.New("no chain endpoint: set rpc in the manifest, or IOD_RPC")
	}
	d := &Device{o: o, log: o.Log, account: o.Key.Account(), node: o.Key.NodeKey()}
	d.owner = d.account
	if o.Manifest.Owner != nil {
		d.owner = *o.Manifest.Owner
	}
	return d, nil
}

// Run runs the device until ctx ends: its programs from the first moment on, and everything else as the chain and the
// relays allow. It returns nil when ctx ended.
func (d *Device) Run(ctx context.Context) error {
	unlock, err := lockState(d.o.Manifest.State)
	if err != nil {
		return err
	}
	defer unlock()
	group, ctx := errgroup.WithContext(ctx)
	d.supervisor = supervise.New(supervise.Options{Programs: d.programs(), Log: d.log})
	group.Go(func() error { return d.supervisor.Run(ctx) })
	group.Go(func() error { return d.online(ctx) })
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// Run makes a device and runs it.
func Run(ctx context.Context, o Options) error {
	d, err := NewDevice(o)
	if err != nil {
		return err
	}
	return d.Run(ctx)
}

func (d *Device) programs() []supervise.Program {
	out := make([]supervise.Program, len(d.o.Manifest.Programs))
	for i, p := range d.o.Manifest.Programs {
		out[i] = supervise.Program{Name: p.Name, Command: p.Command, Dir: p.Dir, Env: p.Env}
	}
	return out
}

// online connects to the chain, however long that takes, and then publishes, judges and serves.
func (d *Device) online(ctx context.Context) error {
	client, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	d.log.Info(MsgChain, "genesis", client.Genesis().String())
	judge := access.NewJudge(access.JudgeOptions{Chain: access.OnChain(client), Owner: d.owner, Device: d.account,
		Streams: d.hasStream, Lease: d.o.Manifest.Lease, Log: d.log})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return judge.Run(ctx) })
	group.Go(func() error { return d.reconcile(ctx, client) })
	if len(d.o.Manifest.Relays) > 0 && len(d.o.Manifest.Streams) > 0 {
		node, err := overlay.NewDevice(overlay.DeviceOptions{Key: d.node, Relays: d.o.Manifest.Relays,
			Gate: gate{judge, d.log}, Streams: d.handlers(), Log: d.log})
		if err != nil {
			return fmt.Errorf("join the overlay: %w", err)
		}
		d.mu.Lock()
		d.overlay = node
		d.mu.Unlock()
		group.Go(func() error { return node.Run(ctx) })
	}
	return group.Wait()
}

// dial tries the endpoints until one answers. A wrong network is tried again too: endpoints can be mended without
// anybody at the device.
func (d *Device) dial(ctx context.Context) (*chain.Client, error) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		client, err := chain.Dial(ctx, chain.Options{Endpoints: d.o.RPC, Cache: d.o.Manifest.State, Log: d.log, KeepAlive: keepAlive, Lean: true})
		if err == nil {
			return client, nil
		}
		if err := d.pause(ctx, wait, err); err != nil {
			return nil, err
		}
	}
}

// pause reports why there is nothing published yet and waits, with jitter.
func (d *Device) pause(ctx context.Context, wait time.Duration, why error) error {
	wait = wait/2 + rand.N(wait)
	if ctx.Err() == nil {
		d.log.Warn(MsgWaiting, "err", why, "retry", wait.Round(time.Millisecond).String(), "hint", d.advice(why))
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// advice says what a person can do about an error.
func (d *Device) advice(err error) string {
	var poor *chain.ErrCannotPay
	switch {
	case errors.As(err, &poor):
		return fmt.Sprintf("send some PEAQ to %s (on a development chain: iod account faucet %s)", d.account, d.account)
	case errors.Is(err, chain.ErrWrongNetwork):
		return "the endpoints in rpc belong to different networks"
	case errors.Is(err, chain.ErrNonceTaken):
		return "another program sends transactions with this key; give each device a key of its own"
	}
	return "the programs run on; this is tried again"
}
