package demo

import (
	"context"
	"sync"
	"time"

	"iod/chain"
)

// blockClock notes when each block of the chain became best and final, as seen from here.
type blockClock struct {
	client *chain.Client
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu              sync.Mutex
	bestAt, finalAt map[uint32]time.Time
	more            chan struct{}
}

func newBlockClock(ctx context.Context, rpc string) (*blockClock, error) {
	client, err := chain.Dial(ctx, chain.Options{Endpoints: []string{rpc}})
	if err != nil {
		return nil, err
	}
	head, err := client.Finalised(ctx)
	if err != nil {
		client.Close()
		return nil, err
	}
	own, cancel := context.WithCancel(context.Background())
	c := &blockClock{client: client, cancel: cancel, bestAt: map[uint32]time.Time{}, finalAt: map[uint32]time.Time{}, more: make(chan struct{})}
	c.wait.Go(func() {
		for b, err := range client.FollowBest(own) {
			if err != nil {
				return
			}
			c.note(c.bestAt, b.Number)
		}
	})
	c.wait.Go(func() {
		for b, err := range client.FollowFinalised(own, head.Number+1) {
			if err != nil {
				return
			}
			c.note(c.finalAt, b.Number)
		}
	})
	return c, nil
}

func (c *blockClock) note(m map[uint32]time.Time, number uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m[number] = time.Now()
	close(c.more)
	c.more = make(chan struct{})
}

func (c *blockClock) await(ctx context.Context, m map[uint32]time.Time, number uint32) (time.Time, error) {
	for {
		c.mu.Lock()
		at, ok := m[number]
		more := c.more
		c.mu.Unlock()
		if ok {
			return at, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
}

// best waits until the block of that number was best and returns when it was.
func (c *blockClock) best(ctx context.Context, number uint32) (time.Time, error) {
	return c.await(ctx, c.bestAt, number)
}

// finalised waits until the block of that number was final and returns when it was.
func (c *blockClock) finalised(ctx context.Context, number uint32) (time.Time, error) {
	return c.await(ctx, c.finalAt, number)
}

// next waits for the next block of either kind.
func (c *blockClock) next(ctx context.Context) error {
	c.mu.Lock()
	more := c.more
	c.mu.Unlock()
	select {
	case <-more:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *blockClock) close() {
	c.cancel()
	c.client.Close()
	c.wait.Wait()
}
