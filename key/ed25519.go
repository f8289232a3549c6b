package key

import (
	"crypto/ed25519"
	"errors"

	"filippo.io/edwards25519"
	"golang.org/x/crypto/blake2b"
)

type edSecret struct{ key ed25519.PrivateKey }

func newEdSecret(seed *[32]byte) *edSecret {
	return &edSecret{key: ed25519.NewKeyFromSeed(seed[:])}
}

func (e *edSecret) sign(message []byte) (Signature, error) {
	return NewSignature(Ed25519, ed25519.Sign(e.key, message))
}

func (e *edSecret) public() Public { return publicOf(Ed25519, e.key[32:]) }
func (e *edSecret) root() [32]byte { return [32]byte(e.key[:32]) }
func (e *edSecret) export() []byte { return append([]byte(nil), e.key...) }

func verifyEd25519(pub *[32]byte, message []byte, sig *Signature) bool {
	return ed25519.Verify(pub[:], message, sig.b[:64])
}

func checkEd25519(b []byte) error {
	if _, err := new(edwards25519.Point).SetBytes(b); err != nil {
		return errors.New("not a point of the curve")
	}
	return nil
}

// hardSeed derives the seed of a hard junction for ed25519 and ecdsa: blake2-256 of the SCALE string tag, the seed
// and the chain code.
func hardSeed(tag string, seed, code *[32]byte) [32]byte {
	buf := make([]byte, 0, 128)
	buf = append(buf, byte(len(tag))<<2) // SCALE compact length; tags are shorter than 64 bytes
	buf = append(buf, tag...)
	buf = append(buf, seed[:]...)
	buf = append(buf, code[:]...)
	defer clear(buf)
	return blake2b.Sum256(buf)
}
