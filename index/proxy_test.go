package index_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// proxy stands between a client and a node: it can cut connections and refuse them.
type proxy struct {
	URL string
	ln  net.Listener
	wg  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	node   string // address
	closed bool   // refuses
	served int
}

// newProxy serves until the test ends.
func newProxy(t testing.TB, url string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{URL: "ws://" + ln.Addr().String(), node: strings.TrimPrefix(url, "ws://"), ln: ln, conns: map[net.Conn]bool{}}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		ln.Close()
		p.set(true)
		p.wg.Wait()
	})
	return p
}

func (p *proxy) serve() {
	for {
		in, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		node := p.node
		p.mu.Unlock()
		out, err := net.Dial("tcp", node)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		if p.closed {
			in.Close()
			out.Close()
		} else {
			p.conns[in], p.conns[out] = true, true
			p.served++
		}
		p.mu.Unlock()
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			p.wg.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				pair[0].Close()
				pair[1].Close()
			})
		}
	}
}

// set cuts all connections; closed: and refuses others.
func (p *proxy) set(closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = closed
	for c := range p.conns {
		c.Close()
	}
	p.conns = map[net.Conn]bool{}
}

// turn leads to another node from now on.
func (p *proxy) turn(url string) {
	p.mu.Lock()
	p.node = strings.TrimPrefix(url, "ws://")
	p.mu.Unlock()
	p.cut()
}

func (p *proxy) cut() { p.set(false) }
