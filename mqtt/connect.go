package mqtt

import (
	"encoding/binary"
	"errors"
)

// Protocol levels.
const (
	level4 = 4 // MQTT 3.1.1
	level5 = 5 // MQTT 5
)

// errVersion is a CONNECT of a protocol version that the filter does not speak.
var errVersion = errors.New("neither MQTT 3.1.1 nor 5")

// hello is a CONNECT.
type hello struct {
	level      byte
	clean      bool
	will       bool
	keepAlive  uint16 // seconds
	properties properties
	clientID   string
	user       string // empty: none; only ever the device owner's own
	password   string
}

const (
	flagClean    = 0x02
	flagWill     = 0x04
	flagPassword = 0x40
	flagUser     = 0x80
)

// decodeHello decodes a CONNECT. User name, password and will are checked and thrown away; will tells of the latter.
func decodeHello(body []byte) (h hello, err error) {
	c := cursor{b: body}
	name := string(c.text())
	h.level = c.u8()
	switch {
	case c.bad:
		return h, breach(codeMalformed, "malformed %s", connect)
	case name == "MQIsdp":
		return h, errVersion
	case name != "MQTT":
		return h, breach(codeVersion, "protocol named %.20q", name)
	case h.level != level4 && h.level != level5:
		return h, errVersion
	}
	flags := c.u8()
	h.clean, h.will = flags&flagClean != 0, flags&flagWill != 0
	willQoS := flags >> 3 & 3
	c.bad = c.bad || flags&1 != 0 || willQoS == 3 || !h.will && flags&0x38 != 0 ||
		h.level == level4 && flags&flagPassword != 0 && flags&flagUser == 0
	h.keepAlive = c.u16()
	if h.level == level5 {
		c.properties(inConnect, of(propUser), &h.properties)
	}
	h.clientID = string(c.text())
	if h.will {
		if h.level == level5 {
			c.properties(inWill, of(propUser), &properties{})
		}
		c.text()
		c.binary()
	}
	if flags&flagUser != 0 {
		c.text()
	}
	if flags&flagPassword != 0 {
		c.binary()
	}
	return h, c.end(connect)
}

// encode returns the CONNECT, without a will.
func (h *hello) encode() []byte {
	var flags byte
	if h.clean {
		flags |= flagClean
	}
	if h.user != "" {
		flags |= flagUser
	}
	if h.password != "" {
		flags |= flagPassword
	}
	b := append(appendText(nil, "MQTT"), h.level, flags)
	b = binary.BigEndian.AppendUint16(b, h.keepAlive)
	if h.level == level5 {
		b = appendProperties(b, &h.properties, inConnect&^of(propUser))
	}
	b = appendText(b, h.clientID)
	if h.user != "" {
		b = appendText(b, h.user)
	}
	if h.password != "" {
		b = appendText(b, h.password)
	}
	return encode(connect, 0, b)
}

// welcome is a CONNACK.
type welcome struct {
	v5         bool
	present    bool // a session from before goes on
	code       byte
	properties properties
}

func decodeWelcome(body []byte, v5 bool) (w welcome, err error) {
	c := cursor{b: body}
	flags := c.u8()
	w.v5, w.present, w.code = v5, flags == 1, c.u8()
	c.bad = c.bad || flags > 1 || w.present && w.code != 0 || !v5 && w.code > 5 || v5 && w.code > 0 && w.code < 0x80
	if v5 {
		c.properties(inConnack, of(propUser), &w.properties)
	}
	return w, c.end(connack)
}

func (w *welcome) encode() []byte {
	b := []byte{0, w.code}
	if w.present {
		b[0] = 1
	}
	if w.v5 {
		b = appendProperties(b, &w.properties, inConnack&^of(propUser))
	}
	return encode(connack, 0, b)
}
