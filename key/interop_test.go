package key

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"iod/interop"
)

type opened struct {
	Wallet     json.RawMessage `json:"wallet"`
	Passphrase string          `json:"passphrase,omitempty"`
	Message    string          `json:"message"`
	Signature  string          `json:"signature"`
}

type made struct {
	URI        string `json:"uri"`
	Type       Scheme `json:"type"`
	Passphrase string `json:"passphrase,omitempty"`
	Message    string `json:"message"`
}

type keyringResult struct {
	Address   string          `json:"address"`
	PublicKey string          `json:"publicKey"`
	Signature string          `json:"signature"`
	Wallet    json.RawMessage `json:"wallet"`
	Valid     bool            `json:"valid"`
	Error     string          `json:"error"`
}

// keyring runs the steps in the keyring of polkadot.js.
func keyring(t *testing.T, open []opened, make []made) (o, m []keyringResult) {
	t.Helper()
	in, err := json.Marshal(map[string]any{"open": open, "make": make})
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ Open, Make []keyringResult }
	if err := json.Unmarshal(interop.NodeInput(t, in, "keyring.mjs"), &out); err != nil {
		t.Fatal(err)
	}
	if len(out.Open) != len(open) || len(out.Make) != len(make) {
		t.Fatalf("keyring answered %d and %d steps of %d and %d", len(out.Open), len(out.Make), len(open), len(make))
	}
	return out.Open, out.Make
}

var schemes = []Scheme{Sr25519, Ed25519, Ecdsa}

const message = "0x00ff697320616e796f6e6520746865726520"

const password = "correct horse, naïve battery"

// uris are read the same everywhere: those with a soft junction by sr25519 only, and one, whose checksum is wrong, never.
var uris = []string{
	"//Alice",
	"//Alice//stash",
	"//Alice/soft",
	"//Alice/soft/softer//hard/0",
	"//18446744073709551615",
	"//007",
	"//-5",
	"//a junction with spaces",
	"//straße//日本",
	"//" + strings.Repeat("x", 31),
	"//" + strings.Repeat("x", 32),
	"/" + strings.Repeat("long", 40),
	"0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	"0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1F//path///ignored",
	"bottom drive obey lake curtain smoke basket hold race lonely fit walk",
	"bottom drive obey lake curtain smoke basket hold race lonely fit walk///",
	"bottom drive obey lake curtain smoke basket hold race lonely fit walk///pass//word/ with ///slashes",
	"bottom drive obey lake curtain smoke basket hold race lonely fit walk//a//1///pässwörd",
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon address",
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon agent",
	"zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo when",
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon " +
		"abandon abandon abandon abandon abandon abandon admit",
	"zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote//0",
}

// TestKeyringDerives compares what a secret URI means: the same key, or refused here and there.
func TestKeyringDerives(t *testing.T) {
	var make []made
	for _, s := range schemes {
		for _, uri := range uris {
			if strings.HasPrefix(uri, "/long") { // the keyring wants the development phrase spelt out here
				uri = developmentPhrase + uri
			}
			make = append(make, made{URI: uri, Type: s, Message: message})
		}
	}
	_, results := keyring(t, nil, make)
	same, refused := 0, 0
	for i, r := range results {
		p, err := FromURI(make[i].Type, make[i].URI)
		if r.Error != "" || err != nil {
			if r.Error == "" || err == nil {
				t.Errorf("%s %s: here %v, keyring %q", make[i].Type, make[i].URI, err, r.Error)
			}
			refused++
			continue
		}
		same++
		if got := p.Public().String(); got != r.PublicKey || p.Account().String() != r.Address {
			t.Errorf("%s %s: %s %s, keyring %s %s", make[i].Type, make[i].URI, got, p.Account(), r.PublicKey, r.Address)
		}
		checkTheirs(t, p, r)
	}
	t.Logf("%d URIs give the same key, %d are refused by both", same, refused)
	if want := 3*2 + 3; refused != want || same != len(make)-want {
		t.Errorf("%d URIs the same and %d refused, want %d and %d", same, refused, len(make)-want, want)
	}
}

// checkTheirs checks the signature and the wallet that the keyring made for p, and returns what it says of p.
func checkTheirs(t *testing.T, p *Pair, r keyringResult) Meta {
	t.Helper()
	sig, err := NewSignature(p.Scheme(), unhex(t, r.Signature))
	if err != nil {
		t.Fatal(err)
	}
	if !p.Public().Verify(unhex(t, message), sig) || !p.Account().Verify(unhex(t, message), sig) {
		t.Errorf("%s %s: the keyring's signature does not verify", p.Scheme(), p)
	}
	q, meta, err := Import(r.Wallet, func() (string, error) { return password, nil })
	if err != nil {
		t.Fatalf("%s %s: import of the keyring's wallet: %v", p.Scheme(), p, err)
	}
	if q.Public() != p.Public() || q.NodeKey().ID() != p.NodeKey().ID() {
		t.Errorf("%s %s: the keyring's wallet holds %s", p.Scheme(), p, q)
	}
	return meta
}

// TestKeyringOpensOurs exports every scheme, plain and encrypted, for the keyring to open, sign with, check our
// signature with, and export again.
func TestKeyringOpensOurs(t *testing.T) {
	var open []opened
	var pairs []*Pair
	for _, s := range schemes {
		uri := "//Alice//device"
		if s == Sr25519 {
			uri = "//Alice/soft/device" // whose scalar, times the cofactor, is not a clamped one
		}
		p, err := FromURI(s, uri)
		if err != nil {
			t.Fatal(err)
		}
		for _, pass := range []string{"", password} {
			sig, err := p.Sign(unhex(t, message))
			if err != nil {
				t.Fatal(err)
			}
			w, err := p.Export(pass, Meta{Name: "device"})
			if err != nil {
				t.Fatal(err)
			}
			pairs = append(pairs, p)
			open = append(open, opened{Wallet: w, Passphrase: pass, Message: message, Signature: sig.String()})
		}
	}
	wrong := open[1]
	wrong.Passphrase = "wrong"
	results, _ := keyring(t, append(slices.Clone(open), wrong), nil)
	for i, p := range pairs {
		r := results[i]
		if r.Error != "" {
			t.Errorf("%s: the keyring refuses our wallet: %s", p.Scheme(), r.Error)
			continue
		}
		if r.Address != p.Account().String() || r.PublicKey != p.Public().String() {
			t.Errorf("%s: the keyring found %s, want %s", p.Scheme(), r.Address, p)
		}
		if !r.Valid {
			t.Errorf("%s: the keyring does not accept our signature", p.Scheme())
		}
		checkTheirs(t, p, r)
	}
	if r := results[len(pairs)]; r.Error == "" {
		t.Error("the keyring opened our wallet with a wrong passphrase")
	}
}

// TestKeyringEncrypts opens what the keyring encrypted.
func TestKeyringEncrypts(t *testing.T) {
	var make []made
	for _, s := range schemes {
		make = append(make, made{URI: "//Bob", Type: s, Passphrase: password, Message: message})
	}
	_, results := keyring(t, nil, make)
	for i, r := range results {
		if r.Error != "" {
			t.Fatal(r.Error)
		}
		p, err := FromURI(make[i].Type, make[i].URI)
		if err != nil {
			t.Fatal(err)
		}
		want := Meta{Name: "from the keyring", Created: 1700000000000}
		if meta := checkTheirs(t, p, r); meta != want {
			t.Errorf("%s: meta %+v, want %+v", p.Scheme(), meta, want)
		}
		if strings.Contains(string(r.Wallet), hex.EncodeToString(p.secret().export())) {
			t.Errorf("%s: the wallet is not encrypted", p.Scheme())
		}
	}
}
