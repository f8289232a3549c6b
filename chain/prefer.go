package chain

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// climbEvery is the time between looks whether an endpoint is back that is preferred to the one in use.
	climbEvery = 5 * time.Minute
	// climbIdle is how many of them a client lets pass that reads nothing: a look costs a metered link some kilobytes.
	climbIdle = 12
)

// prefer looks from time to time whether an endpoint that is preferred to that of s can be used, and moves over to it. It ends with s.
func (c *Client) prefer(s *session) {
	timer := time.NewTimer(c.climb)
	defer timer.Stop()
	asked, idle := c.asked.Load(), 0
	for {
		select {
		case <-timer.C:
		case <-s.left:
			return
		case <-s.conn.Done():
			return
		case <-c.ctx.Done():
			return
		}
		timer.Reset(c.climb)
		now := c.asked.Load()
		if idle++; now == asked && idle < climbIdle {
			continue
		}
		if better := c.better(s); better != nil {
			c.move(s, better, errPreferred)
			return
		}
		asked, idle = c.asked.Load(), 0
	}
}

// better connects to an endpoint preferred to that of s; nil when none is fit.
func (c *Client) better(s *session) *session {
	for _, ep := range c.ready(c.rankOf(s), false) {
		x, err := c.open(c.ctx, ep)
		if err == nil {
			err = c.level(x, s)
		}
		if err == nil {
			return x
		}
		if x != nil {
			_ = x.conn.Close()
		}
		c.penalise(ep, err)
		c.log.Debug("preferred node is not back", "endpoint", ep.shown, "error", err)
	}
	return nil
}

// moment is how many blocks a node may be behind without being called so.
const moment = 3

// level checks that a node is as far as the one in use, but for the blocks of a moment: one that is still catching up would set
// everybody back who follows the chain.
func (c *Client) level(x, s *session) error {
	ctx, cancel := context.WithTimeout(c.ctx, time.Minute)
	defer cancel()
	_, have, err := x.finalisedHead(ctx)
	if err != nil {
		return err
	}
	_, want, err := s.finalisedHead(ctx)
	if err != nil {
		return fmt.Errorf("compare with node in use: %w", err)
	}
	if have.Number+moment < want.Number {
		return errBehind
	}
	return nil
}

// move puts better in the place of s, and says why. Reads that are under way on s may end; then those who follow the chain come over as well.
func (c *Client) move(s, better *session, why error) {
	c.mu.Lock()
	if c.closed || c.current != s {
		c.mu.Unlock()
		_ = better.conn.Close()
		return
	}
	c.current = better
	if better.ep.rank > 0 {
		c.wg.Go(func() { c.prefer(better) })
	}
	c.mu.Unlock()
	c.log.Info("move to another node", "endpoint", better.ep.shown, "from", s.ep.shown, "reason", why)
	timer := time.NewTicker(c.poll)
	defer timer.Stop()
	for range 10 {
		if s.reads.Load() == 0 {
			break
		}
		select {
		case <-timer.C:
		case <-s.conn.Done():
		case <-c.ctx.Done():
		}
	}
	c.leave(s, why)
	_ = s.conn.Close() // a client that is closed leaves its current session only
}

// errPreferred is why a node is left that did nothing wrong.
var errPreferred = errors.New("a preferred node is back")
