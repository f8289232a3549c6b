package mqtt

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// step is one thing that happens in a script.
type step struct {
	who   string // c> b> send, c< b< expect; c. b. expect the end
	bytes string
}

func (r *rig) play(steps []step) {
	r.t.Helper()
	for _, s := range steps {
		conn := r.client
		if s.who[0] == 'b' {
			conn = r.broker
		}
		switch s.who[1] {
		case '>':
			r.send(conn, []byte(s.bytes))
		case '<':
			r.expect(conn, []byte(s.bytes))
		default:
			r.expectEnd(conn)
		}
	}
}

func TestScripts(t *testing.T) {
	ping := []step{{"c>", "\xc0\x00"}, {"b<", "\xc0\x00"}, {"b>", "\xd0\x00"}, {"c<", "\xd0\x00"}}
	for _, c := range []struct {
		name  string
		level byte
		steps []step
	}{
		{"ping", 4, ping},
		{"subscribe", 4, []step{
			{"c>", "\x82\x08\x00\x07\x00\x03m/#\x01"}, {"b<", "\x82\x08\x00\x07\x00\x03m/#\x01"},
			{"b>", "\x90\x03\x00\x07\x01"}, {"c<", "\x90\x03\x00\x07\x01"}}},
		{"subscribe refused", 4, []step{{"c>", "\x82\x06\x00\x07\x00\x01#\x00"}, {"c<", "\x90\x03\x00\x07\x80"}}},
		{"subscribe refused", 5, []step{{"c>", "\x82\x07\x00\x07\x00\x00\x01#\x00"}, {"c<", "\x90\x04\x00\x07\x00\x87"}}},
		{"mixed", 4, []step{
			{"c>", "\x82\x10\x00\x07\x00\x01#\x00\x00\x03m/a\x01\x00\x01x\x02"}, {"b<", "\x82\x08\x00\x07\x00\x03m/a\x01"},
			{"b>", "\x90\x03\x00\x07\x01"}, {"c<", "\x90\x05\x00\x07\x80\x01\x80"}}},
		{"mixed", 5, []step{ // not listed, granted, invalid, shared, refused by the broker
			{"c>", "\x82\x27\x00\x07\x02\x0b\x05\x00\x01#\x00\x00\x03m/a\x01\x00\x02#/\x00\x00\x0c$share/g/m/a\x00\x00\x01m\x02"},
			{"b<", "\x82\x0f\x00\x07\x02\x0b\x05\x00\x03m/a\x01\x00\x01m\x02"},
			{"b>", "\x90\x05\x00\x07\x00\x01\x97"}, {"c<", "\x90\x08\x00\x07\x00\x87\x01\x8f\x9e\x97"}}},
		{"unsubscribe", 4, []step{
			{"c>", "\xa2\x07\x00\x08\x00\x03m/a"}, {"b<", "\xa2\x07\x00\x08\x00\x03m/a"},
			{"b>", "\xb0\x02\x00\x08"}, {"c<", "\xb0\x02\x00\x08"}}},
		{"unsubscribe", 5, []step{
			{"c>", "\xa2\x10\x00\x08\x00\x00\x03m/a\x00\x06m/#/b/"}, {"b<", "\xa2\x08\x00\x08\x00\x00\x03m/a"},
			{"b>", "\xb0\x04\x00\x08\x00\x11"}, {"c<", "\xb0\x05\x00\x08\x00\x11\x8f"}}},
		{"publish qos 0 is dropped", 4, append([]step{{"c>", "\x30\x06\x00\x03m/ax"}}, ping...)},
		{"publish qos 0 is dropped", 5, append([]step{{"c>", "\x30\x07\x00\x03m/a\x00x"}}, ping...)},
		{"publish qos 1", 4, []step{{"c>", "\x32\x07\x00\x03m/a\x00\x05"}, {"c.", ""}, {"b.", ""}}},
		{"publish qos 1", 5, append([]step{{"c>", "\x32\x08\x00\x03m/a\x00\x05\x00"}, {"c<", "\x40\x03\x00\x05\x87"}}, ping...)},
		{"publish qos 2", 5, append([]step{{"c>", "\x34\x08\x00\x03m/a\x00\x05\x00"}, {"c<", "\x50\x03\x00\x05\x87"}}, ping...)},
		{"pubrel", 5, []step{{"c>", "\x62\x02\x00\x05"}, {"c<", "\x70\x03\x00\x05\x92"}}},
		{"pubrel", 4, []step{{"c>", "\x62\x02\x00\x05"}, {"c<", "\x70\x02\x00\x05"}}},
		{"publish with alias", 5, []step{
			{"c>", "\x30\x09\x00\x03m/a\x03\x23\x00\x01"}, {"c<", "\xe0\x01\x94"}, {"c.", ""}, {"b.", ""}}},
		{"delivered", 4, []step{
			{"b>", "\x32\x08\x00\x03m/a\x00\x05x"}, {"c<", "\x32\x08\x00\x03m/a\x00\x05x"},
			{"c>", "\x40\x02\x00\x05"}, {"b<", "\x40\x02\x00\x05"}}},
		{"dropped at qos 0", 4, []step{
			{"b>", "\x30\x04\x00\x01xy"}, {"b>", "\x30\x06\x00\x03m/ay"}, {"c<", "\x30\x06\x00\x03m/ay"}}},
		{"dropped at qos 1", 4, []step{{"b>", "\x32\x05\x00\x01x\x00\x05"}, {"b<", "\x40\x02\x00\x05"}}},
		{"dropped at qos 1", 5, []step{{"b>", "\x32\x06\x00\x01x\x00\x05\x00"}, {"b<", "\x40\x03\x00\x05\x87"}}},
		{"dropped at qos 2", 4, []step{
			{"b>", "\x34\x05\x00\x01x\x00\x05"}, {"b<", "\x50\x02\x00\x05"}, {"b>", "\x62\x02\x00\x05"}, {"b<", "\x70\x02\x00\x05"},
			{"b>", "\x62\x02\x00\x05"}, {"c<", "\x62\x02\x00\x05"}}},
		{"dropped at qos 2", 5, []step{{"b>", "\x34\x06\x00\x01x\x00\x05\x00"}, {"b<", "\x50\x03\x00\x05\x87"}}},
		{"system topics", 4, []step{
			{"b>", "\x30\x07\x00\x05$SYS/"}, {"b>", "\x30\x06\x00\x03m/ay"}, {"c<", "\x30\x06\x00\x03m/ay"}}},
		{"aliases", 5, []step{
			{"b>", "\x30\x07\x00\x01x\x03\x23\x00\x01"}, {"b>", "\x30\x06\x00\x00\x03\x23\x00\x01"},
			{"b>", "\x30\x07\x00\x01m\x03\x23\x00\x01"}, {"c<", "\x30\x07\x00\x01m\x03\x23\x00\x01"},
			{"b>", "\x30\x06\x00\x00\x03\x23\x00\x01"}, {"c<", "\x30\x06\x00\x00\x03\x23\x00\x01"}}},
		{"alias unknown", 5, []step{{"b>", "\x30\x06\x00\x00\x03\x23\x00\x02"}, {"c<", "\xe0\x01\x80"}, {"c.", ""}, {"b.", ""}}},
		{"alias too high", 5, []step{{"b>", "\x30\x07\x00\x01m\x03\x23\x00\x0b"}, {"c<", "\xe0\x01\x80"}, {"c.", ""}}},
		{"acks of nothing are swallowed", 4, append([]step{{"b>", "\x40\x02\x00\x05"}, {"b>", "\x70\x02\x00\x05"}}, ping...)},
		{"suback of nothing", 5, []step{{"b>", "\x90\x04\x00\x07\x00\x00"}, {"c<", "\xe0\x01\x80"}, {"c.", ""}}},
		{"suback of another length", 5, []step{
			{"c>", "\x82\x07\x00\x07\x00\x00\x01m\x00"}, {"b<", "\x82\x07\x00\x07\x00\x00\x01m\x00"},
			{"b>", "\x90\x05\x00\x07\x00\x00\x00"}, {"c<", "\xe0\x01\x80"}, {"c.", ""}}},
		{"auth", 5, []step{{"c>", "\xf0\x00"}, {"c<", "\xe0\x01\x82"}, {"c.", ""}, {"b.", ""}}},
		{"second connect", 5, []step{{"c>", "\x10\x00"}, {"c<", "\xe0\x01\x82"}, {"c.", ""}, {"b.", ""}}},
		{"reserved type", 5, []step{{"c>", "\x00\x00"}, {"c<", "\xe0\x01\x81"}, {"c.", ""}}},
		{"wrong flags", 5, []step{{"c>", "\x80\x00"}, {"c<", "\xe0\x01\x81"}, {"c.", ""}}},
		{"too large", 5, []step{{"c>", "\x82\xff\xff\x7f"}, {"c<", "\xe0\x01\x95"}, {"c.", ""}}},
		{"malformed in 3.1.1", 4, []step{{"c>", "\x80\x00"}, {"c.", ""}, {"b.", ""}}},
		{"needless length", 5, []step{{"c>", "\xc0\x80\x00"}, {"c<", "\xe0\x01\x81"}, {"c.", ""}}},
		{"disconnect", 4, []step{{"c>", "\xe0\x00"}, {"b<", "\xe0\x00"}, {"c.", ""}, {"b.", ""}}},
		{"disconnect with will", 5, []step{{"c>", "\xe0\x01\x04"}, {"b<", "\xe0\x00"}, {"c.", ""}, {"b.", ""}}},
		{"disconnect prolongs", 5, []step{
			{"c>", "\xe0\x07\x00\x05\x11\x00\x00\x00\x09"}, {"c<", "\xe0\x01\x82"}, {"c.", ""}, {"b.", ""}}},
		{"broker disconnects", 5, []step{
			{"b>", "\xe0\x09\x8e\x07\x1f\x00\x04text"}, {"c<", "\xe0\x01\x8e"}, {"c.", ""}, {"b.", ""}}},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_")+string('0'+c.level), func(t *testing.T) {
			connected(t, c.level, Filter{}).play(c.steps)
		})
	}
}

func TestConnectRefused(t *testing.T) {
	for _, c := range []struct{ name, hello, answer string }{
		{"3.1", "\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01c", "\x20\x02\x00\x01"},
		{"bridge", "\x00\x04MQTT\x84\x02\x00\x3c\x00\x01c", "\x20\x02\x00\x01"},
		{"6", "\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x01c", "\x20\x03\x00\x84\x00"},
		{"other protocol", "\x00\x04HTTP\x04\x02\x00\x3c\x00\x01c", ""},
		{"will in 4", "\x00\x04MQTT\x04\x06\x00\x3c\x00\x01c\x00\x01t\x00\x01x", "\x20\x02\x00\x05"},
		{"will in 5", "\x00\x04MQTT\x05\x06\x00\x3c\x00\x00\x01c\x00\x00\x01t\x00\x01x", "\x20\x03\x00\x87\x00"},
		{"extended authentication", "\x00\x04MQTT\x05\x02\x00\x3c\x04\x15\x00\x01k\x00\x01c", "\x20\x03\x00\x8c\x00"},
		{"no id and no clean session", "\x00\x04MQTT\x04\x00\x00\x3c\x00\x00", "\x20\x02\x00\x02"},
		{"reserved flag in 4", "\x00\x04MQTT\x04\x03\x00\x3c\x00\x01c", ""},
		{"reserved flag in 5", "\x00\x04MQTT\x05\x03\x00\x3c\x00\x00\x01c", "\x20\x03\x00\x81\x00"},
		{"property twice", "\x00\x04MQTT\x05\x02\x00\x3c\x06\x22\x00\x01\x22\x00\x01\x00\x01c", "\x20\x03\x00\x81\x00"},
		{"password without user in 4", "\x00\x04MQTT\x04\x42\x00\x3c\x00\x01c\x00\x01p", ""},
		{"trailing byte", "\x00\x04MQTT\x04\x02\x00\x3c\x00\x01cX", ""},
		{"NUL in id", "\x00\x04MQTT\x04\x02\x00\x3c\x00\x01\x00", ""},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			r := newRig(t, Filter{Dial: func(context.Context, string, string) (net.Conn, error) {
				t.Error("the broker was dialled")
				return nil, errors.New("no")
			}})
			r.send(r.client, encode(connect, 0, []byte(c.hello)))
			r.expect(r.client, []byte(c.answer))
			r.expectEnd(r.client)
			if r.result() == nil {
				t.Error("no error")
			}
		})
	}
}

func TestConnectIsRewritten(t *testing.T) {
	f := Filter{ClientPrefix: "alice/", User: "device", Password: "secret", Limits: Limits{SessionExpiry: time.Minute}}
	for _, c := range []struct{ name, hello, forwarded, ack, answer string }{
		{"credentials, clean session", "\x00\x04MQTT\x04\xc0\x00\x3c\x00\x01c\x00\x01u\x00\x01p",
			"\x00\x04MQTT\x04\xc2\x00\x3c\x00\x07alice/c\x00\x06device\x00\x06secret", "\x00\x00", "\x00\x00"},
		{"session expiry, user properties", "\x00\x04MQTT\x05\x00\x00\x3c\x0c\x11\x00\x00\xff\xff\x26\x00\x01a\x00\x01b\x00\x01c",
			"\x00\x04MQTT\x05\xc0\x00\x3c\x0a\x11\x00\x00\x00\x3c\x27\x00\x10\x00\x00\x00\x07alice/c\x00\x06device\x00\x06secret",
			"\x01\x00\x18\x12\x00\x01x\x1c\x00\x01s\x1f\x00\x01r\x1a\x00\x01i\x21\x00\x09\x22\x00\x05\x24\x01",
			"\x01\x00\x0e\x11\x00\x00\x00\x3c\x24\x01\x27\x00\x01\x00\x00\x2a\x00"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			r := newRig(t, f)
			r.send(r.client, encode(connect, 0, []byte(c.hello)))
			r.accept()
			r.expect(r.broker, encode(connect, 0, []byte(c.forwarded)))
			r.send(r.broker, encode(connack, 0, []byte(c.ack)))
			r.expect(r.client, encode(connack, 0, []byte(c.answer)))
		})
	}
}

func TestBrokerRefusesDevice(t *testing.T) {
	r := newRig(t, Filter{})
	r.send(r.client, encode(connect, 0, []byte("\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c")))
	r.accept()
	r.expect(r.broker, encode(connect, 0, []byte("\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c")))
	r.send(r.broker, []byte("\x20\x02\x00\x05"))
	r.expect(r.client, []byte("\x20\x02\x00\x03"))
	r.expectEnd(r.client)
}

func TestBrokerUnreachable(t *testing.T) {
	gone := errors.New("gone")
	r := newRig(t, Filter{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, gone }})
	r.send(r.client, encode(connect, 0, []byte("\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01c")))
	r.expect(r.client, []byte("\x20\x03\x00\x88\x00"))
	r.expectEnd(r.client)
	if err := r.result(); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// TestTooLongPublication: MQTT 3.1.1 has no maximum packet size to tell the broker.
func TestTooLongPublication(t *testing.T) {
	r := connected(t, level4, Filter{Limits: Limits{Packet: 70_000}})
	long := encode(publish, 2, []byte("\x00\x03m/a\x00\x05"+strings.Repeat("x", 100_000)))
	r.send(r.broker, long)
	r.expect(r.broker, []byte("\x40\x02\x00\x05"))
	fits := encode(publish, 2, []byte("\x00\x03m/a\x00\x05"+strings.Repeat("x", 69_000)))
	written := make(chan error, 1)
	go func() {
		_, err := r.broker.Write(fits)
		written <- err
	}()
	r.expect(r.client, fits)
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestSubscriptionsAreBounded(t *testing.T) {
	r := connected(t, level5, Filter{Limits: Limits{Subscriptions: 1}})
	r.play([]step{
		{"c>", "\x82\x0f\x00\x07\x00\x00\x03m/a\x00\x00\x03m/b\x00"}, {"b<", "\x82\x09\x00\x07\x00\x00\x03m/a\x00"},
		{"b>", "\x90\x04\x00\x07\x00\x00"}, {"c<", "\x90\x05\x00\x07\x00\x00\x97"},
		{"c>", "\xa2\x08\x00\x08\x00\x00\x03m/a"}, {"b<", "\xa2\x08\x00\x08\x00\x00\x03m/a"},
		{"b>", "\xb0\x04\x00\x08\x00\x00"}, {"c<", "\xb0\x04\x00\x08\x00\x00"},
		{"c>", "\x82\x09\x00\x07\x00\x00\x03m/b\x00"}, {"b<", "\x82\x09\x00\x07\x00\x00\x03m/b\x00"},
	})
}

func TestCut(t *testing.T) {
	revoked := errors.New("revoked")
	for _, level := range []byte{level4, level5} {
		r := connected(t, level, Filter{})
		r.cancel(revoked)
		if level == level5 {
			r.expect(r.client, []byte("\xe0\x01\x98"))
		}
		r.expectEnd(r.client)
		r.expectEnd(r.broker)
		if err := r.result(); !errors.Is(err, revoked) {
			t.Error(err)
		}
	}
}

// TestCutWhileConsumerDoesNotRead: a write under way does not hold a cut up.
func TestCutWhileConsumerDoesNotRead(t *testing.T) {
	r := connected(t, level5, Filter{})
	m := encode(publish, 0, []byte("\x00\x01m\x00"+strings.Repeat("x", 60_000)))
	r.send(r.broker, m) // the filter has it all and is stuck in writing it
	start := time.Now()
	r.cancel(errors.New("revoked"))
	if r.result() == nil || time.Since(start) > time.Second {
		t.Errorf("cut took %v", time.Since(start))
	}
}

func TestSilentConsumerIsDropped(t *testing.T) {
	r := newRig(t, Filter{Limits: Limits{Connect: time.Millisecond}})
	r.expectEnd(r.client)
	if r.result() == nil {
		t.Error("no error")
	}
}

func TestEnds(t *testing.T) {
	r := connected(t, level5, Filter{})
	r.play([]step{{"c>", "\xe0\x00"}, {"b<", "\xe0\x00"}})
	if err := r.result(); err != nil {
		t.Error(err)
	}
	r = connected(t, level5, Filter{})
	r.broker.Close()
	r.expect(r.client, []byte("\xe0\x01\x8b"))
	if r.result() == nil {
		t.Error("no error after the broker went")
	}
	r = connected(t, level5, Filter{})
	r.client.Close()
	r.expectEnd(r.broker)
	if r.result() == nil {
		t.Error("no error after the consumer went without a word")
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	s := Secret("hunter2")
	if s.String()+s.GoString()+s.LogValue().String() != strings.Repeat("[redacted]", 3) {
		t.Error("a secret prints")
	}
}
