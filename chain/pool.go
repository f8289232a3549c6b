package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"iod/chain/rpc"
	"iod/keepalive"
)

const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = time.Minute
	// proven is how long a connection must have lived for its loss to count as the first failure.
	proven = 10 * time.Second
	// inHurry is how long an endpoint may take to be connected to while there are others to try; those that were too slow get all
	// of Options.Timeout when none of the others was any good. So a silent endpoint that stands first holds up nobody for long.
	inHurry = 3 * time.Second
	// eagerFor is about how often an endpoint that was put off is tried all the same while somebody asks for something: the pauses
	// grow so that an outage costs little while nobody does.
	eagerFor = 2 * time.Second
	// doubtAfter is the silence after which a connection is pinged beside the next read: what is dead need not be waited for.
	doubtAfter = time.Minute
	// retryFor is how long reads look for a connection unless Options.Retry says otherwise.
	retryFor = 5 * time.Second
)

// endpoint is one address of a node and what became of it. The client's lock guards it.
type endpoint struct {
	url, shown string
	rank       int // in the order of preference, from 0
	failures   int
	notBefore  time.Time
	anyway     time.Time // when it may be tried although it is put off; zero: never
	err        error
	noBatch    bool
	quiet      *keepalive.Search // how long a connection to it may be quiet; nil: as Options.KeepAlive says
}

// session is a connection in use. It is left for good at its first fault.
type session struct {
	conn    *rpc.Conn
	ep      *endpoint
	since   time.Time
	reads   atomic.Int64  // under way
	left    chan struct{} // closed when the client gave the session up
	hashing atomic.Int32  // whether header.hash is right on this chain: 0 not known, 1 yes, 2 no
	proof   *atomic.Bool  // the client's: another session has seen that it is
	lists   atomic.Int32  // whether chain_getBlockHash takes lists: likewise
	tried   atomic.Bool   // a batch was sent
	batched atomic.Bool   // a batch was answered
	doubted atomic.Bool   // it is to prove that it lives
}

// attempt is a connecting that several callers wait for.
type attempt struct {
	done  chan struct{}
	asked bool
	anew  context.CancelFunc // has the endpoint that is being tried tried anew; nil: none is. The client's lock guards it
	s     *session
	err   error
}

// session returns the connection in use, or makes one. When no endpoint may be tried yet it fails at once: on and sessionWait know
// how to wait.
func (c *Client) session(ctx context.Context) (*session, error) { return c.sessionFor(ctx, false) }

// sessionFor is session; asked tells that somebody asks for something, so that what was put off for long is tried sooner.
func (c *Client) sessionFor(ctx context.Context, asked bool) (*session, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	if s := c.current; s != nil {
		if s.conn.Err() == nil {
			c.mu.Unlock()
			return s, nil
		}
		c.leaveLocked(s, s.conn.Err())
	}
	a := c.connecting
	if a == nil {
		a = &attempt{done: make(chan struct{}), asked: asked}
		c.connecting = a
		c.wg.Go(func() { c.connect(a) })
	}
	c.mu.Unlock()
	select {
	case <-a.done:
		return a.s, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// sessionWait is session for those who follow the chain: it waits for as long as no endpoint can be reached.
func (c *Client) sessionWait(ctx context.Context) (*session, error) {
	for {
		s, err := c.session(ctx)
		var un *UnreachableError
		if err == nil || !errors.As(err, &un) {
			return s, err
		}
		if err := c.sleep(ctx, time.Until(un.soonest())); err != nil {
			return nil, err
		}
	}
}

// soonest returns when the first endpoint may be tried again.
func (e *UnreachableError) soonest() time.Time {
	var first time.Time
	for _, x := range e.Endpoints {
		if first.IsZero() || x.Retry.Before(first) {
			first = x.Retry
		}
	}
	return first
}

// sleep waits for d, a millisecond at least, or until an endpoint may be usable before that.
func (c *Client) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	woken, connected := c.woken, c.current != nil
	c.mu.Unlock()
	if connected {
		return nil
	}
	timer := time.NewTimer(max(d, time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-woken:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.ctx.Done():
		return ErrClosed
	}
}

// connect tries the endpoints in order of preference, in a hurry while there are others to try, and then those that were too slow
// for that.
func (c *Client) connect(a *attempt) {
	defer close(a.done)
	ready := c.ready(math.MaxInt, a.asked)
	var slow []*endpoint
	for i, ep := range ready {
		patience := c.hurry
		if i == len(ready)-1 {
			patience = 0
		}
		switch c.enter(a, ep, patience) {
		case entered:
			return
		case tooSlow:
			slow = append(slow, ep)
		}
	}
	for _, ep := range slow {
		if c.enter(a, ep, 0) == entered {
			return
		}
	}
	c.settle(a, nil, nil)
}

// ready returns the endpoints before a rank that may be tried, in their order; asked tells that somebody asks for something.
func (c *Client) ready(rank int, asked bool) (all []*endpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, ep := range c.endpoints {
		eager := asked && !ep.anyway.IsZero() && !now.Before(ep.anyway)
		if ep.rank < rank && (eager || !now.Before(ep.notBefore)) {
			all = append(all, ep)
		}
	}
	return all
}

// count is how many endpoints there are.
func (c *Client) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.endpoints)
}

// entry is what came of trying an endpoint.
type entry uint8

const (
	turnedAway entry = iota // put off
	entered                 // it is in use now
	tooSlow                 // its patience ran out; not put off
)

// enter tries to make an endpoint the one in use within patience; 0 stands for all of Options.Timeout for each step. A nudge has it
// begin anew: what was sent while there was no network is lost, and waiting for an answer to it would take long.
func (c *Client) enter(a *attempt, ep *endpoint, patience time.Duration) entry {
	for {
		trying, anew := context.WithCancel(c.ctx)
		c.mu.Lock()
		a.anew = anew
		c.mu.Unlock()
		e := c.enterOnce(trying, a, ep, patience)
		c.mu.Lock()
		a.anew = nil
		c.mu.Unlock()
		nudged := trying.Err() != nil && c.ctx.Err() == nil
		anew()
		if e == entered || !nudged {
			return e
		}
		timer := time.NewTimer(rand.N(nudgeSpread))
		select {
		case <-timer.C:
		case <-c.ctx.Done():
			timer.Stop()
		}
	}
}

func (c *Client) enterOnce(trying context.Context, a *attempt, ep *endpoint, patience time.Duration) entry {
	ctx, cancel := trying, context.CancelFunc(func() {})
	if patience > 0 {
		ctx, cancel = context.WithTimeout(ctx, patience)
	}
	defer cancel()
	s, err := c.open(ctx, ep)
	if err != nil && s != nil && ctx.Err() == nil && hungUp(s, err) { // a link that flickers: once more
		_ = s.conn.Close()
		s, err = c.open(ctx, ep)
	}
	if c.ctx.Err() != nil {
		err = ErrClosed
	}
	if err == nil {
		c.log.Debug("connected to node", "endpoint", ep.shown)
		c.settle(a, s, nil)
		return entered
	}
	if s != nil {
		_ = s.conn.Close()
	}
	if c.ctx.Err() == nil && ctx.Err() != nil {
		return tooSlow
	}
	c.penalise(ep, err)
	c.log.Warn("cannot use node", "endpoint", ep.shown, "error", err)
	return turnedAway
}

func (c *Client) settle(a *attempt, s *session, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s != nil && (c.closed || !slices.Contains(c.endpoints, s.ep)) { // closed, or given up by SetEndpoints meanwhile
		conn := s.conn
		c.wg.Go(func() { _ = conn.Close() })
		s = nil
	}
	if s == nil && err == nil {
		err = c.unreachable(a.asked)
	}
	if err != nil && c.closed {
		err = ErrClosed
	}
	a.s, a.err = s, err
	c.current, c.connecting = s, nil
	if s != nil {
		c.wake()
	}
	if s != nil && s.ep.rank > 0 {
		c.wg.Go(func() { c.prefer(s) })
	}
}

// open dials one endpoint and checks its network.
func (c *Client) open(ctx context.Context, ep *endpoint) (*session, error) {
	c.mu.Lock()
	o := c.rpcOptions
	if ep.noBatch {
		o.MaxBatch = 1
	}
	o.Search = ep.quiet
	c.mu.Unlock()
	conn, err := rpc.Dial(ctx, ep.url, o)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, ep: ep, since: time.Now(), left: make(chan struct{}), proof: &c.hashes}
	if c.hashes.Load() {
		s.hashing.Store(1)
	}
	var genesis *Hash
	if err := conn.Call(ctx, &genesis, "chain_getBlockHash", 0); err != nil {
		return s, err
	}
	if genesis == nil {
		return s, fmt.Errorf("%w: node has no block 0", rpc.ErrProtocol)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.genesis.IsZero() {
		c.genesis = *genesis
	}
	if c.genesis != *genesis {
		return s, &WrongNetworkError{Want: c.genesis, Have: *genesis}
	}
	return s, nil
}

// unreachable tells why each endpoint cannot be used, and when it may be tried again, which is sooner for who asks for something. c.mu
// is held.
func (c *Client) unreachable(asked bool) error {
	e := &UnreachableError{}
	for _, ep := range c.endpoints {
		retry := ep.notBefore
		if asked && !ep.anyway.IsZero() && ep.anyway.Before(retry) {
			retry = ep.anyway
		}
		e.Endpoints = append(e.Endpoints, &EndpointError{Endpoint: ep.shown, Err: ep.err, Retry: retry})
	}
	return e
}

// leave gives a session up because of err, so that the next call finds another. Only the first to leave counts.
func (c *Client) leave(s *session, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaveLocked(s, err)
}

func (c *Client) leaveLocked(s *session, err error) {
	select {
	case <-s.left:
		return
	default:
	}
	close(s.left)
	if c.current == s {
		c.current = nil
	}
	if t := s.conn.LastHeard(); t.After(c.heard) {
		c.heard, c.heardFrom = t, s.ep.shown
	}
	if c.closed {
		return
	}
	switch {
	case errors.Is(err, errPreferred), errors.Is(err, errDropped):
	case time.Since(s.since) >= proven && !errors.Is(err, errBehind):
		s.ep.failures, s.ep.notBefore, s.ep.err = 0, time.Time{}, err
	default:
		c.penaliseLocked(s.ep, err)
	}
	c.log.Info("left node", "endpoint", s.ep.shown, "reason", err)
	c.wg.Go(func() { _ = s.conn.Close() })
}

// penalise is penaliseLocked for who does not hold the lock.
func (c *Client) penalise(ep *endpoint, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.penaliseLocked(ep, err)
}

// penaliseLocked puts an endpoint off: half a second, doubling to a minute, each time between half and the whole of it.
func (c *Client) penaliseLocked(ep *endpoint, err error) {
	d := c.backoff << min(ep.failures, 10)
	if d > maxBackoff || errors.Is(err, ErrWrongNetwork) || errors.Is(err, errBehind) {
		d = maxBackoff
	}
	ep.failures++
	ep.err = err
	ep.notBefore, ep.anyway = time.Now().Add(d/2+rand.N(d/2+1)), time.Time{}
	if !errors.Is(err, ErrWrongNetwork) && !errors.Is(err, errBehind) {
		ep.anyway = time.Now().Add(c.eager/2 + rand.N(c.eager))
	}
}

// on runs one read on the connection in use. If the connection or the node is at fault it is left and the read made again on
// another: on each endpoint once, and for as long as Options.Retry if it was the connection that broke. An error that the node
// answered is returned with the node's name.
func (c *Client) on(ctx context.Context, read func(*session) error) error {
	c.asked.Add(1)
	var until time.Time // set at the first fault
	var fault error     // of a node's answers, not of its connection
	for try := 0; ; try++ {
		s, err := c.sessionFor(ctx, true)
		var none *UnreachableError
		switch {
		case errors.As(err, &none) && fault != nil && c.count() == 1:
			return fault // nobody else can be asked
		case errors.As(err, &none):
			if until.IsZero() {
				until = time.Now().Add(c.o.Retry)
			}
			switch err := c.await(ctx, none, until); {
			case err != nil && fault != nil:
				return fault
			case err != nil:
				return err
			}
			continue
		case err != nil:
			return err
		}
		c.doubt(s, c.doubtful, c.hurry)
		s.reads.Add(1)
		err = read(s)
		s.reads.Add(-1)
		if err == nil {
			return nil
		}
		named := &EndpointError{Endpoint: s.ep.shown, Err: err}
		broke := hungUp(s, err)
		if !c.faulty(ctx, s, err) {
			return named
		}
		if until.IsZero() {
			until = time.Now().Add(c.o.Retry)
		}
		if try >= c.count() && (!broke || time.Now().After(until)) {
			return named
		}
		if fault = named; broke {
			fault = nil
		}
	}
}

// hungUp reports whether the connection is to blame for an error, not what the node said over it.
func hungUp(s *session, err error) bool {
	if errors.Is(err, rpc.ErrProtocol) || errors.Is(err, rpc.ErrTooLarge) || errors.Is(err, rpc.ErrTimeout) {
		return false
	}
	var link net.Error
	return s.conn.Err() != nil || errors.As(err, &link) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// await sleeps until an endpoint may be tried again, unless that is later than the caller waits.
func (c *Client) await(ctx context.Context, none *UnreachableError, until time.Time) error {
	next := none.soonest()
	if limit, ok := ctx.Deadline(); next.After(until) || ok && next.After(limit) {
		return none
	}
	if err := c.sleep(ctx, time.Until(next)); err != nil {
		return fmt.Errorf("%w: %w", err, none)
	}
	return nil
}

// faulty judges the error of a read: when the session is to blame it is left.
func (c *Client) faulty(ctx context.Context, s *session, err error) bool {
	var answered *rpc.Error
	if errors.As(err, &answered) || errors.Is(err, ErrNotFound) || ctx.Err() != nil || errors.Is(err, rpc.ErrNoSubscriptions) {
		return false
	}
	if s.tried.Load() && !s.batched.Load() && s.conn.BatchLimit() > 1 {
		// It may be that the node hung up or fell silent because of a batch: ask it singly next time.
		c.mu.Lock()
		s.ep.noBatch = true
		c.mu.Unlock()
	}
	c.leave(s, err)
	return true
}
