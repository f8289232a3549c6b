package key

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/mr-tron/base58"
	"pgregory.net/rapid"
)

const (
	aliceAddress = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
	aliceHex     = "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d"
)

func alice(t testing.TB, s Scheme) *Pair {
	t.Helper()
	p, err := FromURI(s, "//Alice")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseAccountErrors(t *testing.T) {
	id := alice(t, Sr25519).Account()
	withSum := func(b ...byte) string {
		sum := checksum(b)
		return base58.Encode(append(b, sum[:]...))
	}
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"empty", "", ErrLength},
		{"huge", strings.Repeat("5", 1<<20), ErrLength},
		{"truncated", aliceAddress[:len(aliceAddress)-1], ErrLength},
		{"mistyped", strings.Replace(aliceAddress, "EF5z", "EG5z", 1), ErrChecksum},
		{"letter outside base58", strings.Replace(aliceAddress, "EF5z", "E05z", 1), ErrBase58},
		{"not ASCII", strings.Replace(aliceAddress, "EF5z", "Eö5", 1), ErrBase58},
		{"surrounded by spaces", " " + aliceAddress, ErrBase58},
		{"short id", withSum(append([]byte{42}, id[:31]...)...), ErrLength},
		{"long id", withSum(append([]byte{42, 0}, id[:]...)...), ErrLength},
		{"reserved first byte", withSum(append([]byte{0x80}, id[:]...)...), ErrPrefix},
		{"small prefix in two bytes", withSum(append([]byte{0x40 | 42>>2, 42 & 3 << 6}, id[:]...)...), ErrPrefix},
		{"short hex", aliceHex[:65], ErrLength},
		{"long hex", aliceHex + "0", ErrLength},
		{"not hex", aliceHex[:65] + "g", ErrHex},
		{"other DID method", "did:key:" + aliceAddress, ErrBase58},
		{"DID without id", "did:peaq:", ErrLength},
		{"DID in DID", "did:peaq:did:peaq:" + aliceAddress, ErrBase58},
		{"DID with fragment", "did:peaq:" + aliceAddress + "#x", ErrBase58},
		{"DID of short hex", "did:peaq:0x00", ErrLength},
		{"DID of a huge number", "did:peaq:" + strings.Repeat("9", 79), ErrLength},
		{"DID of 2^256", "did:peaq:" + new(big.Int).Lsh(big.NewInt(1), 256).String(), ErrLength},
	} {
		got, err := ParseAccount(c.text)
		if !errors.Is(err, c.want) || got != (AccountID{}) {
			t.Errorf("%s: %s, error %v; want %v", c.name, got, err, c.want)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%s: the error has %d characters", c.name, len(err.Error()))
		}
	}
	if _, err := ParseDID(aliceAddress); !errors.Is(err, ErrDID) {
		t.Errorf("ParseDID of an address: %v, want %v", err, ErrDID)
	}
}

func TestDIDForms(t *testing.T) {
	id := alice(t, Sr25519).Account()
	decimal := new(big.Int).SetBytes(id[:]).String()
	for _, did := range []string{
		"did:peaq:" + aliceAddress,
		"did:peaq:" + aliceHex,
		"did:peaq:0x" + strings.ToUpper(aliceHex[2:]),
		"did:peaq:" + decimal,
		"did:peaq:" + id.SS58(5),
	} {
		if got, err := ParseDID(did); err != nil || got != id {
			t.Errorf("ParseDID(%s) = %s, %v", did, got, err)
		}
	}
	if got := id.DID(); got != "did:peaq:"+aliceAddress {
		t.Errorf("DID is %s", got)
	}
	if got, err := ParseDID("did:peaq:7"); err != nil || got != (AccountID{31: 7}) {
		t.Errorf("ParseDID of 7 = %x, %v", got, err)
	}
}

func TestSS58RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := AccountID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
		prefix := rapid.Uint16Range(0, maxPrefix).Draw(t, "prefix")
		got, gotPrefix, err := ParseSS58(id.SS58(prefix))
		if err != nil || got != id || gotPrefix != prefix {
			t.Fatalf("prefix %d: %x, %d, %v", prefix, got, gotPrefix, err)
		}
		if fromDID, err := ParseAccount(id.DID()); err != nil || fromDID != id {
			t.Fatalf("%s: %x, %v", id.DID(), fromDID, err)
		}
	})
	if got := (AccountID{}).SS58(maxPrefix + 1); got != (AccountID{}).String() {
		t.Errorf("a prefix that does not exist gives %s", got)
	}
}

// recordedPrefixes are addresses of sr25519 //Alice as encodeAddress of @polkadot/util-crypto 14.0.3 writes them.
var recordedPrefixes = map[uint16]string{
	0:     "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5",
	2:     "HNZata7iMYWmk5RvZRTiAsSDhV8366zq2YGb3tLH5Upf74F",
	63:    "7NPoMQbiA6trJKkjB35uk96MeJD4PGWkLQLH7k7hXEkZpiba",
	64:    "cEaNSpz4PxFcZ7nT1VEKrKewH67rfx6MfcM6yKojyyPz7qaqp",
	252:   "xw8P6urbSAronL3zZFB7dg8p7LLSgKCUFDUgjohnf1iP434ic",
	255:   "yGHXkYLYqxijLKKfd9Q2CB9shRVu8rPNBS53wvwGTutYg4zTg",
	256:   "VByeGLMtP8r8BYQpNX1sb2VtAW8GYCbtFAeXJwsA2ur3MNRdq",
	1284:  "VdvKmYJfD4VXA9fzz1SbmCo2eYHSzUFbaDCZSuaNKJAe8YNg6",
	4450:  "g1Pn1geRZnHcVdWdKkoYwQrAARDTXK1D7H3zuXj7GNayT1thu",
	16383: "yNa8JpqfFB3q8A29rCwSgxvdU94ufJw2yKKxDgznS5m1PoFvn",
}

func TestPrefixes(t *testing.T) {
	id := alice(t, Sr25519).Account()
	for prefix, want := range recordedPrefixes {
		if got := id.SS58(prefix); got != want {
			t.Errorf("prefix %d: %s, want %s", prefix, got, want)
		}
	}
}

func TestAccountJSON(t *testing.T) {
	id := alice(t, Ecdsa).Account()
	b, err := json.Marshal(map[AccountID]AccountID{id: id})
	if err != nil {
		t.Fatal(err)
	}
	var back map[AccountID]AccountID
	if err := json.Unmarshal(b, &back); err != nil || back[id] != id {
		t.Fatalf("%s: %v, %v", b, back, err)
	}
	if err := json.Unmarshal([]byte(`{"x":"y"}`), &back); !errors.Is(err, ErrLength) {
		t.Errorf("bad account in JSON: %v", err)
	}
}

// addSeeds fails when there are none: a fuzz test without seeds passes and finds nothing.
func addSeeds[T any](f *testing.F, seeds ...T) {
	f.Helper()
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
}

func FuzzParseAccount(f *testing.F) {
	seeds := []string{aliceAddress, aliceHex, "did:peaq:" + aliceAddress, "did:peaq:" + aliceHex, "did:peaq:12",
		AccountID{}.SS58(0), AccountID{}.SS58(64), AccountID{}.SS58(maxPrefix), "", "0x", "did:peaq:0x"}
	addSeeds(f, seeds...)
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAccount(s)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if b, err := ParseAccount(a.String()); err != nil || b != a {
			t.Fatalf("%s: %s, %v", a, b, err)
		}
		if c, prefix, err := ParseSS58(s); err == nil && (c != a || a.SS58(prefix) != s) {
			t.Fatalf("address %s is written %s", s, a.SS58(prefix))
		}
	})
}

func FuzzParseDID(f *testing.F) {
	addSeeds(f, "did:peaq:"+aliceAddress, "did:peaq:"+aliceHex, "did:peaq:0", "did:peaq:")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseDID(s)
		if err != nil {
			return
		}
		if b, err := ParseDID(a.DID()); err != nil || b != a {
			t.Fatalf("%q: %s, %v", s, b, err)
		}
	})
}
