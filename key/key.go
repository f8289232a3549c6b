// Package key holds the keys and identifiers of iod as types: accounts of a Substrate chain in the
// three signature schemes, their SS58 addresses and peaq DIDs, and the node keys of the overlay.
// Secret keys can be neither printed nor compared by accident.
//
// # Addresses
//
// An SS58 address is the base58 text of
//
//	prefix (1 or 2 bytes) ‖ account id (32 bytes) ‖ checksum (2 bytes)
//
// where the checksum is the first two bytes of blake2b-512("SS58PRE" ‖ prefix ‖ account id). Prefixes 0 to 63
// take one byte. Prefixes 64 to 16383 take two: with the bits of the prefix written 00hhhhhh llllllll,
//
//	01llllll llhhhhhh   (the upper six l bits in the first byte, the lower two at the top of the second)
//
// # Secret URIs
//
//	[phrase | 0x-hex seed] { //hard | /soft } [ ///password ]
//
// A phrase is 12 to 24 words of BIP-39. Substrate takes the seed from the phrase's entropy instead of its text:
// the first 32 bytes of PBKDF2-HMAC-SHA512(entropy, "mnemonic" ‖ password, 2048 rounds). A junction of digits
// stands for its number (u64, little-endian), any other for its SCALE string; both are padded with zeros to the
// 32 bytes of a chain code, or hashed with blake2-256 when they are longer.
//
// # Honesty about memory
//
// Buffers that held a seed, a passphrase's key or a decrypted file are overwritten after use. The garbage
// collector may still have copied a stack that held one, and a Pair keeps its secret as long as it lives.
package key

import (
	"errors"
	"fmt"
	"log/slog"
)

// Scheme is a signature scheme. Its number is the index of the variant in the runtime's
// MultiSignature and MultiSigner enums.
type Scheme uint8

// The schemes that a Substrate runtime accepts.
const (
	Ed25519 Scheme = iota // 32-byte public key, 64-byte signature (RFC 8032)
	Sr25519               // 32-byte public key, 64-byte signature (schnorrkel, context "substrate")
	Ecdsa                 // 33-byte public key, 65-byte recoverable signature over blake2-256
)

// ErrScheme says that a scheme is none of Ed25519, Sr25519 and Ecdsa.
var ErrScheme = errors.New("unknown signature scheme (there are sr25519, ed25519 and ecdsa)")

// String returns "ed25519", "sr25519" or "ecdsa", as wallets write it.
func (s Scheme) String() string {
	switch s {
	case Ed25519:
		return "ed25519"
	case Sr25519:
		return "sr25519"
	case Ecdsa:
		return "ecdsa"
	}
	return fmt.Sprintf("Scheme(%d)", uint8(s))
}

// ParseScheme reads what String writes.
func ParseScheme(s string) (Scheme, error) {
	for _, known := range []Scheme{Ed25519, Sr25519, Ecdsa} {
		if s == known.String() {
			return known, nil
		}
	}
	return 0, fmt.Errorf("scheme %.20q: %w", s, ErrScheme)
}

// MarshalText returns String, and an error for a number that is no scheme.
func (s Scheme) MarshalText() ([]byte, error) {
	if s > Ecdsa {
		return nil, fmt.Errorf("scheme %d: %w", uint8(s), ErrScheme)
	}
	return []byte(s.String()), nil
}

// UnmarshalText reads what ParseScheme reads.
func (s *Scheme) UnmarshalText(text []byte) error {
	parsed, err := ParseScheme(string(text))
	if err == nil {
		*s = parsed
	}
	return err
}

// PublicSize returns the length of a public key in bytes, 0 for an unknown scheme.
func (s Scheme) PublicSize() int {
	switch s {
	case Ed25519, Sr25519:
		return 32
	case Ecdsa:
		return 33
	}
	return 0
}

// SignatureSize returns the length of a signature in bytes, 0 for an unknown scheme.
func (s Scheme) SignatureSize() int {
	switch s {
	case Ed25519, Sr25519:
		return 64
	case Ecdsa:
		return 65
	}
	return 0
}

// hidden holds a secret in a closure. The fmt package calls no method of a value in another's unexported field, and
// with some verbs it looks behind pointers there; a function it can only show the address of. Neither can a struct
// with a function in it be compared.
type hidden[T any] func() T

func hide[T any](secret T) hidden[T] { return func() T { return secret } }

// signer is the secret half of a pair in one scheme.
type signer interface {
	sign(message []byte) (Signature, error)
	public() Public
	// root returns the 32 secret bytes that define the key, the same whichever way the key was made.
	root() [32]byte
	// export returns the secret as a wallet's PKCS #8 holds it.
	export() []byte
}

// Pair is an account's key pair. Printing one in any verb, logging it or marshalling it shows its address only.
type Pair struct {
	secret hidden[signer]
	pub    Public
}

func newPair(s signer) *Pair { return &Pair{secret: hide(s), pub: s.public()} }

// Public returns the public half.
func (p *Pair) Public() Public { return p.pub }

// Scheme returns the signature scheme.
func (p *Pair) Scheme() Scheme { return p.pub.scheme }

// Account returns the account id.
func (p *Pair) Account() AccountID { return p.pub.Account() }

// Sign signs message (unhashed).
func (p *Pair) Sign(message []byte) (Signature, error) { return p.secret().sign(message) }

// Format writes the address, whatever the verb.
func (p Pair) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(p.label())) }

// LogValue is the address.
func (p Pair) LogValue() slog.Value { return slog.StringValue(p.label()) }

// MarshalText returns the address: text and JSON never hold the secret. Save writes key files.
func (p Pair) MarshalText() ([]byte, error) { return []byte(p.label()), nil }

func (p *Pair) label() string {
	if p.secret == nil {
		return "no key"
	}
	return p.Account().String()
}
