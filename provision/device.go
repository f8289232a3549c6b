package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"iod/access"
	"iod/chain"
	"iod/key"
	"iod/overlay"
	"iod/update"
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

// Device is a device that runs.
type Device struct {
	o       Options
	log     *slog.Logger
	account key.AccountID
	node    key.NodeKey
	owner   key.AccountID

	mu      sync.Mutex
	overlay *overlay.Device            // nil before the chain was reached
	lost    map[overlay.RelayAddr]bool // relays that another device with this key took
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
	d := &Device{o: o, log: o.Log, account: o.Key.Account(), node: o.Key.NodeKey(), lost: map[overlay.RelayAddr]bool{}}
	d.owner = d.account
	if o.Manifest.Owner != nil {
		d.owner = *o.Manifest.Owner
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	return d, nil
}

// check finds what would fail for ever once the device runs.
func (d *Device) check() error {
	if _, err := Desired(d.o.Manifest, d.account, d.node.ID(), ""); err != nil {
		return fmt.Errorf("describe the device: %w", err)
	}
	for _, s := range d.o.Manifest.Streams {
		if s.PasswordEnv != "" && d.o.Env(s.PasswordEnv) == "" {
			return fmt.Errorf("stream %s: the environment variable %s, which password_env names, is not set", s.Name, s.PasswordEnv)
		}
	}
	if err := update.Check(d.o.Manifest.managed()); err != nil {
		return fmt.Errorf("programs: %w", err)
	}
	return nil
}

// Run runs the device until ctx ends: its programs from the first moment on, and everything else as the chain and the
// relays allow. It returns nil when ctx ended.
func (d *Device) Run(ctx context.Context) error {
	unlock, err := lockState(d.o.Manifest.State)
	if err != nil {
		return err
	}
	defer unlock()
	group, inner := errgroup.WithContext(ctx)
	programs := update.New(update.Options{Programs: d.o.Manifest.managed(), Dir: d.o.Manifest.State, Log: d.log})
	group.Go(func() error { return programs.Run(inner) })
	group.Go(func() error { return d.online(inner) })
	if err := group.Wait(); ctx.Err() == nil {
		return err
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

// online connects to the chain, however long that takes, and then publishes, judges and serves.
func (d *Device) online(ctx context.Context) error {
	client, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	d.log.Info(MsgChain, "genesis", client.Genesis().String())
	judge := access.NewJudges(access.JudgeOptions{Chain: access.OnChain(client), Owner: d.owner,
		Streams: d.hasStream, Lease: d.o.Manifest.Lease, Log: d.log}, access.Scopes(d.owner, d.account, d.o.Manifest.Fleet))
	r := &reconciler{manifest: d.o.Manifest, client: client, self: d.o.Key, owner: d.owner, displaced: d.displaced, log: d.log,
		keeper: keeper{limit: d.o.Manifest.MaxHeals}, wake: make(chan struct{}, 1)}
	group, ctx := errgroup.WithContext(ctx)
	if len(d.o.Manifest.Relays) > 0 && len(d.o.Manifest.Streams) > 0 {
		node, err := d.join(judge)
		if err != nil {
			return err
		}
		group.Go(func() error { return node.Run(ctx) })
	}
	group.Go(func() error { return judge.Run(ctx) })
	group.Go(func() error { return r.run(ctx) })
	return group.Wait()
}

// join makes the device's part in the overlay.
func (d *Device) join(judge access.Judges) (*overlay.Device, error) {
	node, err := overlay.NewDevice(overlay.DeviceOptions{Key: d.node, Relays: d.o.Manifest.Relays, Gate: gate{judge, d.log},
		Streams: d.handlers(), Log: d.log,
		Displaced: func(r overlay.RelayAddr) {
			d.mu.Lock()
			d.lost[r] = true
			d.mu.Unlock()
			d.log.Error(MsgConflict, "relay", r.Host, "reason", overlay.ErrDisplaced.Error(), "hint", conflictHint)
		}})
	if err != nil {
		return nil, fmt.Errorf("join the overlay: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.overlay = node
	return node, nil
}

// displaced reports whether a relay has another device with this one's key.
func (d *Device) displaced() bool {
	d.mu.Lock()
	node := d.overlay
	d.mu.Unlock()
	if node == nil {
		return false
	}
	relays := node.Status().Relays
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(relays, func(r overlay.RelayStatus) bool { return d.lost[r.Addr] && !r.Connected })
}

// dial tries the endpoints until one answers. A wrong network is tried again too: endpoints can be mended without
// anybody at the device.
func (d *Device) dial(ctx context.Context) (*chain.Client, error) {
	for _, e := range d.o.RPC {
		if strings.HasPrefix(e, "http") {
			d.log.Warn("an endpoint over HTTP is asked for news every second; one over WebSocket (wss://) costs nothing while nothing changes")
			break
		}
	}
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		client, err := chain.Dial(ctx, chain.Options{Endpoints: d.o.RPC, Cache: d.o.Manifest.State, Log: d.log, KeepAlive: keepAlive, Lean: true})
		if err == nil {
			return client, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		wait := vary(retry)
		d.log.Warn(MsgWaiting, "err", err, "retry", wait.Round(time.Millisecond).String(), "hint", advice(err, d.account))
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}
