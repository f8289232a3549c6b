package wire

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"iod/key"
)

// frames holds one of each frame.
func frames() []Frame {
	id := key.NewNodeKey().ID()
	addr := RelayAddr{Host: "relay.example:7777", ID: id}
	return []Frame{
		Register{Version: 1, Idle: 300},
		Registered{Version: 1},
		Connect{ID: 7, Target: id, Knock: Knock{1, 2, 3}},
		Connect{ID: 8, Target: id, Hops: []RelayAddr{addr, {Host: "[::1]:1", ID: id}}, Knock: Knock{4}},
		TokenFor{ID: 7, Life: 60, Token: Token{9}},
		Invite{Session: 1 << 40, Life: 60, Source: Source{1}, Token: Token{2}, Knock: Knock{3}},
		Cancel{Session: 1 << 40},
		Probe{Session: 5, Seq: 6},
		Probed{Session: 5, Seq: 6, Alive: true, Waits: true, In: 1 << 40, Out: 9},
		Probed{Session: 5, Seq: 7},
		Ping{Seq: 1, Idle: 600},
		Pong{Seq: 1},
		Goodbye{Reason: ReasonDisplaced},
		Goodbye{Reason: ReasonLimit, Text: "frames"},
	}
}

func TestFramesRoundTrip(t *testing.T) {
	body := make([]byte, MaxBody)
	seen := map[Type]bool{}
	var all []byte
	for _, f := range frames() {
		all = Append(all, f)
		seen[f.Type()] = true
	}
	if len(seen) != int(TypeGoodbye) {
		t.Fatalf("%d of %d frame types are tested", len(seen), TypeGoodbye)
	}
	r := bytes.NewReader(all)
	for _, want := range frames() {
		got, err := Read(r, body)
		if err != nil {
			t.Fatalf("%T: %v", want, err)
		}
		if g, ok := got.(Connect); ok && len(g.Hops) > 0 {
			want.(Connect).Hops[0].ID, want.(Connect).Hops[1].ID = g.Hops[0].ID, g.Hops[1].ID // fresh keys each time
		}
		normal(&got, &want)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if _, err := Read(r, body); err != io.EOF {
		t.Errorf("after the last frame: %v", err)
	}
}

// normal makes the random targets alike.
func normal(a, b *Frame) {
	if f, ok := (*a).(Connect); ok {
		g := (*b).(Connect)
		g.Target = f.Target
		*b = g
	}
}

func TestBadFramesAreRefused(t *testing.T) {
	for _, f := range frames() {
		whole := Append(nil, f)
		body := whole[HeaderSize:]
		for n := range body {
			if _, ok := f.(Goodbye); ok && n > 0 {
				continue // any text is one
			}
			if g, err := Parse(f.Type(), body[:n]); err == nil {
				t.Errorf("%T cut to %d of %d bytes parsed as %+v", f, n, len(body), g)
			}
		}
		longer := append(bytes.Clone(body), 0)
		if g, err := Parse(f.Type(), longer); err == nil {
			t.Errorf("%T with a byte behind parsed as %+v", f, g)
		}
		for n := range whole {
			if _, err := Read(bytes.NewReader(whole[:n]), make([]byte, MaxBody)); err == nil {
				t.Errorf("%T cut to %d bytes was read", f, n)
			}
		}
	}
	if _, err := Parse(0x7f, nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown type: %v", err)
	}
	if f, err := Parse(TypeOptional, []byte("whatever")); f != nil || err != nil {
		t.Errorf("an unknown optional type: %v, %v", f, err)
	}
	if _, err := Read(bytes.NewReader([]byte{byte(TypeOptional), 0xff, 0xff}), make([]byte, MaxBody)); err == nil {
		t.Error("a frame of 65535 bytes was read")
	}
	bad := Connect{Hops: []RelayAddr{{Host: "no port"}}}
	if _, err := Parse(TypeConnect, bad.appendBody(nil)); err == nil {
		t.Error("a hop without a port parsed")
	}
	if _, err := Parse(TypeGoodbye, []byte("\x00evil\n")); err == nil {
		t.Error("a line break in a text that ends up in logs parsed")
	}
}

func FuzzFrame(f *testing.F) {
	seeds := 0
	for _, v := range frames() {
		f.Add(Append(nil, v))
		seeds++
	}
	if seeds < 10 {
		f.Fatal("the seeds are gone")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		v, err := Read(r, make([]byte, MaxBody))
		if err != nil || v == nil {
			return
		}
		used := b[:len(b)-r.Len()]
		if again := Append(nil, v); !bytes.Equal(again, used) {
			t.Errorf("%x parsed as %+v, which encodes to %x", used, v, again)
		}
	})
}

func TestPreamble(t *testing.T) {
	want := Token{1, 2, 3}
	b := Preamble(want)
	if len(b) != PreambleSize || b[0] != FirstData {
		t.Fatalf("preamble %x", b)
	}
	r := bytes.NewReader(append(b[1:], 'x'))
	got, err := ReadPreamble(r)
	if err != nil || got != want || r.Len() != 1 {
		t.Errorf("token %x, %v, %d bytes left", got, err, r.Len())
	}
	for n := range PreambleSize - 1 {
		if _, err := ReadPreamble(bytes.NewReader(b[1 : 1+n])); err == nil {
			t.Errorf("%d bytes were a preamble", n)
		}
	}
	b[3] = 2
	if _, err := ReadPreamble(bytes.NewReader(b[1:])); !errors.Is(err, errPreamble) {
		t.Errorf("version 2: %v", err)
	}
}

func TestRelayAddr(t *testing.T) {
	id := key.NewNodeKey().ID()
	for _, host := range []string{"relay.example:7777", "127.0.0.1:1", "[2001:db8::1]:65535", "a-b_c:9"} {
		s := "tls://" + host + "/" + id.String()
		a, err := ParseRelayAddr(s)
		if err != nil || a.String() != s || a.ID != id || a.Host != host {
			t.Errorf("%s: %+v, %v", s, a, err)
		}
		var b RelayAddr
		if err := b.UnmarshalText([]byte(s)); err != nil || b != a {
			t.Errorf("%s as text: %+v, %v", s, b, err)
		}
	}
	for _, s := range []string{
		"", "relay.example:7777", "tcp://relay.example:7777/" + id.String(), "tls://relay.example:7777",
		"tls://relay.example:7777/", "tls://relay.example:7777/" + id.String()[1:], "tls://relay.example:7777/" + id.String() + "/",
		"tls://relay.example/" + id.String(), "tls://:7777/" + id.String(), "tls://relay.example:0/" + id.String(),
		"tls://relay.example:65536/" + id.String(), "tls://relay.example:http/" + id.String(), "tls://relay.example:077/" + id.String(),
		"tls://re lay:1/" + id.String(), "tls://a@b:1/" + id.String(), "tls://" + strings.Repeat("a", 300) + ":1/" + id.String(),
	} {
		if a, err := ParseRelayAddr(s); err == nil {
			t.Errorf("%q parsed as %+v", s, a)
		}
	}
}

func FuzzRelayAddr(f *testing.F) {
	f.Add("tls://relay.example:7777/g5zkjxhge9jqjfvjm1s539xgc7pqt1h9gm59txg1xn4xazfqqbwg")
	f.Add("tls://a:1/G5ZKJXHGE9JQJFVJM1S539XGC7PQT1H9GM59TXG1XN4XAZFQQBWG")
	f.Add("tls://[::1]:7777/g5zkjxhge9jqjfvjm1s539xgc7pqt1h9gm59txg1xn4xazfqqbwg")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseRelayAddr(s)
		if err != nil {
			return
		}
		// Node ids may be written in capitals: the law holds from the second time on.
		if b, err := ParseRelayAddr(a.String()); err != nil || b != a {
			t.Errorf("%q parsed as %s, which parses as %s, %v", s, a, b, err)
		}
	})
}

// ends is a consumer's account in one scheme, and a device.
type ends struct {
	pair   *key.Pair
	device key.NodeKey
	opener *Opener
}

func newEnds(t testing.TB, s key.Scheme) ends {
	t.Helper()
	pair, err := key.FromURI(s, "//Consumer")
	if err != nil {
		t.Fatal(err)
	}
	e := ends{pair: pair, device: key.NewNodeKey()}
	x, err := e.device.X25519()
	if err != nil {
		t.Fatal(err)
	}
	if e.opener, err = NewOpener(x); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e ends) request() Request {
	r := Request{
		Node: key.NewNodeKey().ID(), Device: e.device.ID(), Relay: key.NewNodeKey().ID(),
		Time: time.UnixMilli(1_700_000_000_123), Stream: "measurements",
	}
	rand.Read(r.Nonce[:]) //nolint:errcheck // never fails
	return r
}

func TestKnockRoundTrip(t *testing.T) {
	for _, s := range []key.Scheme{key.Ed25519, key.Sr25519, key.Ecdsa} {
		e := newEnds(t, s)
		for _, stream := range []string{"s", strings.Repeat("x", MaxStream)} {
			q := e.request()
			q.Stream = stream
			k, err := q.Seal(e.pair)
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.opener.Open(&k)
			if err != nil {
				t.Fatalf("scheme %d: %v", s, err)
			}
			if err := got.Verify(); err != nil {
				t.Errorf("scheme %d: %v", s, err)
			}
			q.Account = e.pair.Public()
			if got.Account.Account() != e.pair.Account() || got.Node != q.Node || got.Device != q.Device || got.Relay != q.Relay ||
				!got.Time.Equal(q.Time) || got.Nonce != q.Nonce || got.Stream != stream {
				t.Errorf("scheme %d: got %+v, want %+v", s, got.Request, q)
			}
			if again, err := e.opener.Open(&k); err != nil || !reflect.DeepEqual(again.signed, got.signed) {
				t.Error("opening twice differs")
			}
		}
	}
}

func TestKnockForged(t *testing.T) {
	e := newEnds(t, key.Sr25519)
	k, err := e.request().Seal(e.pair)
	if err != nil {
		t.Fatal(err)
	}
	other := newEnds(t, key.Sr25519)
	if _, err := other.opener.Open(&k); !errors.Is(err, ErrKnockSealed) {
		t.Errorf("another node opened it: %v", err)
	}
	for at := 0; at < KnockSize; at += 13 {
		bad := k
		bad[at] ^= 0x40
		if _, err := e.opener.Open(&bad); err == nil {
			t.Errorf("a bit flipped at %d was not noticed", at)
		}
	}
	// Every signed byte counts: change each inside a fresh seal.
	o, err := e.opener.Open(&k)
	if err != nil {
		t.Fatal(err)
	}
	plain := append(bytes.Clone(o.signed), o.sig.Bytes()...)
	accepted := 0
	for at := range plain {
		changed := bytes.Clone(plain)
		changed[at] ^= 1
		sealed, err := sealPlain(e.device.ID(), changed)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.opener.Open(&sealed)
		if err == nil && got.Verify() == nil {
			t.Errorf("a change of plaintext byte %d was accepted", at)
			accepted++
		}
	}
	if accepted > 0 || len(plain) < 200 {
		t.Errorf("%d of %d changes accepted", accepted, len(plain))
	}
}

func TestKnockRefusesBadStreams(t *testing.T) {
	e := newEnds(t, key.Ed25519)
	for _, s := range []string{"", strings.Repeat("x", MaxStream+1)} {
		q := e.request()
		q.Stream = s
		if _, err := q.Seal(e.pair); err == nil {
			t.Errorf("a name of %d bytes was sealed", len(s))
		}
	}
}

func FuzzKnockPlain(f *testing.F) {
	seeds := 0
	for _, s := range []key.Scheme{key.Ed25519, key.Sr25519, key.Ecdsa} {
		e := newEnds(f, s)
		k, err := e.request().Seal(e.pair)
		if err != nil {
			f.Fatal(err)
		}
		o, err := e.opener.Open(&k)
		if err != nil {
			f.Fatal(err)
		}
		var plain [knockPlain]byte
		copy(plain[copy(plain[:], o.signed):], o.sig.Bytes())
		f.Add(plain[:])
		seeds++
	}
	if seeds != 3 {
		f.Fatal("the seeds are gone")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := parseKnock(b)
		if err != nil {
			return
		}
		again := append(o.appendSigned(nil), o.sig.Bytes()...)
		if !bytes.Equal(again, b[:len(again)]) || len(bytes.Trim(b[len(again):], "\x00")) > 0 {
			t.Errorf("%x parsed as %+v, which encodes to %x", b, o.Request, again)
		}
	})
}

func BenchmarkKnock(b *testing.B) {
	for name, s := range map[string]key.Scheme{"ed25519": key.Ed25519, "sr25519": key.Sr25519, "ecdsa": key.Ecdsa} {
		e := newEnds(b, s)
		k, err := e.request().Seal(e.pair)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("seal-"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := e.request().Seal(e.pair); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("open-"+name, func(b *testing.B) {
			for b.Loop() {
				o, err := e.opener.Open(&k)
				if err != nil || o.Verify() != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
