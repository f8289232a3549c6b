package chain

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// errHash is the cause of every malformed hash.
var errHash = errors.New("not 0x and 64 hexadecimal digits")

// Hash is a 32-byte block, extrinsic or code hash. It prints as 0x-hex.
type Hash [32]byte

// ParseHash reads 0x-hex of 32 bytes.
func ParseHash(s string) (Hash, error) {
	var h Hash
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok || len(digits) != 64 {
		return h, fmt.Errorf("parse hash %.70q: %w", s, errHash)
	}
	if _, err := hex.Decode(h[:], []byte(digits)); err != nil {
		return Hash{}, fmt.Errorf("parse hash %.70q: %w", s, errHash)
	}
	return h, nil
}

// String returns 0x-hex.
func (h Hash) String() string { return "0x" + hex.EncodeToString(h[:]) }

// IsZero reports whether the hash is all zeros, which stands for none.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText is String.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what ParseHash reads.
func (h *Hash) UnmarshalText(text []byte) error {
	p, err := ParseHash(string(text))
	if err == nil {
		*h = p
	}
	return err
}
