package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// readTimeout bounds the reading of a request; answers may take longer.
var readTimeout = 10 * time.Second

// maxConns bounds the connections of a server.
const maxConns = 8192

// Serve answers on ln until ctx ends, then lets the requests in work end for a while and returns nil. It closes ln. Whoever sends or reads
// too slowly loses the connection: 5 seconds for a request's header, 30 for its answer, 2 minutes for the next request; an answer
// without an end sets deadlines itself.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	// Requests end with work, so that answers without an end do not hold the server up.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: readTimeout, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return context.WithValue(work, stopping{}, ctx.Done()) },
	}
	if log != nil {
		srv.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	}
	done := make(chan error, 1)
	go func() {
		done <- srv.Serve(&bounded{Listener: ln, slots: make(chan struct{}, maxConns), gone: ctx.Done()})
	}()
	select {
	case err := <-done:
		if ctx.Err() == nil {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		done <- err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(work, 5*time.Second)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil { // someone reads slowly
		err = srv.Close()
	}
	<-done
	if err != nil {
		return fmt.Errorf("stop serving HTTP: %w", err)
	}
	return nil
}

type stopping struct{}

// Stopping is closed when the server of a request's context is to end: an answer without an end then ends itself. nil outside Serve.
func Stopping(ctx context.Context) <-chan struct{} {
	done, _ := ctx.Value(stopping{}).(<-chan struct{})
	return done
}

// bounded is a listener with at most so many connections at once; more wait in the kernel.
type bounded struct {
	net.Listener
	slots chan struct{}
	gone  <-chan struct{} // when the server ends
}

func (l *bounded) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.gone:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &counted{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

type counted struct {
	net.Conn
	free func()
}

func (c *counted) Close() error {
	defer c.free()
	return c.Conn.Close()
}
