package chain

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"iod/chain/rpc"
	"iod/keepalive"
)

// errDropped is why a node is left whose endpoint is no longer wanted.
var errDropped = errors.New("endpoint is no longer listed")

// ranked makes endpoints of URLs in order of preference. Those that are known already keep what became of them.
func (c *Client) ranked(known []*endpoint, urls []string) (all []*endpoint) {
	for i, u := range urls {
		ep := &endpoint{url: u, shown: rpc.Redact(u), err: errNotTried}
		if c.o.KeepAliveMax > c.o.KeepAlive {
			ep.quiet = keepalive.New(cmp.Or(c.o.KeepAlive, time.Minute), c.o.KeepAliveMax)
		}
		if at := slices.IndexFunc(known, func(x *endpoint) bool { return x.url == u }); at >= 0 {
			ep, known = known[at], slices.Delete(slices.Clone(known), at, at+1)
		}
		ep.rank = i
		all = append(all, ep)
	}
	return all
}

// SetEndpoints changes the endpoints and their order. The connection in use goes on if its endpoint is still among them; from one
// that is less preferred now the client moves over as it does when a preferred one is back.
func (c *Client) SetEndpoints(urls []string) error {
	if len(urls) == 0 {
		return errors.New("set endpoints: none is given")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.current
	first := s != nil && s.ep.rank == 0
	c.endpoints = c.ranked(c.endpoints, urls)
	switch {
	case c.closed || s == nil:
	case !slices.Contains(c.endpoints, s.ep):
		c.leaveLocked(s, errDropped)
	case first && s.ep.rank > 0:
		c.wg.Go(func() { c.prefer(s) })
	}
	return nil
}

// rankOf is where the endpoint of a session stands in the order of preference.
func (c *Client) rankOf(s *session) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.ep.rank
}

// EndpointStatus is what became of an endpoint.
type EndpointStatus struct {
	Endpoint string // without credentials
	InUse    bool
	Since    time.Time // of the connection in use
	Heard    time.Time // when it last sent anything over the connection in use; zero: never, or it is not in use
	Err      error     // why it cannot be used, or was left last; nil: nothing is known against it
	Retry    time.Time // when it may be tried again, if that is later than now
	// KeepAlive is the silence after which the connection in use is pinged.
	KeepAlive time.Duration
}

// Endpoints returns all endpoints in order of preference.
func (c *Client) Endpoints() []EndpointStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]EndpointStatus, len(c.endpoints))
	for i, ep := range c.endpoints {
		all[i] = EndpointStatus{Endpoint: ep.shown, Err: ep.err}
		if ep.err == errNotTried {
			all[i].Err = nil
		}
		if time.Now().Before(ep.notBefore) {
			all[i].Retry = ep.notBefore
		}
		if s := c.current; s != nil && s.ep == ep && s.conn.Err() == nil {
			all[i].InUse, all[i].Since, all[i].Heard, all[i].Err = true, s.since, s.conn.LastHeard(), nil
			all[i].KeepAlive = cmp.Or(c.o.KeepAlive, time.Minute)
			if ep.quiet != nil {
				all[i].KeepAlive = ep.quiet.Interval()
			}
		}
	}
	return all
}
