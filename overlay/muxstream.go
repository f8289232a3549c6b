package overlay

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// muxStream is one stream of a multiplexed session. It implements net.Conn and CloseWrite. Everything is guarded by mux.mu.
type muxStream struct {
	mux *mux
	id  uint32

	chunks   []chunk // received and not yet read
	buffered int     // bytes in chunks
	eaten    int     // read by the program and not yet given back to the other end's window
	eof      bool    // the other end sent FIN
	readable *sync.Cond

	window int  // bytes that may still be sent
	fin    bool // FIN was sent, or the stream was closed
	closed bool
	err    error // why the stream ended early

	readBy, writeBy deadline
	onClose         func()
}

func newMuxStream(m *mux, id uint32) *muxStream {
	return &muxStream{mux: m, id: id, window: muxBuffered, readable: sync.NewCond(&m.mu)}
}

// deadline wakes waiters when a time has come.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set changes the deadline. The timer only wakes: whoever waits looks at the time.
func (d *deadline) set(at time.Time, mu *sync.Mutex, wake *sync.Cond) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = at
	if !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), func() {
			mu.Lock()
			defer mu.Unlock()
			wake.Broadcast()
		})
	}
	wake.Broadcast()
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// chunk is received data.
type chunk struct {
	rest  []byte
	whole *[muxBody]byte // what rest is part of, if it comes from the pool
}

// bodies holds buffers for large frames. Those that end with a stream go to the collector.
var bodies = sync.Pool{New: func() any { return new([muxBody]byte) }}

// received takes DATA. m.mu is held.
func (s *muxStream) received(b []byte, whole *[muxBody]byte) error {
	if s.eof || s.buffered+s.eaten+len(b) > muxBuffered {
		return errMuxFrame
	}
	if len(b) == 0 {
		return nil
	}
	s.buffered += len(b)
	if len(b) >= muxSmall || len(s.chunks) == 0 {
		s.chunks = append(s.chunks, chunk{rest: b, whole: whole})
	} else { // many small frames must not cost many times their size
		last := &s.chunks[len(s.chunks)-1]
		if last.whole != nil || cap(last.rest)-len(last.rest) < len(b) {
			s.chunks = append(s.chunks, chunk{rest: make([]byte, 0, 4*muxSmall)})
			last = &s.chunks[len(s.chunks)-1]
		}
		last.rest = append(last.rest, b...)
	}
	s.readable.Broadcast()
	return nil
}

// finished takes FIN. m.mu is held.
func (s *muxStream) finished() {
	s.eof = true
	s.readable.Broadcast()
	s.forgetIfOver()
}

// reset takes RESET: what was received before may still be read. m.mu is held.
func (s *muxStream) reset() {
	delete(s.mux.streams, s.id)
	s.end(errReset)
}

// end makes all waiting and further calls fail, but for reads of what came before an orderly end. m.mu is held.
func (s *muxStream) end(err error) {
	if s.err == nil {
		s.err = err
	}
	s.readable.Broadcast()
	s.mux.room.Broadcast()
}

func (s *muxStream) forgetIfOver() {
	if s.fin && s.eof {
		delete(s.mux.streams, s.id)
	}
}

// Read implements net.Conn.
func (s *muxStream) Read(p []byte) (int, error) {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	for {
		switch {
		case s.closed:
			return 0, net.ErrClosed
		case s.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case s.buffered > 0:
			return s.take(p), nil
		case s.eof:
			return 0, io.EOF
		case s.err != nil:
			return 0, s.err
		}
		s.readable.Wait()
	}
}

// take moves received bytes to p and opens the other end's window again.
func (s *muxStream) take(p []byte) int {
	n := 0
	for n < len(p) && len(s.chunks) > 0 {
		c := &s.chunks[0]
		m := copy(p[n:], c.rest)
		n += m
		if c.rest = c.rest[m:]; len(c.rest) == 0 {
			if c.whole != nil {
				bodies.Put(c.whole)
			}
			*c = chunk{}
			s.chunks = s.chunks[1:]
		}
	}
	s.buffered -= n
	s.eaten += n
	if s.eaten >= muxBuffered/2 && !s.eof && s.err == nil {
		var grow [4]byte
		binary.BigEndian.PutUint32(grow[:], uint32(s.eaten))
		s.eaten = 0
		s.mux.push(muxWindow, s.id, grow[:])
	}
	return n
}

// Write implements net.Conn.
func (s *muxStream) Write(p []byte) (int, error) {
	m := s.mux
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for {
		switch {
		case s.closed || s.fin:
			return n, net.ErrClosed
		case s.err != nil:
			return n, s.err
		case s.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		case n == len(p):
			return n, nil
		case s.window == 0 || len(m.outbox) >= muxOutbox:
			m.room.Wait()
			continue
		}
		k := min(len(p)-n, s.window, muxBody)
		m.push(muxData, s.id, p[n:n+k])
		s.window -= k
		n += k
	}
}

// CloseWrite tells the other end that no more will be written.
func (s *muxStream) CloseWrite() error {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.sendFin()
	return nil
}

func (s *muxStream) sendFin() {
	if !s.fin && s.err == nil {
		s.fin = true
		s.mux.push(muxFin, s.id, nil)
		s.mux.room.Broadcast()
		s.forgetIfOver()
	}
}

// Close ends both directions. What was written before still arrives.
func (s *muxStream) Close() error {
	s.shut(true)
	return nil
}

// fail ends the stream at once.
func (s *muxStream) fail(err error) {
	s.mux.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mux.mu.Unlock()
	s.shut(false)
}

func (s *muxStream) shut(orderly bool) {
	m := s.mux
	m.mu.Lock()
	if s.closed {
		m.mu.Unlock()
		return
	}
	if orderly {
		s.sendFin()
	}
	s.closed = true
	if m.streams[s.id] == s { // the other end may go on writing: it must not wait for ever
		delete(m.streams, s.id)
		m.push(muxReset, s.id, nil)
	}
	s.chunks, s.buffered = nil, 0
	s.readBy.stop()
	s.writeBy.stop()
	s.readable.Broadcast()
	m.room.Broadcast()
	onClose := s.onClose
	m.mu.Unlock()
	if onClose != nil {
		onClose()
	}
}

// LocalAddr implements net.Conn.
func (s *muxStream) LocalAddr() net.Addr { return s.mux.raw.LocalAddr() }

// RemoteAddr implements net.Conn: as for all streams it is the relay's.
func (s *muxStream) RemoteAddr() net.Addr { return s.mux.raw.RemoteAddr() }

// SetDeadline implements net.Conn.
func (s *muxStream) SetDeadline(t time.Time) error {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	s.readBy.set(t, &s.mux.mu, s.readable)
	s.writeBy.set(t, &s.mux.mu, s.mux.room)
	return nil
}

// SetReadDeadline implements net.Conn.
func (s *muxStream) SetReadDeadline(t time.Time) error {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	s.readBy.set(t, &s.mux.mu, s.readable)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (s *muxStream) SetWriteDeadline(t time.Time) error {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	s.writeBy.set(t, &s.mux.mu, s.mux.room)
	return nil
}
