package mqtt

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Buffers of a connection. The bulk flows from the broker to the consumer.
const (
	bulkBuffer  = 8 << 10
	smallBuffer = 1 << 10
)

// upPacket bounds the consumer's packets other than publications, whose contents are thrown away unread.
const upPacket = 64 << 10

var (
	errGoodbye       = errors.New("consumer disconnected")
	errBrokerGoodbye = errors.New("broker disconnected")
)

// side is one of the two connections. Any goroutine writes, one reads.
type side struct {
	conn    net.Conn
	timeout time.Duration // of a write
	before  func() error  // called before the reader waits for the network
	in      reader

	mu  sync.Mutex // of out
	out *bufio.Writer

	deadlines sync.Mutex // of ended, and of the setting of deadlines
	ended     bool
}

func newSide(conn net.Conn, timeout time.Duration, inSize, outSize, limit int) *side {
	s := &side{conn: conn, timeout: timeout}
	s.in = reader{r: bufio.NewReaderSize(s, inSize), limit: limit}
	s.out = bufio.NewWriterSize(writerSide{s}, outSize)
	return s
}

// Read is the reader's way to the network. What was written before it must not wait for what is read next.
func (s *side) Read(b []byte) (int, error) {
	if s.before != nil {
		if err := s.before(); err != nil {
			return 0, err
		}
	}
	return s.conn.Read(b)
}

type writerSide struct{ s *side }

func (w writerSide) Write(b []byte) (int, error) {
	w.s.deadlines.Lock()
	if !w.s.ended {
		w.s.conn.SetWriteDeadline(time.Now().Add(w.s.timeout))
	}
	w.s.deadlines.Unlock()
	return w.s.conn.Write(b)
}

// write queues a packet.
func (s *side) write(head, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.out.Write(head); err != nil {
		return err
	}
	_, err := s.out.Write(body)
	return err
}

func (s *side) send(packet []byte) error { return s.write(packet, nil) }

func (s *side) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Flush()
}

// readBy sets the deadline of reads; zero means none.
func (s *side) readBy(t time.Time) {
	s.deadlines.Lock()
	defer s.deadlines.Unlock()
	if !s.ended {
		s.conn.SetReadDeadline(t)
	}
}

// end stops reads now and writes after a grace.
func (s *side) end(grace time.Duration) {
	s.deadlines.Lock()
	defer s.deadlines.Unlock()
	s.ended = true
	now := time.Now()
	s.conn.SetReadDeadline(now)
	s.conn.SetWriteDeadline(now.Add(grace))
}

// session is one consumer's connection.
type session struct {
	f       *Filter
	allowed atomic.Pointer[[]string]
	log     *slog.Logger
	v5      bool
	asked   uint32 // session expiry that the consumer asked for, in seconds
	expiry  uint32 // and what it got
	alive   time.Duration
	client  *side

	life   sync.Mutex
	broker *side // nil until dialled
	over   bool
	why    error // the first reason to end, and the side that gave it
	whose  *side

	mu         sync.Mutex
	subscribed map[string]struct{} // filters forwarded in this connection
	resumed    bool                // the broker goes on with subscriptions of an earlier connection
	pending    map[uint16]*answer  // SUBSCRIBE and UNSUBSCRIBE that the broker has not answered

	ownPings atomic.Int64 // PINGREQs sent in the consumer's stead and not answered yet
	lastUp   time.Time    // when something was last forwarded to the broker; of the up loop

	aliases  []verdict           // by topic alias − 1; of the down loop
	released map[uint16]struct{} // QoS 2 publications dropped, until their PUBREL; of the down loop
	dropped  int

	lastTopic   string // of the down loop
	lastVerdict verdict
	lastAllowed *[]string // by which it was given
}

// verdict is what became of the topic that an alias stands for.
type verdict byte

const (
	unknown verdict = iota
	passed
	refused
)

// ServeConn serves one consumer's connection until either side ends or ctx does, and closes it. The error is nil when the
// consumer ended in good order.
func (f *Filter) ServeConn(ctx context.Context, client net.Conn) error {
	defer client.Close()
	g := *f
	g.Limits = f.Limits.withDefaults()
	s := &session{f: &g, log: f.Log, subscribed: map[string]struct{}{}, pending: map[uint16]*answer{}}
	if s.log == nil {
		s.log = slog.Default()
	}
	scope := f.Scope
	if scope == nil {
		var err error
		if scope, err = NewScope(f.Topics); err != nil {
			return fmt.Errorf("serve mqtt: %w", err)
		}
	}
	s.client = newSide(client, g.Limits.Write, smallBuffer, bulkBuffer, upPacket)
	scope.enter(s)
	defer scope.leave(s)
	defer context.AfterFunc(ctx, func() { s.end(0) })()
	err := s.open(ctx)
	if s.broker != nil {
		defer s.broker.conn.Close()
	}
	if err == nil {
		err = s.pump()
		s.sayGoodbye(ctx)
	}
	switch {
	case errors.Is(err, errGoodbye):
		return nil
	case ctx.Err() != nil: // rather than the time-out that it made
		err = context.Cause(ctx)
	}
	return fmt.Errorf("serve mqtt: %w", err)
}

func (l Limits) withDefaults() Limits {
	if l.Packet <= 0 {
		l.Packet = 1 << 20
	}
	l.Packet = min(l.Packet, 256<<20-1)
	if l.Subscriptions <= 0 {
		l.Subscriptions = 128
	}
	if l.SessionExpiry == 0 {
		l.SessionExpiry = 5 * time.Minute
	}
	if l.Connect <= 0 {
		l.Connect = 10 * time.Second
	}
	if l.Write <= 0 {
		l.Write = time.Minute
	}
	return l
}

// end stops both sides; writes under way have a grace.
func (s *session) end(grace time.Duration) {
	s.life.Lock()
	defer s.life.Unlock()
	if s.over && grace > 0 {
		return
	}
	s.over = true
	s.client.end(grace)
	if s.broker != nil {
		s.broker.end(grace)
	}
}

// join takes the broker's connection into the session.
func (s *session) join(conn net.Conn) {
	s.life.Lock()
	defer s.life.Unlock()
	s.broker = newSide(conn, s.f.Limits.Write, bulkBuffer, smallBuffer, max(s.f.Limits.Packet, publishHead))
	if s.over {
		s.broker.end(0)
	}
}

// pump moves packets until one direction ends, and returns why.
func (s *session) pump() error {
	s.client.before, s.broker.before = s.flush, s.flush
	var down sync.WaitGroup
	down.Go(func() { s.loop(s.broker, s.down) })
	s.loop(s.client, s.up)
	down.Wait()
	return s.why
}

func (s *session) flush() error {
	if err := s.broker.flush(); err != nil {
		return fmt.Errorf("write to broker: %w", err)
	}
	if err := s.client.flush(); err != nil {
		return fmt.Errorf("write to consumer: %w", err)
	}
	return nil
}

// loop handles the packets of one side until one cannot be read or handled.
func (s *session) loop(from *side, handle func(packet) error) {
	for {
		p, err := from.in.next()
		if err == nil {
			err = handle(p)
		}
		if err != nil {
			s.stop(from, errors.Join(err, s.flush()))
			return
		}
	}
}

// stop ends the session because of what happened on one side. Only the first reason counts.
func (s *session) stop(from *side, why error) {
	s.life.Lock()
	if s.why == nil {
		s.why, s.whose = why, from
		if from == s.broker {
			s.why = fmt.Errorf("broker: %w", why)
		}
	}
	s.life.Unlock()
	s.end(time.Second)
}

// sayGoodbye tells a consumer of MQTT 5 why the connection ends, if it is there to hear.
func (s *session) sayGoodbye(ctx context.Context) {
	var p *protocolError
	code := byte(0)
	switch breached := errors.As(s.why, &p); {
	case !s.v5:
		return
	case ctx.Err() != nil, errors.Is(s.why, errNarrowed):
		code = codeAdministrative
	case s.whose == s.client && breached:
		code = p.code
	case s.whose == s.client, errors.Is(s.why, errBrokerGoodbye):
		return
	case breached:
		code = codeUnspecified
	default:
		code = codeShuttingDown
	}
	if s.client.send(encode(disconnect, 0, []byte{code})) == nil {
		s.client.conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		s.client.flush() // the connection is closed next, whatever comes of this
	}
}

// open answers for everything up to the broker's CONNACK: reads the consumer's CONNECT, refuses it or sends the broker one
// of the device's own, and passes the broker's answer on.
func (s *session) open(ctx context.Context) error {
	s.client.readBy(time.Now().Add(s.f.Limits.Connect))
	p, err := s.client.in.next()
	if err != nil {
		return fmt.Errorf("wait for CONNECT: %w", err)
	}
	if p.kind != connect {
		return fmt.Errorf("wait for CONNECT: %s came", p.kind)
	}
	h, err := decodeHello(p.body)
	s.v5 = h.level == level5
	if errors.Is(err, errVersion) {
		s.refuseVersion(h.level)
	}
	if err != nil {
		if p := (*protocolError)(nil); s.v5 && errors.As(err, &p) {
			s.refuse(p.code, 0, "it is malformed")
		}
		return fmt.Errorf("read CONNECT: %w", err)
	}
	if h.will {
		return s.refuse(codeNotAuthorized, 5, "it has a will, which would be a publication")
	}
	assigned, err := s.rewrite(&h)
	if err != nil {
		return err
	}
	if err := s.dial(ctx, &h); err != nil {
		return errors.Join(s.refuse(codeUnavailable, 3, "the broker cannot be reached"), err)
	}
	s.client.readBy(time.Time{})
	return s.greet(&h, assigned)
}

// rewrite turns the consumer's CONNECT into the one for the broker. assigned is the client id that it made, if any.
func (s *session) rewrite(h *hello) (assigned string, err error) {
	ps := &h.properties
	switch {
	case ps.given.has(propAuthMethod) || ps.given.has(propAuthData):
		return "", s.refuse(codeAuthMethod, 5, "it asks for extended authentication")
	case len(h.clientID) > 256, h.clientID == "" && h.level == level4 && !h.clean:
		return "", s.refuse(codeClientID, 2, "its client id cannot be used")
	}
	if h.clientID == "" {
		assigned = rand.Text()
		h.clientID = assigned
	}
	h.clientID = s.f.ClientPrefix + h.clientID
	h.user, h.password = s.f.User, string(s.f.Password)
	s.alive = time.Duration(h.keepAlive) * time.Second
	if h.level == level4 {
		h.clean = true // a session of 3.1.1 has no end
		return assigned, nil
	}
	s.asked = ps.numbers[propSessionExpiry]
	s.expiry = s.boundExpiry(s.asked)
	ps.drop(of(propSessionExpiry, propResponseWanted, propUser))
	if s.expiry > 0 {
		ps.set(propSessionExpiry, s.expiry)
	}
	largest := uint32(s.f.Limits.Packet)
	if ps.given.has(propMaxPacket) {
		largest = min(largest, ps.numbers[propMaxPacket])
	}
	ps.set(propMaxPacket, largest)
	if ps.given.has(propAliasMax) {
		ps.set(propAliasMax, min(ps.numbers[propAliasMax], 32))
		s.aliases = make([]verdict, ps.numbers[propAliasMax])
	}
	return assigned, nil
}

func (s *session) boundExpiry(asked uint32) uint32 {
	return uint32(min(time.Duration(asked), max(0, s.f.Limits.SessionExpiry/time.Second)))
}

// dial connects to the broker and sends it the CONNECT.
func (s *session) dial(ctx context.Context, h *hello) error {
	dial := s.f.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, s.f.Limits.Connect)
	defer cancel()
	conn, err := dial(ctx, "tcp", s.f.Target)
	if err != nil {
		s.log.Warn("mqtt broker cannot be reached", "target", s.f.Target, "err", err)
		return fmt.Errorf("dial broker: %w", err)
	}
	s.join(conn)
	s.broker.readBy(time.Now().Add(s.f.Limits.Connect))
	s.lastUp = time.Now()
	if err := s.broker.send(h.encode()); err != nil {
		return fmt.Errorf("write to broker: %w", err)
	}
	return s.broker.flush()
}

// greet reads the broker's CONNACK and passes it on.
func (s *session) greet(h *hello, assigned string) error {
	p, err := s.broker.in.next()
	if err == nil && p.kind != connack {
		err = breach(codeProtocol, "%s came", p.kind)
	}
	var w welcome
	if err == nil {
		w, err = decodeWelcome(p.body, s.v5)
	}
	if err == nil && s.v5 && w.properties.given.has(propAuthMethod) {
		err = breach(codeProtocol, "the broker wants extended authentication")
	}
	if err != nil {
		return errors.Join(s.refuse(codeUnavailable, 3, "the broker does not answer as a broker does"),
			fmt.Errorf("wait for CONNACK: %w", err))
	}
	if w.code != 0 {
		return s.brokerRefused(w.code)
	}
	s.broker.readBy(time.Time{})
	s.adjust(h, &w, assigned)
	return s.client.send(w.encode())
}

// brokerRefused passes a refusal on. That the broker does not take the device's credentials is not the consumer's affair.
func (s *session) brokerRefused(code byte) error {
	s.log.Warn("mqtt broker refuses the device", "target", s.f.Target, "code", fmt.Sprintf("0x%02x", code))
	v3 := code
	switch code {
	case 4, 5, codeUser, codeNotAuthorized, codeAuthMethod, 0x8a:
		code, v3 = codeUnavailable, 3
	}
	return s.refuse(code, v3, "the broker refused it")
}

// adjust makes the broker's CONNACK say what holds through the filter.
func (s *session) adjust(h *hello, w *welcome, assigned string) {
	w.present = w.present && !h.clean
	s.mu.Lock()
	s.resumed = w.present
	s.mu.Unlock()
	if !s.v5 {
		return
	}
	ps := &w.properties
	ps.drop(of(propAssignedID, propReason, propServer, propResponseInfo, propAuthData, propReceiveMax, propAliasMax))
	if assigned != "" {
		ps.set(propAssignedID, 0)
		ps.texts[propAssignedID] = []byte(assigned)
	}
	if ps.given.has(propSessionExpiry) {
		s.expiry = min(s.expiry, ps.numbers[propSessionExpiry])
	}
	if s.expiry != s.asked {
		ps.set(propSessionExpiry, s.expiry)
	}
	largest := uint32(upPacket)
	if ps.given.has(propMaxPacket) {
		largest = min(largest, ps.numbers[propMaxPacket])
	}
	ps.set(propMaxPacket, largest)
	ps.set(propShared, 0)
	if ps.given.has(propKeepAlive) {
		s.alive = time.Duration(ps.numbers[propKeepAlive]) * time.Second
	}
}

// refuse answers the CONNECT with a CONNACK of the version's reason code.
func (s *session) refuse(code, v3 byte, why string) error {
	w := welcome{v5: s.v5, code: code}
	if !s.v5 {
		w.code = v3
	}
	if err := s.client.send(w.encode()); err != nil {
		return err
	}
	return errors.Join(fmt.Errorf("refuse CONNECT: %s", why), s.client.flush())
}

// refuseVersion answers in the form of 3.1.1 to what is older, or a bridge's variant, and in the form of 5 to what is newer.
func (s *session) refuseVersion(level byte) {
	s.v5 = level > level5 && level < 0x80
	s.refuse(codeVersion, 1, "its version is not spoken here")
	s.v5 = false
}
