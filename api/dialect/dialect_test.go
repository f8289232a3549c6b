package dialect

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mr-tron/base58"

	"iod/document"
	"iod/index"
	"iod/interop"
	"iod/key"
)

var site = Site{Base: "https://index.example", Genesis: index.Hash{0xaa, 15: 0xbb, 16: 0xcc}}

// listed is a verified listing of a device whose account has a key of the scheme.
func listed(t *testing.T, scheme key.Scheme, change func(*document.Device)) *index.Listing {
	t.Helper()
	p, err := key.FromURI(scheme, "//dialect")
	if err != nil {
		t.Fatal(err)
	}
	d := document.Device{Account: p.Account(), Node: p.NodeKey().ID(), DataType: "weather", Location: "-12.5,130.25", Sequence: 9, Streams: []document.Stream{
		{Name: "wind", Kind: "mqtt", DataType: "wind_speed", Unit: "m/s", Topics: []string{"a/+", "b/#"}, Price: "1.5", Period: "30d", ContentType: "application/senml+json"},
		{Name: "page", Kind: "http", Description: "Everything <b>at once</b>", ContentType: "text/html; charset=utf-8"},
		{Name: "eye", Kind: "rtsp", DataType: "video"},
	}}
	if change != nil {
		change(&d)
	}
	raw, err := d.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	at := index.Point{Block: 7, Time: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	dev, verdict, err := document.ReadDevice(p.Account(), document.DeviceAttribute, raw)
	if err != nil || verdict.State != document.Verified {
		t.Fatalf("%+v, %v", verdict, err)
	}
	return &index.Listing{Account: p.Account(), Device: dev, State: verdict.State, Vouched: verdict.Vouched, Raw: raw, First: at, Updated: at, Status: index.Live, Presence: index.Present}
}

// The key in the DID document is the account's, in the form that its scheme has.
func TestKeys(t *testing.T) {
	for scheme, want := range map[key.Scheme]struct{ name, prefix, starts string }{
		key.Sr25519: {"Sr25519VerificationKey2020", "ef01", "z6QN"},
		key.Ed25519: {"Ed25519VerificationKey2020", "ed01", "z6Mk"},
		key.Ecdsa:   {"EcdsaSecp256k1VerificationKey2019", "e701", "zQ3s"},
	} {
		l := listed(t, scheme, nil)
		r := site.Resolve(l.Account.DID(), l.Account, l)
		if len(r.Document.Methods) != 1 {
			t.Fatalf("%v: methods %+v", scheme, r.Document.Methods)
		}
		m := r.Document.Methods[0]
		b, err := base58.Decode(m.Multibase[1:])
		if err != nil || m.Type != want.name || !strings.HasPrefix(m.Multibase, want.starts) || !strings.HasPrefix(hex.EncodeToString(b), want.prefix) {
			t.Errorf("%v: %+v (%x)", scheme, m, b)
		}
		p, err := key.NewPublic(scheme, b[2:])
		if err != nil || p.Account() != l.Account {
			t.Errorf("%v: the key %x is not the account's: %v", scheme, b[2:], err)
		}
		if !slices.Equal(r.Document.Authentication, []string{m.ID}) || m.Controller != r.Document.ID || m.ID != r.Document.ID+"#key-1" {
			t.Errorf("%v: %+v", scheme, r.Document)
		}
	}
}

// A multikey that others published: did:key's test vector of ed25519.
func TestMultibase(t *testing.T) {
	b, err := hex.DecodeString("2e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6")
	if err != nil {
		t.Fatal(err)
	}
	p, err := key.NewPublic(key.Ed25519, b)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Multibase(p), "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestResolve(t *testing.T) {
	l := listed(t, key.Sr25519, nil)
	ended, expired := *l, *l
	ended.Status, expired.Status = index.Removed, index.Expired
	hash := listed(t, key.Ecdsa, nil).Account // as far as only the account is known, the hash of a key
	asked := "did:peaq:" + "0x" + hex.EncodeToString(l.Account[:])
	for name, x := range map[string]struct {
		asked       string
		account     key.AccountID
		l           *index.Listing
		source      string
		deactivated bool
		services    int
	}{
		"listed":     {l.Account.DID(), l.Account, l, "document", false, 5},
		"other form": {asked, l.Account, l, "document", false, 5},
		"ended":      {l.Account.DID(), l.Account, &ended, "account", true, 0},
		"expired":    {l.Account.DID(), l.Account, &expired, "account", false, 0},
		"unlisted":   {l.Account.DID(), l.Account, nil, "account", false, 0},
		"hash":       {hash.DID(), hash, nil, "account", false, 0},
	} {
		r := site.Resolve(x.asked, x.account, x.l)
		d := r.Document
		if d.ID != x.asked || r.Metadata.Source != x.source || r.Metadata.Deactivated != x.deactivated || len(d.Services) != x.services || len(d.Methods) == 0 || d.Context[0] != didContext {
			t.Errorf("%s: %+v, %+v", name, d, r.Metadata)
		}
		if r.Metadata.CanonicalID != x.account.DID() || (len(r.Metadata.Equivalent) == 0) != (x.asked == x.account.DID()) {
			t.Errorf("%s: %+v", name, r.Metadata)
		}
	}
	m := site.Resolve(hash.DID(), hash, nil).Document.Methods[0]
	if want := "polkadot:aa0000000000000000000000000000bb:" + hash.String(); m.Type != "EcdsaSecp256k1RecoveryMethod2020" || m.Account != want || m.Multibase != "" {
		t.Errorf("%+v, want %s", m, want)
	}
	if methods := (Site{}).Resolve(hash.DID(), hash, nil).Document.Methods; methods != nil {
		t.Errorf("without a chain: %+v", methods)
	}
}

// What a stranger may write into a document cannot leave its place in ours, and whatever a device says, the results are documents to
// those who made the languages.
func TestOthersReadUs(t *testing.T) {
	odd := func(d *document.Device) {
		d.Location, d.DataType = "over the \"rainbow\" </script>", "a,b #c"
		d.Streams = append(d.Streams, document.Stream{Name: "-", Kind: "udp", Unit: "°C \u2028", ContentType: "not a type/at all", Topics: []string{"x y/{z}/#"}})
		d.Additional = []document.Additional{document.NewAdditional("License", "https://licence.example/by?x=<y>"), document.NewAdditional("@id", "urn:evil")}
	}
	none := func(d *document.Device) { d.Streams, d.Node, d.Topics = nil, key.NodeID{}, []string{"old/#"} }
	nowhere := func(d *document.Device) { d.Node = key.NodeID{} }
	var things []Thing
	var asyncs []Async
	var dids []*DIDDocument
	var listings []*index.Listing
	for _, change := range []func(*document.Device){nil, odd, none, nowhere} {
		for _, scheme := range []key.Scheme{key.Sr25519, key.Ed25519, key.Ecdsa} {
			l := listed(t, scheme, change)
			things, asyncs = append(things, site.Thing(l)), append(asyncs, site.Async(l))
			dids = append(dids, site.Resolve(l.Account.DID(), l.Account, l).Document, site.Resolve("did:peaq:0x"+hex.EncodeToString(l.Account[:]), l.Account, nil).Document)
			if scheme == key.Ed25519 {
				listings = append(listings, l)
				catalog := site.Catalog(listings[len(listings)-1:], time.Time{}, "/catalog", "/catalog", "/catalog?after=x")
				if out := interop.Python(t, encode(t, map[string]any{"catalog": []Catalog{catalog}}), "documents.py"); len(out) > 0 {
					t.Errorf("%s", out)
				}
			}
		}
	}
	if out := interop.NodeInput(t, encode(t, map[string]any{"td": things, "asyncapi": asyncs, "did": dids}), "dialects.mjs"); len(out) > 0 {
		t.Errorf("%s", out)
	}
}

func TestLicense(t *testing.T) {
	for text, want := range map[string]string{
		"https://creativecommons.org/licenses/by/4.0/": "https://creativecommons.org/licenses/by/4.0/", "javascript:alert(1)": "", "CC-BY": "", "https://": "",
		`https://x.example/"><script>`: "https://x.example/%22%3E%3Cscript%3E",
	} {
		d := document.Device{Additional: []document.Additional{document.NewAdditional("license", text)}}
		got := ""
		if l := license(&d); l != nil {
			got = l.ID
		}
		if got != want {
			t.Errorf("%q: licence %q, want %q", text, got, want)
		}
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
