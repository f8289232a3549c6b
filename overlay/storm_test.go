package overlay

import (
	"context"
	"errors"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"iod/key"
)

// tally counts what happens in each second.
type tally struct {
	mu    sync.Mutex
	start time.Time
	n     []int
}

func (c *tally) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := int(time.Since(c.start) / time.Second)
	for len(c.n) <= at {
		c.n = append(c.n, 0)
	}
	c.n[at]++
}

// reset begins to count anew, and returns what was counted.
func (c *tally) reset() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n, c.start = nil, time.Now()
	return n
}

func sum(n []int) (all int) {
	for _, x := range n {
		all += x
	}
	return all
}

// TestFleetDoesNotStorm lets a relay with a thousand devices go away and come back, in simulated time: the devices try to reach it
// spread over time, in the first second as well as in the hours after, and all are back soon once it is.
func TestFleetDoesNotStorm(t *testing.T) {
	fleet := 1000
	if underRace {
		fleet = 200
	}
	perSecond := float64(fleet) / 30 // of tries that are spread evenly
	most := int(perSecond + 8*math.Sqrt(perSecond))
	synctest.Test(t, func(t *testing.T) {
		n := newMemoryNet()
		o := RelayOptions{Key: key.NewNodeKey()}
		var up atomic.Bool
		up.Store(true)
		var tries tally
		tries.reset()
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			if tries.add(); !up.Load() {
				return nil, errors.New("connection refused")
			}
			return n.dial(ctx, network, address)
		}
		startRelay := func() (*Relay, func()) {
			r, err := NewRelay(o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { r.Serve(ctx, unclosed{n}) }) //nolint:errcheck // nothing goes wrong in memory
			return r, func() { cancel(); wg.Wait() }
		}
		relay, stopRelay := startRelay()
		ctx, cancel := context.WithCancel(t.Context())
		var devices sync.WaitGroup
		for range fleet {
			d, err := NewDevice(DeviceOptions{Key: key.NewNodeKey(), Relays: []RelayAddr{{Host: "memory:1", ID: o.Key.ID()}}, Gate: newGate(true),
				Streams: func(string) (Handler, bool) { return nil, false }, Dial: dial})
			if err != nil {
				t.Fatal(err)
			}
			devices.Go(func() { d.Run(ctx) }) //nolint:errcheck // always nil
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := relay.Status().Devices; got != fleet || sum(tries.reset()) != fleet {
			t.Fatalf("%d devices are registered", got)
		}
		up.Store(false)
		n.wake()
		stopRelay()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		gone := tries.reset()
		if first := gone[0]; first > fleet*8/10 || gone[1] > fleet*8/10 {
			t.Errorf("%d of %d try in the first second, %d in the next", first, fleet, gone[1])
		}
		if later := slices.Max(gone[120:]); later > most {
			t.Errorf("%d of %d try in one second of a long outage", later, fleet)
		}
		if mean := float64(sum(gone[600:])) / float64(len(gone)-600) / float64(fleet); mean > 1.0/25 {
			t.Errorf("a device tries %.3f times a second in a long outage", mean)
		}
		relay, stopRelay = startRelay()
		up.Store(true)
		time.Sleep(46 * time.Second) // RetryMax and its half
		synctest.Wait()
		if got := relay.Status().Devices; got != fleet {
			t.Errorf("%d of %d are back", got, fleet)
		}
		back := tries.reset()
		if peak := slices.Max(back); peak > most {
			t.Errorf("%d of %d come back in one second", peak, fleet)
		}
		t.Logf("the relay goes: %v tries in its first seconds, %d at most in a later one; it is back: %v a second", gone[:8], slices.Max(gone[120:]), back)
		cancel()
		stopRelay()
		devices.Wait()
	})
}

// unclosed is a network that outlives the relays on it.
type unclosed struct{ *memoryNet }

// Accept ends with Close, which does not close the network.
func (u unclosed) Accept() (net.Conn, error) {
	select {
	case c := <-u.conns:
		return c, nil
	case <-u.woken():
		return nil, net.ErrClosed
	}
}

func (u unclosed) Close() error { u.wake(); return nil }
