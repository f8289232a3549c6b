package chain

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// errMute is why a node is left that was quiet for long and does not answer when it is needed.
var errMute = errors.New("node was quiet for long and does not answer a ping")

// nudgePatience is how long a connection may take to prove that it lives when the network has just come back: most have died then.
const nudgePatience = 1500 * time.Millisecond

// nudgeSpread is over how long a fleet whose network comes back at one moment spreads what it does then.
const nudgeSpread = time.Second

// doubt has a connection that was quiet for long prove that it lives, beside whatever it is used for now. One that does not in a
// short while is left, so that who waits for an answer gets it from another: a path that has died tells nobody.
func (c *Client) doubt(s *session, after, patience time.Duration) {
	asked := time.Now()
	if !s.conn.Subscribes() || asked.Sub(s.conn.LastHeard()) < after || !s.doubted.CompareAndSwap(false, true) {
		return
	}
	c.run(func() {
		defer s.doubted.Store(false)
		ctx, cancel := context.WithTimeout(c.ctx, patience)
		defer cancel()
		if err := s.conn.Ping(ctx); err != nil && c.ctx.Err() == nil && s.conn.LastHeard().Before(asked) {
			c.leave(s, errMute)
		}
	})
}

// wake wakes who waits until an endpoint may be tried. c.mu is held.
func (c *Client) wake() {
	close(c.woken)
	c.woken = make(chan struct{})
}

// Nudge says that the network may be there again, or another one: endpoints that were put off are tried soon, one that is being tried
// is tried anew, and the connection in use is to prove that it lives.
func (c *Client) Nudge() {
	c.mu.Lock()
	s := c.current
	for _, ep := range c.endpoints {
		if soon := time.Now().Add(rand.N(nudgeSpread)); ep.notBefore.After(soon) && !ep.anyway.IsZero() {
			ep.notBefore, ep.failures = soon, 0
		}
	}
	if !c.closed {
		if c.connecting != nil && c.connecting.anew != nil {
			c.connecting.anew()
		}
		c.wake()
	}
	c.mu.Unlock()
	if s != nil {
		c.doubt(s, 0, min(c.hurry, nudgePatience))
	}
}
