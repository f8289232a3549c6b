package overlay

import (
	"context"
	"fmt"
	"net"
	"time"
)

// targetTimeout bounds reaching a stream's target, which is on the device or beside it.
const targetTimeout = 5 * time.Second

// TCP forwards streams to a TCP target on the device or beside it, host:port. Half-closes pass both ways.
func TCP(target string) Handler { return TCPBy(nil, target) }

// TCPBy is TCP over connections that dial opens; nil: the network's.
func TCPBy(dial DialFunc, target string) Handler {
	if dial == nil {
		dial = (&net.Dialer{Timeout: targetTimeout, KeepAlive: time.Minute}).DialContext
	}
	return tcpHandler{target, dial}
}

type tcpHandler struct {
	target string
	dial   DialFunc
}

// ServeStream implements Handler.
func (h tcpHandler) ServeStream(ctx context.Context, conn net.Conn, _ Request) error {
	to, err := h.dial(ctx, "tcp", h.target)
	if err != nil {
		return fmt.Errorf("stream's target %s: %w", h.target, err)
	}
	defer to.Close()
	if err := pipe(ctx, conn, to); err != nil {
		return fmt.Errorf("stream's target %s: %w", h.target, err)
	}
	return nil
}
