package overlay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"iod/key"
	"iod/overlay/wire"
)

// maxOutbox bounds the bytes that wait to be written to one control connection. 500 knocks at once are 260 KB.
const maxOutbox = 1 << 20

// writeTimeout bounds how long a control connection may take no bytes.
const writeTimeout = 10 * time.Second

var errOutboxFull = errors.New("control connection: the other end does not read")

// link is one end of a control connection: frames that wait to be written leave together, in one TLS record.
type link struct {
	conn *tls.Conn
	raw  net.Conn
	peer key.NodeID

	wake chan struct{} // capacity 1: the outbox has something
	gone chan struct{} // closed by close

	mu     sync.Mutex
	outbox []byte
	err    error // why the link was closed
	last   bool  // the outbox ends with GOODBYE: close after writing it
}

// newLink wraps a connection whose handshake is over.
func newLink(conn *tls.Conn) (*link, error) {
	id, err := peerID(conn.ConnectionState())
	if err != nil {
		return nil, err
	}
	return &link{conn: conn, raw: conn.NetConn(), peer: id, wake: make(chan struct{}, 1), gone: make(chan struct{})}, nil
}

// send queues a frame. It never blocks; it fails when the link is closed or the other end is too slow.
func (l *link) send(f wire.Frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		return l.err
	case l.last:
		return net.ErrClosed
	case len(l.outbox) > maxOutbox:
		return errOutboxFull
	}
	l.outbox = wire.Append(l.outbox, f)
	l.last = f.Type() == wire.TypeGoodbye
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// close ends the link; run then returns err. Only the first call counts.
func (l *link) close(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
		close(l.gone)
	}
	l.mu.Unlock()
	abort(l.raw)
}

// isGone reports whether the link was closed.
func (l *link) isGone() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// reason returns why the link was closed, or nil.
func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// run reads frames into handle until the link ends, and returns why it did. ctx closes it too.
func (l *link) run(ctx context.Context, handle func(wire.Frame) error) error {
	stop := context.AfterFunc(ctx, func() { l.close(context.Cause(ctx)) })
	defer stop()
	var writer sync.WaitGroup
	writer.Go(func() {
		if err := l.write(); err != nil {
			l.close(err)
		}
	})
	l.close(l.read(handle))
	writer.Wait()
	return l.reason()
}

func (l *link) read(handle func(wire.Frame) error) error {
	body := make([]byte, wire.MaxBody)
	for {
		f, err := wire.Read(l.conn, body)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("control connection: closed by the other end: %w", io.EOF)
		}
		if err != nil {
			return fmt.Errorf("control connection: %w", err)
		}
		if f == nil {
			continue
		}
		if err := handle(f); err != nil {
			return err
		}
	}
}

// write empties the outbox whenever it holds something, until the link is closed.
func (l *link) write() error {
	var buf []byte
	for {
		select {
		case <-l.wake:
		case <-l.gone:
			return nil
		}
		l.mu.Lock()
		buf, l.outbox = l.outbox, buf[:0]
		last := l.last
		l.mu.Unlock()
		l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) //nolint:errcheck // a closed connection fails the write
		if _, err := l.conn.Write(buf); err != nil {
			return fmt.Errorf("control connection: %w", err)
		}
		if last {
			l.conn.Close() // an abort could overtake the frame
			return net.ErrClosed
		}
		if cap(buf) > 4096 {
			buf = nil // an idle link holds no buffer for the burst of before
		}
	}
}
