// Package clock tells the time on machines whose own clock may start in 1970, be set by hand, or jump.
//
// Three sources are kept apart:
//
//	wall     the machine's clock: shown to people, believed only while nothing contradicts it
//	steady   time since the machine started, suspended or not: measures durations, never jumps
//	chain    the times of blocks: a block's time is a moment that is past for sure, and on a chain that makes blocks by the clock
//	         it is past by little
//
// The estimate is the latest time of a block plus the steady time since it was read. A chain that makes blocks by the clock overrules a wall
// clock that differs from it, be it behind or ahead; any other chain only one that is behind.
package clock

import (
	"sync"
	"time"
)

const (
	// kept is how many observations count. A node that tells of a future far off is outlived by so many more.
	kept = 8
	// slack is how far the wall clock may differ from the chain's time and still be believed: blocks are read some time after they
	// were made, and chains pause now and then.
	slack = 5 * time.Minute
	// early is how far a wall clock may be behind: validators' clocks differ too.
	early = 30 * time.Second
)

// Clock is safe for concurrent use.
type Clock struct {
	wall  func() time.Time
	since func() time.Duration // steady: since some moment

	start time.Time     // of the wall clock when the Clock was made, without monotonic part
	began time.Duration // by since, then
	floor time.Time     // no time before this one is believed

	mu    sync.Mutex
	seen  []observation
	paced bool
}

// observation is a block's time, and when it was read.
type observation struct {
	block time.Time
	at    time.Duration
}

// New returns a clock of this machine. floor is a time that is past for sure.
func New(floor time.Time) *Clock { return Of(time.Now, sinceBoot, floor) }

// Of returns a clock of other sources: the wall clock, and the time since any moment by a clock that never jumps.
func Of(wall func() time.Time, since func() time.Duration, floor time.Time) *Clock {
	return &Clock{wall: wall, since: since, start: wall().Round(0), began: since(), floor: floor}
}

// Steady returns a time that goes on evenly whatever happens to the wall clock, while the machine sleeps too. Only the
// differences of two such times mean anything.
func (c *Clock) Steady() time.Time { return c.start.Add(c.since() - c.began) }

// Observe notes the time of a block that a node has just told. paced says that the chain makes blocks by the clock.
func (c *Clock) Observe(block time.Time, paced bool) {
	if block.Unix() <= 0 {
		return // block 0 has no time
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paced = paced
	if len(c.seen) == kept {
		c.seen = c.seen[1:]
	}
	c.seen = append(c.seen, observation{block, c.since()})
}

// chain returns the chain's time; zero while none is known. c.mu is held.
func (c *Clock) chain() (now time.Time) {
	at := c.since()
	for _, o := range c.seen {
		if t := o.block.Add(at - o.at); t.After(now) {
			now = t
		}
	}
	return now
}

// Reading is the clock at a moment.
type Reading struct {
	Now    time.Time     // the best estimate
	Wall   time.Time     // what the machine's clock says
	Chain  time.Time     // the chain's time; zero: none is known
	Paced  bool          // Chain is close to the real time; otherwise that may be later
	Offset time.Duration // Wall - Now: what the machine's clock is wrong by; 0 while it is believed
}

// Read returns the clock's sources and what it makes of them.
func (c *Clock) Read() Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := Reading{Wall: c.wall().Round(0), Chain: c.chain(), Paced: c.paced}
	r.Now = r.Wall
	switch {
	case r.Chain.IsZero():
		if r.Wall.Before(c.floor) {
			r.Now = c.floor.Add(c.since() - c.began)
		}
	case r.Wall.Before(r.Chain.Add(-early)), r.Paced && r.Wall.After(r.Chain.Add(slack)):
		r.Now = r.Chain
	}
	r.Offset = r.Wall.Sub(r.Now)
	return r
}

// Now returns the best estimate of the time.
func (c *Clock) Now() time.Time { return c.Read().Now }

// Moment returns the time by which a certificate of a validity is to be judged. Before the chain has told its time, nobody knows whether a
// certificate is out of date or the machine's clock: then one counts that was valid at any time since the floor. What a wrong
// clock costs is thus at most that a certificate is taken which ran out after the device was last seen to run.
func (c *Clock) Moment(notBefore, notAfter time.Time) time.Time {
	r := c.Read()
	past := c.floor // for sure
	if r.Chain.After(past) {
		past = r.Chain
	}
	switch {
	case r.Paced && !r.Chain.IsZero(), notAfter.Before(past):
		return r.Now
	case r.Now.Before(notBefore):
		return notBefore
	case r.Now.After(notAfter):
		return notAfter
	}
	return r.Now
}
