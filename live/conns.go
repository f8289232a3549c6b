package live

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// connections are what passes of a stream that is no messages.
type connections struct {
	Open int64  `json:"open"`
	Ever int64  `json:"ever"`
	From int64  `json:"from"`           // bytes from the device
	To   int64  `json:"to"`             // bytes to the device
	Head []byte `json:"head,omitempty"` // how the last connection from the device began, in base64
	Sent []byte `json:"sent,omitempty"` // and what was sent to it
}

// passage counts as bytes pass, and is looked at now and then.
type passage struct {
	open, ever, from, to atomic.Int64

	mu         sync.Mutex
	head, sent []byte // of the newest connection
	newest     int64

	looked         time.Time // of rates
	lastFrom, last int64
}

// keptHead is how much is kept of how a connection begins, in bytes.
const keptHead = 512

func (p *passage) begin() int64 {
	p.open.Add(1)
	n := p.ever.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.newest, p.head, p.sent = n, nil, nil
	return n
}

// note counts bytes of connection n.
func (p *passage) note(n int64, b []byte, fromDevice bool) {
	count, keep := &p.to, &p.sent
	if fromDevice {
		count, keep = &p.from, &p.head
	}
	count.Add(int64(len(b)))
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == p.newest && len(*keep) < keptHead {
		*keep = append(*keep, b[:min(len(b), keptHead-len(*keep))]...)
	}
}

// rates shows how much passed, once a second. p.mu is held.
func (p *Page) rates() {
	now, x := p.Now(), &p.pass
	since := now.Sub(x.looked)
	if x.ever.Load() == 0 || since < time.Second {
		return
	}
	from, to := x.from.Load(), x.to.Load()
	if !x.looked.IsZero() && since < 10*time.Second {
		at := float64(now.UnixMilli())
		p.add(curveName{name: "from the device", unit: "B/s"}, "", point{at, float64(from-x.lastFrom) / since.Seconds()})
		p.add(curveName{name: "to the device", unit: "B/s"}, "", point{at, float64(to-x.last) / since.Seconds()})
	}
	x.looked, x.lastFrom, x.last = now, from, to
	x.mu.Lock()
	defer x.mu.Unlock()
	p.conns = connections{x.open.Load(), x.ever.Load(), from, to, append([]byte(nil), x.head...), append([]byte(nil), x.sent...)}
	p.untold.conns = true
}

// Listener counts what passes over the connections that programs of this machine make to the stream.
func (p *Page) Listener(ln net.Listener) net.Listener { return &listener{ln, &p.pass} }

type listener struct {
	net.Listener
	pass *passage
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	t, ok := c.(*net.TCPConn)
	if err != nil || !ok {
		return c, err
	}
	return &conn{TCPConn: t, pass: l.pass, n: l.pass.begin()}, nil
}

// conn is a connection of this machine. It has all that a TCP connection has.
type conn struct {
	*net.TCPConn
	pass *passage
	n    int64
	once sync.Once
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.pass.note(c.n, b[:n], false)
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.pass.note(c.n, b[:n], true)
	return n, err
}

func (c *conn) Close() error {
	c.once.Do(func() { c.pass.open.Add(-1) })
	return c.TCPConn.Close()
}

// PacketConn counts the datagrams of a stream of kind udp.
func (p *Page) PacketConn(pc net.PacketConn) net.PacketConn {
	return &packetConn{PacketConn: pc, pass: &p.pass, n: p.pass.begin()}
}

type packetConn struct {
	net.PacketConn
	pass *passage
	n    int64
}

func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(b)
	c.pass.note(c.n, b[:n], false)
	return n, from, err
}

func (c *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	n, err := c.PacketConn.WriteTo(b, to)
	c.pass.note(c.n, b[:n], true)
	return n, err
}
