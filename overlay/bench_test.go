package overlay

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"iod/key"
	"iod/overlay/wire"
)

// splicing is the baseline's proxy: it joins each connection with a new one to the target, by the kernel's splice.
func splicing(b testing.TB, target string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	b.Cleanup(func() { ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				to, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				defer to.Close()
				wg.Go(func() {
					io.Copy(c, to) //nolint:errcheck // the benchmark sees what is missing
					closeWrite(c)  //nolint:errcheck // likewise
				})
				io.Copy(to, c) //nolint:errcheck // likewise
				closeWrite(to) //nolint:errcheck // likewise
			})
		}
	})
	return ln.Addr().String()
}

// plain is the baseline: end-to-end TLS with node certificates on both sides through a splicing proxy.
func plain(b testing.TB, h Handler) (dial func() (net.Conn, error)) {
	server, client := mustIdentity(b), mustIdentity(b)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server.config(wire.ALPNData, &client.id))
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	b.Cleanup(func() { ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				h.ServeStream(context.Background(), c, Request{}) //nolint:errcheck // the benchmark sees what is missing
			})
		}
	})
	proxy := splicing(b, ln.Addr().String())
	return func() (net.Conn, error) { return tls.Dial("tcp", proxy, client.config(wire.ALPNData, &server.id)) }
}

func mustIdentity(b testing.TB) *identity {
	i, err := newIdentity(key.NewNodeKey())
	if err != nil {
		b.Fatal(err)
	}
	return i
}

// source sends zeros until the consumer goes away.
var flood = handlerFunc(func(_ context.Context, conn net.Conn, _ Request) error {
	buf := make([]byte, 32<<10)
	for {
		if _, err := conn.Write(buf); err != nil {
			return nil
		}
	}
})

// benchThroughput reads b.N times 1 MiB.
func benchThroughput(b *testing.B, dial func() (net.Conn, error)) {
	c, err := dial()
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 64<<10)
	read := func(n int) {
		for n > 0 {
			m, err := c.Read(buf[:min(n, len(buf))])
			if err != nil {
				b.Fatal(err)
			}
			n -= m
		}
	}
	read(4 << 20) // past slow starts
	b.SetBytes(1 << 20)
	b.ResetTimer()
	for range b.N {
		read(1 << 20)
	}
}

func BenchmarkThroughput(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchThroughput(b, plain(b, flood)) })
	b.Run("overlay", func(b *testing.B) {
		w := build(b, setup{handler: flood})
		benchThroughput(b, func() (net.Conn, error) { return w.tryDial(patience) })
	})
	b.Run("overlay-mux", func(b *testing.B) {
		w := build(b, setup{handler: flood})
		first, err := w.tryDial(patience)
		if err != nil {
			b.Fatal(err)
		}
		defer first.Close()
		benchThroughput(b, func() (net.Conn, error) { return w.tryDial(patience) })
	})
}

// benchFirstByte dials and reads one byte, b.N times, and reports the median.
func benchFirstByte(b *testing.B, dial func() (net.Conn, error)) {
	var all []time.Duration
	for b.Loop() {
		began := time.Now()
		c, err := dial()
		if err != nil {
			b.Fatal(err)
		}
		if err := expectErr(c, "h"); err != nil {
			b.Fatal(err)
		}
		all = append(all, time.Since(began))
		c.Close()
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "median-ms")
}

func BenchmarkFirstByte(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchFirstByte(b, plain(b, pulse)) })
	wide := RelayOptions{KnocksPerConn: 1e6, KnocksPerIP: 1e6, KnocksPerDevice: 1e6, HandshakesPerIP: 1e6}
	b.Run("overlay-cold", func(b *testing.B) { // everything from nothing: a new dialer each time
		w := build(b, setup{handler: pulse, relay: wide})
		w.device.knocks.open = true
		benchFirstByte(b, func() (net.Conn, error) {
			d := NewDialer(DialerOptions{Account: w.pair})
			b.Cleanup(func() { d.Close() })
			return d.Dial(b.Context(), w.target, "s")
		})
	})
	b.Run("overlay", func(b *testing.B) { // the dialer knows the relay already
		w := build(b, setup{handler: pulse, relay: wide, dialer: func(o *DialerOptions) { o.Solo = true }})
		w.device.knocks.open = true
		benchFirstByte(b, func() (net.Conn, error) { return w.tryDial(patience) })
	})
	b.Run("overlay-mux", func(b *testing.B) { // a session to the stream exists
		w := build(b, setup{handler: pulse, relay: wide})
		first, err := w.tryDial(patience)
		if err != nil {
			b.Fatal(err)
		}
		defer first.Close()
		benchFirstByte(b, func() (net.Conn, error) { return w.tryDial(patience) })
	})
}

// drip sends messages of 200 bytes, each by a write of its own, as a broker's client would.
var drip = handlerFunc(func(_ context.Context, conn net.Conn, _ Request) error {
	buf := make([]byte, 200)
	for {
		if _, err := conn.Write(buf); err != nil {
			return nil
		}
	}
})

// BenchmarkMessages has 50 consumers with 2 streams each read small messages as fast as they come.
func BenchmarkMessages(b *testing.B) {
	const consumers, streams = 50, 2
	run := func(b *testing.B, dial func(consumer int) (net.Conn, error)) {
		var conns []net.Conn
		for i := range consumers * streams {
			c, err := dial(i / streams)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if err := expectErr(c, string(make([]byte, 200))); err != nil {
				b.Fatal(err)
			}
			conns = append(conns, c)
		}
		b.ResetTimer()
		var wg sync.WaitGroup
		for _, c := range conns {
			wg.Go(func() {
				if _, err := io.CopyN(io.Discard, c, int64(200*(b.N/len(conns)+1))); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	}
	overlay := func(b *testing.B, solo bool) {
		w := build(b, setup{handler: drip})
		dialers := make([]*Dialer, consumers)
		for i := range dialers {
			dialers[i] = newTestDialer(b, DialerOptions{Account: w.pair, Solo: solo})
		}
		run(b, func(i int) (net.Conn, error) { return dialers[i].Dial(b.Context(), w.target, "s") })
	}
	b.Run("plain", func(b *testing.B) {
		dial := plain(b, drip)
		run(b, func(int) (net.Conn, error) { return dial() })
	})
	b.Run("overlay", func(b *testing.B) { overlay(b, false) })
	b.Run("overlay-solo", func(b *testing.B) { overlay(b, true) })
}

// BenchmarkDeviceMemory reports what one idle session of a device costs in a process of all ends, half of which is the consumer's.
func BenchmarkDeviceMemory(b *testing.B) {
	const sessions = 200
	for b.Loop() {
		w := build(b, setup{handler: TCP(service(b))})
		w.device.knocks.open = true
		before := heapAndStacks()
		var conns []net.Conn
		d := newTestDialer(b, DialerOptions{Account: w.pair, Solo: true})
		for range sessions {
			c, err := d.Dial(b.Context(), w.target, "s")
			if err != nil {
				b.Fatal(err)
			}
			io.WriteString(c, "x") //nolint:errcheck // the read tells
			if err := expectErr(c, "x"); err != nil {
				b.Fatal(err)
			}
			conns = append(conns, c)
		}
		b.ReportMetric(float64(heapAndStacks()-before)/sessions/1024, "KiB/session")
		for _, c := range conns {
			c.Close()
		}
	}
}

// heapAndStacks is the live memory after a collection.
func heapAndStacks() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkRatios alternates between plain TLS and the overlay, so that a busy machine is busy for both, and reports the ratios
// of the medians: of throughput (at least 0.8 is wanted) and of the first byte, from nothing and over a known relay (at most 3).
func BenchmarkRatios(b *testing.B) {
	b.Run("throughput", func(b *testing.B) {
		w := build(b, setup{handler: flood})
		base, err := plain(b, flood)()
		if err != nil {
			b.Fatal(err)
		}
		defer base.Close()
		solo, shared := w.dial(b), w.dial(b)
		var times [3][]time.Duration
		for b.Loop() {
			for i, c := range []net.Conn{base, solo, shared} {
				// What the stalled sender had filled on the way is read first: it would be counted as infinitely fast.
				readAll(b, c, 12<<20)
				began := time.Now()
				readAll(b, c, 16<<20)
				times[i] = append(times[i], time.Since(began))
			}
		}
		b.ReportMetric(16/median(times[0]).Seconds()*1.048576, "plain-MB/s")
		b.ReportMetric(median(times[0]).Seconds()/median(times[1]).Seconds(), "solo-ratio")
		b.ReportMetric(median(times[0]).Seconds()/median(times[2]).Seconds(), "mux-ratio")
	})
	b.Run("firstbyte", func(b *testing.B) {
		wide := RelayOptions{KnocksPerConn: 1e6, KnocksPerIP: 1e6, KnocksPerDevice: 1e6, HandshakesPerIP: 1e6}
		w := build(b, setup{handler: pulse, relay: wide, dialer: func(o *DialerOptions) { o.Solo = true }})
		w.device.knocks.open = true
		base := plain(b, pulse)
		var cold *Dialer
		dials := []func() (net.Conn, error){
			base,
			func() (net.Conn, error) {
				cold = NewDialer(DialerOptions{Account: w.pair})
				return cold.Dial(b.Context(), w.target, "s")
			},
			func() (net.Conn, error) { return w.tryDial(patience) },
		}
		var times [3][]time.Duration
		for b.Loop() {
			for i, dial := range dials {
				began := time.Now()
				c, err := dial()
				if err != nil {
					b.Fatal(err)
				}
				if err := expectErr(c, "h"); err != nil {
					b.Fatal(err)
				}
				times[i] = append(times[i], time.Since(began))
				c.Close()
			}
			cold.Close()
		}
		b.ReportMetric(float64(median(times[0]).Microseconds())/1000, "plain-ms")
		b.ReportMetric(median(times[1]).Seconds()/median(times[0]).Seconds(), "cold-ratio")
		b.ReportMetric(median(times[2]).Seconds()/median(times[0]).Seconds(), "known-ratio")
	})
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// readAll reads n bytes.
func readAll(b *testing.B, c net.Conn, n int) {
	buf := make([]byte, 64<<10)
	for n > 0 {
		m, err := c.Read(buf[:min(n, len(buf))])
		if err != nil {
			b.Fatal(err)
		}
		n -= m
	}
}
