package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	// strays is how many answers nobody waits for a node may send beyond those that were given up.
	strays = 16
	// maxEarly bounds the notifications kept that come before the answer that opens their subscription.
	maxEarly = 64
	// maxSubID bounds the id of a subscription in bytes.
	maxSubID = 256
	// compressFrom is the size from which requests are compressed, where the server offers it: only large ones are worth the memory.
	compressFrom = 8 << 10
)

// socket carries calls and subscriptions over a WebSocket. Three goroutines belong to it: reader, writer and pinger.
type socket struct {
	o      Options
	ws     *websocket.Conn
	heard  *atomic.Int64
	out    chan []byte
	ctx    context.Context // ends with the connection
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	finish func()

	mu        sync.Mutex
	pending   map[uint64]*call
	subs      map[string]*Subscription
	early     []message
	opening   int // calls under way that open subscriptions
	lastID    uint64
	abandoned int // answers still due that nobody waits for
	stray     int
	// ignored are ids of subscriptions that were closed here and may still send for a moment.
	ignored map[string]bool
	// orphans are calls whose caller left and whose answer will open a subscription, to be ended at once.
	orphans map[uint64]*Subscription
}

func dialSocket(ctx context.Context, rawURL string, o Options, heard *atomic.Int64) (*socket, error) {
	client, tr := o.client()
	ws, resp, err := websocket.Dial(ctx, rawURL, &websocket.DialOptions{
		HTTPClient: client, CompressionMode: websocket.CompressionNoContextTakeover, CompressionThreshold: compressFrom,
	})
	if err != nil {
		tr.CloseIdleConnections()
		if ctx.Err() != nil {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, ErrTimeout
			}
			return nil, causeOf(ctx)
		}
		if resp != nil {
			return nil, fmt.Errorf("node answers HTTP status %d instead of a WebSocket", resp.StatusCode)
		}
		return nil, withoutURL(rawURL, err)
	}
	ws.SetReadLimit(o.MaxAnswer)
	s := &socket{o: o, ws: ws, heard: heard, out: make(chan []byte, 64), finish: tr.CloseIdleConnections,
		pending: map[uint64]*call{}, subs: map[string]*Subscription{}, ignored: map[string]bool{}, orphans: map[uint64]*Subscription{}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.touch()
	s.wg.Go(s.read)
	s.wg.Go(s.write)
	s.wg.Go(s.ping)
	return s, nil
}

func (s *socket) touch() { s.heard.Store(time.Now().UnixNano()) }

func (s *socket) done() <-chan struct{} { return s.ctx.Done() }

func (s *socket) err() error { return context.Cause(s.ctx) }

func (s *socket) close(why error) {
	s.fail(why)
	s.wg.Wait()
	s.finish()
}

// fail ends the connection: every call and subscription of it ends with why.
func (s *socket) fail(why error) {
	s.mu.Lock()
	s.cancel(why) // the first reason stays
	s.early = nil
	s.mu.Unlock()
	_ = s.ws.CloseNow() // the reason is known already
}

func (s *socket) do(ctx context.Context, calls []*call, batch bool) error {
	if err := s.register(calls, batch); err != nil {
		return err
	}
	frames := [][]byte{}
	if batch {
		frames = append(frames, joinBatch(calls))
	} else {
		for _, k := range calls {
			frames = append(frames, k.request)
		}
	}
	for i, f := range frames {
		select {
		case s.out <- f:
		case <-ctx.Done():
			unsent := len(frames) - i
			if batch {
				unsent = len(calls)
			}
			s.abandon(calls, unsent)
			return causeOf(ctx)
		case <-s.ctx.Done():
			return s.err()
		}
	}
	for _, k := range calls {
		select {
		case <-k.done:
		case <-ctx.Done():
			s.abandon(calls, 0)
			return causeOf(ctx)
		case <-s.ctx.Done():
			select { // what was answered before the end counts
			case <-k.done:
				continue
			default:
			}
			return s.err()
		}
	}
	return nil
}

func (s *socket) register(calls []*call, batch bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return s.err()
	}
	for _, k := range calls {
		k.batch = batch
		s.pending[k.id] = k
		s.lastID = max(s.lastID, k.id)
		if k.sub != nil {
			s.opening++
		}
	}
	return nil
}

// abandon forgets calls whose caller left; unsent of them never went out, so that no answer is due.
func (s *socket) abandon(calls []*call, unsent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range calls {
		if _, ok := s.pending[k.id]; ok {
			delete(s.pending, k.id)
			s.abandoned++
			if k.sub != nil {
				s.opening--
				if len(s.orphans) < maxIgnored {
					s.orphans[k.id] = k.sub
				}
			}
		}
	}
	s.abandoned = max(0, s.abandoned-unsent)
}

func (s *socket) write() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case f := <-s.out:
			ctx, cancel := context.WithTimeout(s.ctx, s.o.Timeout)
			err := s.ws.Write(ctx, websocket.MessageText, f)
			cancel()
			if err != nil {
				s.fail(fmt.Errorf("write to node: %w", err))
				return
			}
		}
	}
}

func (s *socket) read() {
	for {
		_, frame, err := s.ws.Read(s.ctx)
		switch {
		case errors.Is(err, websocket.ErrMessageTooBig):
			s.fail(fmt.Errorf("%w of %d bytes", ErrTooLarge, s.o.MaxAnswer))
			return
		case errors.Is(err, io.EOF):
			s.fail(errors.New("node closed the connection"))
			return
		case err != nil:
			s.fail(fmt.Errorf("read from node: %w", err))
			return
		}
		s.touch()
		if err := s.take(frame); err != nil {
			s.fail(err)
			return
		}
	}
}

// ping proves a quiet connection alive, and ends it when it is not.
func (s *socket) ping() {
	timer := time.NewTimer(s.o.KeepAlive)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
		}
		quiet := time.Since(time.Unix(0, s.heard.Load()))
		if quiet < s.o.KeepAlive {
			timer.Reset(s.o.KeepAlive - quiet)
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, s.o.Timeout)
		err := s.ws.Ping(ctx)
		cancel()
		if err != nil {
			s.fail(fmt.Errorf("%w to a ping", ErrTimeout))
			return
		}
		s.touch()
		timer.Reset(s.o.KeepAlive)
	}
}

// take handles one frame.
func (s *socket) take(frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return s.err()
	}
	all, err := parse(frame, len(s.pending)+s.abandoned+strays)
	if err != nil {
		return err
	}
	for i := range all {
		m := &all[i]
		switch {
		case m.hasID():
			err = s.answer(m)
		case m.Method != "" && m.Params != nil:
			err = s.notify(m)
		case m.Error != nil:
			err = s.refused(m.Error)
		default:
			err = fmt.Errorf("%w: frame is neither an answer nor a notification", ErrProtocol)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *socket) answer(m *message) error {
	id, err := strconv.ParseUint(string(m.ID), 10, 64)
	if err != nil || id == 0 || id > s.lastID {
		return fmt.Errorf("%w: answer to call %.20s, which was not made", ErrProtocol, m.ID)
	}
	k := s.pending[id]
	if k == nil {
		if sub := s.orphans[id]; sub != nil && len(m.Result) > 0 && len(m.Result) <= maxSubID {
			delete(s.orphans, id)
			s.ignore(string(m.Result))
			s.unsubscribe(sub, string(m.Result))
		}
		if s.abandoned > 0 {
			s.abandoned--
		} else if s.stray++; s.stray > strays {
			return fmt.Errorf("%w: calls are answered more than once", ErrProtocol)
		}
		return nil
	}
	delete(s.pending, id)
	if k.sub != nil {
		s.opening--
		if m.Error == nil {
			if err := s.open(k.sub, m.Result); err != nil {
				return err
			}
		}
	}
	k.settle(m)
	return nil
}

// refused handles an error that names no call. The node means a batch, if one is under way; which one cannot be told, so all of
// them are made again singly.
func (s *socket) refused(e *Error) error {
	found := false
	for id, k := range s.pending {
		if k.batch {
			found = true
			delete(s.pending, id)
			s.abandoned++ // should the node answer after all
			k.refuseBatch(e)
		}
	}
	if !found {
		return fmt.Errorf("%w: error without a call: %w", ErrProtocol, e)
	}
	return nil
}

// open makes a subscription known by the id that the node gave it, and hands it what came early.
func (s *socket) open(sub *Subscription, id json.RawMessage) error {
	key := string(id)
	if key == "" || len(key) > maxSubID || (key[0] != '"' && (key[0] < '0' || key[0] > '9')) {
		return fmt.Errorf("%w: subscription with id %.20q", ErrProtocol, key)
	}
	if s.subs[key] != nil {
		return fmt.Errorf("%w: two subscriptions with one id", ErrProtocol)
	}
	delete(s.ignored, key)
	sub.id = key
	s.subs[key] = sub
	early := s.early
	s.early = nil
	for i := range early {
		if err := s.notify(&early[i]); err != nil {
			return err
		}
	}
	return nil
}

// ignore lets notifications of a subscription pass that was ended here.
func (s *socket) ignore(key string) {
	if len(s.ignored) < maxIgnored {
		s.ignored[key] = true
	}
}

// unsubscribe tells the node, if the writer has room, that a subscription is no longer wanted; nobody waits for its answer.
func (s *socket) unsubscribe(sub *Subscription, key string) {
	id := sub.newID()
	req := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":[%s]}`, id, sub.method, key)
	select {
	case s.out <- req:
		s.lastID = max(s.lastID, id)
		s.abandoned++
	default:
	}
}

// notify hands a notification to its subscription.
func (s *socket) notify(m *message) error {
	if sub := s.subs[string(m.Params.Subscription)]; sub != nil {
		return sub.push(m)
	}
	switch {
	case s.ignored[string(m.Params.Subscription)]:
		return nil
	case s.opening > 0 && len(s.early) < maxEarly:
		s.early = append(s.early, *m)
		return nil
	}
	if s.stray++; s.stray > strays {
		return fmt.Errorf("%w: notifications that nobody asked for", ErrProtocol)
	}
	return nil
}
