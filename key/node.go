package key

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"filippo.io/edwards25519"
)

// crockford is Crockford's base32 in lower case: no i, l, o and u.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// aliases maps what Crockford reads onto what he writes.
var aliases = strings.NewReplacer("o", "0", "i", "1", "l", "1")

const nodeIDLength = 52 // characters: 256 bits and 4 trailing zero bits

// ErrNodeID says that a text is not a node id.
var ErrNodeID = errors.New("not a node id (52 characters of Crockford base32)")

// ErrPoint says that a node id is not a point of the curve, or one of its few points of small order, to which
// nothing can be sealed.
var ErrPoint = errors.New("not a usable point of the curve")

// NodeID is the public ed25519 key of an overlay node.
type NodeID [32]byte

// String returns the 52 characters of lower-case Crockford base32.
func (n NodeID) String() string { return crockford.EncodeToString(n[:]) }

// MarshalText is String.
func (n NodeID) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what ParseNodeID reads.
func (n *NodeID) UnmarshalText(text []byte) error {
	parsed, err := ParseNodeID(string(text))
	if err == nil {
		*n = parsed
	}
	return err
}

// ParseNodeID reads the form that String writes, in either case, and o for 0, i and l for 1 as Crockford has it.
// The four bits beyond the key must be zero, so that a key has one spelling but for those.
func ParseNodeID(s string) (NodeID, error) {
	if len(s) != nodeIDLength {
		return NodeID{}, fmt.Errorf("node id %.60q: %w: %d characters", s, ErrNodeID, len(s))
	}
	canonical := aliases.Replace(strings.ToLower(s))
	var n NodeID
	var buf [33]byte // the decoder wants room for the last four bits
	if _, err := crockford.Decode(buf[:], []byte(canonical)); err != nil {
		return n, fmt.Errorf("node id %q: %w", s, ErrNodeID)
	}
	// The decoder overlooks line breaks and the bits beyond the key.
	if n = NodeID(buf[:32]); n.String() != canonical {
		return NodeID{}, fmt.Errorf("node id %q: %w: line breaks, or bits beyond the key", s, ErrNodeID)
	}
	return n, nil
}

// X25519 returns the public key for key agreement (HPKE) that belongs to the node's ed25519 key. The error wraps
// ErrPoint when the id is not a point of the curve or is of small order.
func (n NodeID) X25519() (*ecdh.PublicKey, error) {
	p, err := new(edwards25519.Point).SetBytes(n[:])
	if err != nil {
		return nil, fmt.Errorf("node id %s: %w", n, ErrPoint)
	}
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return nil, fmt.Errorf("node id %s: %w", n, ErrPoint)
	}
	pub, err := ecdh.X25519().NewPublicKey(p.BytesMontgomery())
	if err != nil {
		return nil, fmt.Errorf("node id %s: %w", n, err)
	}
	return pub, nil
}

// NodeKey is the secret ed25519 key of an overlay node. Printing one in any verb, logging it or marshalling it shows
// its node id only. The zero NodeKey is no key; make one with NewNodeKey, NodeKeyFromSeed or Pair.NodeKey.
type NodeKey struct{ private hidden[ed25519.PrivateKey] }

// NewNodeKey makes a fresh random node key.
func NewNodeKey() NodeKey {
	var seed [32]byte
	defer clear(seed[:])
	_, _ = rand.Read(seed[:]) // never fails
	return NodeKeyFromSeed(seed)
}

// NodeKeyFromSeed makes the node key of a 32-byte seed.
func NodeKeyFromSeed(seed [32]byte) NodeKey {
	return NodeKey{private: hide(ed25519.NewKeyFromSeed(seed[:]))}
}

// NodeKey derives the pair's overlay node key from its secret, one way:
// the node key reveals nothing of the account's secret.
func (p *Pair) NodeKey() NodeKey {
	root := p.secret().root()
	defer clear(root[:])
	seed, err := hkdf.Key(sha256.New, root[:], nil, "iod/node/1 "+p.Scheme().String(), 32)
	if err != nil { // only for lengths beyond 255 hashes
		panic("key: derive node key: " + err.Error())
	}
	defer clear(seed)
	return NodeKeyFromSeed([32]byte(seed))
}

// IsZero reports whether k is no key.
func (k NodeKey) IsZero() bool { return k.private == nil }

// Seed returns the secret seed; keep it out of logs. It is zero for the zero NodeKey.
func (k NodeKey) Seed() [32]byte {
	if k.private == nil {
		return [32]byte{}
	}
	return [32]byte(k.private()[:32])
}

// Private returns the ed25519 key, nil for the zero NodeKey. It is not a copy: leave its bytes alone.
func (k NodeKey) Private() ed25519.PrivateKey {
	if k.private == nil {
		return nil
	}
	return k.private()
}

// ID returns the public half, zero for the zero NodeKey.
func (k NodeKey) ID() NodeID {
	if k.private == nil {
		return NodeID{}
	}
	return NodeID(k.private()[32:])
}

// X25519 returns the secret key for key agreement (HPKE) whose public half is k.ID().X25519().
func (k NodeKey) X25519() (*ecdh.PrivateKey, error) {
	if k.private == nil {
		return nil, errors.New("x25519 secret of a node: there is no node key")
	}
	// RFC 8032 takes the scalar from the seed's SHA-512; X25519 clamps it in the same way.
	h := sha512.Sum512(k.private()[:32])
	defer clear(h[:])
	private, err := ecdh.X25519().NewPrivateKey(h[:32])
	if err != nil {
		return nil, fmt.Errorf("x25519 secret of node %s: %w", k.ID(), err)
	}
	return private, nil
}

// Format writes the node id, whatever the verb.
func (k NodeKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.label())) }

// LogValue is the node id.
func (k NodeKey) LogValue() slog.Value { return slog.StringValue(k.label()) }

// MarshalText returns the node id: text and JSON never hold the secret.
func (k NodeKey) MarshalText() ([]byte, error) { return []byte(k.label()), nil }

func (k NodeKey) label() string {
	if k.private == nil {
		return "no node key"
	}
	return k.ID().String()
}
