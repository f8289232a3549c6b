package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// mqttReader subscribes to topics over one connection and hands on what is published. It speaks MQTT 5 and 3.1.1, since many
// brokers know the older version only. What it sends and reads:
//
//	fixed header  kind (4 bits) │ flags (4) │ length of the rest (1 to 4 bytes of 7 bits, low ones first)
//	CONNECT  →    "MQTT" │ level │ clean start │ keep-alive │ properties │ empty client id
//	CONNACK  ←    flags │ code │ properties
//	SUBSCRIBE →   packet identifier │ properties │ filter │ QoS │ …          SUBACK ←   identifier │ properties │ code │ …
//	PUBLISH  ←    topic │ identifier if QoS > 0 │ properties │ payload       PUBACK, PUBREC, PUBCOMP →   identifier
//
// Properties exist in MQTT 5 only. All lengths are checked: the device and its broker are strangers.
type mqttReader struct {
	conn  net.Conn
	in    *bufio.Reader
	level byte // 5 or 4, which is 3.1.1

	wrote  time.Time           // when something was sent last
	pinged bool                // a ping is not answered yet
	held   map[uint16]struct{} // QoS 2 messages that were handed on and not yet released
}

// publication is a message that arrived.
type publication struct {
	topic    string
	payload  []byte
	qos      byte
	retained bool
}

// The packets that a subscriber meets.
const (
	mqttConnect    = 1
	mqttConnack    = 2
	mqttPublish    = 3
	mqttPuback     = 4
	mqttPubrec     = 5
	mqttPubrel     = 6
	mqttPubcomp    = 7
	mqttSubscribe  = 8
	mqttSuback     = 9
	mqttPingreq    = 12
	mqttPingresp   = 13
	mqttDisconnect = 14
)

const (
	mqttKeepAlive = 60 * time.Second
	mqttPatience  = 20 * time.Second // for an answer, and for the rest of a packet that began
	mqttPacket    = 4 << 20          // bytes of the largest packet that is read
	mqttFailure   = 0x80             // reason codes from here on are failures
)

// versionError is a refusal of the CONNECT that another protocol version may not meet.
type versionError struct{ err error }

func (e *versionError) Error() string { return e.err.Error() }
func (e *versionError) Unwrap() error { return e.err }

// filterError is a refused topic filter.
type filterError struct {
	filter string
	code   byte
}

func (e *filterError) Error() string {
	return fmt.Sprintf("topic filter %q is refused with reason code 0x%02x", e.filter, e.code)
}

func newMQTTReader(conn net.Conn, level byte) *mqttReader {
	return &mqttReader{conn: conn, in: bufio.NewReader(conn), level: level, held: map[uint16]struct{}{}}
}

func mqttText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// send writes one packet.
func (m *mqttReader) send(head byte, body []byte) error {
	b := []byte{head}
	for n := len(body); ; n >>= 7 {
		if n < 0x80 {
			b = append(b, byte(n))
			break
		}
		b = append(b, byte(n)|0x80)
	}
	m.wrote = time.Now()
	m.conn.SetWriteDeadline(m.wrote.Add(mqttPatience))
	_, err := m.conn.Write(append(b, body...))
	return err
}

// connect opens the MQTT session.
func (m *mqttReader) connect() error {
	body := append(mqttText(nil, "MQTT"), m.level, 0x02, 0, byte(mqttKeepAlive/time.Second))
	if m.level == 5 {
		body = append(body, 5, 0x27) // one property, the largest packet
		body = binary.BigEndian.AppendUint32(body, mqttPacket)
	}
	if err := m.send(mqttConnect<<4, mqttText(body, "")); err != nil {
		return fmt.Errorf("mqtt connect: %w", err)
	}
	head, b, err := m.next()
	switch {
	case errors.Is(err, io.EOF):
		return &versionError{errors.New("mqtt connect: the connection was closed instead of an answer")}
	case err != nil:
		return fmt.Errorf("mqtt connect: %w", err)
	case head>>4 != mqttConnack || len(b) < 2:
		return fmt.Errorf("mqtt connect: packet of kind %d instead of an answer", head>>4)
	case b[1] != 0:
		return &versionError{fmt.Errorf("mqtt connect: refused with reason code 0x%02x", b[1])}
	}
	return nil
}

// subscribe asks for the topics and returns when the answer is there; what is published before goes to take.
func (m *mqttReader) subscribe(filters []string, qos byte, take func(publication) error) error {
	body := []byte{0, 1}
	if m.level == 5 {
		body = append(body, 0)
	}
	for _, f := range filters {
		body = append(mqttText(body, f), qos)
	}
	if err := m.send(mqttSubscribe<<4|2, body); err != nil {
		return fmt.Errorf("mqtt subscribe: %w", err)
	}
	for {
		head, b, err := m.next()
		if err != nil {
			return fmt.Errorf("mqtt subscribe: %w", err)
		}
		if head>>4 != mqttSuback {
			if err := m.handle(head, b, take); err != nil {
				return err
			}
			continue
		}
		if len(b) < 2 {
			return errors.New("mqtt subscribe: the answer is cut short")
		}
		codes, err := m.skipProperties(b[2:])
		if err != nil || len(codes) != len(filters) {
			return fmt.Errorf("mqtt subscribe: the answer does not match the question: %v", err)
		}
		for i, code := range codes {
			if code >= mqttFailure {
				return &filterError{filters[i], code}
			}
		}
		return nil
	}
}

// receive hands publications to take until the connection ends, which is an error, or take fails.
func (m *mqttReader) receive(take func(publication) error) error {
	for {
		head, b, err := m.next()
		if err != nil {
			return err
		}
		if err := m.handle(head, b, take); err != nil {
			return err
		}
	}
}

// disconnect says good-bye.
func (m *mqttReader) disconnect() { _ = m.send(mqttDisconnect<<4, nil) }

// next reads one packet, pinging while there is none.
func (m *mqttReader) next() (head byte, body []byte, err error) {
	for {
		if time.Since(m.wrote) >= mqttKeepAlive {
			if err := m.ping(); err != nil {
				return 0, nil, err
			}
		}
		wait := m.wrote.Add(mqttKeepAlive)
		if m.pinged {
			wait = m.wrote.Add(mqttPatience)
		}
		m.conn.SetReadDeadline(wait)
		_, err := m.in.Peek(1)
		if err == nil {
			m.conn.SetReadDeadline(time.Now().Add(mqttPatience))
			return m.packet()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, nil, err
		}
		if m.pinged {
			return 0, nil, errors.New("a ping was not answered")
		}
		if err := m.ping(); err != nil {
			return 0, nil, err
		}
	}
}

func (m *mqttReader) ping() error {
	m.pinged = true
	return m.send(mqttPingreq<<4, nil)
}

// packet reads a packet that has begun.
func (m *mqttReader) packet() (head byte, body []byte, err error) {
	if head, err = m.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	length := 0
	for shift := 0; ; shift += 7 {
		b, err := m.in.ReadByte()
		if err != nil {
			return 0, nil, noEOF(err)
		}
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
		if shift == 21 {
			return 0, nil, errors.New("the length of a packet has more than four bytes")
		}
	}
	if length > mqttPacket {
		return 0, nil, fmt.Errorf("a packet of %d bytes is longer than the %d allowed", length, mqttPacket)
	}
	body = make([]byte, length)
	_, err = io.ReadFull(m.in, body)
	return head, body, noEOF(err)
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// handle answers a packet of an open session.
func (m *mqttReader) handle(head byte, b []byte, take func(publication) error) error {
	switch head >> 4 {
	case mqttPublish:
		return m.published(head, b, take)
	case mqttPubrel:
		if len(b) < 2 {
			return errors.New("a PUBREL is cut short")
		}
		delete(m.held, binary.BigEndian.Uint16(b))
		return m.send(mqttPubcomp<<4, b[:2])
	case mqttPingresp:
		m.pinged = false
		return nil
	case mqttDisconnect:
		if len(b) > 0 {
			return fmt.Errorf("the device ended the session with reason code 0x%02x", b[0])
		}
		return errors.New("the device ended the session")
	}
	return fmt.Errorf("unexpected packet of kind %d", head>>4)
}

// published hands a publication on and acknowledges it. A QoS 2 message that is sent again is not handed on again.
func (m *mqttReader) published(head byte, b []byte, take func(publication) error) error {
	p, id, err := m.publication(head, b)
	if err != nil {
		return fmt.Errorf("read a publication: %w", err)
	}
	if _, again := m.held[id]; p.qos != 2 || !again {
		if err := take(p); err != nil {
			return err
		}
	}
	ack := binary.BigEndian.AppendUint16(nil, id)
	switch p.qos {
	case 1:
		return m.send(mqttPuback<<4, ack)
	case 2:
		m.held[id] = struct{}{}
		return m.send(mqttPubrec<<4, ack)
	}
	return nil
}

func (m *mqttReader) publication(head byte, b []byte) (p publication, id uint16, err error) {
	p.qos, p.retained = head>>1&3, head&1 != 0
	if len(b) < 2 || p.qos == 3 {
		return p, 0, errors.New("it is malformed")
	}
	n := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; n == 0 || len(b) < n {
		return p, 0, errors.New("its topic is empty or cut short")
	}
	p.topic, b = string(b[:n]), b[n:]
	if p.qos > 0 {
		if len(b) < 2 {
			return p, 0, errors.New("its identifier is cut short")
		}
		id, b = binary.BigEndian.Uint16(b), b[2:]
	}
	p.payload, err = m.skipProperties(b)
	return p, id, err
}

// skipProperties returns what follows the properties, which only MQTT 5 has.
func (m *mqttReader) skipProperties(b []byte) ([]byte, error) {
	if m.level < 5 {
		return b, nil
	}
	length, n := binary.Uvarint(b)
	if n <= 0 || n > 4 || uint64(len(b)-n) < length {
		return nil, errors.New("its properties are cut short")
	}
	return b[n+int(length):], nil
}
