package mqtt

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// script is a connection to a peer that says fixed bytes and then leaves, or stays and says nothing.
type script struct {
	says  *bytes.Reader
	stays bool
	over  chan struct{}
	once  sync.Once

	mu    sync.Mutex
	heard bytes.Buffer
}

func newScript(says []byte, stays bool) *script {
	return &script{says: bytes.NewReader(says), stays: stays, over: make(chan struct{})}
}

func (s *script) Read(b []byte) (int, error) {
	n, err := s.says.Read(b)
	if err == nil || !s.stays {
		return n, err
	}
	<-s.over
	return 0, os.ErrDeadlineExceeded
}

func (s *script) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard.Write(b)
}

func (s *script) Close() error {
	s.once.Do(func() { close(s.over) })
	return nil
}

func (s *script) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && !t.After(time.Now()) {
		s.Close()
	}
	return nil
}

func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }

// attack serves one session between two scripts, and returns what each side received. It returns only if the filter ends.
func attack(client, broker *script) (toClient, toBroker []byte) {
	f := Filter{
		Topics: []string{"m/#", "+/k"}, ClientPrefix: "p/", Log: slog.New(slog.DiscardHandler),
		Dial: func(context.Context, string, string) (net.Conn, error) { return broker, nil },
	}
	f.ServeConn(context.Background(), client)
	return client.heard.Bytes(), broker.heard.Bytes()
}

// split decodes a stream with the decoder of another implementation.
func split(t *testing.T, stream []byte, version byte, each func(packets.Packet)) {
	t.Helper()
	for b := bytes.NewBuffer(stream); b.Len() > 0; {
		first, _ := b.ReadByte()
		p := packets.Packet{ProtocolVersion: version}
		if err := p.FixedHeader.Decode(first); err != nil {
			t.Fatalf("header %x in %x: %v", first, stream, err)
		}
		n, _, err := packets.DecodeLength(b)
		if err != nil || n > b.Len() {
			return // the end of the stream was cut off
		}
		p.FixedHeader.Remaining = n
		body := b.Next(n)
		switch p.FixedHeader.Type {
		case packets.Connect:
			err = p.ConnectDecode(body)
		case packets.Publish:
			err = p.PublishDecode(body)
		case packets.Subscribe:
			err = p.SubscribeDecode(body)
		case packets.Unsubscribe:
			err = p.UnsubscribeDecode(body)
		}
		if err != nil {
			t.Fatalf("packet %x: %v", body, err)
		}
		each(p)
	}
}

const (
	hello4 = "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c"
	hello5 = "\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x03\x22\x00\x05\x00\x01c"
	ok4    = "\x20\x02\x00\x00"
	ok5    = "\x20\x03\x00\x00\x00"
)

// FuzzConsumer: whatever a consumer sends, the broker sees one CONNECT with the prefix and no will, no publication, and no
// filter outside the list.
func FuzzConsumer(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(hello5+s), true)
		f.Add([]byte(hello4+s), false)
		f.Add([]byte(s), true)
	}
	f.Add([]byte(hello5+strings.Join(seeds[10:14], "")), true)
	f.Fuzz(func(t *testing.T, b []byte, v5 bool) {
		if len(b) > 1<<16 {
			return
		}
		ack, version := ok4, byte(level4)
		if v5 {
			ack, version = ok5, level5
		}
		_, got := attack(newScript(b, false), newScript([]byte(ack), true))
		n := 0
		split(t, got, version, func(p packets.Packet) {
			k := kind(p.FixedHeader.Type)
			if (n == 0) != (k == connect) {
				t.Fatalf("packet %d for the broker is %s", n, k)
			}
			n++
			switch k {
			case connect:
				version = p.ProtocolVersion
				if p.Connect.WillFlag || p.Connect.UsernameFlag || !strings.HasPrefix(p.Connect.ClientIdentifier, "p/") {
					t.Fatalf("CONNECT %+v", p.Connect)
				}
			case subscribe:
				for _, s := range p.Filters {
					if !Allowed(s.Filter, []string{"m/#", "+/k"}) {
						t.Fatalf("SUBSCRIBE %q", s.Filter)
					}
				}
			case puback, pubrec, pubcomp, unsubscribe, pingreq, disconnect:
			default:
				t.Fatalf("%s for the broker", k)
			}
		})
	})
}

// FuzzBroker: whatever a broker sends, the consumer sees one CONNACK and no topic outside the list.
func FuzzBroker(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(ok5+s), true)
		f.Add([]byte(ok4+s), false)
	}
	f.Add([]byte(ok5+strings.Join(seeds[3:6], "")), true)
	f.Fuzz(func(t *testing.T, b []byte, v5 bool) {
		if len(b) > 1<<16 {
			return
		}
		greeting, version := hello4, byte(level4)
		if v5 {
			greeting, version = hello5, level5
		}
		// The consumer subscribes, so that answers have something to meet.
		ask := "\x82\x06\x00\x07\x00\x01m\x00"
		if v5 {
			ask = "\x82\x07\x00\x07\x00\x00\x01m\x00"
		}
		got, _ := attack(newScript([]byte(greeting+ask), true), newScript(b, false))
		n := 0
		aliases := map[uint16]string{}
		split(t, got, version, func(p packets.Packet) {
			k := kind(p.FixedHeader.Type)
			if (n == 0) != (k == connack) {
				t.Fatalf("packet %d for the consumer is %s", n, k)
			}
			n++
			switch k {
			case publish:
				topic := p.TopicName
				if p.Properties.TopicAliasFlag && topic == "" {
					topic = aliases[p.Properties.TopicAlias]
				}
				if p.Properties.TopicAliasFlag {
					aliases[p.Properties.TopicAlias] = topic
				}
				if !matches(topic, "m/#") && !matches(topic, "+/k") {
					t.Fatalf("PUBLISH %q", topic)
				}
			case connack, pubrel, suback, pingresp, disconnect:
			default:
				t.Fatalf("%s for the consumer", k)
			}
		})
	})
}
