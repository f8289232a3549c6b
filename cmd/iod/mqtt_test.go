package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// broker plays the far side of a connection, packet by packet.
type broker struct {
	t    *testing.T
	conn net.Conn
	far  *mqttReader // reads packets; only its framing is used
}

func newBroker(t *testing.T, level byte) (*broker, *mqttReader) {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	return &broker{t, far, newMQTTReader(far, level)}, newMQTTReader(near, level)
}

// expect reads one packet of a kind.
func (b *broker) expect(kind byte) []byte {
	b.t.Helper()
	b.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	head, body, err := b.far.packet()
	if err != nil || head>>4 != kind {
		b.t.Errorf("packet of kind %d came (%v), want %d", head>>4, err, kind)
	}
	return body
}

func (b *broker) send(head byte, body ...byte) {
	if err := b.far.send(head, body); err != nil {
		b.t.Errorf("send %x: %v", head, err)
	}
}

// publishBody is a PUBLISH at a level; QoS above 0 gets identifier 7.
func publishBody(level byte, topic, payload string, qos byte) []byte {
	b := mqttText(nil, topic)
	if qos > 0 {
		b = append(b, 0, 7)
	}
	if level == 5 {
		b = append(b, 2, 0x01, 0x01) // payload format indicator
	}
	return append(b, payload...)
}

func TestSubscribeAtBothLevels(t *testing.T) {
	for _, level := range []byte{4, 5} {
		b, m := newBroker(t, level)
		done := make(chan struct{})
		go func() {
			defer close(done)
			hello := b.expect(mqttConnect)
			if !bytes.HasPrefix(hello, append(mqttText(nil, "MQTT"), level, 0x02)) {
				t.Errorf("level %d: CONNECT is %x", level, hello)
			}
			if level == 5 {
				b.send(mqttConnack<<4, 0, 0, 0)
			} else {
				b.send(mqttConnack<<4, 0, 0)
			}
			if sub := b.expect(mqttSubscribe); !bytes.HasSuffix(sub, append(mqttText(nil, "a/#"), 2)) {
				t.Errorf("level %d: SUBSCRIBE is %x", level, sub)
			}
			b.send(mqttPublish<<4|1, publishBody(level, "a/kept", "before the answer", 0)...)
			if level == 5 {
				b.send(mqttSuback<<4, 0, 1, 0, 2)
			} else {
				b.send(mqttSuback<<4, 0, 1, 2)
			}
			b.send(mqttPublish<<4|1<<1, publishBody(level, "a/one", "1", 1)...)
			if ack := b.expect(mqttPuback); !bytes.Equal(ack, []byte{0, 7}) {
				t.Errorf("PUBACK is %x", ack)
			}
			for range 2 { // the second is a repetition
				b.send(mqttPublish<<4|2<<1, publishBody(level, "a/two", "2", 2)...)
				b.expect(mqttPubrec)
			}
			b.send(mqttPubrel<<4|2, 0, 7)
			b.expect(mqttPubcomp)
			b.send(mqttDisconnect << 4)
		}()
		var got []publication
		take := func(p publication) error { got = append(got, p); return nil }
		if err := m.connect(); err != nil {
			t.Fatal(err)
		}
		if err := m.subscribe([]string{"a/#"}, 2, take); err != nil {
			t.Fatal(err)
		}
		if err := m.receive(take); err == nil || !strings.Contains(err.Error(), "the device ended the session") {
			t.Errorf("receive ended with %v", err)
		}
		<-done
		want := []publication{
			{"a/kept", []byte("before the answer"), 0, true}, {"a/one", []byte("1"), 1, false}, {"a/two", []byte("2"), 2, false},
		}
		if len(got) != len(want) {
			t.Fatalf("level %d: %d messages came, want %d: %v", level, len(got), len(want), got)
		}
		for i, w := range want {
			if g := got[i]; g.topic != w.topic || string(g.payload) != string(w.payload) || g.qos != w.qos || g.retained != w.retained {
				t.Errorf("level %d: message %d is %v, want %v", level, i, g, w)
			}
		}
	}
}

func TestSubscribeRefusals(t *testing.T) {
	for _, c := range []struct {
		name  string
		level byte
		play  func(*broker)
		check func(error) bool
	}{
		{"version 5", 5, func(b *broker) { b.send(mqttConnack<<4, 0, 0x84, 0) }, func(err error) bool { return errors.As(err, new(*versionError)) }},
		{"version of an old broker", 5, func(b *broker) { b.send(mqttConnack<<4, 0, 1) }, func(err error) bool { return errors.As(err, new(*versionError)) }},
		{"hangs up", 5, func(b *broker) { b.conn.Close() }, func(err error) bool { return errors.As(err, new(*versionError)) }},
		{"topic at 5", 5, func(b *broker) {
			b.send(mqttConnack<<4, 0, 0, 0)
			b.expect(mqttSubscribe)
			b.send(mqttSuback<<4, 0, 1, 0, 0x87)
		}, func(err error) bool { return errors.As(err, new(*filterError)) }},
		{"topic at 3.1.1", 4, func(b *broker) {
			b.send(mqttConnack<<4, 0, 0)
			b.expect(mqttSubscribe)
			b.send(mqttSuback<<4, 0, 1, 0x80)
		}, func(err error) bool { return errors.As(err, new(*filterError)) }},
		{"too few answers", 4, func(b *broker) {
			b.send(mqttConnack<<4, 0, 0)
			b.expect(mqttSubscribe)
			b.send(mqttSuback<<4, 0, 1)
		}, func(err error) bool { return err != nil && strings.Contains(err.Error(), "does not match") }},
	} {
		b, m := newBroker(t, c.level)
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.expect(mqttConnect)
			c.play(b)
		}()
		err := m.connect()
		if err == nil {
			err = m.subscribe([]string{"a"}, 0, func(publication) error { return nil })
		}
		if !c.check(err) {
			t.Errorf("%s: the error is %v", c.name, err)
		}
		<-done
	}
}

// TestOldBroker subscribes through sessions as the command makes them: the first is refused for its version.
func TestOldBroker(t *testing.T) {
	var out bytes.Buffer
	s := subscription{r: &remote{stream: "s", log: slog.New(slog.DiscardHandler)}, topics: []string{"a"}, level: 5, left: 1, out: &out}
	for attempt, want := range []byte{5, 4} {
		b, near := newBroker(t, want)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if hello := b.expect(mqttConnect); len(hello) < 7 || hello[6] != want {
				t.Errorf("attempt %d: CONNECT is %x, want level %d", attempt, hello, want)
			}
			if want == 5 {
				b.send(mqttConnack<<4, 0, 1)
				return
			}
			b.send(mqttConnack<<4, 0, 0)
			b.expect(mqttSubscribe)
			b.send(mqttSuback<<4, 0, 1, 0)
			b.send(mqttPublish<<4, publishBody(4, "a", "\x00\xff", 0)...)
			b.expect(mqttDisconnect)
		}()
		err := s.converse(context.Background(), near.conn)
		<-done
		if attempt == 0 && !s.another(err) {
			t.Fatalf("the refusal %v did not lead to another version", err)
		}
		if attempt == 1 && !errors.Is(err, errEnough) {
			t.Fatalf("the second attempt ended with %v", err)
		}
	}
	var m message
	if err := json.Unmarshal(out.Bytes(), &m); err != nil || m.Topic != "a" || string(m.Payload) != `{"base64":"AP8="}` {
		t.Errorf("printed %q (%v)", out.String(), err)
	}
}

func TestPayloadJSON(t *testing.T) {
	for payload, want := range map[string]string{
		`{"a": [1]}`:   `{"a": [1]}`,
		"12.5":         "12.5",
		"warm":         `"warm"`,
		"":             `""`,
		"\xff\x00":     `{"base64":"/wA="}`,
		"\"\xff\"":     `{"base64":"Iv8i"}`,
		"a\x1b[31mred": `"a\u001b[31mred"`,
	} {
		if got := string(payloadJSON([]byte(payload))); got != want {
			t.Errorf("payload %q prints as %s, want %s", payload, got, want)
		}
	}
}

func TestPacketBounds(t *testing.T) {
	for name, b := range map[string][]byte{
		"length of five bytes": {0x30, 0xff, 0xff, 0xff, 0xff, 0x01},
		"too long":             {0x30, 0xff, 0xff, 0xff, 0x7f},
		"cut short":            {0x30, 0x05, 0, 1},
		"cut in the length":    {0x30, 0xff},
	} {
		m := newMQTTReader(&script{in: bytes.NewReader(b)}, 5)
		if _, _, err := m.packet(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

// script is a connection that says what it was made with and hears nothing.
type script struct {
	net.Conn
	in *bytes.Reader
}

func (s *script) Read(b []byte) (int, error)       { return s.in.Read(b) }
func (s *script) Write(b []byte) (int, error)      { return len(b), nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// FuzzSubscribe lets a device say anything at all.
func FuzzSubscribe(f *testing.F) {
	for _, seed := range subscribeSeeds() {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, said []byte, five bool) {
		level := byte(4)
		if five {
			level = 5
		}
		m := newMQTTReader(&script{in: bytes.NewReader(said)}, level)
		taken := 0
		take := func(p publication) error {
			if taken += len(p.topic) + len(p.payload); taken > len(said) {
				t.Fatalf("%d bytes were made of %d", taken, len(said))
			}
			return nil
		}
		if m.connect() != nil || m.subscribe([]string{"a", "b"}, 1, take) != nil {
			return
		}
		if m.receive(take) == nil {
			t.Fatal("the end of the connection is no error")
		}
	})
}

func subscribeSeeds() [][]byte {
	pub := publishBody(5, "a", "{}", 2)
	all := append([]byte{mqttConnack << 4, 3, 0, 0, 0, mqttSuback << 4, 5, 0, 1, 0, 0, 1, mqttPublish<<4 | 4, byte(len(pub))}, pub...)
	return [][]byte{all, {mqttConnack << 4, 2, 0, 0}, binary.BigEndian.AppendUint32([]byte{mqttConnack << 4}, 0xffffff7f), append(all, mqttPubrel<<4|2, 2, 0, 7)}
}

func TestFuzzSeeds(t *testing.T) {
	if len(subscribeSeeds()) < 4 {
		t.Fatal("the fuzz target has lost its seeds")
	}
}
