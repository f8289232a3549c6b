package key

import (
	"errors"
	"fmt"

	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
	"github.com/oasisprotocol/curve25519-voi/primitives/merlin"
	"github.com/oasisprotocol/curve25519-voi/primitives/sr25519"
)

// substrate is the signing context of every Substrate chain.
var substrate = sr25519.NewSigningContext([]byte("substrate"))

type srSecret struct{ pair *sr25519.KeyPair }

// newSrSecret expands a seed (schnorrkel's mini secret key) in the way of ed25519, as Substrate does.
func newSrSecret(seed *[32]byte) *srSecret {
	mini := sr25519.MiniSecretKey(*seed)
	defer clear(mini[:])
	return &srSecret{pair: mini.ExpandEd25519().KeyPair()}
}

func (s *srSecret) sign(message []byte) (Signature, error) {
	sig, err := s.pair.Sign(nil, substrate.NewTranscriptBytes(message))
	if err != nil {
		return Signature{}, fmt.Errorf("sign with sr25519: %w", err)
	}
	b, err := sig.MarshalBinary()
	if err != nil {
		return Signature{}, fmt.Errorf("sign with sr25519: %w", err)
	}
	return NewSignature(Sr25519, b)
}

func (s *srSecret) public() Public {
	b, _ := s.pair.PublicKey().MarshalBinary() // cannot fail: its error is always nil
	return publicOf(Sr25519, b)
}

// raw returns the canonical scalar and the nonce.
func (s *srSecret) raw() [64]byte {
	b, _ := s.pair.SecretKey().MarshalBinary() // cannot fail for a key that was made
	defer clear(b)
	return [64]byte(b)
}

// root is the scalar alone. The nonce of a key behind a soft junction is random in other implementations, so that
// the same account has a different one in each wallet.
func (s *srSecret) root() [32]byte {
	raw := s.raw()
	defer clear(raw[:])
	return [32]byte(raw[:32])
}

// export multiplies the scalar by the cofactor, as the expanded secret of an ed25519 key has it.
func (s *srSecret) export() []byte {
	raw := s.raw()
	defer clear(raw[:])
	out := make([]byte, 64)
	var carry byte
	for i, b := range raw[:32] {
		out[i] = b<<3 | carry
		carry = b >> 5
	}
	copy(out[32:], raw[32:])
	return out
}

// srFromExport reads what export writes.
func srFromExport(b []byte) (*srSecret, error) {
	if len(b) != 64 || b[0]&7 != 0 {
		return nil, errors.New("not an expanded sr25519 secret")
	}
	var raw [64]byte
	defer clear(raw[:])
	for i := range 32 {
		raw[i] = b[i] >> 3
		if i < 31 {
			raw[i] |= b[i+1] << 5
		}
	}
	copy(raw[32:], b[32:])
	return srFromRaw(&raw)
}

func srFromRaw(raw *[64]byte) (*srSecret, error) {
	if [32]byte(raw[:32]) == [32]byte{} {
		return nil, errors.New("the sr25519 secret is zero")
	}
	secret, err := sr25519.NewSecretKeyFromBytes(raw[:])
	if err != nil {
		return nil, errors.New("the sr25519 secret is not a canonical scalar")
	}
	return &srSecret{pair: secret.KeyPair()}, nil
}

// hard derives the key of a hard junction: a new seed out of the secret scalar.
func (s *srSecret) hard(code *[32]byte) *srSecret {
	root := s.root()
	defer clear(root[:])
	t := derivation(code)
	t.AppendMessage("secret-key", root[:])
	var seed [32]byte
	defer clear(seed[:])
	t.ExtractBytes(seed[:], "HDKD-hard")
	return newSrSecret(&seed)
}

// soft derives the key of a soft junction: the scalar plus one that anyone can derive from the public key. The nonce
// only has to be secret and different; here it is taken from the parent's instead of drawn at random, so that the
// same URI always gives the same key file.
func (s *srSecret) soft(code *[32]byte) (*srSecret, error) {
	raw := s.raw()
	defer clear(raw[:])
	pub := s.public()
	t := derivation(code)
	t.AppendMessage("public-key", pub.b[:32])
	var wide [64]byte
	t.ExtractBytes(wide[:], "HDKD-scalar")
	shift, err := scalar.NewFromBytesModOrderWide(wide[:])
	if err != nil {
		return nil, fmt.Errorf("derive soft junction: %w", err)
	}
	old, err := scalar.NewFromCanonicalBytes(raw[:32])
	if err != nil {
		return nil, fmt.Errorf("derive soft junction: %w", err)
	}
	var next [64]byte
	defer clear(next[:])
	if err := scalar.New().Add(old, shift).ToBytes(next[:32]); err != nil {
		return nil, fmt.Errorf("derive soft junction: %w", err)
	}
	t.AppendMessage("secret-key", raw[:])
	t.ExtractBytes(next[32:], "HDKD-nonce")
	return srFromRaw(&next)
}

// derivation starts schnorrkel's transcript for deriving keys, with an empty message.
func derivation(code *[32]byte) *merlin.Transcript {
	t := merlin.NewTranscript("SchnorrRistrettoHDKD")
	t.AppendMessage("sign-bytes", nil)
	t.AppendMessage("chain-code", code[:])
	return t
}

func verifySr25519(pub *[32]byte, message []byte, sig *Signature) bool {
	public, err := sr25519.NewPublicKeyFromBytes(pub[:])
	if err != nil {
		return false
	}
	s, err := sr25519.NewSignatureFromBytes(sig.b[:64])
	if err != nil {
		return false
	}
	return public.Verify(substrate.NewTranscriptBytes(message), s)
}

func checkSr25519(b []byte) error {
	if _, err := sr25519.NewPublicKeyFromBytes(b); err != nil {
		return errors.New("not a ristretto point")
	}
	return nil
}
