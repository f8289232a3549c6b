package overlay

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

func TestSharedSession(t *testing.T) {
	w := build(t, setup{})
	first := w.dial(t)
	expect(t, first, "hello")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			c, err := w.tryDial(patience)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			word := fmt.Sprintf("number %d", i)
			if _, err := io.WriteString(c, word); err != nil {
				t.Error(err)
			}
			if err := expectErr(c, "hello"+word); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(w.device.Status().Sessions); n != 2 {
		t.Errorf("%d sessions, want the first and the shared one", n)
	}
	if n := w.gate.times(); n != 2 {
		t.Errorf("the gate was asked %d times", n)
	}
	c := w.dial(t)
	expect(t, c, "hello")
	w.gate.revoke(w.pair.Account())
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a cut stream ended with %v", err)
	}
}

func TestSharedStreamSemantics(t *testing.T) {
	w := build(t, setup{handler: echo})
	w.dial(t)
	c := w.dial(t)
	if _, ok := c.(*muxStream); !ok {
		t.Fatalf("the second stream is a %T", c)
	}
	big := make([]byte, 3<<20)
	rand.Read(big) //nolint:errcheck // never fails
	go func() {
		c.Write(big)  //nolint:errcheck // the comparison tells
		closeWrite(c) //nolint:errcheck // likewise
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, big) {
		t.Fatalf("%d bytes of %d came back, %v", len(got), len(big), err)
	}
	c = w.dial(t)
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) //nolint:errcheck // the read tells
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a read after its deadline: %v", err)
	}
	c.SetReadDeadline(time.Time{}) //nolint:errcheck // the read tells
	say(t, c, "x")
	expect(t, c, "x")
	c.Close()
	if _, err := c.Write([]byte("y")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after close: %v", err)
	}
}

// A stream whose program does not read must not hold up the others.
func TestSharedStreamsAreIndependent(t *testing.T) {
	w := build(t, setup{handler: flood})
	w.dial(t)
	stalled, moving := w.dial(t), w.dial(t)
	if _, err := io.CopyN(io.Discard, moving, 8<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, stalled, 8<<20); err != nil {
		t.Fatal(err)
	}
	stalled.Close()
	moving.Close()
	eventually(t, "the floods end with their streams", func() bool {
		n := 0
		for _, s := range w.device.Status().Sessions {
			n += s.Streams
		}
		return n == 1
	})
}
