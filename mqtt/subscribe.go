package mqtt

import "encoding/binary"

// request is a SUBSCRIBE or an UNSUBSCRIBE.
type request struct {
	kind       kind
	v5         bool
	id         uint16
	properties properties
	filters    []string
	options    []byte // one for each filter of a SUBSCRIBE
}

// maxFilters bounds the filters of one packet.
const maxFilters = 1024

func decodeRequest(k kind, body []byte, v5 bool) (r request, err error) {
	c := cursor{b: body}
	r.kind, r.v5, r.id = k, v5, c.u16()
	c.bad = c.bad || r.id == 0
	if v5 && k == subscribe {
		c.properties(inSubscribe, of(propUser), &r.properties)
	} else if v5 {
		c.properties(inUnsubscribe, of(propUser), &r.properties)
	}
	for len(c.b) > 0 && !c.bad {
		r.filters = append(r.filters, string(c.text()))
		if k == subscribe {
			o := c.u8()
			c.bad = c.bad || !validOption(o, v5)
			r.options = append(r.options, o)
		}
		if len(r.filters) > maxFilters {
			return r, breach(codeQuota, "%s with more than %d filters", k, maxFilters)
		}
	}
	if err := c.end(k); err != nil {
		return r, err
	}
	if len(r.filters) == 0 {
		return r, breach(codeProtocol, "%s without a filter", k)
	}
	return r, nil
}

// validOption checks the byte behind a filter: the QoS; in MQTT 5 also no-local, retain-as-published, retain handling.
func validOption(o byte, v5 bool) bool {
	if v5 {
		return o&3 != 3 && o>>4&3 != 3 && o>>6 == 0
	}
	return o <= 2
}

func (r *request) encode() []byte {
	b := binary.BigEndian.AppendUint16(nil, r.id)
	if r.v5 {
		b = appendProperties(b, &r.properties, of(propSubscriptionID))
	}
	for i, f := range r.filters {
		b = appendText(b, f)
		if r.kind == subscribe {
			b = append(b, r.options[i])
		}
	}
	return encode(r.kind, 2, b)
}

// decodeAnswer decodes a SUBACK or an UNSUBACK. codes is part of body. An UNSUBACK of 3.1.1 has none.
func decodeAnswer(k kind, body []byte, v5 bool) (id uint16, codes []byte, err error) {
	c := cursor{b: body}
	id = c.u16()
	c.bad = c.bad || id == 0
	if v5 {
		var ignored properties
		c.properties(inAck, of(propUser), &ignored)
	}
	if v5 || k == suback {
		codes = c.bytes(len(c.b))
	}
	for _, code := range codes {
		ok := code <= 2 || code == 0x80
		if v5 {
			ok = code <= 2 || code >= 0x80 || k == unsuback && code == 0x11
		}
		c.bad = c.bad || !ok
	}
	return id, codes, c.end(k)
}

func encodeAnswer(k kind, id uint16, codes []byte, v5 bool) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	if v5 {
		b = append(b, 0) // no properties
	}
	return encode(k, 0, append(b, codes...))
}

// decodeAck decodes a PUBACK, PUBREC, PUBREL or PUBCOMP.
func decodeAck(k kind, body []byte, v5 bool) (id uint16, code byte, err error) {
	c := cursor{b: body}
	id = c.u16()
	c.bad = c.bad || id == 0
	if v5 && len(c.b) > 0 {
		code = c.u8()
		c.bad = c.bad || code > 0 && code < 0x80 && code != 0x10
		if len(c.b) > 0 {
			var ignored properties
			c.properties(inAck, of(propUser), &ignored)
		}
	}
	return id, code, c.end(k)
}

// encodeAck leaves out reasons in 3.1.1, and where it is success.
func encodeAck(k kind, id uint16, code byte, v5 bool) []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 4), id)
	if v5 && code != 0 {
		b = append(b, code)
	}
	var flags byte
	if k == pubrel {
		flags = 2
	}
	return encode(k, flags, b)
}

// message is what the filter reads of a PUBLISH.
type message struct {
	topic []byte // empty in MQTT 5 when alias stands for it
	id    uint16 // 0 at QoS 0
	alias uint16 // 0: none
}

// decodeMessage decodes the beginning of a PUBLISH. Of one that was cut the properties may be missing.
func decodeMessage(p packet, v5 bool) (m message, err error) {
	c := cursor{b: p.body}
	m.topic = c.text()
	if p.flags>>1&3 > 0 {
		m.id = c.u16()
		c.bad = c.bad || m.id == 0
	}
	if c.bad {
		return m, breach(codeMalformed, "malformed %s", publish)
	}
	if v5 && !p.cut {
		var ps properties
		c.properties(inPublish, of(propUser, propSubscriptionID), &ps)
		m.alias = uint16(ps.numbers[propAlias])
	}
	switch {
	case c.bad:
		return m, breach(codeMalformed, "malformed %s", publish)
	case len(m.topic) == 0 && m.alias == 0 && !p.cut:
		return m, breach(codeProtocol, "%s without a topic", publish)
	}
	return m, nil
}
