package mqtt

import (
	"bufio"
	"bytes"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// seeds are one packet of each kind that a peer may send, in MQTT 5.
var seeds = []string{
	"\x10\x13\x00\x04MQTT\x05\x02\x00\x3c\x05\x11\x00\x00\x00\x09\x00\x01c",
	"\x10\x1b\x00\x04MQTT\x05\xc6\x00\x3c\x00\x00\x01c\x00\x00\x01t\x00\x01x\x00\x01u\x00\x01p",
	"\x20\x06\x00\x00\x03\x21\x00\x09",
	"\x30\x06\x00\x01m\x00xy", "\x34\x0b\x00\x03m/a\x00\x05\x03\x23\x00\x01", "\x30\x06\x00\x00\x03\x23\x00\x01",
	"\x40\x03\x00\x05\x87", "\x50\x02\x00\x05", "\x62\x02\x00\x05", "\x70\x02\x00\x05",
	"\x82\x0b\x00\x07\x02\x0b\x05\x00\x03m/#\x01", "\x82\x07\x00\x07\x00\x00\x01#\x00",
	"\x90\x04\x00\x07\x00\x01", "\xa2\x08\x00\x08\x00\x00\x03m/a", "\xb0\x04\x00\x08\x00\x11",
	"\xc0\x00", "\xd0\x00", "\xe0\x00", "\xe0\x07\x00\x05\x11\x00\x00\x00\x09", "\xf0\x00",
}

// recode decodes a packet and encodes what the filter holds of it; nil when it is malformed or nothing that is encoded.
func recode(p packet, v5 bool) []byte {
	switch p.kind {
	case connect:
		if h, err := decodeHello(p.body); err == nil {
			return h.encode()
		}
	case connack:
		if w, err := decodeWelcome(p.body, v5); err == nil {
			return w.encode()
		}
	case subscribe, unsubscribe:
		if r, err := decodeRequest(p.kind, p.body, v5); err == nil {
			return r.encode()
		}
	case suback, unsuback:
		if id, codes, err := decodeAnswer(p.kind, p.body, v5); err == nil {
			return encodeAnswer(p.kind, id, codes, v5)
		}
	case puback, pubrec, pubrel, pubcomp:
		if id, code, err := decodeAck(p.kind, p.body, v5); err == nil {
			return encodeAck(p.kind, id, code, v5)
		}
	case publish:
		decodeMessage(p, v5)
	}
	return nil
}

func readOne(b []byte) (packet, error) {
	r := reader{r: bufio.NewReader(bytes.NewReader(b)), limit: 1 << 20}
	return r.next()
}

// FuzzPacket reads hostile bytes. What is accepted and encoded again reads the same from then on.
func FuzzPacket(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, v5 bool) {
		r := reader{r: bufio.NewReader(bytes.NewReader(b)), limit: upPacket}
		for {
			p, err := r.next()
			if err != nil {
				return
			}
			if len(p.body) > publishHead {
				t.Fatalf("a body of %d bytes", len(p.body))
			}
			once := recode(p, v5)
			if once == nil {
				continue
			}
			again, err := readOne(once)
			if err != nil {
				t.Fatalf("%x became %x: %v", p.body, once, err)
			}
			if twice := recode(again, v5); !bytes.Equal(once, twice) {
				t.Fatalf("%x became %x, then %x", p.body, once, twice)
			}
		}
	})
}

// TestSeedsAreAccepted keeps the seeds of the fuzz tests worth something.
func TestSeedsAreAccepted(t *testing.T) {
	kinds := map[kind]bool{}
	for _, s := range seeds {
		p, err := readOne([]byte(s))
		if err != nil {
			t.Errorf("%x: %v", s, err)
		}
		if len(p.head)+len(p.body) != len(s) {
			t.Errorf("%x: %d bytes follow", s, len(s)-len(p.head)-len(p.body))
		}
		kinds[p.kind] = true
		if again := recode(p, true); again == nil && (p.kind < publish || p.kind > publish && p.kind < pingreq) {
			t.Errorf("%s %x is malformed", p.kind, s)
		}
		if _, err := decodeMessage(p, true); p.kind == publish && err != nil {
			t.Errorf("%x: %v", s, err)
		}
	}
	if len(kinds) != 15 {
		t.Errorf("%d kinds of packet", len(kinds))
	}
}

func TestRequestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := request{
			kind: rapid.SampledFrom([]kind{subscribe, unsubscribe}).Draw(t, "kind"),
			v5:   rapid.Bool().Draw(t, "v5"),
			id:   rapid.Uint16Min(1).Draw(t, "id"),
		}
		r.filters = rapid.SliceOfN(rapid.StringMatching(`[a-z/+#$é]{0,20}`), 1, 20).Draw(t, "filters")
		if r.kind == subscribe {
			r.options = rapid.SliceOfN(rapid.ByteRange(0, 2), len(r.filters), len(r.filters)).Draw(t, "options")
			if id := rapid.Uint32Range(0, 1<<28-1).Draw(t, "subscription id"); r.v5 && id > 0 {
				r.properties.set(propSubscriptionID, id)
			}
		}
		p, err := readOne(r.encode())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeRequest(p.kind, p.body, r.v5); err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("%+v became %+v, %v", r, got, err)
		}
	})
}

// TestBuffersFollowWhatArrives: a header that claims 256 MiB costs next to nothing.
func TestBuffersFollowWhatArrives(t *testing.T) {
	r := reader{r: bufio.NewReader(bytes.NewReader([]byte("\x30\xff\xff\xff\x7fabc"))), limit: 256 << 20}
	if _, err := r.next(); err == nil || cap(r.buf) > 1024 {
		t.Errorf("%v, buffer of %d bytes", err, cap(r.buf))
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	b := bytes.Repeat([]byte("\x30\x07\x00\x03m/a\x00x"), 2000)
	s := session{v5: true, client: newSide(nil, 0, 16, 64, 64)}
	s.allowed.Store(&[]string{"m/#"})
	s.client.out.Reset(discard{})
	r := reader{r: bufio.NewReader(bytes.NewReader(b)), limit: 1 << 20}
	n := testing.AllocsPerRun(1000, func() {
		p, err := r.next()
		if err == nil {
			err = s.down(p)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
