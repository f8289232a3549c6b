package key

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// cheap makes scrypt fast in tests that seal often.
func cheap(t testing.TB) {
	before := scryptCost
	scryptCost = cost{n: 2, p: 1, r: 1}
	t.Cleanup(func() { scryptCost = before })
}

func pass(word string) func() (string, error) {
	return func() (string, error) { return word, nil }
}

// unasked fails the test when a passphrase is asked for.
func unasked(t *testing.T) func() (string, error) {
	return func() (string, error) {
		t.Error("a passphrase was asked for")
		return "", nil
	}
}

func TestWalletRoundTrip(t *testing.T) {
	cheap(t)
	meta := Meta{Name: "a \"name\" <&>", GenesisHash: "0x00", Created: 1700000000000}
	for _, s := range schemes {
		p := alice(t, s)
		plain, err := p.Export("", meta)
		if err != nil {
			t.Fatal(err)
		}
		q, back, err := Import(plain, unasked(t))
		if err != nil || back != meta || q.Public() != p.Public() || q.secret().root() != p.secret().root() {
			t.Errorf("%s: %v, %+v, %v", s, q, back, err)
		}
		if again, err := q.Export("", meta); err != nil || !bytes.Equal(again, plain) {
			t.Errorf("%s: exported again: %s, %v", s, again, err)
		}
		sealed, err := p.Export(password, meta)
		if err != nil {
			t.Fatal(err)
		}
		if q, back, err = Import(sealed, pass(password)); err != nil || back != meta || q.Public() != p.Public() {
			t.Errorf("%s: encrypted: %v, %+v, %v", s, q, back, err)
		}
		if again, err := p.Export(password, meta); err != nil || bytes.Equal(again, sealed) {
			t.Errorf("%s: salt and nonce are the same twice, %v", s, err)
		}
		if q, _, err = Import(sealed, pass(password+" ")); !errors.Is(err, ErrPassphrase) || q != nil {
			t.Errorf("%s: wrong passphrase: %v, %v", s, q, err)
		}
		if q, _, err = Import(sealed, nil); !errors.Is(err, ErrPassphraseNeeded) || q != nil {
			t.Errorf("%s: no passphrase: %v, %v", s, q, err)
		}
		mine := errors.New("mine")
		if q, _, err = Import(sealed, func() (string, error) { return "", mine }); !errors.Is(err, mine) || q != nil {
			t.Errorf("%s: the passphrase's own error: %v, %v", s, q, err)
		}
	}
}

func TestImportErrors(t *testing.T) {
	cheap(t)
	export := func(s Scheme, word string) wallet {
		b, err := alice(t, s).Export(word, Meta{})
		if err != nil {
			t.Fatal(err)
		}
		var w wallet
		if err := json.Unmarshal(b, &w); err != nil {
			t.Fatal(err)
		}
		return w
	}
	body := func(w *wallet, change func(b []byte) []byte) {
		b, err := w.body()
		if err != nil {
			t.Fatal(err)
		}
		w.Encoded = base64.StdEncoding.EncodeToString(change(b))
	}
	number := func(at int, n uint32) func(*wallet) {
		return func(w *wallet) {
			body(w, func(b []byte) []byte {
				binary.LittleEndian.PutUint32(b[32+4*at:], n)
				return b
			})
		}
	}
	flip := func(at int) func(*wallet) {
		return func(w *wallet) { body(w, func(b []byte) []byte { b[at] ^= 1; return b }) }
	}
	for _, c := range []struct {
		name   string
		scheme Scheme
		sealed bool
		change func(*wallet)
		want   error
	}{
		{"old version", Sr25519, false, func(w *wallet) { w.Encoding.Version = "2" }, ErrWallet},
		{"batch", Sr25519, false, func(w *wallet) { w.Encoding.Content[0] = "batch-pkcs8" }, ErrWallet},
		{"no content", Sr25519, false, func(w *wallet) { w.Encoding.Content = nil }, ErrWallet},
		{"other content", Sr25519, false, func(w *wallet) { w.Encoding.Content[0] = "raw" }, ErrWallet},
		{"ethereum", Ecdsa, false, func(w *wallet) { w.Encoding.Content[1] = "ethereum" }, ErrScheme},
		{"other type", Sr25519, false, func(w *wallet) { w.Encoding.Type = oneOrMore{"rot13"} }, ErrWallet},
		{"no type", Sr25519, false, func(w *wallet) { w.Encoding.Type = nil }, ErrWallet},
		{"sealed called plain", Sr25519, true, func(w *wallet) { w.Encoding.Type = oneOrMore{"none"} }, ErrWallet},
		{"plain called sealed", Sr25519, false, func(w *wallet) { w.Encoding.Type = oneOrMore{typeScrypt, typeBox} }, ErrWallet},
		{"scheme of another length", Sr25519, false, func(w *wallet) { w.Encoding.Content[1] = "ecdsa" }, ErrWallet},
		{"scheme of the same length", Sr25519, false, func(w *wallet) { w.Encoding.Content[1] = "ed25519" }, ErrWallet},
		{"not base64", Sr25519, false, func(w *wallet) { w.Encoded = "%" }, ErrWallet},
		{"not hex", Sr25519, false, func(w *wallet) { w.Encoded = "0xg" }, ErrWallet},
		{"empty", Sr25519, false, func(w *wallet) { w.Encoded = "" }, ErrWallet},
		{"empty sealed", Sr25519, true, func(w *wallet) { w.Encoded = "" }, ErrWallet},
		{"other head", Sr25519, false, flip(0), ErrWallet},
		{"other divider", Sr25519, false, flip(16 + 64), ErrWallet},
		{"other public key", Sr25519, false, flip(16 + 64 + 5), ErrWallet},
		{"other secret key", Sr25519, false, flip(16 + 8), ErrWallet},
		{"secret that is no multiple of 8", Sr25519, false, flip(16), ErrWallet},
		{"secret beyond the group", Sr25519, false, func(w *wallet) {
			body(w, func(b []byte) []byte { copy(b[16:], bytes.Repeat([]byte{0xf8}, 32)); return b })
		}, ErrWallet},
		{"secret zero", Sr25519, false, func(w *wallet) {
			body(w, func(b []byte) []byte { clear(b[16:48]); return b })
		}, ErrWallet},
		{"ecdsa secret zero", Ecdsa, false, func(w *wallet) {
			body(w, func(b []byte) []byte { clear(b[16:48]); return b })
		}, ErrWallet},
		{"ed25519 key in two versions", Ed25519, false, flip(16 + 32), ErrWallet},
		{"bytes after the end", Ed25519, false, func(w *wallet) {
			body(w, func(b []byte) []byte { return append(b, 0) })
		}, ErrWallet},
		{"address of another", Sr25519, false, func(w *wallet) { w.Address = alice(t, Ed25519).Account().String() }, ErrWallet},
		{"no address", Sr25519, false, func(w *wallet) { w.Address = "" }, ErrWallet},
		{"N of 2^19", Sr25519, true, number(0, 1<<19), ErrWallet},
		{"N of 2^31", Sr25519, true, number(0, 1<<31), ErrWallet},
		{"N of 3", Sr25519, true, number(0, 3), ErrWallet},
		{"N of 0", Sr25519, true, number(0, 0), ErrWallet},
		{"p of 2^32-1", Sr25519, true, number(1, 1<<32-1), ErrWallet},
		{"p of 0", Sr25519, true, number(1, 0), ErrWallet},
		{"r of 2^31", Sr25519, true, number(2, 1<<31), ErrWallet},
		{"r of 0", Sr25519, true, number(2, 0), ErrWallet},
		{"other salt", Sr25519, true, flip(0), ErrPassphrase},
		{"other nonce", Sr25519, true, flip(44), ErrPassphrase},
		{"other box", Sr25519, true, flip(44 + 24), ErrPassphrase},
	} {
		word := ""
		if c.sealed {
			word = password
		}
		w := export(c.scheme, word)
		c.change(&w)
		b, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if p, _, err := Import(b, pass(password)); p != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, error %v; want %v", c.name, p, err, c.want)
		}
	}
}

func TestImportText(t *testing.T) {
	plain, err := alice(t, Ecdsa).Export("", Meta{})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "null": "null", "list": "[]", "number": "1", "truncated": string(plain[:len(plain)-1]),
		"two": string(plain) + string(plain), "content of numbers": `{"encoding":{"content":[1]}}`,
		"huge": string(plain) + strings.Repeat(" ", maxWallet),
		"deep": strings.Repeat("[", 60_000),
	} {
		if p, _, err := Import([]byte(text), unasked(t)); p != nil || !errors.Is(err, ErrWallet) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	// Other wallets: fields that we do not know, a type that is no list, hex, and the address in another form.
	var w map[string]any
	if err := json.Unmarshal(plain, &w); err != nil {
		t.Fatal(err)
	}
	b, err := base64.StdEncoding.DecodeString(w["encoded"].(string))
	if err != nil {
		t.Fatal(err)
	}
	w["encoded"] = "0x" + hex.EncodeToString(b)
	w["encoding"].(map[string]any)["type"] = "none"
	w["address"] = alice(t, Ecdsa).Account().SS58(0)
	w["meta"] = map[string]any{"isHidden": true, "tags": []string{"x"}, "name": "n"}
	w["extra"] = map[string]any{}
	other, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	p, meta, err := Import(other, unasked(t))
	if err != nil || p.Public() != alice(t, Ecdsa).Public() || meta != (Meta{Name: "n"}) {
		t.Errorf("%s: %v, %+v, %v", other, p, meta, err)
	}
}

func TestExportBounds(t *testing.T) {
	if _, err := alice(t, Sr25519).Export("", Meta{Name: strings.Repeat("x", maxWallet)}); err == nil {
		t.Error("an export that Import would refuse")
	}
}

// TestScryptCosts checks that every cost that the wallet may use is within our bounds.
func TestScryptCosts(t *testing.T) {
	for _, c := range []cost{{1 << 13, 10, 8}, {1 << 14, 5, 8}, {1 << 15, 3, 8}, {1 << 15, 1, 8}, {1 << 16, 2, 8}, {1 << 17, 1, 8}, scryptCost} {
		if err := c.check(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzImport(f *testing.F) {
	cheap(f)
	var seeds [][]byte
	for _, s := range schemes {
		for _, word := range []string{"", password} {
			b, err := alice(f, s).Export(word, Meta{Name: "n"})
			if err != nil {
				f.Fatal(err)
			}
			seeds = append(seeds, b)
		}
	}
	addSeeds(f, append(seeds, []byte(`{"encoding":{"content":"x","type":"none","version":"3"}}`))...)
	f.Fuzz(func(t *testing.T, b []byte) {
		var w wallet
		if json.Unmarshal(b, &w) == nil {
			if raw, err := w.body(); err == nil && len(raw) > 44 && binary.LittleEndian.Uint32(raw[32:]) > 1<<10 {
				return // allowed, but slow
			}
		}
		p, meta, err := Import(b, pass(password))
		if err != nil {
			return
		}
		again, err := p.Export("", meta)
		if err != nil {
			return // longer when written out
		}
		q, back, err := Import(again, nil)
		if err != nil || q.Public() != p.Public() || back != meta {
			t.Fatalf("%s: %s becomes %v, %v", b, p, q, err)
		}
	})
}

// FuzzPKCS8 fuzzes what is inside, which random changes to base64 seldom reach.
func FuzzPKCS8(f *testing.F) {
	for _, s := range schemes {
		b, err := alice(f, s).Export("", Meta{})
		if err != nil {
			f.Fatal(err)
		}
		var w wallet
		if err := json.Unmarshal(b, &w); err != nil {
			f.Fatal(err)
		}
		raw, err := w.body()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(s), raw)
	}
	f.Fuzz(func(t *testing.T, s uint8, b []byte) {
		p, err := pairFromPKCS8(Scheme(s%3), b)
		if err != nil {
			return
		}
		sig, err := p.Sign(b)
		if err != nil || !p.Public().Verify(b, sig) {
			t.Fatalf("%s: the signature does not verify, %v", p, err)
		}
		if !bytes.Contains(b, p.secret().export()) {
			t.Fatalf("%s: the secret is written otherwise than it was read", p)
		}
	})
}
