package chain

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// maxWatch is the longest time between two looks whether others are further than a node that stands still.
const maxWatch = 5 * time.Minute

// overtake looks, whenever no head has come for a while, whether another endpoint is further than the one in use, and moves over to it.
// A node that lost its peers answers everything and calls nothing new final; by itself it cannot be told from a chain that rests.
func (c *Client) overtake(ctx context.Context, heads *atomic.Int64) {
	timer := time.NewTimer(c.patience)
	defer timer.Stop()
	for seen, pause := heads.Load(), c.patience; ; {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		case <-c.ctx.Done():
			return
		}
		now := heads.Load()
		if now != seen {
			seen, pause = now, c.patience
		} else if s, better := c.further(ctx); better != nil {
			c.move(s, better, errBehind)
		} else {
			pause = min(2*pause, maxWatch)
		}
		timer.Reset(pause)
	}
}

// further connects to an endpoint that calls a later block final than the one in use, but for the blocks of a moment; nil when none
// does.
func (c *Client) further(ctx context.Context) (s, better *session) {
	c.mu.Lock()
	s = c.current
	alone := len(c.endpoints) < 2
	c.mu.Unlock()
	if s == nil || alone {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, have, err := s.finalisedHead(ctx)
	if err != nil {
		return s, nil // whoever follows will notice
	}
	for _, ep := range c.ready(math.MaxInt, false) {
		if ep == s.ep {
			continue
		}
		x, err := c.open(ctx, ep)
		if err == nil {
			var h *header
			if _, h, err = x.finalisedHead(ctx); err == nil && h.Number > have.Number+moment {
				return s, x
			}
		}
		if x != nil {
			_ = x.conn.Close()
		}
		if err != nil && ctx.Err() == nil {
			c.penalise(ep, err)
		}
	}
	return s, nil
}
