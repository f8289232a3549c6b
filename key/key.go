// Package key holds the keys and identifiers of iod as types: accounts of a Substrate chain in the
// three signature schemes, their SS58 addresses and peaq DIDs, and the node keys of the overlay.
// Secret keys can be neither printed nor compared by accident.
package key

// Scheme is a signature scheme. Its number is the index of the variant in the runtime's
// MultiSignature and MultiSigner enums.
type Scheme uint8

// The schemes that a Substrate runtime accepts.
const (
	Ed25519 Scheme = iota // 32-byte public key, 64-byte signature (RFC 8032)
	Sr25519               // 32-byte public key, 64-byte signature (schnorrkel, context "substrate")
	Ecdsa                 // 33-byte public key, 65-byte recoverable signature over blake2-256
)

// AccountID is the 32-byte id of an account on the chain: the public key for ed25519 and sr25519,
// its blake2-256 hash for ecdsa.
type AccountID [32]byte

// String returns the SS58 address with the generic prefix 42.
func (a AccountID) String() string { panic("key: to be written") }

// SS58 returns the address under the given network prefix.
func (a AccountID) SS58(prefix uint16) string { panic("key: to be written") }

// DID returns "did:peaq:" followed by the SS58 address with prefix 42.
func (a AccountID) DID() string { panic("key: to be written") }

// MarshalText returns the SS58 address, so that JSON and flags show accounts as addresses.
func (a AccountID) MarshalText() ([]byte, error) { panic("key: to be written") }

// UnmarshalText reads what ParseAccount reads.
func (a *AccountID) UnmarshalText(text []byte) error { panic("key: to be written") }

// ParseAccount reads an SS58 address of any prefix, a 0x-prefixed account id of 32 bytes, or a peaq DID.
func ParseAccount(s string) (AccountID, error) { panic("key: to be written") }

// ParseDID reads a peaq DID whose id is an SS58 address, 0x-hex, or a decimal number.
func ParseDID(s string) (AccountID, error) { panic("key: to be written") }

// NodeID is the public ed25519 key of an overlay node.
type NodeID [32]byte

// String returns the 52 characters of lower-case Crockford base32.
func (n NodeID) String() string { panic("key: to be written") }

// MarshalText is String.
func (n NodeID) MarshalText() ([]byte, error) { panic("key: to be written") }

// UnmarshalText reads what ParseNodeID reads.
func (n *NodeID) UnmarshalText(text []byte) error { panic("key: to be written") }

// ParseNodeID reads the form that String writes.
func ParseNodeID(s string) (NodeID, error) { panic("key: to be written") }

// NodeKey is the secret ed25519 key of an overlay node.
type NodeKey struct{ seed [32]byte }

// NewNodeKey makes a fresh random node key.
func NewNodeKey() NodeKey { panic("key: to be written") }

// NodeKeyFromSeed makes the node key of a 32-byte seed.
func NodeKeyFromSeed(seed [32]byte) NodeKey { panic("key: to be written") }

// Seed returns the secret seed; keep it out of logs.
func (k NodeKey) Seed() [32]byte { return k.seed }

// ID returns the public half.
func (k NodeKey) ID() NodeID { panic("key: to be written") }

// Public is a public key with its scheme.
type Public struct {
	scheme Scheme
	b      [33]byte
}

// NewPublic checks the length (and that it is a point of the curve) and returns the public key.
func NewPublic(s Scheme, b []byte) (Public, error) { panic("key: to be written") }

// Scheme returns the signature scheme.
func (p Public) Scheme() Scheme { return p.scheme }

// Bytes returns the 32 or 33 bytes of the key.
func (p Public) Bytes() []byte { panic("key: to be written") }

// Account returns the account id that the key controls.
func (p Public) Account() AccountID { panic("key: to be written") }

// Verify reports whether sig is a signature of message (unhashed) by p.
func (p Public) Verify(message []byte, sig Signature) bool { panic("key: to be written") }

// Signature is a signature with its scheme.
type Signature struct {
	Scheme Scheme
	b      [65]byte
}

// NewSignature checks the length: 64 bytes, 65 for ecdsa.
func NewSignature(s Scheme, b []byte) (Signature, error) { panic("key: to be written") }

// Bytes returns the 64 or 65 bytes.
func (s Signature) Bytes() []byte { panic("key: to be written") }

// Pair is an account's key pair. Printing one in any verb shows its address only.
type Pair struct {
	secret any
	public Public
}

// Generate makes a new pair and the 12-word phrase that it comes from.
func Generate(s Scheme) (*Pair, string, error) { panic("key: to be written") }

// FromURI derives a pair from a secret URI: phrase or 0x-hex seed, //hard and /soft junctions, ///password.
// An empty phrase stands for the well-known development phrase.
func FromURI(s Scheme, uri string) (*Pair, error) { panic("key: to be written") }

// Public returns the public half.
func (p *Pair) Public() Public { return p.public }

// Account returns the account id.
func (p *Pair) Account() AccountID { panic("key: to be written") }

// Sign signs message (unhashed).
func (p *Pair) Sign(message []byte) (Signature, error) { panic("key: to be written") }

// NodeKey derives the pair's overlay node key from its secret, one way:
// the node key reveals nothing of the account's secret.
func (p *Pair) NodeKey() NodeKey { panic("key: to be written") }

// Load reads a pair from a key file (see Save) or, when source is not the name of a file, from a secret URI.
// passphrase is asked only for an encrypted file. A file that others may read is refused.
func Load(source string, s Scheme, passphrase func() (string, error)) (*Pair, error) {
	panic("key: to be written")
}
