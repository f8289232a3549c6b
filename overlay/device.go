package overlay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"iod/key"
	"iod/overlay/wire"
)

// Device keeps a connection to each of its relays and serves the consumers that its gate admits. It listens nowhere.
type Device struct {
	o      DeviceOptions
	ident  *identity
	opener *wire.Opener
	work   sync.WaitGroup // knocks and sessions
	refuse atomic.Uint64
	nudged broadcast
	late   seldom // knocks of another time
	ended  seldom // streams that ended early

	knocks      *guard
	invitations chan *invitation

	mu       sync.Mutex
	running  context.Context // of Run; nil before it and after
	keeping  sync.WaitGroup  // registrations that run
	relays   []*registration
	pending  map[sessionKey]*knock
	accounts map[key.AccountID]int // pending knocks of each
	sessions map[sessionKey]*session
}

// sessionKey names a session the way a relay does.
type sessionKey struct {
	relay  key.NodeID
	number uint64
}

// NewDevice checks the options.
func NewDevice(o DeviceOptions) (*Device, error) {
	switch {
	case o.Key.Seed() == [32]byte{}:
		return nil, errors.New("device: no node key is given")
	case o.Gate == nil || o.Streams == nil:
		return nil, errors.New("device: gate and streams are required")
	case len(o.Relays) > maxRelays:
		return nil, fmt.Errorf("device: %d relays are given, at most %d are allowed", len(o.Relays), maxRelays)
	}
	ident, err := newIdentity(o.Key)
	if err != nil {
		return nil, fmt.Errorf("device: %w", err)
	}
	x, err := o.Key.X25519()
	if err != nil {
		return nil, fmt.Errorf("device: %w", err)
	}
	opener, err := wire.NewOpener(x)
	if err != nil {
		return nil, fmt.Errorf("device: %w", err)
	}
	o.setDefaults()
	d := &Device{
		o: o, ident: ident, opener: opener, knocks: newGuard(), invitations: make(chan *invitation, knockBurstSource),
		pending: make(map[sessionKey]*knock), accounts: make(map[key.AccountID]int), sessions: make(map[sessionKey]*session),
	}
	return d, d.SetRelays(o.Relays)
}

func (o *DeviceOptions) setDefaults() {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = dialNetwork
	}
	o.MaxPending = cmp.Or(o.MaxPending, 1024)
	o.MaxPendingPerAccount = cmp.Or(o.MaxPendingPerAccount, 8)
	o.MaxSessions = cmp.Or(o.MaxSessions, 4096)
	o.KnockWindow = cmp.Or(o.KnockWindow, 24*time.Hour)
	if o.Fresh == nil {
		now, window := o.Now, o.KnockWindow
		o.Fresh = func(t time.Time) bool { return t.Sub(now()).Abs() <= window }
	}
	o.KeepAliveMin = cmp.Or(o.KeepAliveMin, defaultKeepAliveMin)
	o.KeepAliveMax = max(cmp.Or(o.KeepAliveMax, defaultKeepAliveMax), o.KeepAliveMin)
	o.PingTimeout = cmp.Or(o.PingTimeout, 5*time.Second)
	o.RetryMin = cmp.Or(o.RetryMin, time.Second)
	o.RetryMax = cmp.Or(o.RetryMax, 30*time.Second)
	o.DisplacedRetry = cmp.Or(o.DisplacedRetry, 5*time.Minute)
}

// Run serves until ctx ends, cuts all sessions then, and returns nil once they are over. A device that cannot reach a relay keeps
// trying; see Status.
func (d *Device) Run(ctx context.Context) error {
	d.mu.Lock()
	d.running = ctx
	for _, g := range d.relays {
		d.keep(g)
	}
	d.mu.Unlock()
	d.checkKnocks(ctx)
	d.mu.Lock()
	d.running = nil
	d.mu.Unlock()
	d.keeping.Wait()
	d.work.Wait()
	return nil
}

// Status reports relays and sessions, the oldest first.
func (d *Device) Status() DeviceStatus {
	s := DeviceStatus{Node: d.ident.id, Refused: d.refuse.Load()}
	d.mu.Lock()
	for _, g := range d.relays {
		s.Relays = append(s.Relays, g.status())
	}
	s.Pending = len(d.pending)
	for _, v := range d.sessions {
		s.Sessions = append(s.Sessions, v.status())
	}
	d.mu.Unlock()
	slices.SortFunc(s.Sessions, func(a, b SessionStatus) int { return a.Since.Compare(b.Since) })
	return s
}
