package devchain

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// The limits of the server.
const (
	maxRequest       = 5 << 20 // bytes
	maxConnections   = 512
	maxSubscriptions = 1024 // per connection
	maxBatchRequests = 4096
	maxOutbox        = 64 << 20 // bytes that a slow reader may have waiting before it is cut off
	fullOutbox       = 4 << 20  // bytes waiting at which no more requests are read
	writeTimeout     = 30 * time.Second
)

// server answers JSON-RPC over HTTP POST and WebSocket.
type server struct {
	chain   *Chain
	gate    *gate
	workers chan struct{} // bounds the signatures checked at once

	mu     sync.Mutex
	conns  map[*conn]struct{}
	ids    uint64
	closed bool
	active int        // handlers that run
	idle   *sync.Cond // signalled when none does
}

func newServer(c *Chain) *server {
	s := &server{chain: c, gate: newGate(), workers: make(chan struct{}, 16), conns: map[*conn]struct{}{}}
	s.idle = sync.NewCond(&s.mu)
	return s
}

// enter counts a handler, with its connection if it has one, unless the server is closed.
func (s *server) enter(k *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.active++
	if k != nil {
		s.conns[k] = struct{}{}
	}
	return true
}

func (s *server) leave(k *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, k)
	if s.active--; s.active == 0 {
		s.idle.Broadcast()
	}
}

// wait returns when no handler runs.
func (s *server) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.active > 0 {
		s.idle.Wait()
	}
}

// Serve answers JSON-RPC over HTTP POST and WebSocket on ln until ctx is done or the chain closed, then closes ln and all
// connections. It fails when the state can no longer be written.
func (c *Chain) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	srv := &http.Server{Handler: c.server, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(&limitListener{Listener: ln}) }()
	var err error
	select {
	case err = <-served:
		served = nil
	case <-ctx.Done():
	case <-c.broken:
		if !errors.Is(c.failed, ErrClosed) {
			err = c.failed
		}
	}
	cancel()
	c.server.drop()
	closeErr := srv.Close()
	if served != nil {
		<-served
	}
	c.server.wait()
	return errors.Join(err, closeErr)
}

// close cuts everything off for good.
func (s *server) close() {
	s.gate.set(true)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.drop()
	s.wait()
}

func (s *server) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.conns {
		k.cancel()
	}
}

// limitListener closes connections beyond maxConnections at once.
type limitListener struct {
	net.Listener
	mu   sync.Mutex
	open int
}

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		k, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		full := l.open >= maxConnections
		if !full {
			l.open++
		}
		l.mu.Unlock()
		if full {
			k.Close()
			continue
		}
		return &limitedConn{Conn: k, release: sync.OnceFunc(func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.open--
		})}, nil
	}
}

type limitedConn struct {
	net.Conn
	release func()
}

func (k *limitedConn) Close() error {
	k.release()
	return k.Conn.Close()
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	switch {
	case r.Header.Get("Upgrade") != "":
		s.serveSocket(w, r)
	case r.Method == http.MethodPost:
		s.servePost(w, r)
	case r.Method == http.MethodOptions:
		w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
		w.Header().Set("Access-Control-Allow-Methods", "POST, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	default:
		http.Error(w, "this is a JSON-RPC server: POST a request or connect by WebSocket", http.StatusMethodNotAllowed)
	}
}

func (s *server) servePost(w http.ResponseWriter, r *http.Request) {
	if !s.enter(nil) {
		http.Error(w, "the chain is closed", http.StatusServiceUnavailable)
		return
	}
	defer s.leave(nil)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "request is unreadable or longer than 5 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	reply, after := s.handle(nil, body)
	for _, f := range after {
		f()
	}
	if s.gate.wait(r.Context()) != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(reply) // nobody is left to tell when this fails
}

// conn is a WebSocket connection. Its reader handles requests in turn; its writer empties the outbox.
type conn struct {
	server *server
	ctx    context.Context
	cancel context.CancelFunc
	ws     *websocket.Conn
	out    *outbox

	mu   sync.Mutex
	subs map[string]*subscription
}

func (s *server) serveSocket(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	ws.SetReadLimit(maxRequest)
	ctx, cancel := context.WithCancel(r.Context())
	k := &conn{server: s, ctx: ctx, cancel: cancel, ws: ws, out: newOutbox(), subs: map[string]*subscription{}}
	if !s.enter(k) {
		cancel()
		ws.CloseNow()
		return
	}
	defer s.leave(k)
	k.run()
}

func (k *conn) run() {
	var writer sync.WaitGroup
	writer.Add(1)
	go func() {
		defer writer.Done()
		k.write()
	}()
	var work sync.WaitGroup
	k.read(&work)
	k.cancel()
	k.out.close()
	work.Wait()
	writer.Wait()
	k.ws.CloseNow()
	k.unsubscribeAll()
}

// read handles requests until the connection ends. Submissions run beside each other, for the sake of many cores; all else
// is answered in turn.
func (k *conn) read(work *sync.WaitGroup) {
	for {
		_, msg, err := k.ws.Read(k.ctx)
		if err != nil {
			return
		}
		if !k.out.room() {
			return
		}
		if !isSubmission(msg) {
			k.answer(msg)
			continue
		}
		k.server.workers <- struct{}{}
		work.Add(1)
		go func() {
			defer work.Done()
			defer func() { <-k.server.workers }()
			k.answer(msg)
		}()
	}
}

func (k *conn) answer(msg []byte) {
	reply, after := k.server.handle(k, msg)
	if reply != nil {
		k.out.put(reply)
	}
	for _, f := range after {
		f()
	}
}

func (k *conn) write() {
	for {
		msg, ok := k.out.take()
		if !ok || k.server.gate.wait(k.ctx) != nil {
			break
		}
		ctx, cancel := context.WithTimeout(k.ctx, writeTimeout)
		err := k.ws.Write(ctx, websocket.MessageText, msg)
		cancel()
		if err != nil {
			break
		}
	}
	k.cancel()
	k.out.close()
}

// outbox is what waits to be written. put never waits; the connection whose reader lets too much pile up is cut off.
type outbox struct {
	mu     sync.Mutex
	more   *sync.Cond
	less   *sync.Cond
	items  [][]byte
	bytes  int
	closed bool
}

func newOutbox() *outbox {
	o := &outbox{}
	o.more, o.less = sync.NewCond(&o.mu), sync.NewCond(&o.mu)
	return o
}

func (o *outbox) put(msg []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.items = append(o.items, msg)
	if o.bytes += len(msg) + 64; o.bytes > maxOutbox {
		o.shut()
		return
	}
	o.more.Signal()
}

// take waits for a message; false after close.
func (o *outbox) take() ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.items) == 0 && !o.closed {
		o.more.Wait()
	}
	if o.closed {
		return nil, false
	}
	msg := o.items[0]
	o.items = o.items[1:]
	o.bytes -= len(msg) + 64
	o.less.Broadcast()
	return msg, true
}

// room waits until the outbox is not full; false after close.
func (o *outbox) room() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.bytes > fullOutbox && !o.closed {
		o.less.Wait()
	}
	return !o.closed
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shut()
}

func (o *outbox) shut() {
	o.closed, o.items = true, nil
	o.more.Broadcast()
	o.less.Broadcast()
}

// gate holds everybody back while it is shut.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // closed while the gate is open
}

func newGate() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		if !open {
			g.open = make(chan struct{})
		}
	default:
		if open {
			close(g.open)
		}
	}
}

func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
