// Package metadata reads the metadata of a Substrate runtime (V14, V15 and later ones that keep their form)
// and, from it alone, builds storage keys, encodes calls and decodes storage, events, errors, constants and
// the results of runtime calls. It knows no pallet by name except System and Utility where it must.
//
// Decoded values are of a small closed set of Go types:
//
//	bool                     bool
//	u8 … u64, Compact of it  uint64
//	i8 … i64                 int64
//	u128, u256, i128, i256   *big.Int
//	str, char                string
//	Vec<u8>, [u8; N] and newtypes of them (AccountId32, H256, BoundedVec<u8>)   []byte
//	Vec, array, tuple        []any     (the empty tuple is an empty []any)
//	composite                Fields    (a composite with one unnamed field decodes to that field's value)
//	variant                  *Variant  (Option: None, Some; Result: Ok, Err)
//	Compact<T>               as T
//	the runtime's call type  Call
//
// Encoding takes the same set and, for convenience, any Go integer, [N]byte arrays, string for Vec<u8>,
// map[string]any and structs with `scale:"name"` tags for composites, nil for None and any plain value for Some.
package metadata

// Metadata is the parsed metadata of one runtime version. It is immutable and safe for concurrent use.
type Metadata struct{}

// Parse reads metadata: the answer of state_getMetadata, or of Metadata_metadata_at_version with its Option and
// length taken off or left on.
func Parse(b []byte) (*Metadata, error) { panic("metadata: to be written") }

// EncodeCall returns the SCALE bytes of a call.
func (m *Metadata) EncodeCall(c Call) ([]byte, error) { panic("metadata: to be written") }

// DecodeCall reads a call; all of b must be used.
func (m *Metadata) DecodeCall(b []byte) (Call, error) { panic("metadata: to be written") }

// StorageKey returns the whole key of an entry, or a prefix of it when fewer keys than the map has are given.
func (m *Metadata) StorageKey(pallet, item string, keys ...any) ([]byte, error) {
	panic("metadata: to be written")
}

// DecodeStorage decodes a stored value; nil raw gives the item's default, or nil where it is optional.
func (m *Metadata) DecodeStorage(pallet, item string, raw []byte) (any, error) {
	panic("metadata: to be written")
}

// DecodeStorageKey returns the keys that hashers with a readable tail (blake2_128_concat, twox_64_concat,
// identity) leave in a storage key; the others are nil.
func (m *Metadata) DecodeStorageKey(pallet, item string, key []byte) ([]any, error) {
	panic("metadata: to be written")
}

// Constant returns a decoded constant of a pallet.
func (m *Metadata) Constant(pallet, name string) (any, error) { panic("metadata: to be written") }

// DecodeEvents decodes the raw value of System.Events.
func (m *Metadata) DecodeEvents(raw []byte) ([]Event, error) { panic("metadata: to be written") }

// Assign copies a decoded value into dst (a pointer to a Go value): composites into structs by `scale:"name"` tag or
// snake_case of the field name, Option into a pointer or value, bytes into []byte, string or [N]byte.
func Assign(dst, value any) error { panic("metadata: to be written") }
