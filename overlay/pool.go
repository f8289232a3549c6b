package overlay

import (
	"context"
	"errors"
	"sync"
	"time"

	"iod/keepalive"
	"iod/key"
)

// linger is how long a link that nobody uses is kept, since a knock often follows a knock.
const linger = 30 * time.Second

// pool shares one link per relay among all who need it. It owns the links' goroutines.
type pool struct {
	dial        DialFunc
	pingTimeout time.Duration
	onLink      func(*clientLink) // called before a fresh link runs; may be nil

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	links  map[RelayAddr]*pooled
}

// pooled is a link that is being made, or made.
type pooled struct {
	ready chan struct{} // closed when link or err is set
	link  *clientLink
	err   error
	users int
	idle  *time.Timer
}

// isOver reports whether the link was made and has ended.
func (l *pooled) isOver() bool {
	select {
	case <-l.ready:
		return l.err != nil || l.link.isGone()
	default:
		return false
	}
}

func newPool(dial DialFunc, pingTimeout time.Duration) *pool {
	p := &pool{dial: dial, pingTimeout: pingTimeout, links: make(map[RelayAddr]*pooled)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// close ends all links and waits for them.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, l := range p.links {
		if l.idle != nil {
			l.idle.Stop()
		}
	}
	p.mu.Unlock()
	p.cancel()
	p.wg.Wait()
}

// get returns the link to a relay, made if need be, and what to call when it is no longer used.
func (p *pool) get(ctx context.Context, addr RelayAddr) (*clientLink, func(), error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, nil, ErrClosed
	}
	l, ok := p.links[addr]
	if ok && l.isOver() { // and about to be forgotten
		ok = false
	}
	if !ok {
		l = &pooled{ready: make(chan struct{})}
		p.links[addr] = l
		p.wg.Go(func() { p.serve(addr, l) })
	}
	l.users++
	if l.idle != nil {
		l.idle.Stop()
		l.idle = nil
	}
	p.mu.Unlock()
	release := sync.OnceFunc(func() { p.release(l) })
	select {
	case <-l.ready:
	case <-ctx.Done():
		release()
		return nil, nil, context.Cause(ctx)
	}
	if l.err != nil {
		release()
		return nil, nil, l.err
	}
	return l.link, release, nil
}

// serve makes the link and runs it to its end.
func (p *pool) serve(addr RelayAddr, l *pooled) {
	// Consumers and relays are known to a relay by a key that is good for one link only: nobody can tell two links of one node.
	l.link, l.err = dialLink(p.ctx, addr, func() (*identity, error) { return newIdentity(key.NewNodeKey()) }, p.dial)
	if l.err != nil {
		p.forget(addr, l)
		close(l.ready)
		return
	}
	l.link.keep = keepalive.New(defaultKeepAliveMin, defaultKeepAliveMax)
	l.link.pingTimeout = p.pingTimeout
	if p.onLink != nil {
		p.onLink(l.link)
	}
	close(l.ready)
	l.link.run(p.ctx) //nolint:errcheck // the users learn why from reason
	p.forget(addr, l)
}

func (p *pool) forget(addr RelayAddr, l *pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links[addr] == l {
		delete(p.links, addr)
	}
	if l.idle != nil {
		l.idle.Stop()
	}
}

var errUnused = errors.New("nobody uses the connection")

func (p *pool) release(l *pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.users--
	if l.users > 0 || p.closed || l.idle != nil {
		return
	}
	l.idle = time.AfterFunc(linger, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		select {
		case <-l.ready:
		default:
			return
		}
		if l.users == 0 && l.link != nil {
			l.link.close(errUnused)
		}
	})
}
