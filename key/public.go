package key

import (
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/blake2b"
)

// Public is a public key with its scheme. Values can be compared with == and used as keys of a map.
type Public struct {
	scheme Scheme
	b      [33]byte // unused bytes are zero
}

// NewPublic checks the length (and that it is a point of the curve) and returns the public key.
func NewPublic(s Scheme, b []byte) (Public, error) {
	if s > Ecdsa {
		return Public{}, fmt.Errorf("public key: %w", ErrScheme)
	}
	if len(b) != s.PublicSize() {
		return Public{}, fmt.Errorf("%s public key: %d bytes instead of %d", s, len(b), s.PublicSize())
	}
	var err error
	switch s {
	case Ed25519:
		err = checkEd25519(b)
	case Sr25519:
		err = checkSr25519(b)
	case Ecdsa:
		err = checkEcdsa(b)
	}
	if err != nil {
		return Public{}, fmt.Errorf("%s public key: %w", s, err)
	}
	return publicOf(s, b), nil
}

// publicOf skips the checks, for bytes that come from a secret key.
func publicOf(s Scheme, b []byte) Public {
	p := Public{scheme: s}
	copy(p.b[:], b)
	return p
}

// Scheme returns the signature scheme.
func (p Public) Scheme() Scheme { return p.scheme }

// Bytes returns the 32 or 33 bytes of the key.
func (p Public) Bytes() []byte { return append([]byte(nil), p.b[:p.scheme.PublicSize()]...) }

// String returns the key as 0x-hex.
func (p Public) String() string { return "0x" + hex.EncodeToString(p.b[:p.scheme.PublicSize()]) }

// MarshalText is String.
func (p Public) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Account returns the account id that the key controls.
func (p Public) Account() AccountID {
	if p.scheme == Ecdsa {
		return blake2b.Sum256(p.b[:])
	}
	return AccountID(p.b[:32])
}

// Verify reports whether sig is a signature of message (unhashed) by p.
func (p Public) Verify(message []byte, sig Signature) bool {
	if sig.Scheme != p.scheme {
		return false
	}
	switch p.scheme {
	case Ed25519:
		return verifyEd25519((*[32]byte)(p.b[:32]), message, &sig)
	case Sr25519:
		return verifySr25519((*[32]byte)(p.b[:32]), message, &sig)
	case Ecdsa:
		pub, ok := recoverEcdsa(message, &sig)
		return ok && pub == p.b
	}
	return false
}

// Signature is a signature with its scheme.
type Signature struct {
	Scheme Scheme
	b      [65]byte // unused bytes are zero
}

// NewSignature checks the length: 64 bytes, 65 for ecdsa.
func NewSignature(s Scheme, b []byte) (Signature, error) {
	if s > Ecdsa {
		return Signature{}, fmt.Errorf("signature: %w", ErrScheme)
	}
	if len(b) != s.SignatureSize() {
		return Signature{}, fmt.Errorf("%s signature: %d bytes instead of %d", s, len(b), s.SignatureSize())
	}
	sig := Signature{Scheme: s}
	copy(sig.b[:], b)
	return sig, nil
}

// Bytes returns the 64 or 65 bytes.
func (s Signature) Bytes() []byte { return append([]byte(nil), s.b[:s.Scheme.SignatureSize()]...) }

// String returns the signature as 0x-hex.
func (s Signature) String() string { return "0x" + hex.EncodeToString(s.b[:s.Scheme.SignatureSize()]) }

// Verify reports whether sig is a signature of message (unhashed) by the account, in whichever scheme sig has.
// It is how a runtime checks a MultiSignature: the public key of an ecdsa account is recovered from the signature.
func (a AccountID) Verify(message []byte, sig Signature) bool {
	switch sig.Scheme {
	case Ed25519:
		return verifyEd25519((*[32]byte)(&a), message, &sig)
	case Sr25519:
		return verifySr25519((*[32]byte)(&a), message, &sig)
	case Ecdsa:
		pub, ok := recoverEcdsa(message, &sig)
		return ok && AccountID(blake2b.Sum256(pub[:])) == a
	}
	return false
}
