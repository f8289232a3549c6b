package supervise

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
)

// The packets of MQTT 3.1.1 that askTopic meets.
const (
	mqttConnack = 2
	mqttPublish = 3
	mqttSuback  = 9
)

// mqttLongest bounds the packets that askTopic reads, in bytes.
const mqttLongest = 1 << 20

// askTopic waits for a message that is published while it listens: one that the broker retained may come from an earlier life.
func askTopic(ctx context.Context, topic string) error {
	address, filter, err := splitTopic(topic)
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	connect := append([]byte("\x00\x04MQTT\x04\x02\x00\x00"), mqttText("iod-ready-"+strconv.FormatUint(rand.Uint64(), 36))...)
	if _, err := conn.Write(mqttPacket(0x10, connect)); err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	in := bufio.NewReaderSize(conn, 1024)
	for {
		kind, flags, body, err := readPacket(in)
		switch {
		case err != nil && ctx.Err() != nil:
			return errors.New("no message came")
		case err != nil:
			return fmt.Errorf("listen at the broker: %w", err)
		case kind == mqttConnack && (len(body) != 2 || body[1] != 0):
			return errors.New("the broker refuses a connection without name and password")
		case kind == mqttConnack:
			subscribe := append(append([]byte{0, 1}, mqttText(filter)...), 0)
			if _, err := conn.Write(mqttPacket(0x82, subscribe)); err != nil {
				return fmt.Errorf("subscribe at the broker: %w", err)
			}
		case kind == mqttSuback && (len(body) != 3 || body[2] > 2):
			return errors.New("the broker refuses the topic")
		case kind == mqttPublish && flags&1 == 0:
			conn.Write([]byte{0xe0, 0})
			return nil
		}
	}
}

func mqttText(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// mqttPacket puts the fixed header before a body.
func mqttPacket(first byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
}

// readPacket reads one packet. Of publications the body is skipped.
func readPacket(in *bufio.Reader) (kind, flags byte, body []byte, err error) {
	first, err := in.ReadByte()
	if err != nil {
		return 0, 0, nil, err
	}
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return 0, 0, nil, err
	}
	if n > mqttLongest {
		return 0, 0, nil, fmt.Errorf("a packet of %d bytes", n)
	}
	kind, flags = first>>4, first&15
	if kind == mqttPublish {
		_, err = in.Discard(int(n))
		return kind, flags, nil, err
	}
	if n > 64 {
		return 0, 0, nil, fmt.Errorf("a packet of kind %d with %d bytes", kind, n)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(in, body)
	return kind, flags, body, err
}
