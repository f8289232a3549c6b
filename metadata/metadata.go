// Package metadata reads the metadata of a Substrate runtime (V14, V15 and V16) and, from it alone, builds storage
// keys, encodes calls and decodes storage, events, errors, constants and the results of runtime calls. It knows no
// pallet by name except System, whose Events entry it reads.
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
//	BitVec                   []bool
//	the runtime's call type  Call
//
// Encoding takes the same set and, for convenience, any Go integer, [N]byte arrays, string for Vec<u8>,
// map[string]any and structs with `scale:"name"` tags for composites, nil for None and any plain value for Some, the
// name alone for a variant without fields, 32 bytes for MultiAddress::Id, and whatever implements Valuer. What was
// decoded encodes to the same bytes.
//
// The byte strings of one decoded result share one piece of memory, which is the result's own: to keep one for long,
// copy it.
//
// # Wire format
//
// Metadata is SCALE. It may stand alone, after its length, or in an Option of bytes:
//
//	[01] [compact length] "meta" version:u8 body
//
//	V14  types pallets {ty version extensions} runtime_type
//	V15  types pallets {version address call signature extra extensions} runtime_type apis outer_enums custom
//	V16  types pallets {versions address call signature extensions_by_version extensions} apis outer_enums custom
//
//	types   Vec<{id:compact path:Vec<str> params:Vec<{name:str type:Option<compact>}> def docs:Vec<str>}>
//	def     0 composite Vec<field> | 1 variant Vec<{name fields index:u8 docs}> | 2 sequence type |
//	        3 array len:u32 type | 4 tuple Vec<type> | 5 primitive u8 | 6 compact type | 7 bits store order
//	field   {name:Option<str> type:compact type_name:Option<str> docs:Vec<str>}
//	pallet  {name storage:Option calls:Option event:Option constants error:Option [views] index:u8 [docs]}
//
// # Extrinsics
//
// A signed extrinsic of version 4 is put together from what Metadata tells, each part encoded by Encode with its type:
//
//	extrinsic  compact length, 0x84, address (AddressType), signature (SignatureType), extra, call
//	signed     call, extra, additional; its blake2_256 instead where it is longer than 256 bytes
//	extra      for each of SignedExtensions its Type; additional: for each its Additional
//
// # Versions
//
// V16 adds deprecation notes to almost everything; they are read over.
package metadata

import (
	"fmt"

	"iod/scale"
)

// Metadata is the parsed metadata of one runtime version. It is immutable and safe for concurrent use.
type Metadata struct {
	version uint8
	raw     []byte // for docs; nil after ParseLean
	nodes   []node // by TypeID
	pallets []pallet
	byName  map[string]int // position in pallets
	byIndex [256]int16     // position in pallets, -1
	events  eventPlan
	apis    map[string]runtimeMethod

	extrinsicVersion                       uint8
	address, signature, call, event, error TypeID
	extensions                             []SignedExtension
}

// TypeID names a type of the registry of one Metadata. It means nothing in another one.
type TypeID uint32

// NoType is the TypeID of what the metadata does not tell.
const NoType = ^TypeID(0)

// MaxSize is the number of bytes from which on Parse refuses metadata; known runtimes stay below 2 MB.
const MaxSize = 16 << 20

// Parse reads metadata: the answer of state_getMetadata, or of Metadata_metadata_at_version with its Option and
// length taken off or left on. It keeps nothing of b.
func Parse(b []byte) (*Metadata, error) { return parse(b, false) }

// ParseLean is Parse without the documentation texts, for small machines: all Docs are empty.
func ParseLean(b []byte) (*Metadata, error) { return parse(b, true) }

// Version returns the version of the metadata format: 14, 15 or 16.
func (m *Metadata) Version() uint8 { return m.version }

// SignedExtension is one part of what a transaction carries and signs, in the order of the extrinsic.
// Type is what stands in the extrinsic (the "extra"), Additional what is signed only.
//
// An unknown extension is harmless exactly when Empty and AdditionalEmpty hold: both encode to no bytes at all.
type SignedExtension struct {
	Identifier      string // as in "CheckMortality"
	Type            TypeID
	Additional      TypeID
	Empty           bool // Type always encodes to no bytes
	AdditionalEmpty bool // Additional always encodes to no bytes
}

// SignedExtensions returns what a signed extrinsic carries, in order: extra of each, then additional of each for the
// bytes that are signed. For V16 these are the extensions of extension version 0, which version 4 extrinsics have.
// The slice is shared: do not change it.
func (m *Metadata) SignedExtensions() []SignedExtension { return m.extensions }

// ExtrinsicVersion returns the version of the extrinsic format to write: 4 where the runtime takes it, otherwise the
// highest one that it takes.
func (m *Metadata) ExtrinsicVersion() uint8 { return m.extrinsicVersion }

// AddressType returns the type of the signer's address in an extrinsic (MultiAddress, AccountId32 or AccountId20).
func (m *Metadata) AddressType() TypeID { return m.address }

// SignatureType returns the type of the signature in an extrinsic (MultiSignature, mostly).
func (m *Metadata) SignatureType() TypeID { return m.signature }

// CallType returns the runtime's call type; it decodes to a Call.
func (m *Metadata) CallType() TypeID { return m.call }

// EventType returns the runtime's event type.
func (m *Metadata) EventType() TypeID { return m.event }

// ErrorType returns the runtime's outer error type, NoType below V15.
func (m *Metadata) ErrorType() TypeID { return m.error }

// Encode returns the SCALE bytes of v as a value of the type. A value that does not fit is a *ValueError.
func (m *Metadata) Encode(id TypeID, v any) ([]byte, error) { return m.AppendEncode(nil, id, v) }

// AppendEncode appends the SCALE bytes of v as a value of the type.
func (m *Metadata) AppendEncode(dst []byte, id TypeID, v any) ([]byte, error) {
	if err := m.known(id); err != nil {
		return dst, err
	}
	e := encoder{m: m, b: dst}
	if err := e.value(id, v); err != nil {
		return dst, fmt.Errorf("metadata: encode %s: %w", m.name(id), err)
	}
	return e.b, nil
}

// Decode reads a value of the type; all of b must be used.
func (m *Metadata) Decode(id TypeID, b []byte) (any, error) {
	if err := m.known(id); err != nil {
		return nil, err
	}
	d := newDecoder(m, scale.NewReader(clone(b)))
	v := d.value(id)
	if err := d.r.End(); err != nil {
		return nil, fmt.Errorf("metadata: decode %s at byte %d of %d: %w", m.name(id), d.r.Offset(), len(b), err)
	}
	return v, nil
}

// Read reads a value of the type and leaves r behind it: for extrinsics, whose parts follow each other. Byte strings of
// the value share r's memory.
func (m *Metadata) Read(r *scale.Reader, id TypeID) (any, error) {
	if err := m.known(id); err != nil {
		return nil, err
	}
	d := newDecoder(m, r)
	v := d.value(id)
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("metadata: read %s at byte %d: %w", m.name(id), r.Offset(), err)
	}
	return v, nil
}

// known refuses ids that are not of this registry.
func (m *Metadata) known(id TypeID) error {
	if uint64(id) >= uint64(len(m.nodes)) {
		return &NotFoundError{Kind: "type", Name: fmt.Sprint(id)}
	}
	return nil
}

func clone(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }
