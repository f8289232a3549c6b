package provision_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"iod/access"
	"iod/chain"
	"iod/clock"
	"iod/devchain"
	"iod/key"
	"iod/overlay"
	"iod/provision"
)

// What the simulation holds the device to.
const (
	simLease    = 10 * time.Minute
	simRestored = 5 * time.Second // after the link is back
	simKnock    = simLease        // a knock's life
	// simChain is after the chain is back, of which nothing tells: who waits without a lease knocks anew by then.
	simChain = simKnock + 15*time.Second
	simNap   = 100 * time.Millisecond // how late the end of a lease may be noticed, and the owner's own way to the chain
	simCut   = 10 * time.Second       // after a revocation of which the chain tells
	simFound = 3 * time.Minute        // after the chain is back, of which nothing tells: what waits for a retransmission may wait for two
	simRelay = 46 * time.Second       // the longest pause before a relay that was away is tried again
	simEcho  = 5 * time.Second        // between what a consumer asks, for a while after something has happened
	simCalm  = time.Minute            // and later
)

// TestThreeDaysOfFaults runs a whole device, with its judge, keeper, reconciler and overlay, through three days of virtual time in
// which its link flaps, the chain and the relays go away, its clock jumps, and grants come and go. The chain is the development chain
// behind its real protocol; only network and time are made up.
//
//	IOD_SIM_SEED=7 go test -run ThreeDays -v ./provision                        another world
//	IOD_SIM_SEEDS=100 IOD_SIM_HOURS=72 go test -run ThreeDays -v ./provision    many more
//
// With the race detector the world is a short one, and TestThreeDaysInTheirTime runs the long ones without it.
func TestThreeDaysOfFaults(t *testing.T) {
	percent := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	hours, seed := number(t, "IOD_SIM_HOURS", simHours), number(t, "IOD_SIM_SEED", 1)
	for i := range 1 + number(t, "IOD_SIM_SEEDS", 0) {
		t.Run(fmt.Sprint("seed ", seed+i), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newSim(t, uint64(seed+i)).run(time.Duration(hours) * time.Hour) })
		})
	}
	if os.Getenv("IOD_SIM_SEEDS") == "" {
		t.Run("more", func(t *testing.T) { t.Skip("set IOD_SIM_SEEDS to a number for as many worlds more") })
	}
}

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	s := os.Getenv(variable)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q is not a number", variable, s)
	}
	return n
}

// sim is a device and its world, with everything that is known to be true of it.
type sim struct {
	t    *testing.T
	dice *rand.Rand
	net  *simnet
	dev  *devchain.Chain

	owner  *key.Pair
	self   *key.Pair
	truth  *chain.Client // of the owner, whose link is good
	device *provision.Device
	offset atomic.Int64 // of the device's wall clock

	moved   atomic.Int64 // Unix ns of when something happened
	chainUp service
	relays  []*simRelayHost
	linkUp  service
	people  []*person
	faults  map[string]int
	worst   map[string]time.Duration

	restored map[string]int // by what had been away
}

// service is something that is there or not.
type service struct {
	up    bool
	since time.Time
}

func (s *service) set(up bool) { s.up, s.since = up, time.Now() }

// lasting is how long it has been there; negative while it is not.
func (s *service) lasting() time.Duration {
	if !s.up {
		return -1
	}
	return time.Since(s.since)
}

// simRelayHost is a relay that can be stopped and started.
type simRelayHost struct {
	service
	key  key.NodeKey
	addr overlay.RelayAddr
	stop func()
}

// person is a consumer who asks for an echo all the time.
type person struct {
	pair   *key.Pair
	name   string
	poke   chan struct{}
	dialer *overlay.Dialer

	// Of the simulation.
	granted  service       // by a finalised block; since is when
	changing bool          // that, at this moment
	due      time.Time     // since when the stream has to work; zero: it need not
	within   time.Duration // how long after that at the latest
	cause    string        // what came back
	done     bool          // it has worked since

	mu   sync.Mutex
	sent time.Time // of the last request that was answered
	got  time.Time
	n    int
}

func newSim(t *testing.T, seed uint64) *sim {
	time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))) // of the bubble
	dice := rand.New(rand.NewPCG(seed, 4))
	s := &sim{t: t, dice: dice, net: newSimnet(rand.New(rand.NewPCG(seed, 5))), faults: map[string]int{}, restored: map[string]int{}, worst: map[string]time.Duration{}}
	if seed%2 == 1 { // a machine without a battery
		s.offset.Store(int64(time.Until(time.Unix(0, 0))))
	}
	s.moved.Store(time.Now().UnixNano())
	s.owner, s.self = newPair(t), newPair(t)
	var err error
	if s.dev, err = devchain.New(devchain.Options{BlockTime: 12 * time.Second, FinalityLag: 2}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*key.Pair{s.owner, s.self} {
		if _, err := s.dev.SetBalance(p.Account(), big.NewInt(1e18)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// background runs something until the returned function is called.
func (s *sim) background(f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("ended with: %v", err)
		}
	})
}

func (s *sim) run(span time.Duration) {
	stopChain := s.startChain()
	client, err := chain.Dial(s.t.Context(), chain.Options{Endpoints: []string{"ws://truth:1"}, Dial: s.net.dialer("owner")})
	if err != nil {
		s.t.Fatal(err)
	}
	s.truth = client
	s.linkUp.set(true)
	for i := range 2 {
		r := &simRelayHost{key: key.NewNodeKey()}
		r.addr = overlay.RelayAddr{Host: fmt.Sprintf("relay%d:1", i), ID: r.key.ID()}
		s.relays = append(s.relays, r)
		s.startRelay(r)
	}
	stopService := s.startService()
	stopDevice := s.startDevice()
	stopPeople := s.startPeople()
	s.live(span)
	stopPeople()
	stopDevice()
	stopService()
	for _, r := range s.relays {
		r.stop()
	}
	client.Close()
	stopChain()
	if err := s.dev.Close(); err != nil {
		s.t.Error(err)
	}
	s.report(span)
}

// startChain serves the chain twice: to the device, from which it can be taken, and to those who must know the truth.
func (s *sim) startChain() (stop func()) {
	truth, public := s.net.listen("truth:1"), s.net.listen("chain:1")
	stopTruth := s.background(func(ctx context.Context) error { return s.dev.Serve(ctx, truth) })
	stopPublic := s.background(func(ctx context.Context) error { return s.dev.Serve(ctx, public) })
	s.chainUp.set(true)
	return func() { stopPublic(); stopTruth() }
}

// startService is what the stream leads to: it sends back each line.
func (s *sim) startService() (stop func()) {
	ln := s.net.listen("service:1")
	return s.background(func(ctx context.Context) error {
		var conns sync.WaitGroup
		defer conns.Wait()
		stop := context.AfterFunc(ctx, func() { ln.Close() })
		defer stop()
		for {
			c, err := ln.Accept()
			if err != nil {
				return nil
			}
			conns.Go(func() {
				defer c.Close()
				stop := context.AfterFunc(ctx, func() { c.Close() })
				defer stop()
				_, _ = io.Copy(c, c)
			})
		}
	})
}

func (s *sim) startRelay(r *simRelayHost) {
	relay, err := overlay.NewRelay(overlay.RelayOptions{Key: r.key, Advertise: r.addr.Host, TokenLife: simKnock})
	if err != nil {
		s.t.Fatal(err)
	}
	ln := s.net.listen(r.addr.Host)
	r.stop = s.background(func(ctx context.Context) error { return relay.Serve(ctx, ln) })
	r.set(true)
}

// log is what the device and the consumers say, when somebody wants to read it.
func (s *sim) log() *slog.Logger {
	if os.Getenv("IOD_SIM_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (s *sim) startDevice() (stop func()) {
	text := fmt.Sprintf("key = \"unused\"\nstate = %q\nowner = %q\nrpc = [\"ws://chain:1\"]\n[access]\nlease = %q\n[device]\ndata_type = \"weather\"\n"+
		"[overlay]\nrelays = [%q, %q]\n[[stream]]\nname = \"measurements\"\nkind = \"tcp\"\ntarget = \"service:1\"\n",
		filepath.Join(s.t.TempDir(), "state"), s.owner.Account(), simLease, s.relays[0].addr, s.relays[1].addr)
	m, err := provision.Parse("device.toml", []byte(text))
	if err != nil {
		s.t.Fatal(err)
	}
	booted := time.Now()
	s.device, err = provision.NewDevice(provision.Options{Manifest: m, Key: s.self, Log: s.log(), Bare: true, Dial: s.net.dialer("device"), Local: s.net.dialer("local"),
		Clock: func(floor time.Time) *clock.Clock {
			return clock.Of(func() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }, func() time.Duration { return time.Since(booted) }, floor)
		}})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.background(s.device.Run)
}

// startPeople makes consumers: two who may be granted access, and one who never is.
func (s *sim) startPeople() (stop func()) {
	var stops []func()
	for i, name := range []string{"ann", "ben", "mallory"} {
		p := &person{pair: newPair(s.t), name: name, poke: make(chan struct{}, 1)}
		p.dialer = overlay.NewDialer(overlay.DialerOptions{Account: p.pair, Dial: s.net.dialer(name), Log: s.log().With("who", name)})
		s.people = append(s.people, p)
		if i < 2 {
			s.grant(p)
		}
		stops = append(stops, s.background(func(ctx context.Context) error { p.ask(ctx, s); return nil }))
	}
	return func() {
		for i, stop := range stops {
			stop()
			s.people[i].dialer.Close()
		}
	}
}

func (s *sim) target() overlay.Target {
	t := overlay.Target{Node: s.self.NodeKey().ID()}
	for _, r := range s.relays {
		t.Relays = append(t.Relays, r.addr)
	}
	return t
}

// ask dials and asks for echoes until ctx ends.
func (p *person) ask(ctx context.Context, s *sim) {
	target, pause := s.target(), simPause
	for ctx.Err() == nil {
		conn, err := p.dialer.Dial(ctx, target, "measurements")
		if err != nil {
			if p.rest(ctx, pause) {
				pause = simPause
			}
			pause = min(2*pause, simCalm)
			continue
		}
		pause = simPause
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		for ctx.Err() == nil && p.echo(conn) == nil {
			p.rest(ctx, s.pace())
		}
		stop()
		conn.Close()
	}
}

// simPause is before a consumer that reaches no relay tries again; it doubles as long as nobody pokes the consumer.
const simPause = 250 * time.Millisecond

// rest reports whether it was cut short.
func (p *person) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.poke:
		return true
	case <-ctx.Done():
	}
	return false
}

// happened tells consumers that something has changed, as their users or their own systems do.
func (s *sim) happened() {
	s.moved.Store(time.Now().UnixNano())
	for _, p := range s.people {
		select {
		case p.poke <- struct{}{}:
		default:
		}
	}
}

// pace is the time between what a consumer asks.
func (s *sim) pace() time.Duration {
	if time.Since(time.Unix(0, s.moved.Load())) < 75*time.Second { // longer than simRelay
		return simEcho
	}
	return simCalm
}

func (p *person) echo(conn net.Conn) error {
	sent := time.Now()
	line := sent.Format(time.RFC3339Nano) + "\n"
	if _, err := io.WriteString(conn, line); err != nil {
		return err
	}
	got := make([]byte, len(line))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != line {
		return errors.New("another echo")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent, p.got, p.n = sent, time.Now(), p.n+1
	return nil
}

// grant and revoke are what the owner does, over a good link. Both return when all nodes know it for good.
func (s *sim) grant(p *person) {
	s.change(p, func(st access.State) (access.Plan, error) {
		return access.Grant(s.owner.Account(), s.self.Account(), []string{"measurements"}, "measurements", p.pair.Account(), st)
	}, true)
	p.granted.set(true)
}

func (s *sim) revoke(p *person) {
	s.change(p, func(st access.State) (access.Plan, error) {
		return access.Revoke(s.owner.Account(), s.self.Account(), []string{"measurements"}, "measurements", p.pair.Account(), st)
	}, false)
	p.granted.set(false)
	p.due = time.Time{}
}

func (s *sim) change(p *person, plan func(access.State) (access.Plan, error), final bool) {
	p.changing = true
	defer func() { p.changing = false }()
	done := make(chan error, 1)
	go func() { done <- s.submit(s.t.Context(), p, plan, final) }()
	for {
		select {
		case err := <-done:
			if err != nil {
				s.t.Fatal(err)
			}
			return
		case <-time.After(time.Second):
			s.check()
		}
	}
}

func (s *sim) submit(ctx context.Context, p *person, plan func(access.State) (access.Plan, error), final bool) error {
	b, err := s.truth.Best(ctx)
	if err != nil {
		return err
	}
	st, err := access.Read(ctx, b, s.owner.Account(), s.self.Account(), []string{"measurements"}, p.pair.Account())
	if err != nil {
		return err
	}
	todo, err := plan(st)
	if err != nil {
		return err
	}
	tx, err := s.truth.Submit(ctx, s.owner, chain.BatchAll(todo.Calls...), chain.TxOptions{})
	if err != nil {
		return err
	}
	if final {
		_, err = tx.Finalised(ctx)
	} else {
		_, err = tx.InBest(ctx)
	}
	return err
}
