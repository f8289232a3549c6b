package overlay

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"iod/key"
)

// diary collects what a device tells of its sessions and of dropped knocks.
type diary struct {
	mu       sync.Mutex
	sessions []SessionEvent
	dropped  []Dropped
}

func (d *diary) watch(o *DeviceOptions) {
	o.OnSession = func(e SessionEvent) { d.mu.Lock(); defer d.mu.Unlock(); d.sessions = append(d.sessions, e) }
	o.OnDropped = func(e Dropped) { d.mu.Lock(); defer d.mu.Unlock(); d.dropped = append(d.dropped, e) }
}

func (d *diary) count(ok func(SessionEvent) bool) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.sessions {
		if ok(e) {
			n++
		}
	}
	return n
}

func addrsOf(s DeviceStatus) (all []RelayAddr) {
	for _, r := range s.Relays {
		all = append(all, r.Addr)
	}
	return all
}

// Relays come and go while sessions go on; one that is listed no more is left with its last session and brings no knocks before.
func TestRelaysChange(t *testing.T) {
	w := build(t, setup{})
	first := w.relays[0]
	c := w.dial(t)
	expect(t, c, "hello")
	second := startRelay(t, RelayOptions{})
	if err := w.device.SetRelays([]RelayAddr{first.addr, second.addr}); err != nil {
		t.Fatal(err)
	}
	w.registered(t)
	if got := addrsOf(w.device.Status()); !slices.Equal(got, []RelayAddr{first.addr, second.addr}) {
		t.Fatalf("relays %v", got)
	}
	if err := w.device.SetRelays([]RelayAddr{second.addr}); err != nil {
		t.Fatal(err)
	}
	say(t, c, "still here")
	expect(t, c, "still here")
	if s := w.device.Status(); len(s.Relays) != 2 || !s.Relays[0].Retiring || s.Relays[1].Retiring {
		t.Errorf("while a session goes over it: %+v", s.Relays)
	}
	if n := first.Status().Devices; n != 1 {
		t.Errorf("%d devices at the relay that bears a session", n)
	}
	asked := w.gate.times()
	if other, err := newTestDialer(t, DialerOptions{Account: w.pair}).Dial(timeout(t, 300*time.Millisecond), w.target, "s"); err == nil {
		other.Close()
		t.Error("a relay that is listed no more still brings consumers")
	}
	if w.gate.times() != asked {
		t.Error("the gate was asked")
	}
	c.Close()
	eventually(t, "the relay is left", func() bool { return first.Status().Devices == 0 && len(w.device.Status().Relays) == 1 })
	w.target.Relays = []RelayAddr{second.addr}
	expect(t, w.dial(t), "hello")
	for _, addrs := range [][]RelayAddr{nil, {first.addr}} { // to none, and back
		if err := w.device.SetRelays(addrs); err != nil {
			t.Fatal(err)
		}
	}
	w.registered(t)
	if err := w.device.SetRelays(make([]RelayAddr, 17)); err == nil {
		t.Error("17 relays")
	}
}

// A retired relay that is listed again before its last session ends stays.
func TestRelayComesBack(t *testing.T) {
	w := build(t, setup{})
	c := w.dial(t)
	expect(t, c, "hello")
	for _, addrs := range [][]RelayAddr{nil, {w.relays[0].addr}} {
		if err := w.device.SetRelays(addrs); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	expect(t, w.dial(t), "hello")
	if s := w.device.Status().Relays; len(s) != 1 || s[0].Retiring || s[0].RTT <= 0 {
		t.Errorf("%+v", s)
	}
}

func TestEnd(t *testing.T) {
	var d diary
	gate := newGate(false)
	w := build(t, setup{gate: gate, device: d.watch})
	gate.grant(w.pair.Account())
	c := w.dial(t)
	expect(t, c, "hello")
	w.device.End(func(r Request) bool { return r.Stream == "another" })
	say(t, c, "untouched")
	expect(t, c, "untouched")
	w.device.End(func(r Request) bool { return r.Stream == "s" && r.Account == w.pair.Account() })
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, ErrCut) && !underRace {
		t.Errorf("the consumer reads %v", err)
	}
	eventually(t, "the end is told", func() bool {
		return d.count(func(e SessionEvent) bool {
			return e.Ended && errors.Is(e.Err, ErrGone) && e.In == 9 && e.Out == 14 && e.Stream == "s"
		}) == 1
	})
	if n := d.count(func(e SessionEvent) bool { return !e.Ended }); n != 1 {
		t.Errorf("%d begins", n)
	}
	// A knock that waits goes too.
	stranger := testPair(t, "//Stranger")
	go newTestDialer(t, DialerOptions{Account: stranger}).Dial(timeout(t, patience), w.target, "s") //nolint:errcheck // it ends with the test
	gate.until(t, "the knock waits", func() bool { return gate.waiting == 1 })
	w.device.End(func(r Request) bool { return true })
	gate.until(t, "it waits no more", func() bool { return gate.waiting == 0 })
}

func TestDroppedIsTold(t *testing.T) {
	var d diary
	w := build(t, setup{device: d.watch})
	if c, err := w.dialer.Dial(timeout(t, 200*time.Millisecond), w.target, "nothing"); err == nil {
		c.Close()
		t.Fatal("a stream that does not exist")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.dropped) == 0 || d.dropped[0].Stream != "nothing" || d.dropped[0].Account != w.pair.Account() || d.dropped[0].Proved ||
		!errors.Is(d.dropped[0].Err, errStream) {
		t.Errorf("%+v", d.dropped)
	}
}

// A nudge makes a device that waits long before its next try look soon: within RetryMin.
func TestNudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemoryNet()
		relay, err := NewRelay(RelayOptions{Key: key.NewNodeKey(), Log: testLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		var up atomic.Bool
		var tries atomic.Int64
		device, err := NewDevice(DeviceOptions{
			Key: key.NewNodeKey(), Relays: []RelayAddr{{Host: "memory:1", ID: relay.ident.id}}, Gate: newGate(true),
			Streams: func(string) (Handler, bool) { return nil, false }, Log: testLog(t), RetryMax: time.Hour,
			Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				if tries.Add(1); !up.Load() {
					return nil, errors.New("no network")
				}
				return n.dial(ctx, network, address)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { relay.Serve(ctx, n) }) //nolint:errcheck // nothing goes wrong in memory
		wg.Go(func() { device.Run(ctx) })     //nolint:errcheck // always nil
		time.Sleep(12 * time.Hour)
		before := tries.Load()
		up.Store(true)
		time.Sleep(5 * time.Second)
		if tries.Load() != before {
			t.Fatal("it looked by itself: the test proves nothing")
		}
		device.Nudge()
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		if !device.Status().Relays[0].Connected || tries.Load() != before+1 {
			t.Errorf("a second after the nudge: %+v, %d tries", device.Status().Relays[0], tries.Load()-before)
		}
		cancel()
		n.Close()
		wg.Wait()
	})
}

func timeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
