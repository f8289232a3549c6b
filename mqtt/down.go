package mqtt

import "fmt"

// down handles a packet of the broker.
func (s *session) down(p packet) error {
	switch p.kind {
	case publish:
		return s.deliver(p)
	case pubrel:
		id, _, err := decodeAck(p.kind, p.body, s.v5)
		if err != nil {
			return err
		}
		if _, ours := s.released[id]; ours {
			delete(s.released, id)
			return s.broker.send(encodeAck(pubcomp, id, 0, s.v5))
		}
		return s.forwardDown(p.head, p.body)
	case puback, pubrec, pubcomp:
		_, _, err := decodeAck(p.kind, p.body, s.v5)
		return err // an answer to a publication, and none was forwarded
	case suback, unsuback:
		return s.settle(p)
	case pingresp:
		if err := (&cursor{b: p.body}).end(p.kind); err != nil {
			return err
		}
		if s.ownPings.Load() > 0 {
			s.ownPings.Add(-1)
			return nil
		}
		return s.forwardDown(p.head, nil)
	case disconnect:
		return s.dismissed(p.body)
	default:
		return breach(codeProtocol, "it sent %s", p.kind)
	}
}

func (s *session) forwardDown(head, body []byte) error {
	if err := s.client.write(head, body); err != nil {
		return fmt.Errorf("write to consumer: %w", err)
	}
	return nil
}

// deliver passes on a publication whose topic the stream lists, and drops any other.
func (s *session) deliver(p packet) error {
	if p.cut && s.v5 {
		return breach(codeTooLarge, "it sent a publication beyond the maximum packet size that it was told")
	}
	m, err := decodeMessage(p, s.v5)
	if err != nil {
		return err
	}
	v, err := s.verdict(m)
	if err != nil {
		return err
	}
	if v == passed && !p.cut {
		return s.forwardDown(p.head, p.body)
	}
	if s.dropped++; s.dropped == 1 {
		s.log.Warn("mqtt broker sent what the stream does not let through", "target", s.f.Target,
			"topic", fmt.Sprintf("%.200q", m.topic), "too_long", p.cut)
	}
	return s.takeAway(p, m)
}

// takeAway acknowledges a dropped publication in the consumer's stead, so that the broker goes on.
func (s *session) takeAway(p packet, m message) error {
	switch p.flags >> 1 & 3 {
	case 1:
		return s.broker.send(encodeAck(puback, m.id, codeNotAuthorized, s.v5))
	case 2:
		if !s.v5 {
			if s.released == nil {
				s.released = map[uint16]struct{}{}
			}
			s.released[m.id] = struct{}{}
		}
		return s.broker.send(encodeAck(pubrec, m.id, codeNotAuthorized, s.v5)) // its reason ends the exchange in MQTT 5
	}
	return nil
}

// verdict decides on the topic of a publication, or on the one that its alias stands for.
func (s *session) verdict(m message) (verdict, error) {
	if int(m.alias) > len(s.aliases) {
		return unknown, breach(codeTopicAlias, "it uses the topic alias %d of %d", m.alias, len(s.aliases))
	}
	if len(m.topic) == 0 {
		v := s.aliases[m.alias-1]
		if v == unknown {
			return v, breach(codeProtocol, "it uses the topic alias %d before giving it a topic", m.alias)
		}
		return v, nil
	}
	v := s.judgeTopic(m.topic)
	if m.alias > 0 {
		s.aliases[m.alias-1] = v
	}
	return v, nil
}

// judgeTopic remembers the last topic, since most come many times over: comparing allocates nothing.
func (s *session) judgeTopic(topic []byte) verdict {
	allowed := s.allowed.Load()
	if s.lastVerdict != unknown && s.lastAllowed == allowed && string(topic) == s.lastTopic {
		return s.lastVerdict
	}
	s.lastTopic, s.lastVerdict, s.lastAllowed = string(topic), refused, allowed
	if ValidTopic(s.lastTopic) == nil && s.lists(s.lastTopic) {
		s.lastVerdict = passed
	}
	return s.lastVerdict
}

// lists reports whether the stream lets a valid topic or topic filter through.
func (s *session) lists(filter string) bool {
	return within(filter, *s.allowed.Load())
}

// settle joins the broker's answer with the verdicts given here.
func (s *session) settle(p packet) error {
	id, codes, err := decodeAnswer(p.kind, p.body, s.v5)
	if err != nil {
		return err
	}
	s.mu.Lock()
	a, ok := s.pending[id]
	if ok && a.kind == p.kind && (len(codes) == len(a.waiting) || p.kind == unsuback && !s.v5) {
		delete(s.pending, id)
		for i, code := range codes {
			a.codes[a.waiting[i]] = code
			if p.kind == suback && code >= 0x80 {
				delete(s.subscribed, a.filters[i])
			}
		}
	} else {
		ok = false
	}
	s.mu.Unlock()
	if !ok {
		return breach(codeProtocol, "its %s answers nothing that was asked", p.kind)
	}
	return s.forwardDown(encodeAnswer(p.kind, id, a.codesFor(s.v5), s.v5), nil)
}

// dismissed passes on the reason of the broker's DISCONNECT and nothing else of it.
func (s *session) dismissed(body []byte) error {
	if !s.v5 {
		return breach(codeProtocol, "it sent %s", disconnect)
	}
	c := cursor{b: body}
	code := byte(0)
	if len(c.b) > 0 {
		code = c.u8()
	}
	if len(c.b) > 0 {
		var ignored properties
		c.properties(inDisconnect&^of(propSessionExpiry), of(propUser), &ignored)
	}
	if err := c.end(disconnect); err != nil {
		return err
	}
	if err := s.client.send(encode(disconnect, 0, []byte{code})); err != nil {
		return fmt.Errorf("write to consumer: %w", err)
	}
	return errBrokerGoodbye
}
