package key

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/mr-tron/base58"
	"golang.org/x/crypto/blake2b"
)

// Errors of ParseAccount and ParseDID; errors.Is finds them.
var (
	ErrLength   = errors.New("wrong length")
	ErrChecksum = errors.New("wrong checksum (is a character mistyped?)")
	ErrBase58   = errors.New("not base58")
	ErrPrefix   = errors.New("no SS58 prefix")
	ErrHex      = errors.New("not hex")
	ErrDID      = errors.New("not a peaq DID (did:peaq:<address>)")
)

const (
	genericPrefix = 42
	maxPrefix     = 1<<14 - 1
	didPrefix     = "did:peaq:"
	maxAddress    = 64 // characters: longer than any address or 0x-hex id would be with 66
)

// AccountID is the 32-byte id of an account on the chain: the public key for ed25519 and sr25519,
// its blake2-256 hash for ecdsa.
type AccountID [32]byte

// String returns the SS58 address with the generic prefix 42.
func (a AccountID) String() string { return a.SS58(genericPrefix) }

// SS58 returns the address under the given network prefix. There are prefixes up to 16383; a larger one gives the
// generic address.
func (a AccountID) SS58(prefix uint16) string {
	buf := make([]byte, 0, 36)
	switch {
	case prefix < 64:
		buf = append(buf, byte(prefix))
	case prefix <= maxPrefix:
		buf = append(buf, 0x40|byte(prefix>>2)&0x3f, byte(prefix>>8)|byte(prefix)<<6)
	default:
		buf = append(buf, genericPrefix)
	}
	buf = append(buf, a[:]...)
	sum := checksum(buf)
	return base58.Encode(append(buf, sum[:]...))
}

// DID returns "did:peaq:" followed by the SS58 address with prefix 42.
func (a AccountID) DID() string { return didPrefix + a.String() }

// MarshalText returns the SS58 address, so that JSON and flags show accounts as addresses.
func (a AccountID) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what ParseAccount reads.
func (a *AccountID) UnmarshalText(text []byte) error {
	parsed, err := ParseAccount(string(text))
	if err == nil {
		*a = parsed
	}
	return err
}

// ParseAccount reads an SS58 address of any prefix, a 0x-prefixed account id of 32 bytes, or a peaq DID.
func ParseAccount(s string) (AccountID, error) {
	switch {
	case strings.HasPrefix(s, didPrefix):
		return ParseDID(s)
	case strings.HasPrefix(s, "0x"):
		return parseHexID(s)
	}
	a, _, err := ParseSS58(s)
	return a, err
}

// ParseSS58 reads an SS58 address and returns its account and its network prefix. The error wraps ErrBase58,
// ErrLength, ErrPrefix or ErrChecksum.
func ParseSS58(s string) (AccountID, uint16, error) {
	fail := func(err error) (AccountID, uint16, error) {
		return AccountID{}, 0, fmt.Errorf("address %.70q: %w", s, err)
	}
	if len(s) == 0 || len(s) > maxAddress {
		return fail(ErrLength)
	}
	b, err := base58.Decode(s)
	if err != nil {
		return fail(ErrBase58)
	}
	head := 1
	if len(b) > 0 && b[0]&0x40 != 0 {
		head = 2
	}
	if len(b) != head+32+2 {
		return fail(ErrLength)
	}
	prefix := uint16(b[0])
	if head == 2 {
		prefix = uint16(b[0]&0x3f)<<2 | uint16(b[1]>>6) | uint16(b[1]&0x3f)<<8
	}
	if b[0] >= 0x80 || head == 2 && prefix < 64 {
		return fail(ErrPrefix)
	}
	if checksum(b[:head+32]) != [2]byte(b[head+32:]) {
		return fail(ErrChecksum)
	}
	return AccountID(b[head : head+32]), prefix, nil
}

// ParseDID reads a peaq DID whose id is an SS58 address, 0x-hex, or a decimal number (of the id's bytes, the
// most significant first). Digits that are also a valid address are an address.
func ParseDID(s string) (AccountID, error) {
	id, ok := strings.CutPrefix(s, didPrefix)
	if !ok {
		return AccountID{}, fmt.Errorf("DID %.80q: %w", s, ErrDID)
	}
	if strings.HasPrefix(id, "0x") {
		return parseHexID(id)
	}
	a, _, err := ParseSS58(id)
	if err == nil || !isDigits(id) {
		return a, err
	}
	n, ok := new(big.Int), len(id) <= 78 // 2^256 has 78 digits
	if ok {
		_, ok = n.SetString(id, 10)
	}
	if !ok || n.BitLen() > 256 {
		return AccountID{}, fmt.Errorf("DID %.100q: decimal id: %w", s, ErrLength)
	}
	n.FillBytes(a[:])
	return a, nil
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func parseHexID(s string) (AccountID, error) {
	var a AccountID
	if len(s) != 2+2*len(a) {
		return a, fmt.Errorf("account id %.70q: %w: 0x and 64 digits are expected", s, ErrLength)
	}
	if _, err := hex.Decode(a[:], []byte(s[2:])); err != nil {
		return AccountID{}, fmt.Errorf("account id %.70q: %w", s, ErrHex)
	}
	return a, nil
}

func checksum(prefixed []byte) [2]byte {
	var buf [7 + 2 + 32]byte
	n := copy(buf[:], "SS58PRE")
	n += copy(buf[n:], prefixed)
	sum := blake2b.Sum512(buf[:n])
	return [2]byte(sum[:2])
}
