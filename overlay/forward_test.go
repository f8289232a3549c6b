package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// service is a TCP server beside the device: it echoes, and after the end of what it read says how much that was.
func service(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				n, err := io.Copy(c, c)
				if err == nil {
					fmt.Fprintf(c, "/%d", n)
				}
			})
		}
	})
	return ln.Addr().String()
}

// localPort forwards a local port to the world's stream.
func (w *world) localPort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	start(t, func(ctx context.Context) error {
		return Forward(ctx, ln, func(ctx context.Context) (net.Conn, error) { return w.dialer.Dial(ctx, w.target, "s") }, testLog(t))
	})
	return ln.Addr().String()
}

// ask opens a local connection, sends a text, ends its half, and checks all that comes back.
func ask(addr, text string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // the read tells
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	if err := closeWrite(c); err != nil {
		return err
	}
	got, err := io.ReadAll(c)
	if want := fmt.Sprintf("%s/%d", text, len(text)); err != nil || string(got) != want {
		return fmt.Errorf("got %q, %w, want %q", got, err, want)
	}
	return nil
}

func TestForwardSurvivesRestarts(t *testing.T) {
	w := build(t, setup{handler: TCP(service(t))})
	port := w.localPort(t)
	step := func(name string) {
		t.Helper()
		for i := range 2 { // a session of its own, then a shared one
			if err := ask(port, fmt.Sprintf("%s %d", name, i)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	// A connection that comes before the consumer has heard of the loss is lost with it: only later ones are held.
	lost := func() {
		t.Helper()
		eventually(t, "the consumer has heard of the loss", func() bool {
			w.dialer.mu.Lock()
			defer w.dialer.mu.Unlock()
			return len(w.dialer.shared) == 0
		})
	}
	step("first")
	w.relays[0].stop(t)
	lost()
	held := make(chan error, 1)
	go func() { held <- ask(port, "held while the relay is away") }()
	w.relays[0].start(t)
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	step("after the relay's restart")
	w.run.stop(t)
	lost()
	go func() { held <- ask(port, "held while the device is away") }()
	w.startDevice(t)
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	step("after the device's restart")
}

func TestForwardToNothing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	w := build(t, setup{handler: TCP(ln.Addr().String())})
	c := w.dial(t)
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("a stream without a target ended with %v, want its end", err)
	}
}

func TestPipePassesResetOn(t *testing.T) {
	a1, a2 := tcpPair(t)
	b1, b2 := tcpPair(t)
	done := make(chan error, 1)
	go func() { done <- pipe(t.Context(), a2, b1) }()
	abort(a1)
	if err := <-done; err == nil {
		t.Error("a reset passed for an end")
	}
	if _, err := b2.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the other side saw %v", err)
	}
}

func TestUDP(t *testing.T) {
	target, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { target.Close(); wg.Wait() })
	wg.Go(func() {
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := target.ReadFrom(buf)
			if err != nil {
				return
			}
			target.WriteTo(buf[:n], from) //nolint:errcheck // the test sees what is missing
		}
	})
	w := build(t, setup{handler: UDP(target.LocalAddr().String())})
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	start(t, func(ctx context.Context) error {
		return ForwardUDP(ctx, pc, func(ctx context.Context) (net.Conn, error) { return w.dialer.Dial(ctx, w.target, "s") }, testLog(t))
	})
	for source := range 2 {
		c, err := net.Dial("udp", pc.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, size := range []int{1, 0, 1400, 60000} {
			sent := make([]byte, size)
			for i := range sent {
				sent[i] = byte(i + source)
			}
			if _, err := c.Write(sent); err != nil {
				t.Fatal(err)
			}
			c.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // the read tells
			got := make([]byte, maxDatagram)
			n, err := c.Read(got)
			if err != nil || string(got[:n]) != string(sent) {
				t.Fatalf("a datagram of %d bytes came back with %d, %v", size, n, err)
			}
		}
	}
}
