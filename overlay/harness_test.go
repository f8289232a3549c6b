package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"iod/key"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := playRole(role); err != nil {
			fmt.Fprintln(os.Stderr, role, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of a test that is to succeed.
const patience = 20 * time.Second

// testGate admits the accounts that are granted. Waiting knocks see a grant at once.
type testGate struct {
	mu       sync.Mutex
	changed  chan struct{}
	all      bool
	granted  map[key.AccountID]bool
	passes   map[*testPass]bool
	asked    int
	waiting  int
	released int
}

type testPass struct {
	gate    *testGate
	account key.AccountID
	done    chan struct{}
	once    sync.Once
}

func newGate(all bool) *testGate {
	return &testGate{changed: make(chan struct{}), all: all, granted: map[key.AccountID]bool{}, passes: map[*testPass]bool{}}
}

func (g *testGate) touch() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *testGate) Admit(ctx context.Context, r Request) (Pass, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	g.waiting++
	g.touch()
	defer func() { g.waiting--; g.touch() }()
	for !g.all && !g.granted[r.Account] {
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		g.mu.Lock()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	p := &testPass{gate: g, account: r.Account, done: make(chan struct{})}
	g.passes[p] = true
	g.touch()
	return p, nil
}

func (g *testGate) grant(a key.AccountID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.granted[a] = true
	g.touch()
}

// revoke withdraws all passes of an account and returns how many there were.
func (g *testGate) revoke(a key.AccountID) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.granted, a)
	n := 0
	for p := range g.passes {
		if p.account == a {
			p.once.Do(func() { close(p.done) })
			n++
		}
	}
	return n
}

// times returns how often the gate was asked.
func (g *testGate) times() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

// until waits for a condition on the gate's state.
func (g *testGate) until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := time.After(patience)
	for {
		g.mu.Lock()
		done, changed := ok(), g.changed
		g.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waited too long until %s", what)
		}
	}
}

var errRevoked = errors.New("revoked by the test")

func (p *testPass) Done() <-chan struct{} { return p.done }
func (p *testPass) Err() error            { return errRevoked }
func (p *testPass) Release() {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	delete(p.gate.passes, p)
	p.gate.released++
	p.gate.touch()
}

// handlerFunc is a handler that is a function.
type handlerFunc func(ctx context.Context, conn net.Conn, r Request) error

func (f handlerFunc) ServeStream(ctx context.Context, conn net.Conn, r Request) error {
	return f(ctx, conn, r)
}

// echo sends back what comes, to the end, and then ends too.
var echo = handlerFunc(func(_ context.Context, conn net.Conn, _ Request) error {
	if _, err := io.Copy(conn, conn); err != nil {
		return err
	}
	return closeWrite(conn)
})

// pulse says one thing at once and then echoes.
var pulse = handlerFunc(func(ctx context.Context, conn net.Conn, r Request) error {
	if _, err := io.WriteString(conn, "hello"); err != nil {
		return err
	}
	return echo(ctx, conn, r)
})

// running is a part that a test started.
type running struct {
	cancel context.CancelFunc
	done   chan error
	once   sync.Once
	err    error
}

func start(t testing.TB, f func(ctx context.Context) error) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- f(ctx) }()
	t.Cleanup(func() { r.stop(t) })
	return r
}

func (r *running) stop(t testing.TB) {
	r.once.Do(func() {
		r.cancel()
		select {
		case r.err = <-r.done:
		case <-time.After(patience):
			t.Error("a part did not stop")
		}
		if r.err != nil {
			t.Errorf("a part ended with %v", r.err)
		}
	})
}

func testLog(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// testRelay is a relay on loopback that can be stopped and started again at its address.
type testRelay struct {
	*Relay
	*running
	addr RelayAddr
	opts RelayOptions
}

func startRelay(t testing.TB, o RelayOptions) *testRelay {
	t.Helper()
	if o.Key.Seed() == [32]byte{} {
		o.Key = key.NewNodeKey()
	}
	r := &testRelay{opts: o, addr: RelayAddr{Host: "127.0.0.1:0", ID: o.Key.ID()}}
	r.start(t)
	return r
}

func (r *testRelay) start(t testing.TB) {
	t.Helper()
	if r.opts.Log == nil {
		r.opts.Log = testLog(t)
	}
	relay, err := NewRelay(r.opts)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", r.addr.Host)
	if err != nil {
		t.Fatal(err)
	}
	r.addr.Host = ln.Addr().String()
	r.Relay = relay
	r.running = start(t, func(ctx context.Context) error { return relay.Serve(ctx, ln) })
}

// world is a device with a gate and a consumer.
type world struct {
	gate   *testGate
	relays []*testRelay
	device *Device
	run    *running
	dopts  DeviceOptions
	dialer *Dialer
	pair   *key.Pair
	target Target
}

// testPair derives a development account.
func testPair(t testing.TB, uri string) *key.Pair {
	t.Helper()
	p, err := key.FromURI(key.Sr25519, uri)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type setup struct {
	relays  int
	relay   RelayOptions
	gate    *testGate
	handler Handler
	device  func(*DeviceOptions)
	dialer  func(*DialerOptions)
}

// build starts relays, a device with one stream "s", and a dialer, and waits until the device is registered everywhere.
func build(t testing.TB, s setup) *world {
	t.Helper()
	w := &world{gate: s.gate, pair: testPair(t, "//Consumer")}
	if w.gate == nil {
		w.gate = newGate(true)
	}
	if s.handler == nil {
		s.handler = pulse
	}
	var addrs []RelayAddr
	for range max(s.relays, 1) {
		r := startRelay(t, s.relay)
		w.relays = append(w.relays, r)
		addrs = append(addrs, r.addr)
	}
	w.dopts = DeviceOptions{
		Key: key.NewNodeKey(), Relays: addrs, Gate: w.gate, Log: testLog(t),
		Streams:  func(name string) (Handler, bool) { return s.handler, name == "s" },
		RetryMin: 10 * time.Millisecond, RetryMax: 100 * time.Millisecond,
	}
	if s.device != nil {
		s.device(&w.dopts)
	}
	w.target = Target{Node: w.dopts.Key.ID(), Relays: addrs}
	w.startDevice(t)
	o := DialerOptions{Account: w.pair, Log: testLog(t)}
	if s.dialer != nil {
		s.dialer(&o)
	}
	w.dialer = newTestDialer(t, o)
	return w
}

func newTestDialer(t testing.TB, o DialerOptions) *Dialer {
	d := NewDialer(o)
	t.Cleanup(func() { d.Close() })
	return d
}

func (w *world) startDevice(t testing.TB) {
	t.Helper()
	d, err := NewDevice(w.dopts)
	if err != nil {
		t.Fatal(err)
	}
	w.device = d
	w.run = start(t, d.Run)
	w.registered(t)
}

// registered waits until all relays know the device.
func (w *world) registered(t testing.TB) {
	t.Helper()
	eventually(t, "the device is registered", func() bool {
		for _, r := range w.device.Status().Relays {
			if !r.Connected {
				return false
			}
		}
		return true
	})
}

// eventually polls a condition; nothing in a test depends on how often.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited too long until %s", what)
		}
	}
}

func (w *world) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := w.tryDial(patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (w *world) tryDial(d time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return w.dialer.Dial(ctx, w.target, "s")
}

// expect reads exactly what is wanted.
func expect(t testing.TB, c net.Conn, want string) {
	t.Helper()
	if err := expectErr(c, want); err != nil {
		t.Fatal(err)
	}
}

func expectErr(c net.Conn, want string) error {
	c.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // the read tells
	defer c.SetReadDeadline(time.Time{})        //nolint:errcheck // likewise
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("read %q of %q: %w", got[:n], want, err)
	}
	if string(got) != want {
		return fmt.Errorf("got %q, want %q", got, want)
	}
	return nil
}

func say(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}
