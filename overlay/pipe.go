package overlay

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Sizes of copying. A direction that is idle holds the small buffer only.
const (
	smallBuffer = 1 << 10
	largeBuffer = 32 << 10
	idleBuffer  = time.Second // after which a silent direction gives its large buffer back
)

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// pipe copies both ways between a and b, passes half-closes on, and returns when both directions are over. When one fails, or ctx ends,
// both connections are aborted.
func pipe(ctx context.Context, a, b net.Conn) error {
	end := func() {
		abortConn(a)
		abortConn(b)
	}
	stop := context.AfterFunc(ctx, end)
	defer stop()
	var back error
	var wg sync.WaitGroup
	wg.Go(func() {
		if back = copyHalf(a, b); back != nil {
			end()
		}
	})
	there := copyHalf(b, a)
	if there != nil {
		end()
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if there == nil || back != nil && errors.Is(there, net.ErrClosed) {
		return back
	}
	return there
}

// abortConn ends a connection of any kind at once.
func abortConn(c net.Conn) {
	switch c := c.(type) {
	case interface{ fail(error) }:
		c.fail(net.ErrClosed)
	default:
		abort(c)
	}
}

// copyHalf copies until src ends and then ends the writing half of dst.
func copyHalf(dst, src net.Conn) error {
	if err := copyLazily(dst, src); err != nil {
		return err
	}
	if err := closeWrite(dst); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// copyLazily copies until src ends. It takes a large buffer only while there is much to copy.
func copyLazily(dst io.Writer, src net.Conn) error {
	small := make([]byte, smallBuffer)
	for {
		n, err := copyOnce(dst, src, small)
		if err == nil && n == len(small) {
			err = copyLarge(dst, src)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// copyOnce copies what one Read gives. io.EOF means that src ended.
func copyOnce(dst io.Writer, src io.Reader, buf []byte) (int, error) {
	n, err := src.Read(buf)
	if n > 0 {
		if _, err := dst.Write(buf[:n]); err != nil {
			return n, err
		}
	}
	return n, err
}

// copyLarge copies with a large buffer and returns nil once src was silent for a while.
func copyLarge(dst io.Writer, src net.Conn) error {
	buf := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(buf)
	for moved := true; moved; {
		moved = false
		if err := src.SetReadDeadline(time.Now().Add(idleBuffer)); err != nil {
			return err
		}
		for {
			n, err := copyOnce(dst, src, buf[:])
			moved = moved || n > 0
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return src.SetReadDeadline(time.Time{})
}
