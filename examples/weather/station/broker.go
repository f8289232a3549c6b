package station

import (
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// broker is an MQTT broker on one listener. It keeps retained messages itself and ends its connections itself: the library
// reads its retained messages without a lock, and on closing waits for connections that never said CONNECT.
type broker struct {
	server *mqtt.Server
	ln     *listener
	rule   *everyone
}

func newBroker(ln net.Listener, log *slog.Logger) (*broker, error) {
	b := &broker{
		server: mqtt.New(&mqtt.Options{InlineClient: true, Logger: log}),
		ln:     &listener{Listener: ln, open: map[*conn]bool{}},
		rule:   &everyone{last: map[string][]byte{}},
	}
	if err := b.server.AddHook(b.rule, nil); err != nil {
		return nil, err
	}
	if err := b.server.AddListener(listeners.NewNet("mqtt", b.ln)); err != nil {
		return nil, err
	}
	return b, b.server.Serve()
}

// publish sends a message to all subscribers, now and later until the next one on its topic.
func (b *broker) publish(topic string, payload []byte) error {
	b.rule.mu.Lock()
	b.rule.last[topic] = payload
	b.rule.mu.Unlock()
	return b.server.Publish(topic, payload, false, 0)
}

func (b *broker) close() {
	b.ln.end()
	b.server.Close()
}

// everyone is the broker's rule of access: there is none. It also greets subscribers with the last messages.
type everyone struct {
	mqtt.HookBase
	mu   sync.Mutex
	last map[string][]byte
}

func (*everyone) ID() string { return "everyone" }

func (*everyone) Provides(hook byte) bool {
	return hook == mqtt.OnConnectAuthenticate || hook == mqtt.OnACLCheck || hook == mqtt.OnSubscribed
}

func (*everyone) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

func (*everyone) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

func (e *everyone) OnSubscribed(cl *mqtt.Client, pk packets.Packet, _ []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for topic, payload := range e.last {
		for _, f := range pk.Filters {
			if f.RetainHandling == 2 || !matches(topic, f.Filter) {
				continue
			}
			cl.WritePacket(packets.Packet{
				FixedHeader:     packets.FixedHeader{Type: packets.Publish, Retain: true},
				ProtocolVersion: cl.Properties.ProtocolVersion, TopicName: topic, Payload: payload,
			}) // a client that is gone finds out by itself
			break
		}
	}
}

// matches reports whether a topic filter matches one of the station's topics.
func matches(topic, filter string) bool {
	for {
		t, tRest, tMore := strings.Cut(topic, "/")
		f, fRest, fMore := strings.Cut(filter, "/")
		switch {
		case f == "#":
			return true
		case f != "+" && f != t:
			return false
		case !tMore:
			return !fMore || fRest == "#"
		case !fMore:
			return false
		}
		topic, filter = tRest, fRest
	}
}

// listener knows its open connections.
type listener struct {
	net.Listener
	mu   sync.Mutex
	open map[*conn]bool
	over bool
	all  sync.WaitGroup
}

type conn struct {
	net.Conn
	of   *listener
	once sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		c.Close()
		return nil, net.ErrClosed
	}
	w := &conn{Conn: c, of: l}
	l.open[w] = true
	l.all.Add(1)
	return w, nil
}

// Close is the broker's: it has done with the connection.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.of.mu.Lock()
		delete(c.of.open, c)
		c.of.mu.Unlock()
		c.of.all.Done()
	})
	return err
}

// end closes the listener, ends its connections and waits until the broker has let go of them.
func (l *listener) end() {
	l.mu.Lock()
	l.over = true
	l.Listener.Close()
	for c := range l.open {
		c.Conn.SetDeadline(time.Now()) // the broker's reads and writes end, and it closes
	}
	l.mu.Unlock()
	l.all.Wait()
}
