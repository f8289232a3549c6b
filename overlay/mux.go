package overlay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
)

// A multiplexed session carries frames, inside TLS:
//
//	┌──────┬───────────┬───────────┬────────────────────┐
//	│ type │ stream 32 │ length 16 │ body, ≤ 16377 bytes │
//	└──────┴───────────┴───────────┴────────────────────┘
//
//	01 OPEN     consumer → device   no body; stream numbers only grow
//	02 DATA     both                at most the window that the receiver has left
//	03 FIN      both                no body; the sender will write no more
//	04 RESET    both                no body; the sender forgot the stream
//	05 WINDOW   both                bytes 32: so many more may be sent
//
// A stream begins with a window of 256 KiB each way. Frames that wait leave together, in as few TLS records as they fit in.
const (
	muxOpen = iota + 1
	muxData
	muxFin
	muxReset
	muxWindow

	muxHeader   = 7
	muxBody     = 16<<10 - muxHeader // header and body fill one TLS record
	muxBuffered = 256 << 10          // window of a stream
	muxOutbox   = 256 << 10          // bytes that wait for the connection, beyond which writers wait
	muxStreams  = 256
	muxSmall    = 512 // frames below this size share a buffer
)

var (
	errMuxFrame = errors.New("multiplexed session: malformed frame")
	errReset    = errors.New("the stream was reset by the other end")
)

// mux is one end of a multiplexed session.
type mux struct {
	conn    io.ReadWriter // TLS over raw
	raw     net.Conn
	traffic *traffic
	watch   *watch
	accept  func(*muxStream) // serves a stream that the other end opened; nil on the consumer's end

	wake chan struct{} // capacity 1: the outbox has something
	gone chan struct{} // closed by fail

	mu      sync.Mutex
	outbox  []byte
	room    *sync.Cond // the outbox shrank, or a window grew, or a stream or all ended
	streams map[uint32]*muxStream
	last    uint32
	err     error
}

func newMux(conn io.ReadWriter, raw net.Conn, t *traffic) *mux {
	m := &mux{
		conn: conn, raw: raw, traffic: t, streams: make(map[uint32]*muxStream),
		wake: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	m.room = sync.NewCond(&m.mu)
	return m
}

// run serves the session until it ends and says why. Streams that are left fail.
func (m *mux) run() error {
	var writer sync.WaitGroup
	writer.Go(func() { m.fail(m.write()) })
	err := m.read()
	if errors.Is(err, syscall.ECONNRESET) {
		isClosedWithin(m.gone, reasonWait) // see streamConn.explain
	}
	m.fail(err)
	writer.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// fail ends the session at once. Only the first reason counts; nil is an orderly end.
func (m *mux) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.gone:
		return
	default:
	}
	m.err = err
	close(m.gone)
	for _, s := range m.streams {
		s.end(errOr(err, net.ErrClosed))
	}
	clear(m.streams)
	m.room.Broadcast()
	abort(m.raw)
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// count returns the number of streams.
func (m *mux) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.streams)
}

// open begins a stream.
func (m *mux) open() (*muxStream, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.gone:
		return nil, errOr(m.err, net.ErrClosed)
	default:
	}
	if len(m.streams) >= muxStreams {
		return nil, fmt.Errorf("multiplexed session: %d streams are open already", muxStreams)
	}
	m.last++
	s := newMuxStream(m, m.last)
	m.streams[s.id] = s
	m.push(muxOpen, s.id, nil)
	return s, nil
}

// push queues a frame. m.mu is held.
func (m *mux) push(kind byte, id uint32, body []byte) {
	m.outbox = append(m.outbox, kind)
	m.outbox = binary.BigEndian.AppendUint32(m.outbox, id)
	m.outbox = binary.BigEndian.AppendUint16(m.outbox, uint16(len(body)))
	m.outbox = append(m.outbox, body...)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// write empties the outbox until the session ends.
func (m *mux) write() error {
	var buf []byte
	for {
		select {
		case <-m.wake:
		case <-m.gone:
			return nil
		}
		m.mu.Lock()
		buf, m.outbox = m.outbox, buf[:0]
		m.room.Broadcast()
		m.mu.Unlock()
		n, err := m.conn.Write(buf)
		m.traffic.out.Add(uint64(n))
		if err != nil {
			return fmt.Errorf("multiplexed session: %w", err)
		}
		m.watch.said()
		if cap(buf) > muxOutbox/8 && len(buf) < muxOutbox/16 {
			buf = nil // the burst is over
		}
	}
}

// read serves the frames of the other end.
func (m *mux) read() error {
	in := bufio.NewReaderSize(m.conn, 4<<10)
	for {
		var head [muxHeader]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("multiplexed session: %w", err)
		}
		kind, id := head[0], binary.BigEndian.Uint32(head[1:])
		n := int(binary.BigEndian.Uint16(head[5:]))
		m.traffic.in.Add(uint64(n + muxHeader))
		m.watch.heard()
		if n > muxBody {
			return errMuxFrame
		}
		var body []byte
		var whole *[muxBody]byte
		if n > muxBody/2 {
			whole = bodies.Get().(*[muxBody]byte)
			body = whole[:n]
		} else if n > 0 {
			body = make([]byte, n)
		}
		if n > 0 {
			if _, err := io.ReadFull(in, body); err != nil {
				return fmt.Errorf("multiplexed session: %w", err)
			}
		}
		if err := m.frame(kind, id, body, whole); err != nil {
			return err
		}
	}
}

// frame serves one frame. Frames for streams that are gone are answered with nothing: the other end learns from the RESET on its way.
func (m *mux) frame(kind byte, id uint32, body []byte, whole *[muxBody]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if kind == muxOpen {
		return m.opened(id, body)
	}
	s := m.streams[id]
	if s == nil {
		if id == 0 || id > m.last {
			return errMuxFrame
		}
		return nil
	}
	switch kind {
	case muxData:
		return s.received(body, whole)
	case muxFin:
		s.finished()
	case muxReset:
		s.reset()
	case muxWindow:
		if len(body) != 4 {
			return errMuxFrame
		}
		grow := binary.BigEndian.Uint32(body)
		if grow > muxBuffered-uint32(s.window) {
			return errMuxFrame
		}
		s.window += int(grow)
		m.room.Broadcast()
	default:
		return errMuxFrame
	}
	return nil
}

// opened serves OPEN. m.mu is held.
func (m *mux) opened(id uint32, body []byte) error {
	if m.accept == nil || id <= m.last || len(body) > 0 || len(m.outbox) > 4*muxOutbox {
		return errMuxFrame
	}
	m.last = id
	select {
	case <-m.gone:
		return net.ErrClosed
	default:
	}
	if len(m.streams) >= muxStreams {
		m.push(muxReset, id, nil)
		return nil
	}
	s := newMuxStream(m, id)
	m.streams[id] = s
	m.accept(s)
	return nil
}
