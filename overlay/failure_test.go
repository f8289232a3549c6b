package overlay

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"iod/keepalive"
	"iod/key"
	"iod/overlay/wire"
)

// freezer is a network on which hosts can stop: they keep their connections and answer nothing.
type freezer struct {
	mu     sync.Mutex
	frozen map[string]bool
}

func newFreezer() *freezer { return &freezer{frozen: map[string]bool{}} }

func (f *freezer) freeze(host string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frozen[host] = true
}

func (f *freezer) isFrozen(host string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.frozen[host]
}

func (f *freezer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if f.isFrozen(addr) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	c, err := dialNetwork(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &freezable{TCPConn: c.(*net.TCPConn), f: f, host: addr, closed: make(chan struct{})}, nil
}

type freezable struct {
	*net.TCPConn
	f      *freezer
	host   string
	once   sync.Once
	closed chan struct{}
}

func (c *freezable) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if c.f.isFrozen(c.host) {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *freezable) Write(p []byte) (int, error) {
	if c.f.isFrozen(c.host) {
		return len(p), nil // the kernel of a frozen host still takes bytes
	}
	return c.TCPConn.Write(p)
}

func (c *freezable) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.TCPConn.Close()
}

func TestFrozenRelayIsNoticed(t *testing.T) {
	f := newFreezer()
	w := build(t, setup{relays: 2,
		device: func(o *DeviceOptions) { o.Dial, o.PingTimeout = f.dial, 200*time.Millisecond },
		dialer: func(o *DialerOptions) {
			o.Dial, o.ProbeAfter, o.ProbeTimeout, o.Stagger = f.dial, 100*time.Millisecond, 200*time.Millisecond, 100*time.Millisecond
		},
	})
	c := w.dial(t)
	expect(t, c, "hello")
	say(t, c, "one")
	expect(t, c, "one")
	frozen := w.relays[0].addr.Host
	f.freeze(frozen)
	began := time.Now()
	say(t, c, "two") // taken by the kernel, answered by nobody
	_, err := c.Read(make([]byte, 1))
	if !errors.Is(err, ErrLost) {
		t.Fatalf("a read through a frozen relay ended with %v", err)
	}
	t.Logf("noticed after %v, with probes after 100 ms and 200 ms for an answer", time.Since(began))
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("noticed after %v", d)
	}
	again := w.dial(t)
	expect(t, again, "hello")
	// The knock over the second relay makes the device look after the first.
	eventually(t, "the device drops the frozen relay", func() bool {
		s := w.device.Status()
		return !s.Relays[0].Connected && len(s.Sessions) == 1
	})
}

func TestIdleSessionIsNotLost(t *testing.T) {
	w := build(t, setup{dialer: func(o *DialerOptions) {
		o.ProbeAfter, o.ProbeTimeout = 5*time.Millisecond, 5*time.Second
	}})
	c := w.dial(t)
	expect(t, c, "hello")
	w.dialer.mu.Lock()
	var p *prober
	for _, v := range w.dialer.probes {
		p = v
	}
	w.dialer.mu.Unlock()
	eventually(t, "several probes were answered", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.seq >= 4
	})
	say(t, c, "still")
	expect(t, c, "still")
}

func TestRelayRestart(t *testing.T) {
	w := build(t, setup{})
	c := w.dial(t)
	expect(t, c, "hello")
	w.relays[0].stop(t)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("the session outlived its relay")
	}
	if _, err := w.tryDial(patience); !errors.Is(err, ErrUnreachable) {
		t.Errorf("without a relay: %v", err)
	}
	w.relays[0].start(t)
	expect(t, w.dial(t), "hello")
}

func TestPendingKnockSurvivesRelayRestart(t *testing.T) {
	w := build(t, setup{gate: newGate(false), relays: 2, dialer: func(o *DialerOptions) { o.Stagger = time.Millisecond }})
	got := make(chan error, 1)
	go func() {
		c, err := w.tryDial(patience)
		if err == nil {
			err = expectErr(c, "hello")
			c.Close()
		}
		got <- err
	}()
	w.gate.until(t, "both knocks wait", func() bool { return w.gate.waiting == 2 })
	w.relays[0].stop(t)
	w.gate.grant(w.pair.Account())
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestDeviceRestart(t *testing.T) {
	w := build(t, setup{})
	c := w.dial(t)
	expect(t, c, "hello")
	w.run.stop(t)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("the session outlived its device")
	}
	w.startDevice(t)
	expect(t, w.dial(t), "hello")
}

func TestFailover(t *testing.T) {
	w := build(t, setup{relays: 2})
	w.relays[0].stop(t)
	began := time.Now()
	expect(t, w.dial(t), "hello")
	t.Logf("over the second relay after %v", time.Since(began))
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("the second relay was used after %v only", d)
	}
}

func TestTwoHops(t *testing.T) {
	own := startRelay(t, RelayOptions{Forward: ForwardAny})
	w := build(t, setup{dialer: func(o *DialerOptions) {
		o.Via = []RelayAddr{own.addr}
		o.ProbeAfter = 5 * time.Millisecond
	}})
	c := w.dial(t)
	expect(t, c, "hello")
	if own.Status().Splices != 1 || w.relays[0].Status().Splices != 1 {
		t.Errorf("own relay %+v, device's relay %+v", own.Status(), w.relays[0].Status())
	}
	w.dialer.mu.Lock()
	for _, p := range w.dialer.probes {
		defer eventually(t, "probes are answered over both relays", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.seq >= 3
		})
	}
	w.dialer.mu.Unlock()
	say(t, c, "far")
	expect(t, c, "far")
}

func TestForwardingPolicy(t *testing.T) {
	for name, policy := range map[string]ForwardPolicy{"off": ForwardOff, "public only": ForwardPublic} {
		t.Run(name, func(t *testing.T) {
			own := startRelay(t, RelayOptions{Forward: policy, TokenLife: time.Second})
			w := build(t, setup{dialer: func(o *DialerOptions) { o.Via = []RelayAddr{own.addr} }})
			if _, err := w.tryDial(500 * time.Millisecond); !errors.Is(err, ErrSilent) {
				t.Errorf("over a relay that may not forward: %v", err)
			}
			if n := w.relays[0].Status().Conns; n != 1 {
				t.Errorf("the device's relay has %d connections, want the device's", n)
			}
		})
	}
}

func TestDisplaced(t *testing.T) {
	w := build(t, setup{device: func(o *DeviceOptions) { o.DisplacedRetry = time.Hour }})
	clone, err := NewDevice(w.dopts)
	if err != nil {
		t.Fatal(err)
	}
	start(t, clone.Run)
	eventually(t, "the older device knows", func() bool {
		return w.device.Status().Relays[0].Error == ErrDisplaced.Error()
	})
	expect(t, w.dial(t), "hello")
	if n := len(clone.Status().Sessions); n != 1 {
		t.Errorf("the newer device has %d sessions", n)
	}
}

// rawLink connects to a relay as a consumer whose frames the test writes.
func rawLink(t *testing.T, addr RelayAddr, k key.NodeKey) (*clientLink, chan wire.Frame) {
	t.Helper()
	l, err := dialLink(t.Context(), addr, func() (*identity, error) { return newIdentity(k) }, dialNetwork)
	if err != nil {
		t.Fatal(err)
	}
	l.keep, l.pingTimeout = keepalive.New(time.Hour, time.Hour), time.Second
	frames := make(chan wire.Frame, 16)
	l.onFrame = func(f wire.Frame) error { frames <- f; return nil }
	done := make(chan struct{})
	go func() { defer close(done); l.run(t.Context()) }() //nolint:errcheck // ends with the test
	t.Cleanup(func() { l.close(net.ErrClosed); <-done })
	return l, frames
}

func (w *world) knock(t *testing.T, change func(*wire.Request)) wire.Knock {
	t.Helper()
	q := wire.Request{Node: key.NewNodeKey().ID(), Device: w.target.Node, Relay: w.relays[0].addr.ID, Time: time.Now(), Stream: "s"}
	if change != nil {
		change(&q)
	}
	k, err := q.Seal(w.pair)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestBadKnocks(t *testing.T) {
	w := build(t, setup{gate: newGate(false), device: func(o *DeviceOptions) { o.MaxPendingPerAccount = 2 }})
	l, _ := rawLink(t, w.relays[0].addr, key.NewNodeKey())
	good := w.knock(t, nil)
	flipped := good
	flipped[100] ^= 1
	var refused uint64
	for _, c := range []struct {
		name  string
		knock wire.Knock
		drop  bool
	}{
		{"good", good, false},
		{"replayed", good, true},
		{"flipped bit", flipped, true},
		{"other device", w.knock(t, func(q *wire.Request) { q.Device = key.NewNodeKey().ID() }), true},
		{"other relay", w.knock(t, func(q *wire.Request) { q.Relay = key.NewNodeKey().ID() }), true},
		{"too old", w.knock(t, func(q *wire.Request) { q.Time = q.Time.Add(-25 * time.Hour) }), true},
		{"too new", w.knock(t, func(q *wire.Request) { q.Time = q.Time.Add(25 * time.Hour) }), true},
		{"unknown stream", w.knock(t, func(q *wire.Request) { q.Stream = "t" }), true},
		{"second of the account", w.knock(t, func(q *wire.Request) { q.Nonce[0] = 2 }), false},
		{"third of the account", w.knock(t, func(q *wire.Request) { q.Nonce[0] = 3 }), true},
	} {
		asked := w.gate.times()
		if _, err := l.connect(t.Context(), w.target.Node, nil, c.knock); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if c.drop {
			refused++
			eventually(t, c.name+" is refused", func() bool { return w.device.Status().Refused == refused })
			continue
		}
		w.gate.until(t, c.name+" is asked about", func() bool { return w.gate.asked == asked+1 })
	}
	if n := w.gate.times(); n != 2 {
		t.Errorf("the gate was asked %d times, want twice", n)
	}
}

// A relay that knows the tokens can claim to be the device or the consumer, and gets nowhere.
func TestRelayInTheMiddle(t *testing.T) {
	w := build(t, setup{gate: newGate(true)})
	for name, server := range map[string]*identity{"stranger": mustIdentity(t), "relay": w.relays[0].ident} {
		a, b := tcpPair(t)
		done := make(chan error, 1)
		go func() { done <- tls.Server(b, server.config(wire.ALPNData, nil)).Handshake(); b.Close() }()
		err := tls.Client(a, w.dialer.ident.config(wire.ALPNData, &w.target.Node)).Handshake()
		if !errors.As(err, new(wrongKey)) {
			t.Errorf("%s instead of the device: %v", name, err)
		}
		a.Close()
		<-done
	}
	// The consumer's side: a token with a node key that the knock does not name.
	l, _ := rawLink(t, w.relays[0].addr, key.NewNodeKey())
	p, err := l.connect(t.Context(), w.target.Node, nil, w.knock(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := l.dialData(t.Context(), p.Token)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn := tls.Client(raw, mustIdentity(t).config(wire.ALPNData, &w.target.Node))
	raw.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // the read tells
	_, err = conn.Write([]byte{wire.ModeStream})
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	if err == nil {
		t.Error("another node used the token")
	}
	w.gate.until(t, "the pass is released", func() bool { return w.gate.released == 1 })
	// The token was used: it opens nothing a second time.
	again, err := l.dialData(t.Context(), p.Token)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	again.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // the read tells
	if _, err := again.Read(make([]byte, 1)); !isEnd(err) {
		t.Errorf("a used token: %v", err)
	}
}

// tcpPair returns the two ends of a connection over loopback.
func tcpPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func isEnd(err error) bool {
	return err != nil && !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err)
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func TestWrongRelayKey(t *testing.T) {
	w := build(t, setup{})
	target := w.target
	target.Relays = []RelayAddr{{Host: w.relays[0].addr.Host, ID: key.NewNodeKey().ID()}}
	_, err := w.dialer.Dial(t.Context(), target, "s")
	if !errors.Is(err, ErrUnreachable) || !errors.As(err, new(wrongKey)) {
		t.Errorf("a relay with another key: %v", err)
	}
}

func TestGarbageAtTheRelay(t *testing.T) {
	w := build(t, setup{relay: RelayOptions{HandshakeTimeout: 300 * time.Millisecond}})
	for name, bytes := range map[string]string{
		"http":              "GET / HTTP/1.1\r\n\r\n",
		"broken hello":      "\x16\x03\x01\x00\x05hello",
		"unknown token":     "iod\x01" + string(make([]byte, 32)),
		"later version":     "iod\x02" + string(make([]byte, 32)),
		"half a preamble":   "iod\x01abc",
		"nothing":           "",
		"zeros":             string(make([]byte, 5000)),
		"huge hello length": "\x16\x03\x01\xff\xff" + string(make([]byte, 100)),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", w.relays[0].addr.Host)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, bytes)                //nolint:errcheck // the relay may have closed already
			c.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // the read tells
			if _, err := io.Copy(io.Discard, c); isTimeout(err) {
				t.Error("the relay kept the connection")
			}
		})
	}
	expect(t, w.dial(t), "hello")
}

// Frames that no node sends end the connection of who sent them, and of nobody else.
func TestBadFrames(t *testing.T) {
	w := build(t, setup{})
	for name, send := range map[string][]byte{
		"unknown type":      {0x7f, 0, 0},
		"too long":          {byte(wire.TypePing), 0xff, 0xff},
		"short body":        {byte(wire.TypePing), 0, 1, 0},
		"relay's own frame": wire.Append(nil, wire.Pong{Seq: 1}),
		"id used twice": wire.Append(wire.Append(nil, wire.Connect{ID: 1, Knock: wire.Knock{}}),
			wire.Connect{ID: 1, Knock: wire.Knock{}}),
		"version": wire.Append(nil, wire.Register{Version: 9}),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", w.relays[0].addr.Host, mustIdentity(t).config(wire.ALPN, &w.relays[0].addr.ID))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(send); err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // the read tells
			if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
				t.Error("the relay kept the connection")
			}
		})
	}
	expect(t, w.dial(t), "hello")
}
