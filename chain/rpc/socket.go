package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
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
	heard  *heard
	sent   heard
	out    chan []byte
	nudge  chan struct{}   // holds a token when owed may have something
	ctx    context.Context // ends with the connection
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	finish func()

	mu        sync.Mutex
	pending   map[uint64]*call
	subs      map[string]*Subscription
	early     []message // notifications that came before the answer which opens their subscription
	earlySize int64     // of early in bytes
	opening   int       // calls due an answer that opens a subscription, orphans included
	lastID    uint64
	abandoned int // answers still due that nobody waits for
	stray     allowance
	ended     endings
	// orphans are calls whose caller left and whose answer will open a subscription, to be ended at once.
	orphans map[uint64]*Subscription
	owed    [][]byte // requests that end subscriptions, for the writer
}

func dialSocket(ctx context.Context, rawURL string, o Options, heard *heard) (*socket, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	client, tr := o.client(u.Hostname())
	ws, resp, err := websocket.Dial(ctx, rawURL, &websocket.DialOptions{
		HTTPClient: client, CompressionMode: websocket.CompressionNoContextTakeover, CompressionThreshold: compressFrom,
		OnPingReceived: func(context.Context, []byte) bool { heard.now(); return true },
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
	s := &socket{o: o, ws: ws, heard: heard, out: make(chan []byte, 64), nudge: make(chan struct{}, 1),
		finish: tr.CloseIdleConnections, pending: map[uint64]*call{}, subs: map[string]*Subscription{}, orphans: map[uint64]*Subscription{}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.touch()
	s.sent.now()
	s.wg.Go(s.read)
	s.wg.Go(s.write)
	s.wg.Go(s.ping)
	return s, nil
}

func (s *socket) touch() { s.heard.now() }

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
	s.early, s.earlySize, s.owed = nil, 0, nil
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
			s.abandon(calls, i) // a batch is one frame
			return causeOf(ctx)
		case <-s.ctx.Done():
			return s.err()
		}
	}
	for _, k := range calls {
		select {
		case <-k.done:
		case <-ctx.Done():
			s.abandon(calls, len(calls))
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

// abandon forgets calls whose caller left. Only the first of them went out, sent in number, so that an answer is due.
func (s *socket) abandon(calls []*call, sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, k := range calls {
		if _, ok := s.pending[k.id]; !ok {
			continue
		}
		delete(s.pending, k.id)
		if i < sent {
			s.abandoned++
		}
		switch {
		case k.sub == nil:
		case i < sent && len(s.orphans) < maxEnded:
			s.orphans[k.id] = k.sub
		default:
			s.opening--
		}
	}
}

func (s *socket) write() {
	for {
		var next []byte
		select {
		case <-s.ctx.Done():
			return
		case next = <-s.out:
		case <-s.nudge:
		}
		s.mu.Lock()
		frames := s.owed // before what was called after them
		s.owed = nil
		s.mu.Unlock()
		if next != nil {
			frames = append(frames, next)
		}
		for _, f := range frames {
			ctx, cancel := context.WithTimeout(s.ctx, s.o.Timeout)
			s.sent.now()
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
		if d := s.silence(); err != nil && s.ctx.Err() == nil && d >= worthNoting {
			s.o.Search.Died(d) // something on the way closed what was silent, maybe
		}
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
	interval := s.o.Search.Next()
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
		}
		if left := interval - s.heard.ago(); left > 0 {
			timer.Reset(left)
			continue
		}
		silence := s.silence()
		ctx, cancel := context.WithTimeout(s.ctx, s.o.Timeout)
		err := s.ws.Ping(ctx)
		cancel()
		switch {
		case err != nil && silence >= interval && s.ctx.Err() == nil:
			s.o.Search.Died(silence)
			fallthrough
		case err != nil:
			s.fail(fmt.Errorf("%w to a ping", ErrTimeout))
			return
		case silence >= interval:
			s.o.Search.Survived(silence)
		}
		s.touch()
		interval = s.o.Search.Next()
		timer.Reset(interval)
	}
}

// worthNoting is the shortest silence that may be to blame for the end of a connection.
const worthNoting = 20 * time.Second

// silence is how long nothing went either way.
func (s *socket) silence() time.Duration { return min(s.heard.ago(), s.sent.ago()) }

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
		return s.late(id, m)
	}
	delete(s.pending, id)
	if k.sub != nil {
		s.opening--
		err := error(nil)
		if m.Error == nil {
			err = s.open(k.sub, m.Result)
		} else {
			err = s.replay()
		}
		if err != nil {
			return err
		}
	}
	k.settle(m)
	return nil
}

// late handles an answer that nobody waits for any more. A subscription that it opens is ended at once.
func (s *socket) late(id uint64, m *message) error {
	if s.abandoned > 0 {
		s.abandoned--
	} else if !s.stray.take(time.Now()) {
		return fmt.Errorf("%w: calls are answered more than once", ErrProtocol)
	}
	sub := s.orphans[id]
	if sub == nil {
		return nil
	}
	delete(s.orphans, id)
	s.opening--
	if key := string(m.Result); m.Error == nil && validSubID(key) && s.subs[key] == nil {
		s.ended.add(key)
		s.unsubscribe(sub, key)
	}
	return s.replay()
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

// validSubID reports whether a node's answer, in JSON, can name a subscription: a string or a number.
func validSubID(key string) bool {
	return key != "" && len(key) <= maxSubID && (key[0] == '"' || key[0] >= '0' && key[0] <= '9')
}

// open makes a subscription known by the id that the node gave it, and hands it what came early.
func (s *socket) open(sub *Subscription, id json.RawMessage) error {
	key := string(id)
	if !validSubID(key) {
		return fmt.Errorf("%w: subscription with id %.20q", ErrProtocol, key)
	}
	if s.subs[key] != nil {
		return fmt.Errorf("%w: two subscriptions with one id", ErrProtocol)
	}
	s.ended.forget(key)
	sub.id = key
	s.subs[key] = sub
	return s.replay()
}

// replay looks at the early notifications again, now that an answer told whose some of them are.
func (s *socket) replay() error {
	early := s.early
	s.early, s.earlySize = nil, 0
	for i := range early {
		if err := s.notify(&early[i]); err != nil {
			return err
		}
	}
	return nil
}

// unsubscribe has the writer tell the node that a subscription is no longer wanted; nobody waits for the answer. While the node
// reads so little that very many are owed it is not told of more.
func (s *socket) unsubscribe(sub *Subscription, key string) {
	if len(s.owed) >= maxEnded || s.ctx.Err() != nil {
		return
	}
	id := sub.newID()
	s.owed = append(s.owed, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":[%s]}`, id, sub.method, key))
	s.lastID = max(s.lastID, id)
	s.abandoned++
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// notify hands a notification to its subscription. One of a subscription that was ended is passed over, one that may belong to a
// subscription whose id is still to come is kept for it; any other is a stray, of which a node may send a few.
func (s *socket) notify(m *message) error {
	key := string(m.Params.Subscription)
	if sub := s.subs[key]; sub != nil {
		return sub.push(m)
	}
	size := int64(len(m.Params.Result) + len(m.Params.Error) + len(key))
	switch {
	case s.ended.excuse(key):
		return nil
	case s.opening > 0 && len(s.early) < maxEarly && s.earlySize+size <= s.o.MaxAnswer:
		s.early, s.earlySize = append(s.early, *m), s.earlySize+size
		return nil
	case s.stray.take(time.Now()):
		return nil
	}
	return fmt.Errorf("%w: notifications that nobody asked for", ErrProtocol)
}
