package overlay

import (
	"crypto/sha256"
	"sync"
	"time"

	"iod/overlay/wire"
)

// Rates of knocks that a device looks at, a second; bursts are larger, since consumers come in crowds after an outage.
const (
	knocksPerRelay, knockBurstRelay   = 100, 2048
	knocksPerSource, knockBurstSource = 20, 1024
	knocksTotal, knockBurstTotal      = 200, 4096
)

// Sizes of what the guard remembers.
const (
	maxSources = 1024
	maxNonces  = 1 << 15 // in each of two generations
)

// guard drops knocks before they cost a signature check: those that come too often, and those that came before.
type guard struct {
	mu      sync.Mutex
	total   bucket
	sources map[sourceKey]*bucket
	// Two generations of nonces: a full one becomes the old one, and the old one is forgotten. A knock that is replayed after that
	// costs the device one answer to a token that only the consumer's own node could use.
	nonces, old map[[16]byte]struct{}

	open bool // let all pass, for benchmarks of the rest
}

type sourceKey struct {
	relay RelayAddr
	tag   wire.Source
}

func newGuard() *guard {
	return &guard{sources: make(map[sourceKey]*bucket), nonces: make(map[[16]byte]struct{})}
}

// pass reports whether a knock is within the rates.
func (g *guard) pass(now time.Time, relay *bucket, k sourceKey) bool {
	if g.open {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sources[k]
	if s == nil {
		if len(g.sources) >= maxSources {
			g.prune(now)
		}
		s = &bucket{}
		g.sources[k] = s
	}
	return s.take(now, knocksPerSource, knockBurstSource) &&
		relay.take(now, knocksPerRelay, knockBurstRelay) &&
		g.total.take(now, knocksTotal, knockBurstTotal)
}

// prune forgets the sources that were quiet, or all when none was: the other two rates still hold.
func (g *guard) prune(now time.Time) {
	for k, b := range g.sources {
		if b.full(now, knocksPerSource, knockBurstSource) {
			delete(g.sources, k)
		}
	}
	if len(g.sources) >= maxSources {
		clear(g.sources)
	}
}

// nonceKey binds a nonce to its account, so that nobody can use up another's.
func nonceKey(r *wire.Request) [16]byte {
	h := sha256.New()
	h.Write(r.Account.Bytes())
	h.Write(r.Node[:])
	h.Write(r.Relay[:])
	h.Write(r.Nonce[:])
	return [16]byte(h.Sum(nil))
}

// seen reports whether the knock came before.
func (g *guard) seen(r *wire.Request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := nonceKey(r)
	_, now := g.nonces[k]
	_, before := g.old[k]
	return now || before
}

// remember notes a knock whose signature is right.
func (g *guard) remember(r *wire.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.nonces) >= maxNonces {
		g.old, g.nonces = g.nonces, make(map[[16]byte]struct{})
	}
	g.nonces[nonceKey(r)] = struct{}{}
}
