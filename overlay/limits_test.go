package overlay

import (
	"net"
	"testing"
	"time"

	"iod/key"
)

// Whatever one address does, others get through, and what it holds is bounded.
func TestRelayLimits(t *testing.T) {
	r := startRelay(t, RelayOptions{MaxConnsPerIP: 8, HandshakeTimeout: 200 * time.Millisecond})
	var held []net.Conn
	for range 30 {
		c, err := net.Dial("tcp", r.addr.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	eventually(t, "the surplus is turned away", func() bool { return r.Status().Dropped == 22 })
	if n := r.Status().Conns; n > 8 {
		t.Errorf("%d connections of one address", n)
	}
	for _, c := range held { // slowloris: the rest is let go when its time is over
		c.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // the read tells
		if _, err := c.Read(make([]byte, 1)); isTimeout(err) {
			t.Fatal("a silent connection is kept")
		}
	}
	eventually(t, "all are gone", func() bool { return r.Status().Conns == 0 })
}

func TestKnocksAreLimited(t *testing.T) {
	w := build(t, setup{gate: newGate(false), relay: RelayOptions{KnocksPerConn: 1, TokenLife: time.Second}})
	l, _ := rawLink(t, w.relays[0].addr, key.NewNodeKey())
	k := w.knock(t, nil)
	for range 10 { // the burst
		if _, err := l.connect(t.Context(), w.target.Node, nil, k); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.relays[0].Status().Tokens; n != 20 {
		t.Errorf("%d tokens for ten knocks", n)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := l.connect(t.Context(), w.target.Node, nil, k)
		sent <- err
	}()
	eventually(t, "the eleventh is dropped", func() bool { return w.relays[0].Status().Dropped == 1 })
	eventually(t, "the tokens expire", func() bool { return w.relays[0].Status().Tokens == 0 })
	l.close(net.ErrClosed)
	if err := <-sent; err == nil {
		t.Error("the eleventh knock got a token")
	}
	if n := w.device.Status().Pending; n > 1 {
		t.Errorf("%d knocks pending", n)
	}
}

// A device on a metered line gets no more knocks than its share, from however many consumers; these see no difference.
func TestDeviceIsSparedKnocks(t *testing.T) {
	w := build(t, setup{gate: newGate(false), relay: RelayOptions{KnocksPerDevice: 0.02, TokenLife: time.Minute}})
	l, _ := rawLink(t, w.relays[0].addr, key.NewNodeKey())
	for range 5 {
		if _, err := l.connect(t.Context(), w.target.Node, nil, w.knock(t, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.relays[0].Status().Dropped; n != 3 {
		t.Errorf("%d of 5 knocks were kept from the device, want all beyond the burst of 2", n)
	}
}

func TestIdleSpliceEnds(t *testing.T) {
	w := build(t, setup{relay: RelayOptions{SpliceIdle: 100 * time.Millisecond}, dialer: func(o *DialerOptions) { o.ProbeAfter = time.Hour }})
	c := w.dial(t)
	expect(t, c, "hello")
	c.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // the read tells
	if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a session without a byte: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := NewRelay(RelayOptions{}); err == nil {
		t.Error("a relay without a key")
	}
	ok := DeviceOptions{
		Key: key.NewNodeKey(), Gate: newGate(true), Streams: func(string) (Handler, bool) { return nil, false },
		Relays: []RelayAddr{{Host: "a:1", ID: key.NewNodeKey().ID()}},
	}
	if _, err := NewDevice(ok); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*DeviceOptions){
		"key":               func(o *DeviceOptions) { o.Key = key.NodeKey{} },
		"gate":              func(o *DeviceOptions) { o.Gate = nil },
		"streams":           func(o *DeviceOptions) { o.Streams = nil },
		"few enough relays": func(o *DeviceOptions) { o.Relays = make([]RelayAddr, 17) },
	} {
		bad := ok
		if change(&bad); true {
			if _, err := NewDevice(bad); err == nil {
				t.Errorf("a device without %s", name)
			}
		}
	}
	d := newTestDialer(t, DialerOptions{})
	if _, err := d.Dial(t.Context(), Target{Relays: ok.Relays}, "s"); err == nil {
		t.Error("a dialer without an account")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	d = newTestDialer(t, DialerOptions{Account: testPair(t, "//Consumer")})
	d.Close()
	if _, err := d.Dial(t.Context(), Target{Relays: ok.Relays}, "s"); err == nil {
		t.Error("a closed dialer dials")
	}
}
