package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"iod/audit"
	"iod/chain"
	"iod/clock"
	"iod/key"
	"iod/link"
	"iod/overlay"
	"iod/update"
)

// Options of a running device. Manifest and Key are required.
type Options struct {
	Manifest *Manifest
	Key      *key.Pair    // the device's account
	RPC      []string     // endpoints in place of the manifest's, reloads included; empty: the manifest's
	Fallback []string     // endpoints for manifests that name none
	Log      *slog.Logger // nil: silent
	Env      func(string) string
	Version  string // of the program, for Status

	// Dial opens all connections to the chain and to relays; nil: the network.
	Dial overlay.DialFunc
	// Local opens the connections to streams' targets; nil: the network.
	Local overlay.DialFunc
	// Clock returns the device's clock for a time that is past for sure; nil: the machine's.
	Clock func(floor time.Time) *clock.Clock
	// Bare leaves out what ties the device to its machine: programs, the control socket, the metrics, and the watches of the
	// manifest's files and of the network.
	Bare bool
	// Changed tells of something that the service manager or a test wants to know: see Notice. It must not block. nil: nobody is told.
	Changed func(Notice)
}

// Notice is a step of a device's life.
type Notice string

// The steps.
const (
	Ready     Notice = "ready" // it runs, and answers on its socket
	Reloading Notice = "reloading"
	Reloaded  Notice = "reloaded"
	Stopping  Notice = "stopping"
)

// The interval between pings of an idle chain connection, at first and at most. Leases do not depend on it: while passes are out the
// judge asks by itself.
const (
	keepAlive    = 4 * time.Minute
	keepAliveMax = 15 * time.Minute
)

// Device is a device that runs.
type Device struct {
	o       Options
	log     *slog.Logger
	account key.AccountID
	node    key.NodeKey
	started time.Time
	clock   *clock.Clock
	state   *state
	audit   *audit.Log
	opened  chan struct{} // closed when all above is there, and the programs

	manifest  atomic.Pointer[Manifest] // as it is carried out
	handlers  atomic.Pointer[handlers]
	programs  *update.Keeper
	reloading sync.Mutex // one reload at a time
	pulse     pulse

	stirred      chan struct{} // holds a token when something happened that takes memory
	nudged       chan struct{} // likewise, when the network may have come back, for who has not reached the chain
	metricsMoved chan struct{} // likewise, when the manifest may want the metrics elsewhere

	mu     sync.Mutex
	loaded loaded
	live   *live                      // nil before the chain was reached
	failed error                      // of the last try to reach the chain, before it was
	lost   map[overlay.RelayAddr]bool // relays that another device with this key took
	total  traffic
}

// NewDevice prepares a device.
func NewDevice(o Options) (*Device, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Env == nil {
		o.Env = os.Getenv
	}
	if o.Clock == nil {
		o.Clock = clock.New
	}
	if o.Changed == nil {
		o.Changed = func(Notice) {}
	}
	d := &Device{o: o, log: o.Log, account: o.Key.Account(), node: o.Key.NodeKey(), lost: map[overlay.RelayAddr]bool{},
		opened: make(chan struct{}), stirred: make(chan struct{}, 1), nudged: make(chan struct{}, 1), metricsMoved: make(chan struct{}, 1)}
	if err := d.check(o.Manifest); err != nil {
		return nil, err
	}
	return d, nil
}

// check finds what would fail for ever once the device runs by a manifest.
func (d *Device) check(m *Manifest) error {
	if len(d.endpoints(m)) == 0 {
		return errors.New("no chain endpoint: set rpc in the manifest, or IOD_RPC")
	}
	if _, err := Desired(m, d.account, d.node.ID(), ""); err != nil {
		return fmt.Errorf("describe the device: %w", err)
	}
	for _, s := range m.Streams {
		if s.PasswordEnv != "" && d.o.Env(s.PasswordEnv) == "" {
			return fmt.Errorf("stream %s: the environment variable %s, which password_env names, is not set", s.Name, s.PasswordEnv)
		}
	}
	if err := update.Check(m.managed()); err != nil {
		return fmt.Errorf("programs: %w", err)
	}
	return nil
}

func (d *Device) endpoints(m *Manifest) []string {
	if len(d.o.RPC) > 0 {
		return d.o.RPC
	}
	if len(m.RPC) > 0 {
		return m.RPC
	}
	return d.o.Fallback
}

// ownerOf is whose entities decide.
func (d *Device) ownerOf(m *Manifest) key.AccountID {
	if m.Owner != nil {
		return *m.Owner
	}
	return d.account
}

// Run runs the device until ctx ends: its programs from the first moment on, and everything else as the chain and the
// relays allow. It returns nil when ctx ended.
func (d *Device) Run(ctx context.Context) error {
	if err := d.open(); err != nil {
		return err
	}
	defer d.state.close()
	close(d.opened)
	group, inner := errgroup.WithContext(ctx)
	var record sync.WaitGroup // outlives the others: it tells of their end
	recording, endRecord := context.WithCancel(context.WithoutCancel(ctx))
	record.Go(func() { _ = d.audit.Run(recording) }) // it ends with its context only
	defer record.Wait()
	defer endRecord()
	d.note(audit.Entry{Kind: audit.Start, Reason: d.o.Version})
	if !d.o.Bare {
		group.Go(func() error { return d.programs.Run(inner) })
	}
	group.Go(func() error { return d.online(inner) })
	if !d.o.Bare {
		group.Go(func() error { return d.serve(inner) })
		group.Go(func() error { return d.watchFiles(inner) })
		group.Go(func() error { return d.serveMetrics(inner) })
		group.Go(func() error { return d.trimWhenIdle(inner) })
		group.Go(func() error { return d.watchLink(inner) })
	}
	d.o.Changed(Ready)
	<-inner.Done()
	d.o.Changed(Stopping)
	err := group.Wait()
	d.note(audit.Entry{Kind: audit.Stop})
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// open takes hold of the state directory and makes what works by the manifest.
func (d *Device) open() error {
	m := d.o.Manifest
	var err error
	if d.state, err = openState(m.State, d.log); err != nil {
		return err
	}
	d.clock = d.o.Clock(d.state.floor())
	d.started = d.clock.Steady()
	d.state.start(d.started)
	d.audit = audit.Open(d.state.dir(), d.log)
	d.manifest.Store(m)
	d.handlers.Store(d.newHandlers(m))
	d.loaded = loaded{names: m.Files, files: fingerprint(m.Files), at: d.clock.Steady()}
	d.programs = update.New(update.Options{Programs: m.managed(), Dir: m.State, Log: d.log, Client: update.NewClient(d.clock.Now)})
	return nil
}

// note puts an entry into the audit record.
func (d *Device) note(e audit.Entry) {
	e.Time = d.clock.Now().UTC()
	d.audit.Add(e, d.clock.Steady())
}

// Run makes a device and runs it.
func Run(ctx context.Context, o Options) error {
	d, err := NewDevice(o)
	if err != nil {
		return err
	}
	return d.Run(ctx)
}

// displaced reports whether a relay has another device with this one's key.
func (d *Device) displaced() bool {
	l := d.running()
	if l == nil {
		return false
	}
	relays := l.node.Status().Relays
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(relays, func(r overlay.RelayStatus) bool { return d.lost[r.Addr] && !r.Connected })
}

// dial tries the endpoints until one answers. A wrong network is tried again too: endpoints can be mended without
// anybody at the device.
func (d *Device) dial(ctx context.Context) (*chain.Client, error) {
	for _, e := range d.endpoints(d.manifest.Load()) {
		if strings.HasPrefix(e, "http") {
			d.log.Warn("an endpoint over HTTP is asked for news every second; one over WebSocket (wss://) costs nothing while nothing changes")
			break
		}
	}
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		client, err := chain.Dial(ctx, chain.Options{Endpoints: d.endpoints(d.manifest.Load()), Cache: d.state.dir(), Log: d.log,
			KeepAlive: keepAlive, KeepAliveMax: keepAliveMax, Lean: true, Dial: d.o.Dial, Moment: d.clock.Moment})
		if err == nil {
			return client, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		d.mu.Lock()
		d.failed = err
		d.mu.Unlock()
		wait := vary(retry)
		d.log.Warn(MsgWaiting, "err", err, "retry", wait.Round(time.Millisecond).String(), "hint", advice(err, d.account))
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-d.nudged:
			retry = firstRetry
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// knockWindow is how far the time of a knock may be from the device's.
const knockWindow = 24 * time.Hour

// fresh judges the time of a knock by whatever the device knows of the time. A clock that is wrong keeps nobody out; replays are
// noticed by their nonces.
func (d *Device) fresh(t time.Time) bool {
	r := d.clock.Read()
	near := func(now time.Time) bool { return t.Sub(now).Abs() <= knockWindow }
	return near(r.Now) || !r.Chain.IsZero() && near(r.Chain)
}

// watchLink makes everything try again at once when the machine's network may have come back.
func (d *Device) watchLink(ctx context.Context) error {
	if err := link.Watch(ctx, d.Nudge); err != nil {
		d.log.Debug("a network that comes back is noticed by trying", "err", err)
		<-ctx.Done()
	}
	return nil
}

// Nudge says that the network may be there again: what waits before it tries once more tries soon, and connections that are in use
// are asked whether they live.
func (d *Device) Nudge() {
	d.log.Debug("the network may have come back")
	signal(d.nudged)
	if l := d.running(); l != nil {
		l.client.Nudge()
		l.node.Nudge()
		judges, _ := l.court.sitting()
		judges.Nudge()
	}
}
