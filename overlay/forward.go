package overlay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Limits of forwarding on a consumer's machine.
const (
	maxLocal     = 1024             // local connections at a time
	holdTime     = 60 * time.Second // how long one waits for the device
	redialMin    = 100 * time.Millisecond
	redialMax    = 5 * time.Second
	acceptPause  = 50 * time.Millisecond
	udpIdle      = 2 * time.Minute
	udpQueue     = 64
	maxUDPSource = 256
)

// Forward joins each connection that ln accepts with a stream from dial, until ctx ends or ln fails for good. A connection that is
// accepted while relay or device are away is held for up to a minute and joined when they are back. Forward closes
// ln and returns when all connections are over.
func Forward(ctx context.Context, ln net.Listener, dial func(ctx context.Context) (net.Conn, error), log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	defer ln.Close()
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	slots := make(chan struct{}, maxLocal)
	for {
		local, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				local.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("forward: accept: %w", err)
		case err != nil:
			log.Warn("forward: accept", "err", err)
			sleep(ctx, acceptPause)
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			log.Warn("forward: too many local connections", "at_most", maxLocal)
			abort(local)
			continue
		}
		conns.Go(func() {
			defer func() { <-slots }()
			defer local.Close()
			if err := forwardOne(ctx, local, dial, log); err != nil && ctx.Err() == nil {
				log.Warn("forward: connection ended", "from", local.RemoteAddr(), "err", err)
			}
		})
	}
}

func forwardOne(ctx context.Context, local net.Conn, dial func(ctx context.Context) (net.Conn, error), log *slog.Logger) error {
	remote, err := redial(ctx, dial, log)
	if err != nil {
		abort(local) // a reset tells the program that this was no orderly end
		return err
	}
	defer remote.Close()
	return pipe(ctx, local, remote)
}

// redial dials until it succeeds or the time to hold a local connection is over.
func redial(ctx context.Context, dial func(ctx context.Context) (net.Conn, error), log *slog.Logger) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, holdTime)
	defer cancel()
	for wait := redialMin; ; wait = min(2*wait, redialMax) {
		conn, err := dial(ctx)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil || errors.Is(err, ErrClosed) {
			return nil, err
		}
		log.Info("forward: will try again", "err", err)
		if !sleep(ctx, jitter(wait)) {
			return nil, err
		}
	}
}

// sleep waits for d and returns false if ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
