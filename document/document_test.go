package document

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"iod/key"
)

// recorded is a document of the existing marketplace, of the account //Alice.
func recorded(t testing.TB) ([]byte, Document) {
	t.Helper()
	b, err := os.ReadFile("../../shared/peaq/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Document struct {
			Hex  string
			JSON struct {
				ID, Controller  string
				Services        []Service
				Authentications []string
			}
		}
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(v.Document.Hex, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	j := v.Document.JSON
	return raw, Document{ID: j.ID, Controller: j.Controller, Services: j.Services, Authentications: j.Authentications}
}

func pair(t testing.TB, s key.Scheme, uri string) *key.Pair {
	t.Helper()
	p, err := key.FromURI(s, uri)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRecordedDocumentRoundTrip(t *testing.T) {
	raw, want := recorded(t)
	doc, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if doc.ID != want.ID || doc.Controller != want.Controller || !reflect.DeepEqual(doc.Services, want.Services) ||
		!reflect.DeepEqual(doc.Authentications, want.Authentications) || len(doc.Services) != 9 {
		t.Errorf("parsed %+v, want %+v", doc, want)
	}
	if got := doc.Encode(); !bytes.Equal(got, raw) {
		t.Errorf("encodes to %x, want %x", got, raw)
	}
}

// The existing marketplace's reader takes what its writer writes: our writer, given the same device, must give the same bytes.
func TestRecordedDeviceRoundTrip(t *testing.T) {
	raw, _ := recorded(t)
	alice := pair(t, key.Sr25519, "//Alice")
	d, v, err := ReadDevice(alice.Account(), DeviceAttribute, raw)
	if err != nil {
		t.Fatal(err)
	}
	if v.State != Unverified || v.Reason == "" || v.Vouched {
		t.Errorf("verdict %+v, want unverified", v)
	}
	node, err := key.ParseNodeID("g5zkjxhge9jqjfvjm1s539xgc7pqt1h9gm59txg1xn4xazfqqbwg")
	if err != nil {
		t.Fatal(err)
	}
	want := Device{Account: alice.Account(), Node: node, DataType: "temperature", Location: "40.1949288120072,44.55177253802097",
		PriceAccess: "42.03995", PricePin: "445.12222", Topics: []string{"measurements", "alarms"},
		Additional: []Additional{{"microcontroller", `"stm32"`}}}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got %+v\nwant %+v", d, want)
	}
	if got := d.Additional[0]; got.Text() != "stm32" || got != NewAdditional("microcontroller", "stm32") {
		t.Errorf("additional field reads %q", got.Text())
	}
	doc, err := d.document(alice.Public())
	if err != nil {
		t.Fatal(err)
	}
	if got := doc.Encode(); !bytes.Equal(got, raw) {
		t.Errorf("device encodes to\n%x, want\n%x", got, raw)
	}
}

func example(t testing.TB, p *key.Pair) Device {
	t.Helper()
	owner := pair(t, key.Sr25519, "//Bob")
	vouch, err := SignVouch(owner, p.Account())
	if err != nil {
		t.Fatal(err)
	}
	account := owner.Account()
	node := key.NodeKeyFromSeed([32]byte{7}).ID()
	return Device{Account: p.Account(), Node: node, DataType: "weather", Location: "40.19,44.55", PricePin: "445.12222",
		Topics: []string{"measurements/#"}, Sequence: 1700000000000, Relays: []string{"tls://relay.example:7777/" + node.String()},
		Owner: &account, Vouch: vouch, Fleet: "harbour",
		Streams: []Stream{{Name: "measurements", Kind: "mqtt", DataType: "wind_speed", Unit: "m/s", Description: "a <b> & \"c\"",
			Topics: []string{"measurements/#"}, Price: "42.03995", Period: "30d"}, {Name: "camera", Kind: "rtsp"}},
		Additional: []Additional{NewAdditional("microcontroller", "stm32"), {"pins", "8"}}}
}

func mustSign(t testing.TB, d Device, p *key.Pair) []byte {
	t.Helper()
	raw, err := d.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSignedDeviceReads(t *testing.T) {
	for _, s := range []key.Scheme{key.Sr25519, key.Ed25519, key.Ecdsa} {
		p := pair(t, s, "//Device")
		want := example(t, p)
		got, v, err := ReadDevice(p.Account(), DeviceAttribute, mustSign(t, want, p))
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if v != (Verdict{State: Verified, Vouched: true}) {
			t.Errorf("%s: verdict %+v", s, v)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%+v, want\n%+v", s, got, want)
		}
	}
}

// What the existing marketplace's reader makes of our document: its own services as ever, all others as additional fields.
func TestOurDocumentIsVersionOne(t *testing.T) {
	p := pair(t, key.Sr25519, "//Device")
	doc, err := Parse(mustSign(t, example(t, p), p))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range doc.Services {
		if !strings.HasPrefix(s.Type, ours) {
			got[s.Type] = s.Data
			if s.ID != p.Account().DID()+"#"+s.Type {
				t.Errorf("service id %s", s.ID)
			}
		}
	}
	want := map[string]string{"staex_iod_version": "v1", "data_type": "weather", "location": "40.19,44.55", "price_pin": "445.12222",
		"staex_mcc_id": key.NodeKeyFromSeed([32]byte{7}).ID().String(), "mqtt_topic": "measurements/#",
		"microcontroller": `"stm32"`, "pins": "8"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The digest is a format that others must be able to compute: here it is put together by hand from the wire bytes.
func TestSignatureCoversWireBytes(t *testing.T) {
	p := pair(t, key.Ed25519, "//Device")
	raw := mustSign(t, example(t, p), p)
	var rest []byte
	var hash string
	for b := raw; len(b) > 0; {
		number, typ, tag := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(number, typ, b[tag:])
		if number != 4 {
			rest = append(rest, b[:tag+size]...)
		} else {
			inner, _ := protowire.ConsumeBytes(b[tag:])
			hash = string(inner[len(inner)-130:])
		}
		b = b[tag+size:]
	}
	sum := digest(p.Account(), DeviceAttribute, rest)
	raw64, err := hex.DecodeString(strings.TrimPrefix(hash, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := key.NewSignature(key.Ed25519, raw64)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Public().Verify(sum[:], sig) {
		t.Error("the signature is not over the bytes without field 4")
	}
	want := "iod/document/1\x00" + p.Account().DID() + "\x00staex-iod-device\x00"
	if sum != blake256([]byte(want), rest) {
		t.Error("the digest is not that of the documented form")
	}
}

func TestForgeries(t *testing.T) {
	device, stranger := pair(t, key.Sr25519, "//Device"), pair(t, key.Sr25519, "//Stranger")
	good := mustSign(t, example(t, device), device)
	sealed := func(change func(*Document)) []byte {
		doc, err := Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		change(doc)
		return doc.Encode()
	}
	second := func() []byte {
		doc, _ := Parse(good)
		return append(bytes.Clone(good), doc.sealed...)
	}
	foreign := example(t, stranger)
	foreign.Account = stranger.Account()
	overlong := func() []byte { // the signature's length in two bytes where it takes two: as three
		doc, _ := Parse(good)
		i := bytes.Index(good, doc.sealed)
		body, _ := protowire.ConsumeBytes(doc.sealed[1:])
		out := append(bytes.Clone(good[:i]), 0x22, byte(len(body))|0x80, byte(len(body)>>7)|0x80, 0)
		return append(append(out, body...), good[i+len(doc.sealed):]...)
	}
	cases := []struct {
		name    string
		account key.AccountID
		attr    string
		raw     []byte
		state   State
		reason  string
	}{
		{"good", device.Account(), DeviceAttribute, good, Verified, ""},
		{"copied under another DID", stranger.Account(), DeviceAttribute, good, Forged, "it speaks for did:peaq:"},
		{"copied under another attribute", device.Account(), ClientAttribute, good, Forged, "does not hold"},
		{"changed after signing", device.Account(), DeviceAttribute, sealed(func(d *Document) { d.Services[1].Data = "gold" }), Forged, "does not hold"},
		{"a service taken out", device.Account(), DeviceAttribute, sealed(func(d *Document) { d.Services = d.Services[:8] }), Forged, "does not hold"},
		{"signature taken out", device.Account(), DeviceAttribute, sealed(func(d *Document) { d.Signature = nil }), Unverified, "not signed"},
		{"other key type", device.Account(), DeviceAttribute, sealed(func(d *Document) { d.Signature.Type = 0 }), Forged, "does not hold"},
		{"unknown key type", device.Account(), DeviceAttribute, sealed(func(d *Document) { d.Signature.Type = 7 }), Forged, "known key type"},
		{"no issuer", device.Account(), DeviceAttribute, sealed(func(d *Document) { d.Signature.Issuer = "" }), Forged, "issuer"},
		{"upper-case hash", device.Account(), DeviceAttribute, sealed(func(d *Document) { d.Signature.Hash = "0x" + strings.ToUpper(d.Signature.Hash[2:]) }), Forged, "lower-case"},
		{"short hash", device.Account(), DeviceAttribute, sealed(func(d *Document) { d.Signature.Hash = "0x00" }), Forged, "signature"},
		{"empty signature", device.Account(), DeviceAttribute, sealed(func(d *Document) { d.Signature = &Signature{} }), Forged, "issuer"},
		{"the same signature twice", device.Account(), DeviceAttribute, second(), Forged, "2 signatures"},
		{"overlong length of field 4", device.Account(), DeviceAttribute, overlong(), Forged, "canonical"},
		{"an unknown field added", device.Account(), DeviceAttribute, protowire.AppendVarint(protowire.AppendTag(bytes.Clone(good), 9, 0), 1), Forged, "does not hold"},
		{"no id", device.Account(), DeviceAttribute, sealed(func(d *Document) { d.ID = "" }), Forged, "is no DID"},
		{"signed by a stranger", device.Account(), DeviceAttribute, mustSign(t, foreign, stranger), Forged, "it speaks for"},
	}
	for _, c := range cases {
		if c.name == "no id" { // the streams' ids would not fit a document without one
			doc, _ := Parse(good)
			doc.ID = ""
			if v := doc.Judge(c.account, c.attr); v.State != Forged || !strings.Contains(v.Reason, c.reason) {
				t.Errorf("%s: %+v", c.name, v)
			}
			continue
		}
		_, v, err := ReadDevice(c.account, c.attr, c.raw)
		if err != nil || v.State != c.state || !strings.Contains(v.Reason, c.reason) || v.Vouched != (c.state == Verified) {
			t.Errorf("%s: verdict %+v, error %v; want %s", c.name, v, err, c.state)
		}
	}
}

// A field 4 within a service is that service's data and no signature.
func TestNestedFieldFourIsNoSignature(t *testing.T) {
	raw, _ := recorded(t)
	doc, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if doc.signatures != 0 || !bytes.Equal(doc.rest, raw) {
		t.Errorf("%d signatures, %d of %d bytes left", doc.signatures, len(doc.rest), len(raw))
	}
}

func TestEcdsaRecoveryCodeIsCanonical(t *testing.T) {
	p := pair(t, key.Ecdsa, "//Device")
	doc, err := Parse(mustSign(t, example(t, p), p))
	if err != nil {
		t.Fatal(err)
	}
	// Substrate also takes recovery codes from 27 on: another text for the same signature.
	h := doc.Signature.Hash
	code := map[string]string{"00": "1b", "01": "1c"}[h[len(h)-2:]]
	doc.Signature.Hash = h[:len(h)-2] + code
	if _, v, err := ReadDevice(p.Account(), DeviceAttribute, doc.Encode()); err != nil || v.State != Forged {
		t.Errorf("verdict %+v, error %v", v, err)
	}
}

func TestOwnerNeedsVouch(t *testing.T) {
	p, owner, other := pair(t, key.Sr25519, "//Device"), pair(t, key.Ecdsa, "//Owner"), pair(t, key.Ed25519, "//Other")
	vouch := func(by *key.Pair, device key.AccountID) string {
		s, err := SignVouch(by, device)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, c := range []struct {
		name, vouch string
		want        bool
	}{
		{"right", vouch(owner, p.Account()), true},
		{"none", "", false},
		{"of another device", vouch(owner, other.Account()), false},
		{"by another account", vouch(other, p.Account()), false},
		{"no hex", "0xzz", false},
		{"upper case", "0x" + strings.ToUpper(vouch(owner, p.Account())[2:]), false},
	} {
		d := example(t, p)
		account := owner.Account()
		d.Owner, d.Vouch = &account, c.vouch
		_, v, err := ReadDevice(p.Account(), DeviceAttribute, mustSign(t, d, p))
		if err != nil || v.State != Verified || v.Vouched != c.want {
			t.Errorf("%s: verdict %+v, error %v, want vouched %v", c.name, v, err, c.want)
		}
	}
	if !VerifyVouch(other.Account(), p.Account(), vouch(other, p.Account())) {
		t.Error("an ed25519 owner's vouch does not hold")
	}
}

func TestReplaces(t *testing.T) {
	v := func(n uint64) Standing { return Standing{Verified, n} }
	u := func(n uint64) Standing { return Standing{Unverified, n} }
	for i, c := range []struct {
		current, next Standing
		want          bool
	}{
		{Standing{}, v(1), true}, {Standing{}, v(0), true}, {Standing{}, u(0), true}, {Standing{}, Standing{Forged, 9}, false},
		{v(5), v(6), true}, {v(5), v(5), false}, {v(5), v(4), false}, {v(5), v(0), false},
		{v(5), u(9), false}, {v(5), Standing{Forged, 9}, false}, {v(0), u(0), false}, {v(0), v(1), true},
		{u(9), v(1), true}, {u(9), u(0), true}, {u(0), u(0), true}, {u(0), Standing{Forged, 9}, false},
		{Standing{Forged, 9}, v(1), true}, {Standing{Forged, 9}, u(0), true}, {v(1), Standing{}, false},
	} {
		if got := Replaces(c.current, c.next); got != c.want {
			t.Errorf("case %d: Replaces(%v, %v) = %v", i, c.current, c.next, got)
		}
	}
}

func TestClient(t *testing.T) {
	p := pair(t, key.Ed25519, "//Consumer")
	c := Client{Account: p.Account(), Node: key.NodeKeyFromSeed([32]byte{9}).ID(), Sequence: 5}
	raw, err := c.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	got, v, err := ReadClient(p.Account(), ClientAttribute, raw)
	if err != nil || got != c || v.State != Verified {
		t.Errorf("got %+v, %+v, %v", got, v, err)
	}
	if _, v, err = ReadClient(p.Account(), DeviceAttribute, raw); err != nil || v.State != Forged {
		t.Errorf("as a device's: %+v, %v", v, err)
	}
	// A consumer of the existing marketplace: one service, no signature.
	v1 := skeleton(p.Account(), p.Public())
	v1.Services = []Service{{ID: v1.ID + "#staex_mcc_id", Type: "staex_mcc_id", Data: c.Node.String()}}
	if got, v, err = ReadClient(p.Account(), ClientAttribute, v1.Encode()); err != nil || got.Node != c.Node || v.State != Unverified {
		t.Errorf("version 1: %+v, %+v, %v", got, v, err)
	}
	if _, err := c.Sign(pair(t, key.Ed25519, "//Other")); err == nil {
		t.Error("signed with another account's key")
	}
}

func TestSignRefuses(t *testing.T) {
	p := pair(t, key.Sr25519, "//Device")
	for name, change := range map[string]func(*Device){
		"no sequence":       func(d *Device) { d.Sequence = 0 },
		"is that of":        func(d *Device) { d.Account[0]++ },
		"price":             func(d *Device) { d.PriceAccess = "1e5" },
		"twice":             func(d *Device) { d.Streams = append(d.Streams, d.Streams[0]) },
		"kind":              func(d *Device) { d.Streams[0].Kind = "carrier-pigeon" },
		"1 to 32":           func(d *Device) { d.Streams[0].Name = "Über" },
		"topic":             func(d *Device) { d.Topics = []string{"a/#/b"} },
		"relay":             func(d *Device) { d.Relays = []string{"relay.example:7777"} },
		"meaning of its":    func(d *Device) { d.Additional[0].Type = "iod_owner" },
		"a meaning":         func(d *Device) { d.Additional[0].Type = "data_type" },
		"control character": func(d *Device) { d.DataType = "a\x1b[2Jb" },
		"vouch without":     func(d *Device) { d.Owner = nil },
		"period":            func(d *Device) { d.Streams[0].Period = "a month" },
		"not UTF-8":         func(d *Device) { d.Additional[0].Data = "\xff" },
		"longer than":       func(d *Device) { d.Additional[0].Data = strings.Repeat("x", maxText+1) },
		"are more than": func(d *Device) {
			d.Additional = nil
			for range 12 {
				d.Additional = append(d.Additional, Additional{"big", strings.Repeat("x", maxText)})
			}
		},
	} {
		d := example(t, p)
		change(&d)
		if _, err := d.Sign(p); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	p := pair(t, key.Sr25519, "//Device")
	good := mustSign(t, example(t, p), p)
	service := func(s Service) []byte {
		doc := skeleton(p.Account(), p.Public())
		doc.Services = []Service{{ID: "x", Type: typeVersion, Data: version1}, s}
		return doc.Encode()
	}
	many := &Document{ID: p.Account().DID()}
	for range MaxServices + 1 {
		many.Services = append(many.Services, Service{Type: "x"})
	}
	did := p.Account().DID()
	cases := map[string][]byte{
		"empty":                 nil,
		"truncated":             good[:len(good)-1],
		"garbage":               []byte("dead beef"),
		"of a removed device":   {0xde, 0xad},
		"huge":                  make([]byte, MaxSize+1),
		"too many services":     many.Encode(),
		"group":                 {0x3b, 0x3c},
		"id as a number":        {0x08, 0x01},
		"not UTF-8":             {0x0a, 0x01, 0xff},
		"length beyond the end": {0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"no version":            skeleton(p.Account(), p.Public()).Encode(),
		"other version":         service(Service{Type: typeVersion, Data: "v2"}),
		"price NaN":             service(Service{Type: typeAccess, Data: "NaN"}),
		"price inf":             service(Service{Type: typePin, Data: "inf"}),
		"price negative":        service(Service{Type: typePin, Data: "-1"}),
		"price exponent":        service(Service{Type: typePin, Data: "1e9"}),
		"price absurd":          service(Service{Type: typePin, Data: strings.Repeat("9", 41)}),
		"sequence":              service(Service{Type: typeSequence, Data: "007"}),
		"owner":                 service(Service{Type: typeOwner, Endpoint: "me"}),
		"fleet":                 service(Service{Type: typeFleet, Data: "Two Words"}),
		"relay":                 service(Service{Type: typeRelay, Endpoint: "http://x"}),
		"stream without JSON":   service(Service{ID: did + "#s", Type: typeStream, Data: "{"}),
		"stream elsewhere":      service(Service{ID: did + "#s", Type: typeStream, Endpoint: "iod://x/s", Data: `{"kind":"tcp"}`}),
		"stream of another":     service(Service{ID: "did:x#s", Type: typeStream, Data: `{"kind":"tcp"}`}),
		"stream's price":        service(Service{ID: did + "#s", Type: typeStream, Data: `{"kind":"tcp","price":"x"}`}),
	}
	for name, raw := range cases {
		if _, _, err := ReadDevice(p.Account(), DeviceAttribute, raw); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
}

func TestFields(t *testing.T) {
	for in, want := range map[string]string{"42.03995": "42.03995", "042.50": "42.5", "0": "0", "0.0": "0", "00": "0", "1.000000000000000001": "1.000000000000000001",
		"": "", ".5": "", "5.": "", "1e5": "", "-1": "", "+1": "", " 1": "", "1,5": "", "0x10": "", "1.0000000000000000001": "", "NaN": "",
		strings.Repeat("9", 40): strings.Repeat("9", 40), strings.Repeat("9", 41): ""} {
		if got, err := NormalPrice(in); got != want || (err == nil) != (want != "") {
			t.Errorf("NormalPrice(%q) = %q, %v", in, got, err)
		}
	}
	// What the existing marketplace's writer makes of 0.1 + 0.2 and of 1e-7.
	for in, want := range map[string]string{"0.30000000000000004": "0.30000000000000004", "0.00000000000000000012": "0", "0.0000001": "0.0000001"} {
		if got, err := readPrice(in); got != want || err != nil {
			t.Errorf("readPrice(%q) = %q, %v", in, got, err)
		}
	}
	for in, want := range map[string]bool{"40.1,44.5": true, " -90 , 180": true, "Yerevan": false, "91,0": false, "0,181": false, "NaN,0": false, "inf,0": false, "1,2,3": false, ",": false, "": false} {
		if _, _, ok := ParseLocation(in); ok != want {
			t.Errorf("ParseLocation(%q): %v", in, ok)
		}
	}
	for in, want := range map[string]bool{"a": true, "a/#": true, "#": true, "+/b/+": true, "/": true, "a//b": true, "$SYS/x": true, "": false,
		"a#": false, "#/a": false, "a/+b": false, "a\x00": false, "\xff": false, strings.Repeat("a", 1025): false} {
		if got := ValidTopicFilter(in); got != want {
			t.Errorf("ValidTopicFilter(%q): %v", in, got)
		}
	}
	for in, want := range map[string]string{"30d": "720h0m0s", "12h": "12h0m0s", "15m": "15m0s", "90s": "1m30s", "0d": "", "d": "", "1.5h": "", "99999d": "2399976h0m0s", "100000d": "", "1w": ""} {
		if got, err := ParsePeriod(in); (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("ParsePeriod(%q) = %v, %v", in, got, err)
		}
	}
	for in, want := range map[string]string{`"stm32"`: "stm32", "8": "8", "true": "true", `'say "hi"'`: `say "hi"`, `"broken`: `"broken`, "": "", "'": "'"} {
		if got := (Additional{"x", in}).Text(); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRenderShowsOwnerOnlyWhenVouched(t *testing.T) {
	p := pair(t, key.Sr25519, "//Device")
	d := example(t, p)
	for _, vouched := range []bool{true, false} {
		b, err := Render(d, Verdict{State: Verified, Vouched: vouched})
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Owner   *string
			Verdict Verdict
			Streams []struct{ Name, Kind string }
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if (got.Owner != nil) != vouched || got.Verdict.State != Verified || len(got.Streams) != 2 || got.Streams[0].Name != "measurements" || got.Streams[0].Kind != "mqtt" {
			t.Errorf("vouched %v: %s", vouched, b)
		}
	}
	b, err := json.Marshal(d)
	if err != nil || strings.Contains(string(b), `"owner"`) {
		t.Errorf("%s, %v", b, err)
	}
}
