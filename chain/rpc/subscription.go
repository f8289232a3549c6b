package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// Subscription receives the notifications of one subscription in the order of the node.
type Subscription struct {
	s      *socket
	id     string // as the node wrote it, in JSON
	method string // that ends it
	newID  func() uint64
	latest bool // keep only the newest notification

	mu    sync.Mutex
	queue []json.RawMessage
	bytes int64
	ready chan struct{} // holds one token when queue may have something
	once  sync.Once
	ended chan struct{}
}

// Subscribe opens a subscription by method; unsubscribe is the method that ends it. A reader that lets more than
// Options.MaxQueue notifications wait loses the whole connection, with ErrSlowReader.
func (c *Conn) Subscribe(ctx context.Context, method, unsubscribe string, params ...any) (*Subscription, error) {
	return c.subscribe(ctx, false, method, unsubscribe, params)
}

// SubscribeLatest is Subscribe for readers to whom only the newest notification matters: it replaces one that still waits, so that
// no reader is too slow.
func (c *Conn) SubscribeLatest(ctx context.Context, method, unsubscribe string, params ...any) (*Subscription, error) {
	return c.subscribe(ctx, true, method, unsubscribe, params)
}

func (c *Conn) subscribe(ctx context.Context, latest bool, method, unsubscribe string, params []any) (*Subscription, error) {
	s, ok := c.t.(*socket)
	if !ok {
		return nil, fmt.Errorf("%s: %w", method, ErrNoSubscriptions)
	}
	k, err := c.newCall(&Request{Method: method, Params: params})
	if err != nil {
		return nil, err
	}
	k.sub = &Subscription{s: s, latest: latest, method: unsubscribe, ready: make(chan struct{}, 1), ended: make(chan struct{}),
		newID: func() uint64 { return c.nextID.Add(1) }}
	if err := c.do(ctx, []*call{k}, false); err != nil {
		select {
		case <-k.done: // the answer came in the moment when the caller left
			if k.err == nil {
				k.sub.Close()
			}
		default:
		}
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	if k.err != nil {
		return nil, fmt.Errorf("%s: %w", method, k.err)
	}
	return k.sub, nil
}

// push queues a notification. The socket's lock is held.
func (u *Subscription) push(m *message) error {
	result := m.Params.Result
	if m.Params.Error != nil {
		return fmt.Errorf("%w: subscription ended by the node: %.200s", ErrProtocol, m.Params.Error)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.latest {
		u.queue, u.bytes = nil, 0
	}
	u.bytes += int64(len(result))
	if len(u.queue) >= u.s.o.MaxQueue || u.bytes > u.s.o.MaxAnswer {
		return fmt.Errorf("%w: %d wait", ErrSlowReader, len(u.queue))
	}
	u.queue = append(u.queue, result)
	select {
	case u.ready <- struct{}{}:
	default:
	}
	return nil
}

// Next returns the next notification's result. It fails when ctx ends, the connection ends or the subscription is closed.
func (u *Subscription) Next(ctx context.Context) (json.RawMessage, error) {
	for {
		if r, ok := u.pop(); ok {
			return r, nil
		}
		select {
		case <-u.ready:
		case <-ctx.Done():
			return nil, causeOf(ctx)
		case <-u.ended:
			return nil, ErrClosed
		case <-u.s.ctx.Done():
			if r, ok := u.pop(); ok {
				return r, nil
			}
			return nil, u.s.err()
		}
	}
}

func (u *Subscription) pop() (json.RawMessage, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.queue) == 0 {
		return nil, false
	}
	r := u.queue[0]
	u.queue[0] = nil
	if u.queue = u.queue[1:]; len(u.queue) == 0 {
		u.queue = nil
	}
	u.bytes -= int64(len(r))
	return r, true
}

// Close ends the subscription, and tells the node if it can, without waiting for its answer.
func (u *Subscription) Close() {
	u.once.Do(func() {
		close(u.ended)
		u.s.mu.Lock()
		defer u.s.mu.Unlock()
		delete(u.s.subs, u.id)
		u.s.ended.add(u.id)
		u.s.unsubscribe(u, u.id)
	})
}
