package overlay

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"iod/key"
)

// memoryNet is a network without sockets: what is dialled comes out of the listener, and every write is counted.
type memoryNet struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	gone chan struct{} // closed by wake

	writes, bytes atomic.Int64
}

func newMemoryNet() *memoryNet {
	return &memoryNet{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (n *memoryNet) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case n.conns <- counted{b, n}:
		return counted{a, n}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// woken is closed at the next wake.
func (n *memoryNet) woken() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone == nil {
		n.gone = make(chan struct{})
	}
	return n.gone
}

// wake ends the accepting of whoever serves on the network without closing it.
func (n *memoryNet) wake() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone != nil {
		close(n.gone)
		n.gone = nil
	}
}

func (n *memoryNet) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *memoryNet) Close() error   { n.once.Do(func() { close(n.closed) }); return nil }
func (n *memoryNet) Addr() net.Addr { return &net.UnixAddr{Name: "memory:1"} }

type counted struct {
	net.Conn
	n *memoryNet
}

func (c counted) Write(p []byte) (int, error) {
	c.n.writes.Add(1)
	c.n.bytes.Add(int64(len(p)))
	return c.Conn.Write(p)
}

// A month of an idle device with one relay, in simulated time: what it sends and receives, packet headers included, must
// stay below 3 MiB.
func TestIdleMonth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := newMemoryNet()
		relay, err := NewRelay(RelayOptions{Key: key.NewNodeKey(), Log: testLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := relay.Serve(ctx, n); err != nil {
				t.Error(err)
			}
		})
		device, err := NewDevice(DeviceOptions{
			Key: key.NewNodeKey(), Relays: []RelayAddr{{Host: "memory:1", ID: relay.ident.id}}, Gate: newGate(true),
			Streams: func(string) (Handler, bool) { return nil, false }, Dial: n.dial, Log: testLog(t),
		})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { device.Run(ctx) }) //nolint:errcheck // always nil
		synctest.Wait()
		since := device.Status().Relays[0].Since
		if !device.Status().Relays[0].Connected {
			t.Fatal("the device is not registered")
		}
		bytes, writes := n.bytes.Load(), n.writes.Load()
		t.Logf("registering: %d bytes in %d writes", bytes, writes)
		time.Sleep(time.Hour) // of the bubble's clock
		hour := n.bytes.Load() - bytes
		time.Sleep(30*24*time.Hour - time.Hour)
		bytes, writes = n.bytes.Load()-bytes, n.writes.Load()-writes
		// Each write is a segment with 52 bytes of IPv4 and TCP headers (timestamps on), and at worst an acknowledgement of its own.
		month := bytes + writes*(52+52)
		t.Logf("first hour: %d bytes; month: %d bytes in %d writes, %d with headers; keep-alive at %v",
			hour, bytes, writes, month, device.Status().Relays[0].KeepAlive)
		if writes < 1000 {
			t.Errorf("%d writes in a month: the connection was not kept alive", writes)
		}
		if month > 3<<20 {
			t.Errorf("%d bytes in a month, want at most 3 MiB", month)
		}
		if s := device.Status().Relays[0]; !s.Connected || !s.Since.Equal(since) {
			t.Errorf("the idle connection was lost: %+v", s)
		}
		cancel()
		n.Close()
		wg.Wait()
	})
}
