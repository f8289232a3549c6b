package mqtt

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a filter between a scripted consumer and a scripted broker.
type rig struct {
	t      *testing.T
	client net.Conn
	broker net.Conn // after accept
	dialed chan net.Conn
	cancel context.CancelCauseFunc
	done   chan error
}

func newRig(t *testing.T, f Filter) *rig {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	theirs, ours := net.Pipe()
	r := &rig{t: t, client: ours, dialed: make(chan net.Conn, 1), cancel: cancel, done: make(chan error, 1)}
	if f.Topics == nil {
		f.Topics = []string{"m/#"}
	}
	if f.Dial == nil {
		f.Dial = func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			r.dialed <- b
			return a, nil
		}
	}
	f.Log = slog.New(slog.DiscardHandler)
	go func() { r.done <- f.ServeConn(ctx, theirs) }()
	t.Cleanup(func() {
		cancel(nil)
		ours.Close()
		if r.broker != nil {
			r.broker.Close()
		}
	})
	return r
}

// accept takes the filter's connection to the broker.
func (r *rig) accept() {
	r.t.Helper()
	select {
	case r.broker = <-r.dialed:
	case err := <-r.done:
		r.t.Fatalf("the filter ended: %v", err)
	case <-time.After(10 * time.Second):
		r.t.Fatal("the filter does not dial the broker")
	}
}

func (r *rig) send(to net.Conn, b []byte) {
	r.t.Helper()
	to.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := to.Write(b); err != nil {
		r.t.Fatalf("send %x: %v", b, err)
	}
}

func (r *rig) expect(from net.Conn, want []byte) {
	r.t.Helper()
	got := make([]byte, len(want))
	from.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := io.ReadFull(from, got)
	if err != nil || !bytes.Equal(got, want) {
		r.t.Fatalf("got  %x\nwant %x (%v)", got[:n], want, err)
	}
}

// expectEnd expects the connection to end with nothing more in it.
func (r *rig) expectEnd(from net.Conn) {
	r.t.Helper()
	from.SetReadDeadline(time.Now().Add(10 * time.Second))
	if b, err := io.ReadAll(from); err != nil || len(b) > 0 {
		r.t.Fatalf("still came %x (%v)", b, err)
	}
}

// result returns what ServeConn returned.
func (r *rig) result() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(10 * time.Second):
		r.t.Fatal("the filter does not end")
		return nil
	}
}

// connected opens a session of a version with the client id "c" and a keep-alive of 60 s.
func connected(t *testing.T, level byte, f Filter) *rig {
	t.Helper()
	r := newRig(t, f)
	if level == level4 {
		r.send(r.client, encode(connect, 0, []byte("\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c")))
		r.accept()
		r.expect(r.broker, encode(connect, 0, []byte("\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c")))
		r.send(r.broker, []byte("\x20\x02\x00\x00"))
		r.expect(r.client, []byte("\x20\x02\x00\x00"))
		return r
	}
	r.send(r.client, encode(connect, 0, []byte("\x00\x04MQTT\x05\x02\x00\x3c\x03\x22\x00\x0a\x00\x01c")))
	r.accept()
	r.expect(r.broker, encode(connect, 0, []byte("\x00\x04MQTT\x05\x02\x00\x3c\x08\x22\x00\x0a\x27\x00\x10\x00\x00\x00\x01c")))
	r.send(r.broker, []byte("\x20\x03\x00\x00\x00"))
	r.expect(r.client, []byte("\x20\x0a\x00\x00\x07\x27\x00\x01\x00\x00\x2a\x00"))
	return r
}
