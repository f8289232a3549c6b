package overlay

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
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

// muxFrames is a sequence that a consumer could send.
func muxFrames(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

func muxFrame(kind byte, id uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, id)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

// feed lets a device's end of a session read bytes, with streams that nobody reads, and returns how it ended.
func feed(t testing.TB, b []byte) (*mux, error) {
	raw, other := net.Pipe()
	defer other.Close()
	m := newMux(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(b), io.Discard}, raw, new(traffic))
	m.accept = func(*muxStream) {}
	return m, m.run()
}

func TestMuxRefusesBadFrames(t *testing.T) {
	open := muxFrame(muxOpen, 1, nil)
	if _, err := feed(t, muxFrames(open, muxFrame(muxData, 1, []byte("x")), muxFrame(muxFin, 1, nil))); err != nil {
		t.Errorf("good frames: %v", err)
	}
	full := make([]byte, muxBody)
	for name, b := range map[string][]byte{
		"unknown type":         muxFrames(open, muxFrame(9, 1, nil)),
		"number used twice":    muxFrames(open, open),
		"never opened":         muxFrame(muxData, 1, []byte("x")),
		"open with a body":     muxFrame(muxOpen, 1, []byte("x")),
		"too long":             muxFrames(open, muxFrame(muxData, 1, append(full, 0))),
		"data after its end":   muxFrames(open, muxFrame(muxFin, 1, nil), muxFrame(muxData, 1, []byte("x"))),
		"window of no size":    muxFrames(open, muxFrame(muxWindow, 1, []byte{1})),
		"window beyond limit":  muxFrames(open, muxFrame(muxWindow, 1, []byte{0, 0, 0, 1})),
		"more than its window": muxFrames(open, bytes.Repeat(muxFrame(muxData, 1, full), muxBuffered/muxBody+1)),
	} {
		if _, err := feed(t, b); !errors.Is(err, errMuxFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMuxBoundsItsMemory(t *testing.T) {
	var b []byte
	for id := uint32(1); id <= 4*muxStreams; id++ {
		b = append(b, muxFrame(muxOpen, id, nil)...)
		b = append(b, muxFrame(muxData, id, []byte("x"))...)
	}
	opened := 0
	raw, other := net.Pipe()
	defer other.Close()
	m := newMux(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(b), io.Discard}, raw, new(traffic))
	m.accept = func(*muxStream) { opened++ }
	if err := m.run(); err != nil || opened != muxStreams {
		t.Errorf("%d streams, %v, want %d", opened, err, muxStreams)
	}
	// Single bytes share buffers.
	s := newMuxStream(m, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	for range muxBuffered {
		if err := s.received([]byte{1}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.chunks); n > muxBuffered/muxSmall {
		t.Errorf("%d buffers for %d bytes", n, muxBuffered)
	}
}

func FuzzMux(f *testing.F) {
	open := muxFrame(muxOpen, 1, nil)
	seeds := [][]byte{
		open,
		muxFrames(open, muxFrame(muxData, 1, []byte("hello")), muxFrame(muxFin, 1, nil)),
		muxFrames(open, muxFrame(muxOpen, 2, nil), muxFrame(muxReset, 1, nil), muxFrame(muxWindow, 2, []byte{0, 0, 0, 0})),
	}
	if len(seeds) == 0 {
		f.Fatal("the seeds are gone")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, _ := feed(t, b)
		if m.count() != 0 {
			t.Error("streams outlived their session")
		}
	})
}

func FuzzDatagrams(f *testing.F) {
	f.Add([]byte{0, 1, 'x', 0, 0})
	f.Add([]byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again bytes.Buffer
		err := readDatagrams(bytes.NewReader(b), func(d []byte) error {
			return writeDatagram(&again, append([]byte{0, 0}, d...), len(d))
		})
		if !bytes.HasPrefix(b, again.Bytes()) || err == nil && len(b)-again.Len() > 1 {
			t.Errorf("%x was read as %x, %v", b, again.Bytes(), err)
		}
	})
}
