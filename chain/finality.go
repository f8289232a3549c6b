package chain

import (
	"context"
	"fmt"
	"sync"

	"iod/chain/rpc"
)

// finality follows finalised heads for all who wait for a number, by one subscription, and only while anybody waits.
type finality struct {
	c *Client

	mu      sync.Mutex
	waiting int
	vigil   *vigil // nil while nobody waits
}

// vigil is one time of following, from the first who waits to the last.
type vigil struct {
	cancel context.CancelFunc

	mu   sync.Mutex
	head *finalHead    // the newest; nil at first
	news chan struct{} // closed and replaced with each head
}

type finalHead struct {
	s    *session
	hash Hash
	h    *header
}

// join returns the vigil under way, or begins one; nil once the client is closed.
func (f *finality) join() *vigil {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.vigil == nil {
		ctx, cancel := context.WithCancel(f.c.ctx)
		v := &vigil{cancel: cancel, news: make(chan struct{})}
		if !f.c.run(func() { _ = f.c.follow(ctx, true, v.see) }) { // ends with ctx only
			cancel()
			return nil
		}
		f.vigil = v
	}
	f.waiting++
	return f.vigil
}

// part ends the vigil with the last who waited.
func (f *finality) part() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.vigil.cancel()
		f.vigil = nil
	}
}

func (v *vigil) see(_ context.Context, s *session, hash Hash, h *header) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.head = &finalHead{s, hash, h}
	close(v.news)
	v.news = make(chan struct{})
	return nil
}

func (v *vigil) look() (*finalHead, <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.head, v.news
}

// WaitFinalised returns the view at the canonical block of that number as soon as it is finalised. It subscribes to finalised
// heads only while it waits; any number who wait share one subscription.
func (c *Client) WaitFinalised(ctx context.Context, number uint32) (*Block, error) {
	b, err := c.waitFinalised(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("wait until block %d is finalised: %w", number, err)
	}
	return b, nil
}

func (c *Client) waitFinalised(ctx context.Context, number uint32) (*Block, error) {
	v := c.finality.join()
	if v == nil {
		return nil, ErrClosed
	}
	defer c.finality.part()
	for {
		head, news := v.look()
		if head != nil && uint32(head.h.Number) >= number {
			b, err := c.finalAt(ctx, head, number)
			if err == nil || ctx.Err() != nil {
				return b, err
			}
			c.leave(head.s, fmt.Errorf("wait for finality: %w", err)) // and see what the next node calls final
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-c.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// finalAt finds the block of a number at or below a finalised head, on the node that told the head.
func (c *Client) finalAt(ctx context.Context, head *finalHead, number uint32) (*Block, error) {
	if uint32(head.h.Number) == number {
		return c.newBlock(head.hash, head.h), nil
	}
	hashes, err := head.s.hashes(ctx, number, number)
	if err != nil {
		return nil, err
	}
	h, err := head.s.header(ctx, hashes[0])
	if err != nil {
		return nil, err
	}
	if uint32(h.Number) != number {
		return nil, fmt.Errorf("%w: block %d instead of %d", rpc.ErrProtocol, h.Number, number)
	}
	return c.newBlock(hashes[0], h), nil
}
