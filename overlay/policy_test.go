package overlay

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"iod/key"
	"iod/overlay/wire"
)

// clock is a time that the test moves.
type clock struct{ at time.Time }

func newClock() *clock                        { return &clock{time.Unix(1_700_000_000, 0)} }
func (c *clock) now() time.Time               { return c.at }
func (c *clock) forward(d time.Duration)      { c.at = c.at.Add(d) }
func (c *clock) until(w *watch) time.Duration { return w.due().Sub(c.at) }

func TestWatchLeavesSteadyStreamsAlone(t *testing.T) {
	for _, period := range []time.Duration{time.Millisecond, time.Second, 10 * time.Second, time.Minute} {
		c := newClock()
		w := newWatch(2*time.Second, c.now)
		probes := 0
		for i := range 200 {
			if c.forward(period); c.until(w) <= 0 {
				w.answered()
				probes++
				if i > 20 {
					t.Fatalf("period %v: a probe at message %d", period, i)
				}
			}
			w.heard()
		}
		if probes > 20 {
			t.Errorf("period %v: %d probes", period, probes)
		}
		if d := c.until(w); d > 2*time.Second+2*period+period/2 {
			t.Errorf("period %v: the next probe would come after %v", period, d)
		}
	}
}

func TestWatchProbesSilenceEverMoreRarely(t *testing.T) {
	c := newClock()
	w := newWatch(2*time.Second, c.now)
	probes := 0
	for end := c.at.Add(24 * time.Hour); c.at.Before(end); probes++ {
		c.forward(c.until(w))
		w.answered()
	}
	if probes > 24*4+12 {
		t.Errorf("%d probes in a silent day", probes)
	}
	// A request into the silence is watched closely again.
	w.said()
	if d := c.until(w); d != 2*time.Second {
		t.Errorf("after a request the next probe would come after %v", d)
	}
	// But one who only ever sends is not probed for every word.
	probes = 0
	for end := c.at.Add(time.Hour); c.at.Before(end); c.forward(time.Second) {
		w.said()
		if c.until(w) <= 0 {
			w.answered()
			probes++
		}
	}
	if probes > 70 {
		t.Errorf("%d probes in an hour of one-way messages", probes)
	}
}

func TestBucket(t *testing.T) {
	c := newClock()
	var b bucket
	taken := 0
	for range 100 {
		if b.take(c.now(), 10, 20) {
			taken++
		}
	}
	if taken != 20 {
		t.Errorf("a burst of %d, want 20", taken)
	}
	c.forward(time.Second)
	for taken = 0; b.take(c.now(), 10, 20); taken++ {
	}
	if taken != 10 {
		t.Errorf("%d after a second, want 10", taken)
	}
	c.forward(-time.Hour) // a clock that is set back neither fills nor blocks
	if b.take(c.now(), 10, 20) {
		t.Error("filled by a clock that was set back")
	}
	if c.forward(time.Hour); !b.full(c.now(), 10, 20) {
		t.Error("not full after an hour")
	}
}

func TestGuardIsBounded(t *testing.T) {
	c := newClock()
	g := newGuard()
	var relay bucket
	passed := 0
	for i := range 3 * maxSources { // every knock from another source
		var k sourceKey
		copy(k.tag[:], fmt.Sprint(i))
		if g.pass(c.now(), &relay, k) {
			passed++
		}
	}
	if passed != knockBurstRelay {
		t.Errorf("%d knocks passed, want the relay's burst", passed)
	}
	if len(g.sources) > maxSources {
		t.Errorf("%d sources are remembered", len(g.sources))
	}
	q := wire.Request{Account: testPair(t, "//Consumer").Public(), Node: key.NewNodeKey().ID()}
	for i := range 3 * maxNonces {
		copy(q.Nonce[:], fmt.Sprintf("%016d", i))
		if g.seen(&q) {
			t.Fatalf("nonce %d was seen before", i)
		}
		if g.remember(&q); !g.seen(&q) {
			t.Fatalf("nonce %d was forgotten at once", i)
		}
	}
	if n := len(g.nonces) + len(g.old); n > 2*maxNonces {
		t.Errorf("%d nonces are remembered", n)
	}
	copy(q.Nonce[:], fmt.Sprintf("%016d", 2*maxNonces+1))
	if !g.seen(&q) {
		t.Error("a nonce of the last generation was forgotten")
	}
}

func TestIsPublic(t *testing.T) {
	for a, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "::1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "::": false, "224.0.0.1": false, "255.255.255.255": false, "fe80::1": false,
		"fd00::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false,
		"198.18.0.1": false, "2001:db8::1": false, "fec0::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v, want %v", a, got, want)
		}
	}
}
