package overlay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// maxDatagram is the most bytes that a UDP datagram over IPv4 can hold.
const maxDatagram = 65507

// A stream of datagrams is a sequence of frames:
//
//	┌───────────┬─────────────────────────┐
//	│ length 16 │ datagram, ≤ 65507 bytes │
//	└───────────┴─────────────────────────┘

// UDP forwards streams to a UDP target on the device or beside it, host:port. Consumers use ForwardUDP.
func UDP(target string) Handler { return udpHandler{target} }

type udpHandler struct{ target string }

// ServeStream implements Handler.
func (h udpHandler) ServeStream(ctx context.Context, conn net.Conn, _ Request) error {
	d := net.Dialer{Timeout: targetTimeout}
	to, err := d.DialContext(ctx, "udp", h.target)
	if err != nil {
		return fmt.Errorf("stream's target %s: %w", h.target, err)
	}
	defer to.Close()
	stop := context.AfterFunc(ctx, func() { to.Close() })
	defer stop()
	var back sync.WaitGroup
	back.Go(func() {
		defer abortConn(conn)
		buf := make([]byte, 2+maxDatagram)
		for {
			n, err := to.Read(buf[2:])
			if errors.Is(err, syscall.ECONNREFUSED) {
				continue // the target is not there yet: datagrams get lost, that is all
			}
			if err != nil || writeDatagram(conn, buf, n) != nil {
				return
			}
		}
	})
	err = readDatagrams(conn, func(b []byte) error {
		_, err := to.Write(b)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		return err
	})
	to.Close()
	back.Wait()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("stream's target %s: %w", h.target, err)
	}
	return context.Cause(ctx)
}

// writeDatagram writes buf's n bytes behind its first two as one frame.
func writeDatagram(w io.Writer, buf []byte, n int) error {
	binary.BigEndian.PutUint16(buf, uint16(n))
	_, err := w.Write(buf[:2+n])
	return err
}

// readDatagrams hands each frame to take, until the stream ends, which is nil.
func readDatagrams(r io.Reader, take func([]byte) error) error {
	var buf []byte
	for {
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("datagrams: %w", err)
		}
		n := int(binary.BigEndian.Uint16(head[:]))
		if n > maxDatagram {
			return fmt.Errorf("datagrams: a frame of %d bytes, at most %d are allowed", n, maxDatagram)
		}
		if n > len(buf) {
			buf = make([]byte, max(n, 2048))
		}
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return fmt.Errorf("datagrams: %w", err)
		}
		if err := take(buf[:n]); err != nil {
			return err
		}
	}
}

// ForwardUDP joins each source of datagrams at pc with a stream from dial, until ctx ends or pc fails. A source that is silent for two
// minutes, both ways, loses its stream. ForwardUDP closes pc and returns when all streams are over.
func ForwardUDP(ctx context.Context, pc net.PacketConn, dial func(ctx context.Context) (net.Conn, error), log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { pc.Close() })
	defer stop()
	defer pc.Close()
	f := &udpForward{pc: pc, dial: dial, log: log, sources: make(map[netip.AddrPort]chan []byte)}
	defer f.wg.Wait()
	defer cancel()
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := pc.ReadFrom(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("forward: %w", err)
		}
		if a, ok := from.(*net.UDPAddr); ok {
			f.take(ctx, a, buf[:n])
		}
	}
}

// udpForward is the consumer's end of datagram streams.
type udpForward struct {
	pc   net.PacketConn
	dial func(ctx context.Context) (net.Conn, error)
	log  *slog.Logger
	wg   sync.WaitGroup

	mu      sync.Mutex
	sources map[netip.AddrPort]chan []byte
}

// take queues a datagram for its source's stream. As with any UDP, what finds no room is lost.
func (f *udpForward) take(ctx context.Context, from *net.UDPAddr, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ap := from.AddrPort()
	q, ok := f.sources[ap]
	if !ok {
		if len(f.sources) >= maxUDPSource {
			return
		}
		q = make(chan []byte, udpQueue)
		f.sources[ap] = q
		f.wg.Go(func() {
			if err := f.serve(ctx, from, q); err != nil && ctx.Err() == nil {
				f.log.Warn("forward: datagrams ended", "from", from, "err", err)
			}
			f.mu.Lock()
			delete(f.sources, ap)
			f.mu.Unlock()
		})
	}
	frame := make([]byte, 2+len(b))
	copy(frame[2:], b)
	select {
	case q <- frame:
	default:
	}
}

func (f *udpForward) serve(ctx context.Context, to net.Addr, q <-chan []byte) error {
	conn, err := redial(ctx, f.dial, f.log)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { abortConn(conn) })
	defer stop()
	heard := make(chan struct{}, 1)
	down := make(chan error, 1)
	f.wg.Go(func() {
		down <- readDatagrams(conn, func(b []byte) error {
			select {
			case heard <- struct{}{}:
			default:
			}
			_, err := f.pc.WriteTo(b, to)
			return err
		})
	})
	idle := time.NewTimer(udpIdle)
	defer idle.Stop()
	for {
		select {
		case b := <-q:
			if err := writeDatagram(conn, b, len(b)-2); err != nil {
				return err
			}
			idle.Reset(udpIdle)
		case <-heard:
			idle.Reset(udpIdle)
		case err := <-down:
			return err
		case <-idle.C:
			return nil
		}
	}
}
