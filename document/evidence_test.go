package document_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"golang.org/x/crypto/blake2b"

	"iod/document"
	"iod/key"
)

// What Evidence tells is enough to verify a document without this package.
func TestEvidence(t *testing.T) {
	for _, scheme := range []key.Scheme{key.Sr25519, key.Ed25519, key.Ecdsa} {
		p, err := key.FromURI(scheme, "//evidence")
		if err != nil {
			t.Fatal(err)
		}
		raw, err := document.Device{Account: p.Account(), DataType: "weather", Sequence: 7}.Sign(p)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := document.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		e := doc.Evidence(p.Account(), document.DeviceAttribute)
		if hash := blake2b.Sum256(append(e.Prefix, e.Signed...)); hash != e.Hash {
			t.Errorf("%v: hash %x, want that of prefix and bytes %x", scheme, e.Hash, hash)
		}
		bytes, err := hex.DecodeString(strings.TrimPrefix(doc.Signature.Hash, "0x"))
		if err != nil {
			t.Fatal(err)
		}
		sig, err := key.NewSignature(scheme, bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Account().Verify(e.Hash[:], sig) {
			t.Errorf("%v: the document's signature is not of this hash", scheme)
		}
		if other := doc.Evidence(p.Account(), document.ClientAttribute); other.Hash == e.Hash {
			t.Errorf("%v: the hash is the same for another attribute", scheme)
		}
	}
}
