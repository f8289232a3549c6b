package key

import (
	"errors"
	"strings"
	"testing"

	"github.com/tyler-smith/go-bip39"
	"pgregory.net/rapid"
)

func TestFromURIErrors(t *testing.T) {
	words := strings.Fields(developmentPhrase)
	swapped := append([]string{words[1], words[0]}, words[2:]...)
	for _, c := range []struct {
		name, uri string
		scheme    Scheme
		want      error
	}{
		{"unknown scheme", "//Alice", 3, ErrScheme},
		{"eleven words", strings.Join(words[1:], " "), Sr25519, ErrPhrase},
		{"thirteen words", developmentPhrase + " fit", Sr25519, ErrPhrase},
		{"27 words", strings.Repeat("zoo ", 27), Sr25519, ErrPhrase},
		{"word of another list", strings.Replace(developmentPhrase, "lonely", "vinagre", 1), Sr25519, ErrPhrase},
		{"upper case", strings.Replace(developmentPhrase, "lonely", "Lonely", 1), Sr25519, ErrPhrase},
		{"two words swapped", strings.Join(swapped, " "), Sr25519, ErrPhrase},
		{"name", "Alice", Sr25519, ErrPhrase},
		{"short seed", "0x" + strings.Repeat("0", 63), Ed25519, ErrSeed},
		{"long seed", "0x" + strings.Repeat("0", 65), Ed25519, ErrSeed},
		{"seed with a letter", "0x" + strings.Repeat("0", 63) + "g", Ed25519, ErrSeed},
		{"empty junction", "//Alice//", Sr25519, ErrJunction},
		{"single slash", "/", Sr25519, ErrJunction},
		{"two slashes", "//", Sr25519, ErrJunction},
		{"number of 65 bits", "//18446744073709551616", Sr25519, ErrJunction},
		{"number with a sign", "//+5", Sr25519, ErrJunction},
		{"hex", "//0xff", Sr25519, ErrJunction},
		{"65 junctions", strings.Repeat("//a", 65), Sr25519, ErrJunction},
		{"soft for ed25519", "//Alice/1", Ed25519, ErrSoft},
		{"soft for ecdsa", "//Alice/1", Ecdsa, ErrSoft},
	} {
		p, err := FromURI(c.scheme, c.uri)
		if p != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, error %v; want %v", c.name, p, err, c.want)
		}
	}
	for _, seed := range []string{strings.Repeat("0", 64), strings.Repeat("f", 64)} {
		if _, err := FromURI(Ecdsa, "0x"+seed); err == nil {
			t.Errorf("ecdsa takes the seed %s", seed)
		}
	}
	if _, err := FromURI(Sr25519, strings.Repeat(" ", maxURI+1)); err == nil {
		t.Error("a huge URI is accepted")
	}
}

// TestErrorsKeepSecrets checks that no part of a mistyped secret shows in an error.
func TestErrorsKeepSecrets(t *testing.T) {
	const secret = "SECRETWORD"
	for _, uri := range []string{
		secret, strings.Replace(developmentPhrase, "lonely", secret, 1), "0x" + secret, secret + "//x", "//x//+5///" + secret,
		"0x" + strings.Repeat("ab", 31) + secret, "//" + secret + "//", strings.Repeat(secret, 1000),
	} {
		_, err := FromURI(Sr25519, uri)
		if err == nil {
			t.Errorf("%.80s is accepted", uri)
		} else if strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "abab") {
			t.Errorf("%.80s: the error quotes it: %v", uri, err)
		}
	}
}

func TestEmptyPhraseIsDevelopments(t *testing.T) {
	for _, path := range []string{"//Alice", "/soft", "///password", ""} {
		a, err := FromURI(Sr25519, path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := FromURI(Sr25519, developmentPhrase+path)
		if err != nil || a.Public() != b.Public() {
			t.Errorf("%q: %s and %s, %v", path, a, b, err)
		}
	}
	spaced, err := FromURI(Sr25519, "  "+strings.ReplaceAll(developmentPhrase, " ", " \t ")+"\n")
	if err != nil || spaced.Account().String() != "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV" {
		t.Errorf("phrase with many spaces: %v, %v", spaced, err)
	}
}

// TestPhrases makes phrases of every length, with zeros in front too, where base conversions slip.
func TestPhrases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := 4 * rapid.IntRange(4, 8).Draw(t, "quarter of the size")
		entropy := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "entropy")
		clear(entropy[:rapid.IntRange(0, size).Draw(t, "zeros")])
		phrase, err := bip39.NewMnemonic(entropy)
		if err != nil {
			t.Fatal(err)
		}
		back, err := bip39.EntropyFromMnemonic(phrase)
		if err != nil || string(back) != string(entropy) {
			t.Fatalf("%x: %x, %v", entropy, back, err)
		}
		if _, err := seedFromPhrase(phrase, ""); err != nil {
			t.Fatal(err)
		}
	})
}

func TestGenerate(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range schemes {
		p, phrase, err := Generate(s)
		if err != nil {
			t.Fatal(err)
		}
		q, err := FromURI(s, phrase)
		if err != nil || q.Public() != p.Public() || len(strings.Fields(phrase)) != 12 || seen[phrase] {
			t.Errorf("%s: the phrase of %s gives %v, %v", s, p, q, err)
		}
		seen[phrase] = true
	}
	if _, _, err := Generate(3); !errors.Is(err, ErrScheme) {
		t.Errorf("unknown scheme: %v", err)
	}
}

func FuzzFromURI(f *testing.F) {
	if len(uris) < 20 {
		f.Fatal("seeds are missing")
	}
	for i, uri := range uris {
		f.Add(uint8(i%3), uri)
	}
	f.Add(uint8(1), "//Alice//+5")
	f.Add(uint8(2), "0x")
	f.Add(uint8(3), "///")
	f.Fuzz(func(t *testing.T, s uint8, uri string) {
		p, err := FromURI(Scheme(s%4), uri)
		if err != nil {
			return
		}
		q, err := FromURI(Scheme(s%4), uri)
		if err != nil || p.Public() != q.Public() || p.NodeKey().ID() != q.NodeKey().ID() {
			t.Fatalf("the same URI gives %s and %v, %v", p, q, err)
		}
		sig, err := p.Sign([]byte(uri))
		if err != nil || !p.Public().Verify([]byte(uri), sig) {
			t.Fatalf("%s: signature does not verify, %v", p, err)
		}
		w, err := p.Export("", Meta{})
		if err != nil {
			t.Fatal(err)
		}
		if r, _, err := Import(w, nil); err != nil || r.Public() != p.Public() {
			t.Fatalf("%s: exported and imported: %v, %v", p, r, err)
		}
	})
}
