package key

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

func TestSignVerify(t *testing.T) {
	for _, s := range schemes {
		p, other := alice(t, s), alice(t, Sr25519)
		if s == Sr25519 {
			other = alice(t, Ed25519)
		}
		for _, size := range []int{0, 1, 256, 257, 100_000} {
			m := bytes.Repeat([]byte{7}, size)
			sig, err := p.Sign(m)
			if err != nil {
				t.Fatal(err)
			}
			if !p.Public().Verify(m, sig) || !p.Account().Verify(m, sig) {
				t.Errorf("%s: the signature of %d bytes does not verify", s, size)
			}
			if other.Public().Verify(m, sig) || other.Account().Verify(m, sig) || p.Public().Verify(append(m, 0), sig) {
				t.Errorf("%s: the signature of %d bytes verifies for another key or message", s, size)
			}
			checkTampered(t, p, m, sig)
		}
	}
}

// checkTampered flips every bit of a signature, and its scheme.
func checkTampered(t *testing.T, p *Pair, m []byte, sig Signature) {
	t.Helper()
	if len(m) != 1 { // enough: the message is hashed anyway
		return
	}
	for bit := range 8 * len(sig.Bytes()) {
		b := sig.Bytes()
		b[bit/8] ^= 1 << (bit % 8)
		bad, err := NewSignature(sig.Scheme, b)
		if err != nil {
			t.Fatal(err)
		}
		if p.Account().Verify(m, bad) {
			t.Errorf("%s: the signature verifies with bit %d flipped", p.Scheme(), bit)
		}
	}
	for s := range Scheme(5) {
		if s != sig.Scheme {
			bad := Signature{Scheme: s, b: sig.b}
			if p.Public().Verify(m, bad) || p.Account().Verify(m, bad) {
				t.Errorf("%s: the signature verifies as %s", p.Scheme(), s)
			}
		}
	}
}

// TestEcdsaSpellings checks what the runtime's recovery accepts: codes from 27 on, and the mirrored signature.
func TestEcdsaSpellings(t *testing.T) {
	p, m := alice(t, Ecdsa), []byte("message")
	sig, err := p.Sign(m)
	if err != nil {
		t.Fatal(err)
	}
	ethereum := sig
	ethereum.b[64] += 27
	high := sig
	var s secp256k1.ModNScalar
	s.SetByteSlice(sig.b[32:64])
	s.Negate()
	s.PutBytesUnchecked(high.b[32:64])
	high.b[64] ^= 1
	for name, spelt := range map[string]Signature{"code from 27 on": ethereum, "high s": high} {
		if !p.Account().Verify(m, spelt) || !p.Public().Verify(m, spelt) {
			t.Errorf("%s is refused", name)
		}
	}
	for _, code := range []byte{4, 26, 31, 255} {
		bad := sig
		bad.b[64] = code
		if p.Account().Verify(m, bad) {
			t.Errorf("recovery code %d is accepted", code)
		}
	}
}

func TestNewPublicErrors(t *testing.T) {
	off := append([]byte{2}, make([]byte, 32)...) // x = 0 is not on secp256k1, y = 2 not on edwards25519
	for _, s := range schemes {
		p := alice(t, s).Public()
		if q, err := NewPublic(s, p.Bytes()); err != nil || q != p {
			t.Errorf("%s: %s becomes %s, %v", s, p, q, err)
		}
		for _, b := range [][]byte{nil, p.Bytes()[1:], append(p.Bytes(), 0), off[:s.PublicSize()]} {
			if q, err := NewPublic(s, b); err == nil || q != (Public{}) {
				t.Errorf("%s: %x is accepted as %s", s, b, q)
			}
		}
		for _, b := range [][]byte{nil, make([]byte, s.SignatureSize()-1), make([]byte, s.SignatureSize()+1)} {
			if _, err := NewSignature(s, b); err == nil {
				t.Errorf("%s: a signature of %d bytes is accepted", s, len(b))
			}
		}
	}
	if _, err := NewPublic(9, nil); !errors.Is(err, ErrScheme) {
		t.Errorf("public key of scheme 9: %v", err)
	}
	if _, err := NewSignature(9, nil); !errors.Is(err, ErrScheme) {
		t.Errorf("signature of scheme 9: %v", err)
	}
}

func TestSchemeText(t *testing.T) {
	for _, s := range schemes {
		b, err := json.Marshal(s)
		var back Scheme = 77
		if err != nil || json.Unmarshal(b, &back) != nil || back != s {
			t.Errorf("%d: %s, %d, %v", s, b, back, err)
		}
	}
	if _, err := ParseScheme("ethereum"); !errors.Is(err, ErrScheme) {
		t.Errorf("ethereum: %v", err)
	}
	if b, err := Scheme(3).MarshalText(); !errors.Is(err, ErrScheme) {
		t.Errorf("scheme 3: %s, %v", b, err)
	}
}

// TestSecretsDoNotPrint prints pairs and node keys in every way there is and looks for their bytes.
func TestSecretsDoNotPrint(t *testing.T) {
	for _, s := range schemes {
		p := alice(t, s)
		k := p.NodeKey()
		seed, root := k.Seed(), p.secret().root()
		spellings := secretSpellings(seed[:], root[:], p.secret().export()[:32])
		// fmt does not call methods on unexported fields, so these are the hard ones.
		holder := struct {
			p *Pair
			v Pair
			k NodeKey
			P *Pair
			K NodeKey
		}{p, *p, k, p, k}
		var out bytes.Buffer
		for _, verb := range strings.Split("v +v #v s q x X d b o c e t p T U", " ") {
			for _, x := range []any{p, *p, k, &k, holder, &holder, []any{p, k}, map[string]any{"p": p, "k": k}} {
				fmt.Fprintf(&out, "%"+verb+"\n", x)
			}
		}
		fmt.Fprintln(&out, p, *p, k, &k, holder)
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("x", "p", p, "v", *p, "k", k, "holder", holder, "any", slog.AnyValue(p))
		}
		for _, x := range []any{p, *p, k, holder, map[string]any{"k": k}} {
			if err := json.NewEncoder(&out).Encode(x); err != nil {
				t.Error(err)
			}
		}
		_ = gob.NewEncoder(&out).Encode(p)
		for _, spelt := range spellings {
			if strings.Contains(out.String(), spelt) {
				i := strings.Index(out.String(), spelt)
				t.Errorf("%s: the secret shows as %s: …%s", s, spelt, out.String()[max(0, i-200):i+len(spelt)])
			}
		}
		if got := fmt.Sprintf("%v|%x|%v", p, *p, k); got != p.Account().String()+"|"+p.Account().String()+"|"+k.ID().String() {
			t.Errorf("%s: a pair and a node key print as %s", s, got)
		}
	}
	if got := fmt.Sprint(Pair{}, NodeKey{}, (*Pair)(nil)); got != "no key no node key <nil>" {
		t.Errorf("zero values print as %q", got)
	}
}

// secretSpellings returns how the first 8 bytes of each secret would look in print.
func secretSpellings(secrets ...[]byte) (out []string) {
	for _, b := range secrets {
		b = b[:8]
		out = append(out, string(b), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
			base64.StdEncoding.EncodeToString(b[:6]), strings.Trim(fmt.Sprint(b), "[]"),
			strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}"), strings.Trim(fmt.Sprintf("% x", b), ""),
			strings.Trim(fmt.Sprintf("%o", b), "[]"), strings.Trim(fmt.Sprintf("%b", b), "[]"))
	}
	return out
}

func TestSecretsDoNotCompare(t *testing.T) {
	for _, x := range []any{Pair{}, NodeKey{}} {
		if reflect.TypeOf(x).Comparable() {
			t.Errorf("%T can be compared", x)
		}
	}
	for _, x := range []any{Public{}, Signature{}, AccountID{}, NodeID{}} {
		if !reflect.TypeOf(x).Comparable() {
			t.Errorf("%T cannot be compared", x)
		}
	}
}
