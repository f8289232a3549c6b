package overlay

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"time"

	"context"
)

func TestStream(t *testing.T) {
	w := build(t, setup{})
	c := w.dial(t)
	expect(t, c, "hello")
	say(t, c, "there")
	expect(t, c, "there")
	s := w.device.Status()
	if len(s.Sessions) != 1 || s.Sessions[0].Account != w.pair.Account() || s.Sessions[0].Stream != "s" {
		t.Fatalf("status %+v", s)
	}
	eventually(t, "5 bytes in and 10 out are counted", func() bool {
		s := w.device.Status().Sessions
		return len(s) == 1 && s[0].In == 5 && s[0].Out == 10
	})
	if err := closeWrite(c); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || len(b) != 0 {
		t.Fatalf("after the half-close: %q, %v", b, err)
	}
	c.Close()
	eventually(t, "the session is over", func() bool { return len(w.device.Status().Sessions) == 0 })
	eventually(t, "the relay forgot it", func() bool { return w.relays[0].Status().Splices == 0 })
	w.gate.until(t, "the pass is released", func() bool { return w.gate.released == 1 })
}

func TestRefusedAndAbsentAreSilent(t *testing.T) {
	w := build(t, setup{gate: newGate(false), relay: RelayOptions{TokenLife: time.Second}})
	for name, target := range map[string]Target{
		"refused": w.target,
		"absent":  {Node: testPair(t, "//Nobody").NodeKey().ID(), Relays: w.target.Relays},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		_, err := w.dialer.Dial(ctx, target, "s")
		cancel()
		if !errors.Is(err, ErrSilent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := w.gate.times(); n < 2 {
		t.Errorf("the gate was asked %d times: the knock was not repeated when its token ended", n)
	}
}

func TestGrantWhilePending(t *testing.T) {
	w := build(t, setup{gate: newGate(false)})
	var granted time.Time
	go func() {
		w.gate.until(t, "a knock waits", func() bool { return w.gate.waiting > 0 })
		granted = time.Now()
		w.gate.grant(w.pair.Account())
	}()
	c := w.dial(t)
	expect(t, c, "hello")
	if d := time.Since(granted); d > 300*time.Millisecond {
		t.Errorf("first message %v after the grant", d)
	} else {
		t.Logf("first message %v after the grant", d)
	}
}

func TestCut(t *testing.T) {
	w := build(t, setup{})
	c := w.dial(t)
	expect(t, c, "hello")
	began := time.Now()
	if n := w.gate.revoke(w.pair.Account()); n != 1 {
		t.Fatalf("%d passes", n)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Fatalf("a cut session ended with %v", err)
	}
	if d := time.Since(began); d > 100*time.Millisecond {
		t.Errorf("cut after %v", d)
	} else {
		t.Logf("cut after %v", d)
	}
	eventually(t, "the session is over", func() bool { return len(w.device.Status().Sessions) == 0 })
}

func TestLargeTransfer(t *testing.T) {
	w := build(t, setup{handler: echo})
	c := w.dial(t)
	const size = 64 << 20
	sent := make(chan []byte, 1)
	go func() {
		h := sha256.New()
		_, err := io.Copy(io.MultiWriter(c, h), io.LimitReader(rand.Reader, size))
		if err == nil {
			err = closeWrite(c)
		}
		if err != nil {
			t.Error(err)
		}
		sent <- h.Sum(nil)
	}()
	h := sha256.New()
	n, err := io.Copy(h, c)
	if err != nil || n != size {
		t.Fatalf("%d bytes came back, %v", n, err)
	}
	if !bytes.Equal(h.Sum(nil), <-sent) {
		t.Fatal("the bytes that came back are others")
	}
}
