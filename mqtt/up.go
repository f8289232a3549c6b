package mqtt

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// errPublished ends a connection of MQTT 3.1.1, which has no other way to say no to a publication that wants an answer.
var errPublished = errors.New("consumer published, which MQTT 3.1.1 can refuse only so")

// answer is the reply that the consumer waits for. Its own verdicts stand in codes already; the broker's are to fill the
// places in waiting.
type answer struct {
	kind    kind
	codes   []byte
	waiting []int
	filters []string // of the places in waiting
}

// maxPending bounds the SUBSCRIBEs and UNSUBSCRIBEs on their way to the broker.
const maxPending = 64

// up handles a packet of the consumer.
func (s *session) up(p packet) error {
	switch p.kind {
	case publish:
		return s.refusePublication(p)
	case puback, pubrec, pubcomp:
		if _, _, err := decodeAck(p.kind, p.body, s.v5); err != nil {
			return err
		}
		return s.forwardUp(p.head, p.body)
	case pubrel:
		id, _, err := decodeAck(p.kind, p.body, s.v5)
		if err != nil {
			return err
		}
		return s.client.send(encodeAck(pubcomp, id, codeNoSuchPacketID, s.v5)) // no publication of it is ever under way
	case subscribe, unsubscribe:
		return s.request(p)
	case pingreq:
		if err := (&cursor{b: p.body}).end(p.kind); err != nil {
			return err
		}
		return s.forwardUp(p.head, nil)
	case disconnect:
		return s.leave(p.body)
	default:
		return breach(codeProtocol, "consumer sent %s", p.kind)
	}
}

func (s *session) forwardUp(head, body []byte) error {
	s.lastUp = time.Now()
	if err := s.broker.write(head, body); err != nil {
		return fmt.Errorf("write to broker: %w", err)
	}
	return nil
}

// refusePublication gives a publication its reason code. One of QoS 0 has no answer in any version and is dropped.
func (s *session) refusePublication(p packet) error {
	m, err := decodeMessage(p, s.v5)
	switch {
	case err != nil:
		return err
	case m.alias != 0:
		return breach(codeTopicAlias, "consumer uses a topic alias, of which it has none")
	case ValidTopic(string(m.topic)) != nil:
		return breach(codeMalformed, "consumer publishes to an invalid topic")
	}
	s.log.Debug("mqtt publication refused", "topic", string(m.topic), "qos", p.flags>>1&3)
	if err := s.keepAlive(); err != nil {
		return err
	}
	switch qos := p.flags >> 1 & 3; {
	case qos == 0:
		return nil
	case !s.v5:
		return errPublished
	case qos == 1:
		return s.client.send(encodeAck(puback, m.id, codeNotAuthorized, true))
	default:
		return s.client.send(encodeAck(pubrec, m.id, codeNotAuthorized, true))
	}
}

// keepAlive pings the broker for a consumer that is busy with what is not forwarded.
func (s *session) keepAlive() error {
	if s.alive == 0 || time.Since(s.lastUp) < s.alive/2 {
		return nil
	}
	s.ownPings.Add(1)
	return s.forwardUp(encode(pingreq, 0, nil), nil)
}

// request forwards those filters of a SUBSCRIBE or an UNSUBSCRIBE that the stream lets through, and keeps the verdict on the
// others for the answer. When none is left the answer is given here.
func (s *session) request(p packet) error {
	r, err := decodeRequest(p.kind, p.body, s.v5)
	if err != nil {
		return err
	}
	reply := p.kind + 1
	a := &answer{kind: reply, codes: make([]byte, len(r.filters))}
	forward := request{kind: r.kind, v5: r.v5, id: r.id, properties: r.properties}
	s.mu.Lock()
	for i, f := range r.filters {
		if a.codes[i] = s.judge(p.kind, f); a.codes[i] != 0 {
			s.log.Info("mqtt subscription refused", "filter", fmt.Sprintf("%.200q", f), "code", fmt.Sprintf("0x%02x", a.codes[i]))
			continue
		}
		a.waiting = append(a.waiting, i)
		forward.filters = append(forward.filters, f)
		if p.kind == subscribe {
			forward.options = append(forward.options, r.options[i])
		}
	}
	a.filters = forward.filters
	if !s.v5 {
		for i := range a.codes {
			a.codes[i] = min(a.codes[i], 0x80)
		}
	}
	_, twice := s.pending[r.id]
	crowded := len(s.pending) >= maxPending
	if len(a.waiting) > 0 && !twice && !crowded {
		s.pending[r.id] = a
	}
	s.mu.Unlock()
	switch {
	case twice:
		return breach(codeProtocol, "consumer used the packet identifier %d twice", r.id)
	case len(a.waiting) == 0:
		return s.client.send(encodeAnswer(reply, r.id, a.codesFor(s.v5), s.v5))
	case crowded:
		return breach(codeQuota, "consumer did not wait for any of %d answers", maxPending)
	}
	b := forward.encode()
	return s.forwardUp(b, nil)
}

// codesFor returns the codes as the version writes them: an UNSUBACK of 3.1.1 has none.
func (a *answer) codesFor(v5 bool) []byte {
	if a.kind == unsuback && !v5 {
		return nil
	}
	return a.codes
}

// judge returns 0 for a filter to forward, and books it; else the reason code of MQTT 5. The caller holds mu.
func (s *session) judge(k kind, filter string) byte {
	if shared := strings.HasPrefix(filter, sharePrefix); shared && k == unsubscribe {
		return codeNoSubscription
	} else if shared {
		return codeShared
	}
	if ValidFilter(filter) != nil {
		return codeTopicFilter
	}
	if k == unsubscribe {
		delete(s.subscribed, filter)
		return 0
	}
	if !s.lists(filter) {
		return codeNotAuthorized
	}
	if _, again := s.subscribed[filter]; !again && len(s.subscribed) >= s.f.Limits.Subscriptions {
		return codeQuota
	}
	s.subscribed[filter] = struct{}{}
	return 0
}

// leave forwards a DISCONNECT, with a bounded session expiry and without anything else.
func (s *session) leave(body []byte) error {
	c := cursor{b: body}
	var ps properties
	if s.v5 && len(c.b) > 0 {
		c.u8()
		if len(c.b) > 0 {
			c.properties(inDisconnect&^of(propServer), of(propUser), &ps)
		}
	}
	if err := c.end(disconnect); err != nil {
		return err
	}
	var out []byte
	if expiry := ps.numbers[propSessionExpiry]; ps.given.has(propSessionExpiry) {
		if s.asked == 0 && expiry > 0 {
			return breach(codeProtocol, "consumer prolongs a session that ends with its connection")
		}
		if s.expiry > 0 {
			ps.set(propSessionExpiry, s.boundExpiry(expiry))
			out = appendProperties([]byte{0}, &ps, of(propSessionExpiry))
		}
	}
	if err := s.broker.send(encode(disconnect, 0, out)); err != nil {
		return fmt.Errorf("write to broker: %w", err)
	}
	return errGoodbye
}
