package overlay

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// A consumer that does not read must not keep a withdrawn session alive at the relays, nor get what was still on its way there.
func TestCutWhileStalled(t *testing.T) {
	for name, hops := range map[string]int{"one relay": 1, "two relays": 2} {
		t.Run(name, func(t *testing.T) {
			var via []RelayAddr
			var relays []*testRelay
			if hops == 2 {
				own := startRelay(t, RelayOptions{Forward: ForwardAny})
				via, relays = []RelayAddr{own.addr}, append(relays, own)
			}
			w := build(t, setup{handler: flood, dialer: func(o *DialerOptions) { o.Via = via }})
			relays = append(relays, w.relays...)
			c := w.dial(t)
			if _, err := io.CopyN(io.Discard, c, 1<<20); err != nil {
				t.Fatal(err)
			}
			stalled(t, w)
			began := time.Now()
			if n := w.gate.revoke(w.pair.Account()); n != 1 {
				t.Fatalf("%d passes", n)
			}
			eventually(t, "the relays let the session go", func() bool {
				for _, r := range relays {
					if r.Status().Splices > 0 {
						return false
					}
				}
				return true
			})
			if d := time.Since(began); d > 100*time.Millisecond && !underRace {
				t.Errorf("cut after %v", d)
			} else {
				t.Logf("cut after %v", d)
			}
			_, err := io.Copy(io.Discard, c)
			if err == nil || errors.Is(err, io.EOF) {
				t.Errorf("the session ended with %v", err)
			}
		})
	}
}

// stalled waits until the device cannot write any more.
func stalled(t *testing.T, w *world) {
	t.Helper()
	last, since := uint64(0), time.Now()
	eventually(t, "everything on the way is full", func() bool {
		if n := w.device.Status().Sessions[0].Out; n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) > 100*time.Millisecond
	})
}

// A consumer is told why, be its session its own or shared.
func TestCutIsExplained(t *testing.T) {
	w := build(t, setup{})
	own, shared := w.dial(t), w.dial(t)
	expect(t, own, "hello")
	expect(t, shared, "hello")
	w.gate.revoke(w.pair.Account())
	for name, c := range map[string]net.Conn{"own": own, "shared": shared} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, ErrCut) && !underRace {
			t.Errorf("%s session: the read ended with %v", name, err)
		}
	}
}
