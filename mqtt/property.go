package mqtt

import "encoding/binary"

// property is the identifier of an MQTT 5 property.
type property byte

const (
	propPayloadFormat  property = 0x01
	propMessageExpiry  property = 0x02
	propContentType    property = 0x03
	propResponseTopic  property = 0x08
	propCorrelation    property = 0x09
	propSubscriptionID property = 0x0b
	propSessionExpiry  property = 0x11
	propAssignedID     property = 0x12
	propKeepAlive      property = 0x13
	propAuthMethod     property = 0x15
	propAuthData       property = 0x16
	propProblemInfo    property = 0x17
	propWillDelay      property = 0x18
	propResponseWanted property = 0x19
	propResponseInfo   property = 0x1a
	propServer         property = 0x1c
	propReason         property = 0x1f
	propReceiveMax     property = 0x21
	propAliasMax       property = 0x22
	propAlias          property = 0x23
	propMaxQoS         property = 0x24
	propRetain         property = 0x25
	propUser           property = 0x26
	propMaxPacket      property = 0x27
	propWildcard       property = 0x28
	propSubscriptionOK property = 0x29
	propShared         property = 0x2a
)

// shape is how a property's value is written, and which values are right.
type shape byte

const (
	flag     shape = iota + 1 // a byte, 0 or 1
	short                     // 2 bytes
	counter                   // 2 bytes, not 0
	long                      // 4 bytes
	size                      // 4 bytes, not 0
	variable                  // 1 to 4 bytes, not 0
	utf
	blob
	pair // two texts
)

var shapes = [...]shape{
	propPayloadFormat: flag, propMessageExpiry: long, propContentType: utf, propResponseTopic: utf, propCorrelation: blob,
	propSubscriptionID: variable, propSessionExpiry: long, propAssignedID: utf, propKeepAlive: short, propAuthMethod: utf,
	propAuthData: blob, propProblemInfo: flag, propWillDelay: long, propResponseWanted: flag, propResponseInfo: utf,
	propServer: utf, propReason: utf, propReceiveMax: counter, propAliasMax: short, propAlias: counter, propMaxQoS: flag,
	propRetain: flag, propUser: pair, propMaxPacket: size, propWildcard: flag, propSubscriptionOK: flag, propShared: flag,
}

// set is a set of properties.
type set uint64

func of(ps ...property) (s set) {
	for _, p := range ps {
		s |= 1 << p
	}
	return s
}

func (s set) has(p property) bool { return p < 64 && s>>p&1 == 1 }

// The properties that each packet may carry.
var (
	inWill = of(propWillDelay, propPayloadFormat, propMessageExpiry, propContentType, propResponseTopic, propCorrelation,
		propUser)
	inConnect = of(propSessionExpiry, propReceiveMax, propMaxPacket, propAliasMax, propResponseWanted, propProblemInfo,
		propUser, propAuthMethod, propAuthData)
	inConnack = of(propSessionExpiry, propReceiveMax, propMaxQoS, propRetain, propMaxPacket, propAssignedID, propAliasMax,
		propReason, propUser, propWildcard, propSubscriptionOK, propShared, propKeepAlive, propResponseInfo, propServer,
		propAuthMethod, propAuthData)
	inPublish = of(propPayloadFormat, propMessageExpiry, propAlias, propResponseTopic, propCorrelation, propUser,
		propSubscriptionID, propContentType)
	inAck         = of(propReason, propUser)
	inSubscribe   = of(propSubscriptionID, propUser)
	inUnsubscribe = of(propUser)
	inDisconnect  = of(propSessionExpiry, propReason, propUser, propServer)
)

// properties holds what the filter looks at. A number is zero when absent: given tells.
type properties struct {
	given   set
	numbers [propShared + 1]uint32
	texts   [propShared + 1][]byte
}

// properties decodes a property list: each one allowed, of the right value, and there once; only user properties repeat,
// and subscription identifiers in a PUBLISH.
func (c *cursor) properties(allowed, repeatable set, into *properties) {
	list := cursor{b: c.bytes(int(c.varint())), bad: c.bad}
	for len(list.b) > 0 && !list.bad {
		id := property(list.varint())
		if !allowed.has(id) || into.given.has(id) && !repeatable.has(id) {
			list.bad = true
			break
		}
		into.given |= 1 << id
		list.value(id, into)
	}
	c.bad = c.bad || list.bad
}

// value decodes one value.
func (c *cursor) value(id property, into *properties) {
	var v uint32
	switch shapes[id] {
	case flag:
		v = uint32(c.u8())
		c.bad = c.bad || v > 1
	case short, counter:
		v = uint32(c.u16())
		c.bad = c.bad || v == 0 && shapes[id] == counter
	case long, size:
		v = c.u32()
		c.bad = c.bad || v == 0 && shapes[id] == size
	case variable:
		v = c.varint()
		c.bad = c.bad || v == 0
	case utf:
		into.texts[id] = c.text()
	case blob:
		into.texts[id] = c.binary()
	case pair:
		c.text()
		c.text()
	}
	into.numbers[id] = v
}

// appendProperties appends the properties of ps that are in keep, behind their length, in the order of their identifiers.
func appendProperties(b []byte, ps *properties, keep set) []byte {
	var list []byte
	for id := property(1); id <= propShared; id++ {
		if !ps.given.has(id) || !keep.has(id) {
			continue
		}
		list = append(list, byte(id))
		switch shapes[id] {
		case flag:
			list = append(list, byte(ps.numbers[id]))
		case short, counter:
			list = binary.BigEndian.AppendUint16(list, uint16(ps.numbers[id]))
		case long, size:
			list = binary.BigEndian.AppendUint32(list, ps.numbers[id])
		case variable:
			list = appendVarint(list, ps.numbers[id])
		case utf, blob:
			list = appendText(list, ps.texts[id])
		}
	}
	return append(appendVarint(b, uint32(len(list))), list...)
}

func (ps *properties) set(id property, v uint32) {
	ps.given |= 1 << id
	ps.numbers[id] = v
}

func (ps *properties) drop(ids set) { ps.given &^= ids }
