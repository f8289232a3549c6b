package key

import (
	"errors"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/blake2b"
)

type ecSecret struct{ key *secp256k1.PrivateKey }

// newEcSecret refuses 0 and numbers from the group's order on, which no wallet takes for a key.
func newEcSecret(seed *[32]byte) (*ecSecret, error) {
	var k secp256k1.ModNScalar
	if overflow := k.SetBytes(seed); overflow != 0 || k.IsZero() {
		return nil, errors.New("seed is not a secp256k1 secret (0 < seed < group order)")
	}
	return &ecSecret{key: secp256k1.NewPrivateKey(&k)}, nil
}

func (e *ecSecret) sign(message []byte) (Signature, error) {
	hash := blake2b.Sum256(message)
	// The library writes 27 + 4 + recovery code ‖ r ‖ s; Substrate wants r ‖ s ‖ recovery code.
	compact := ecdsa.SignCompact(e.key, hash[:], true)
	sig := Signature{Scheme: Ecdsa}
	copy(sig.b[:], compact[1:])
	sig.b[64] = compact[0] - 31
	return sig, nil
}

func (e *ecSecret) public() Public { return publicOf(Ecdsa, e.key.PubKey().SerializeCompressed()) }
func (e *ecSecret) root() [32]byte { return e.key.Key.Bytes() }
func (e *ecSecret) export() []byte { return e.key.Serialize() }

// recoverEcdsa returns the compressed public key that signed message. As in the runtime, the recovery code may
// also be written as 27 and up, and s may be in the upper half of the group.
func recoverEcdsa(message []byte, sig *Signature) ([33]byte, bool) {
	code := sig.b[64]
	if code >= 27 {
		code -= 27
	}
	if code > 3 {
		return [33]byte{}, false
	}
	hash := blake2b.Sum256(message)
	var compact [65]byte
	compact[0] = 31 + code
	copy(compact[1:], sig.b[:64])
	pub, _, err := ecdsa.RecoverCompact(compact[:], hash[:])
	if err != nil {
		return [33]byte{}, false
	}
	return [33]byte(pub.SerializeCompressed()), true
}

func checkEcdsa(b []byte) error {
	if _, err := secp256k1.ParsePubKey(b); err != nil {
		return errors.New("not a compressed point of the curve")
	}
	return nil
}
