package key

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/blake2b"
)

type vectors struct {
	Accounts []struct {
		URI       string `json:"uri"`
		Type      Scheme `json:"type"`
		PublicKey string `json:"publicKey"`
		AccountID string `json:"accountId"`
		SS58_42   string `json:"ss58_42"`
		SS58_0    string `json:"ss58_0"`
		Error     string `json:"error"`
	} `json:"accounts"`
	Signing []struct {
		Name       string    `json:"name"`
		Signer     AccountID `json:"signer"`
		SignerType Scheme    `json:"signerType"`
		PayloadRaw string    `json:"payloadRaw"`
		Extrinsic  string    `json:"extrinsic"`
	} `json:"signing"`
}

func loadVectors(t testing.TB) *vectors {
	t.Helper()
	b, err := os.ReadFile("../../shared/peaq/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return &v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordedAccounts(t *testing.T) {
	made, refused := 0, 0
	for _, v := range loadVectors(t).Accounts {
		p, err := FromURI(v.Type, v.URI)
		if v.Error != "" {
			if err == nil {
				t.Errorf("%s %s: accepted, should be refused: %s", v.Type, v.URI, v.Error)
			}
			refused++
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", v.Type, v.URI, err)
			continue
		}
		made++
		if got := p.Public().String(); got != v.PublicKey {
			t.Errorf("%s %s: public key %s, want %s", v.Type, v.URI, got, v.PublicKey)
		}
		a := p.Account()
		if got := "0x" + hex.EncodeToString(a[:]); got != v.AccountID {
			t.Errorf("%s %s: account id %s, want %s", v.Type, v.URI, got, v.AccountID)
		}
		if got := a.SS58(42); got != v.SS58_42 {
			t.Errorf("%s %s: address %s, want %s", v.Type, v.URI, got, v.SS58_42)
		}
		if got := a.SS58(0); got != v.SS58_0 {
			t.Errorf("%s %s: address %s, want %s", v.Type, v.URI, got, v.SS58_0)
		}
		for _, text := range []string{v.SS58_42, v.SS58_0, v.AccountID, "did:peaq:" + v.SS58_42} {
			if back, err := ParseAccount(text); err != nil || back != a {
				t.Errorf("ParseAccount(%s) = %s, %v; want %s", text, back, err, a)
			}
		}
	}
	if made != 24 || refused != 6 {
		t.Errorf("%d accounts made and %d refused, want 24 and 6", made, refused)
	}
}

// TestRecordedSignatures checks the signatures that the real runtime accepted.
func TestRecordedSignatures(t *testing.T) {
	counts := map[Scheme]int{}
	for _, v := range loadVectors(t).Signing {
		payload := unhex(t, v.PayloadRaw)
		if len(payload) > 256 {
			sum := blake2b.Sum256(payload)
			payload = sum[:]
		}
		a, sig := extrinsicSignature(t, unhex(t, v.Extrinsic))
		if a != v.Signer || sig.Scheme != v.SignerType {
			t.Errorf("%s: extrinsic of %s %s, want %s %s", v.Name, sig.Scheme, a, v.SignerType, v.Signer)
		}
		if !a.Verify(payload, sig) {
			t.Errorf("%s: %s signature does not verify", v.Name, sig.Scheme)
		}
		payload[0] ^= 1
		if a.Verify(payload, sig) {
			t.Errorf("%s: %s signature verifies for another payload", v.Name, sig.Scheme)
		}
		counts[sig.Scheme]++
	}
	t.Logf("signatures verified: %v", counts)
	if total := counts[Sr25519] + counts[Ed25519] + counts[Ecdsa]; total != 32 {
		t.Errorf("%d signatures verified, want 32", total)
	}
}

// extrinsicSignature takes apart compact length ‖ 0x84 ‖ 0x00 account ‖ scheme signature ‖ ….
func extrinsicSignature(t *testing.T, x []byte) (AccountID, Signature) {
	t.Helper()
	x = x[[]int{1, 2, 4, 5}[x[0]&3]:]
	if x[0] != 0x84 || x[1] != 0 {
		t.Fatalf("extrinsic starts with %x", x[:2])
	}
	scheme := Scheme(x[34])
	sig, err := NewSignature(scheme, x[35:35+scheme.SignatureSize()])
	if err != nil {
		t.Fatal(err)
	}
	return AccountID(x[2:34]), sig
}
