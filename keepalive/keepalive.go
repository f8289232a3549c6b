// Package keepalive finds out how rarely an idle connection may be spoken over. Middleboxes forget connections that are silent for a time
// which only trying can tell, and some servers close them; so the interval between pings grows while they are answered, and stays
// below a silence that a connection did not survive.
//
//	min ──×1.5──▶ … ──▶ max             while every silence is survived
//	good ◀──halving──▶ bad              once one was not: what is between is tried until it is not worth a lost connection
//	good, and after ever longer a look beyond, since paths change
package keepalive

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Search is the search on one path; connections over it follow one another. It is safe for concurrent use.
type Search struct {
	min, max time.Duration

	mu        sync.Mutex
	good, bad time.Duration // longest silence survived; shortest one that was not, 0 if none
	cur       time.Duration
	doubt     bool // the connection died in a silence that used to be survived
	calm      int  // silences in a row that were survived since the search ended
	patience  int  // of them, before it looks beyond bad again
}

const (
	// close to this, searching on is not worth a lost connection: an eighth of the interval, or half a minute.
	leastStep = 30 * time.Second
	// floor is the shortest interval that a path can bring the search to.
	floor = 20 * time.Second
	// firstPatience and mostPatience bound how many intervals pass before a silence is tried again that a connection did not survive.
	firstPatience = 64
	mostPatience  = 4096
)

// New returns a search between two intervals. It begins with the shorter one, and goes below it only on a path that does not bear it.
func New(shortest, longest time.Duration) *Search {
	return &Search{min: shortest, max: max(shortest, longest), cur: shortest, patience: firstPatience}
}

// Interval is how long the connection may be silent before the next ping.
func (k *Search) Interval() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cur
}

// Next draws a silence for one ping: Interval, or up to a tenth less. Many who began at one moment do not go on at one moment.
func (k *Search) Next() time.Duration {
	d := k.Interval()
	return d - rand.N(d/10+1)
}

// set makes an interval the next one, within bounds. k.mu is held.
func (k *Search) set(d time.Duration) { k.cur = max(min(d, k.max), min(floor, k.min)) }

// Survived notes that a ping was answered after a silence.
func (k *Search) Survived(silence time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.good, k.doubt = max(k.good, silence), false
	if k.bad != 0 && k.bad <= k.good {
		k.bad = 0 // the path bears more than it did
	}
	switch step := max(leastStep, k.good/8); {
	case k.bad == 0:
		k.set(max(k.cur, k.good*3/2))
	case k.bad-k.good > 2*step:
		k.set((k.good + k.bad) / 2)
	default:
		k.set(k.good)
		if k.calm++; k.calm >= k.patience {
			k.calm, k.bad, k.patience = 0, 0, min(4*k.patience, mostPatience)
		}
	}
}

// Died notes that the connection was found dead after a silence, or was closed in it. A server that ends and a link that goes away look the
// same; so when the silence was one that used to be survived, a shorter one decides whether the path has changed.
func (k *Search) Died(silence time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calm = 0
	switch {
	case silence <= k.good:
		if k.doubt {
			k.good, k.bad = 0, 0
		}
		k.doubt = true
		k.set(max(min(k.min, k.cur), silence/2))
	case k.good == 0: // nothing is known to be survived
		k.bad = silence
		k.set(min(k.cur, silence*3/4))
	default:
		k.bad = silence
		k.set(k.good)
	}
}
