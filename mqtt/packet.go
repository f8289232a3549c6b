package mqtt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// kind is the type of a control packet.
type kind byte

const (
	connect kind = iota + 1
	connack
	publish
	puback
	pubrec
	pubrel
	pubcomp
	subscribe
	suback
	unsubscribe
	unsuback
	pingreq
	pingresp
	disconnect
	auth
)

var kindNames = [...]string{"reserved packet", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"}

func (k kind) String() string { return kindNames[k&15] }

// Reason codes of MQTT 5 that the filter gives. Those of 3.1.1 stand where they are used.
const (
	codeNoSubscription = 0x11
	codeUnspecified    = 0x80
	codeMalformed      = 0x81
	codeProtocol       = 0x82
	codeVersion        = 0x84
	codeClientID       = 0x85
	codeUser           = 0x86
	codeNotAuthorized  = 0x87
	codeUnavailable    = 0x88
	codeShuttingDown   = 0x8b
	codeAuthMethod     = 0x8c
	codeTopicFilter    = 0x8f
	codeNoSuchPacketID = 0x92
	codeTopicAlias     = 0x94
	codeTooLarge       = 0x95
	codeQuota          = 0x97
	codeAdministrative = 0x98
	codeShared         = 0x9e
)

// protocolError is a breach of the protocol by the side that sent the packet.
type protocolError struct {
	code byte // reason code of MQTT 5
	text string
}

func (e *protocolError) Error() string { return fmt.Sprintf("%s (reason 0x%02x)", e.text, e.code) }

func breach(code byte, format string, args ...any) error {
	return &protocolError{code, fmt.Sprintf(format, args...)}
}

// packet is one control packet as read. head and body are valid until the next read.
type packet struct {
	kind  kind
	flags byte
	head  []byte // the fixed header as it came
	body  []byte // what follows it
	cut   bool   // a PUBLISH was longer than the limit: body is its beginning, the rest was thrown away
}

// publishHead is how much of a PUBLISH that is too long is kept: its topic and packet identifier.
const publishHead = 2 + maxTopic + 2

// keepBuffer is the largest body buffer that a quiet connection holds on to.
const keepBuffer = 16 << 10

// reader splits a connection into packets.
type reader struct {
	r     *bufio.Reader
	limit int // of a body; a longer PUBLISH is cut, any other packet an error
	head  [5]byte
	buf   []byte
}

// next reads one packet. Its flags and its length are checked, its body is not.
func (r *reader) next() (packet, error) {
	first, err := r.r.ReadByte()
	if err != nil {
		return packet{}, err
	}
	p := packet{kind: kind(first >> 4), flags: first & 15}
	if !validFlags(p.kind, p.flags) {
		return p, breach(codeMalformed, "%s with flags %d", p.kind, p.flags)
	}
	length, n, err := r.length()
	if err != nil {
		return p, fmt.Errorf("read length of %s: %w", p.kind, err)
	}
	r.head[0] = first
	p.head = r.head[:1+n]
	keep := length
	if length > r.limit {
		if p.kind != publish {
			return p, breach(codeTooLarge, "%s of %d bytes", p.kind, length)
		}
		p.cut, keep = true, min(length, publishHead)
	}
	if p.body, err = r.take(keep); err == nil && p.cut {
		_, err = r.r.Discard(length - keep)
	}
	if err != nil {
		return p, fmt.Errorf("read %s: %w", p.kind, noEOF(err))
	}
	return p, nil
}

func validFlags(k kind, flags byte) bool {
	switch k {
	case 0:
		return false
	case publish:
		return flags>>1&3 != 3 && (flags>>1&3 != 0 || flags&8 == 0)
	case pubrel, subscribe, unsubscribe:
		return flags == 2
	default:
		return flags == 0
	}
}

// length reads the remaining length, of which no more bytes than needed may be used.
func (r *reader) length() (v, n int, err error) {
	for n = 0; n < 4; n++ {
		b, err := r.r.ReadByte()
		if err != nil {
			return 0, 0, noEOF(err)
		}
		r.head[1+n] = b
		v |= int(b&0x7f) << (7 * n)
		if b < 0x80 {
			if b == 0 && n > 0 {
				return 0, 0, breach(codeMalformed, "length with needless bytes")
			}
			return v, n + 1, nil
		}
	}
	return 0, 0, breach(codeMalformed, "length of more than 4 bytes")
}

// take reads n bytes. Its buffer grows with what really arrives, not with what a header claims.
func (r *reader) take(n int) ([]byte, error) {
	if cap(r.buf) > keepBuffer && n <= keepBuffer {
		r.buf = nil
	}
	r.buf = r.buf[:0]
	for len(r.buf) < n {
		if len(r.buf) == cap(r.buf) {
			r.buf = append(make([]byte, 0, min(n, max(256, 2*len(r.buf)))), r.buf...)
		}
		at := len(r.buf)
		r.buf = r.buf[:min(n, cap(r.buf))]
		if _, err := io.ReadFull(r.r, r.buf[at:]); err != nil {
			return nil, err
		}
	}
	return r.buf, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// cursor decodes the fields of a body. After the first field that does not fit it is bad and gives zeros.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) bytes(n int) []byte {
	if c.bad || n > len(c.b) {
		c.bad = true
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) u8() byte {
	if v := c.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if v := c.bytes(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if v := c.bytes(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (c *cursor) varint() uint32 {
	var v uint32
	for n := range 4 {
		b := c.u8()
		v |= uint32(b&0x7f) << (7 * n)
		if b < 0x80 {
			c.bad = c.bad || b == 0 && n > 0
			return v
		}
	}
	c.bad = true
	return 0
}

// binary is a field of bytes behind its length.
func (c *cursor) binary() []byte { return c.bytes(int(c.u16())) }

// text is a UTF-8 field. NUL is forbidden in it.
func (c *cursor) text() []byte {
	v := c.binary()
	if !utf8.Valid(v) || hasNUL(v) {
		c.bad = true
	}
	return v
}

func hasNUL(b []byte) bool {
	for _, c := range b {
		if c == 0 {
			return true
		}
	}
	return false
}

// end returns the verdict on a body that should have been read to its end.
func (c *cursor) end(k kind) error {
	if c.bad || len(c.b) > 0 {
		return breach(codeMalformed, "malformed %s", k)
	}
	return nil
}

// appendText appends a field of bytes behind its length. What is longer than fits never comes here.
func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func appendVarint(b []byte, v uint32) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// encode puts the fixed header before a body.
func encode(k kind, flags byte, body []byte) []byte {
	return append(appendVarint([]byte{byte(k)<<4 | flags}, uint32(len(body))), body...)
}
