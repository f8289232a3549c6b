package storetest

import (
	"fmt"
	"strings"
	"testing"

	"iod/document"
	"iod/key"
)

// Poisoned is something that an account may write to its own DID and that no index may take for a device.
type Poisoned struct {
	Name   string
	Raw    []byte
	Reason string // part of why; empty: whatever
}

// Sealed is a document of these services, signed by p whatever they say.
func Sealed(t testing.TB, p *key.Pair, services ...document.Service) []byte {
	t.Helper()
	did, public := p.Account().DID(), p.Public()
	doc := document.Document{ID: did, Controller: did, Services: services, Authentications: []string{public.String()},
		Methods: []document.VerificationMethod{{ID: public.String(), Type: document.KeyType(public.Scheme()), Controller: did, PublicKey: public.String()}}}
	raw, err := doc.Seal(p, document.DeviceAttribute)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// SealedDevice is a signed device with more services: later ones of a kind count.
func SealedDevice(t testing.TB, p *key.Pair, sequence uint64, more ...document.Service) []byte {
	t.Helper()
	did := p.Account().DID()
	return Sealed(t, p, append([]document.Service{
		{ID: did + "#staex_iod_version", Type: "staex_iod_version", Data: "v1"},
		{ID: did + "#staex_mcc_id", Type: "staex_mcc_id", Data: p.NodeKey().ID().String()},
		{ID: did + "#iod_sequence", Type: "iod_sequence", Data: fmt.Sprint(sequence)},
	}, more...)...)
}

// StreamService is the service of a stream with this JSON.
func StreamService(p *key.Pair, name, json string) document.Service {
	return document.Service{ID: p.Account().DID() + "#" + name, Type: "iod_stream", Endpoint: "iod://" + p.NodeKey().ID().String() + "/" + name, Data: json}
}

// Poison is what p may write that is poison: each field's unsigned and signed, and what only one of the two can hold. Signed ones have the
// sequence.
func Poison(t testing.TB, p *key.Pair, sequence uint64) (all []Poisoned) {
	t.Helper()
	a := p.Account()
	for _, f := range poisonedFields {
		unsigned := Services(a, append([][2]string{{"staex_iod_version", "v1"}}, f.services...)...)
		all = append(all, Poisoned{f.name, unsigned, f.reason})
		var services []document.Service
		for _, s := range f.services {
			services = append(services, document.Service{ID: a.DID() + "#" + s[0], Type: s[0], Data: s[1]})
		}
		if raw, ok := trySeal(t, p, sequence, services); ok {
			all = append(all, Poisoned{f.name + ", signed", raw, f.reason})
		}
	}
	for name, s := range poisonedStreams {
		all = append(all, Poisoned{"stream: " + name, SealedDevice(t, p, sequence, StreamService(p, "main", s)), ""})
	}
	v1 := Services(a, [2]string{"staex_iod_version", "v1"}, [2]string{"data_type", "weather"})
	service := func(kind, endpoint, data string) document.Service {
		return document.Service{ID: a.DID() + "#" + kind, Type: kind, Endpoint: endpoint, Data: data}
	}
	many := func(n int, make func(i int) document.Service) []byte {
		var services []document.Service
		for i := range n {
			services = append(services, make(i))
		}
		return SealedDevice(t, p, sequence, services...)
	}
	return append(all,
		Poisoned{"nothing", nil, "unreadable"},
		Poisoned{"no document", []byte{0xde, 0xad}, "unreadable"},
		Poisoned{"zeros", make([]byte, 1000), "unreadable"},
		Poisoned{"huge", make([]byte, 1<<20), "too many"},
		Poisoned{"truncated", v1[:40], "unreadable"},
		Poisoned{"a length without end", []byte{0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, "unreadable"},
		Poisoned{"a group without end", []byte(strings.Repeat("\x2b", 5000)), "unreadable"},
		Poisoned{"another version", Services(a, [2]string{"staex_iod_version", "v9"}), "unreadable"},
		Poisoned{"a version twice", Services(a, [2]string{"staex_iod_version", "v1"}, [2]string{"staex_iod_version", "v2"}), "unreadable"},
		Poisoned{"sequence beyond 64 bits", SealedDevice(t, p, sequence, service("iod_sequence", "", "18446744073709551616")), "unreadable"},
		Poisoned{"sequence for ever", SealedDevice(t, p, sequence, service("iod_sequence", "", "18446744073709551615")), "too large"},
		Poisoned{"sequence 0", SealedDevice(t, p, sequence, service("iod_sequence", "", "0")), "unreadable"},
		Poisoned{"sequence below 0", SealedDevice(t, p, sequence, service("iod_sequence", "", "-5")), "unreadable"},
		Poisoned{"owner of nowhere", SealedDevice(t, p, sequence, service("iod_owner", "nobody", "0x")), "unreadable"},
		Poisoned{"relay of markup", SealedDevice(t, p, sequence, service("iod_relay", "<a href=x>", "")), "unreadable"},
		Poisoned{"many relays", many(100, func(i int) document.Service {
			return service("iod_relay", fmt.Sprintf("tls://relay%d.example:7777/%s", i, p.NodeKey().ID()), "")
		}), ""},
		Poisoned{"many streams", many(200, func(i int) document.Service { return StreamService(p, fmt.Sprint("s", i), "{}") }), ""},
		Poisoned{"many topics", many(300, func(i int) document.Service { return service("mqtt_topic", "", fmt.Sprint("topic", i)) }), ""},
		Poisoned{"a stream twice", many(2, func(int) document.Service { return StreamService(p, "main", "{}") }), "unreadable"},
		Poisoned{"stream at another node", SealedDevice(t, p, sequence, document.Service{ID: a.DID() + "#main", Type: "iod_stream", Endpoint: "iod://elsewhere/main", Data: "{}"}), "unreadable"},
		Poisoned{"stream named by markup", SealedDevice(t, p, sequence, StreamService(p, "<script>", "{}")), ""},
		Poisoned{"stream of another device", SealedDevice(t, p, sequence, document.Service{ID: "did:peaq:x#main", Type: "iod_stream", Data: "{}"}), "unreadable"},
		Poisoned{"signed for another", Sign(t, Account(t, "somebody else"), Weather(Account(t, "somebody else"), sequence)), "forged"},
		Poisoned{"signature of zeros", forge(t, p, sequence), "forged"},
	)
}

// trySeal signs what can be signed: some of it, such as text that is not UTF-8, no encoder of ours takes.
func trySeal(t testing.TB, p *key.Pair, sequence uint64, services []document.Service) (raw []byte, ok bool) {
	raw = SealedDevice(t, p, sequence, services...)
	doc, err := document.Parse(raw)
	return raw, err == nil && len(doc.Services) == len(services)+3
}

// forge is a good document with a bit of its signature turned over.
func forge(t testing.TB, p *key.Pair, sequence uint64) []byte {
	t.Helper()
	doc, err := document.Parse(Sign(t, p, Weather(p, sequence)))
	if err != nil {
		t.Fatal(err)
	}
	doc.Signature.Hash = "0x" + strings.Repeat("00", 64)
	return doc.Encode()
}

var (
	digits1000     = strings.Repeat("9", 1000)
	poisonedFields = []struct {
		name     string
		services [][2]string
		reason   string
	}{
		{"not UTF-8", [][2]string{{"data_type", "a\xff\xfeb"}}, ""},
		{"half a surrogate", [][2]string{{"location", "a\xed\xa0\x80b"}}, ""},
		{"NUL", [][2]string{{"data_type", "a\x00b"}}, ""},
		{"terminal escape", [][2]string{{"location", "\x1b[2J"}}, "control character"},
		{"C1 control", [][2]string{{"location", "a\u009bb"}}, "control character"},
		{"right to left", [][2]string{{"location", "a\u202eb"}}, "control character"},
		{"isolate", [][2]string{{"data_type", "\u2066x"}}, "control character"},
		{"bidi in a field's name", [][2]string{{"a\u202eb", "x"}}, "control character"},
		{"bidi in a topic", [][2]string{{"mqtt_topic", "a\u202eb"}}, ""},
		{"lines", [][2]string{{"data_type", "a\nb"}}, "several lines"},
		{"markup", [][2]string{{"data_type", "<script>alert(1)</script>"}}, "markup"},
		{"markup place", [][2]string{{"location", "<img src=x onerror=alert(1)>"}}, "markup"},
		{"markup name", [][2]string{{"<b>", "x"}}, "markup"},
		{"price of words", [][2]string{{"price_pin", "cheap"}}, ""},
		{"price of 1000 digits", [][2]string{{"price_access", digits1000}}, ""},
		{"price of 1000 decimals", [][2]string{{"price_access", "0." + digits1000}}, ""},
		{"price negative", [][2]string{{"price_access", "-1"}}, ""},
		{"price not a number", [][2]string{{"price_access", "NaN"}}, ""},
		{"price infinite", [][2]string{{"price_access", "inf"}}, ""},
		{"price too much", [][2]string{{"price_access", strings.Repeat("9", 38)}}, ""},
		{"price to the power", [][2]string{{"price_access", "1e400"}}, ""},
		{"price in other digits", [][2]string{{"price_access", "٣"}}, ""},
		{"beyond the pole", [][2]string{{"location", "91,0"}}, "globe"},
		{"a little beyond the pole", [][2]string{{"location", "-90.0000001,0"}}, "globe"},
		{"round the globe", [][2]string{{"location", "0,-180.1"}}, "globe"},
		{"nowhere", [][2]string{{"location", "NaN,NaN"}}, "globe"},
		{"half nowhere", [][2]string{{"location", "1,nan"}}, "globe"},
		{"infinitely far", [][2]string{{"location", "1,1e999"}}, "globe"},
		{"infinite", [][2]string{{"location", "-Inf,+infinity"}}, "globe"},
		{"long words", [][2]string{{"data_type", strings.Repeat("x", 5000)}}, ""},
		{"long topic", [][2]string{{"mqtt_topic", strings.Repeat("x", 20000)}}, ""},
		{"long name of a field", [][2]string{{strings.Repeat("x", 5000), "1"}}, ""},
	}
	poisonedStreams = map[string]string{
		"no JSON": "{", "JSON of another shape": "[]", "a number for a kind": `{"kind":1}`, "nested for ever": strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000),
		"unknown kind": `{"kind":"<b>"}`, "price of 1000 digits": `{"price":"` + digits1000 + `"}`, "price that is a number": `{"price":1e400}`,
		"price below 0": `{"price":"-1"}`, "price not a number": `{"price":"NaN"}`, "period of nothing": `{"price":"1","period":"soon"}`,
		"bidi unit": `{"unit":"m\u202e/s"}`, "bidi description": `{"description":"\u2067x"}`, "escape in a description": `{"description":"\u001b[31m"}`,
		"markup unit": `{"unit":"<i>m</i>"}`, "markup type": `{"data_type":"<script>"}`, "long unit": `{"unit":"` + strings.Repeat("m", 10000) + `"}`,
		"long description": `{"description":"` + strings.Repeat("m", 30000) + `"}`, "topic of NUL": `{"kind":"mqtt","topics":["a\u0000"]}`,
		"topics without end": `{"kind":"mqtt","topics":["` + strings.Repeat(`a","`, 9000) + `a"]}`,
	}
)
