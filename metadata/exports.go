package metadata

import "iod/scale"

// TypeID names a type of the registry of one Metadata. It means nothing in another one.
type TypeID uint32

// NoType is the TypeID of what the metadata does not tell.
const NoType = ^TypeID(0)

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

// SignedExtensions returns what a signed extrinsic carries, in order. For V16 these are the transaction extensions of
// extrinsic version 4's list, or else of the lowest version that has one.
func (m *Metadata) SignedExtensions() []SignedExtension { panic("metadata: to be written") }

// ExtrinsicVersion returns the version of the extrinsic format to write (4 on today's chains).
func (m *Metadata) ExtrinsicVersion() uint8 { panic("metadata: to be written") }

// AddressType returns the type of the signer's address in an extrinsic (MultiAddress, AccountId32 or AccountId20).
func (m *Metadata) AddressType() TypeID { panic("metadata: to be written") }

// SignatureType returns the type of the signature in an extrinsic (MultiSignature, mostly).
func (m *Metadata) SignatureType() TypeID { panic("metadata: to be written") }

// CallType returns the runtime's call type; it decodes to a Call.
func (m *Metadata) CallType() TypeID { panic("metadata: to be written") }

// EventType returns the runtime's event type.
func (m *Metadata) EventType() TypeID { panic("metadata: to be written") }

// ErrorType returns the runtime's outer error type, NoType below V15.
func (m *Metadata) ErrorType() TypeID { panic("metadata: to be written") }

// Version returns the version of the metadata format: 14, 15 or 16.
func (m *Metadata) Version() uint8 { panic("metadata: to be written") }

// Encode returns the SCALE bytes of v as a value of the type.
func (m *Metadata) Encode(id TypeID, v any) ([]byte, error) { panic("metadata: to be written") }

// AppendEncode appends the SCALE bytes of v as a value of the type.
func (m *Metadata) AppendEncode(dst []byte, id TypeID, v any) ([]byte, error) {
	panic("metadata: to be written")
}

// Decode reads a value of the type; all of b must be used.
func (m *Metadata) Decode(id TypeID, b []byte) (any, error) { panic("metadata: to be written") }

// Read reads a value of the type and leaves r behind it: for extrinsics, whose parts follow each other. Byte strings of
// the value share r's memory.
func (m *Metadata) Read(r *scale.Reader, id TypeID) (any, error) { panic("metadata: to be written") }

// Describe returns the shape of a type in Rust-like notation, for error texts and for people.
func (m *Metadata) Describe(id TypeID) string { panic("metadata: to be written") }

// ErrorInfo is a module error by the names in metadata.
type ErrorInfo struct {
	Pallet string // empty for errors that no pallet declares
	Name   string
	Docs   string // empty after ParseLean
}

// ModuleError looks an error of a pallet up by the two indices. Where a runtime writes the error as [u8; 4], code is its
// first byte.
func (m *Metadata) ModuleError(pallet, code uint8) (ErrorInfo, error) {
	panic("metadata: to be written")
}

// DispatchError names a decoded sp_runtime::DispatchError, as found in System.ExtrinsicFailed, Utility.BatchInterrupted
// and the like: Module errors (both the u8 and the [u8; 4] form) by pallet and name, the others as in "BadOrigin" or
// "Token.FundsUnavailable" without pallet.
func (m *Metadata) DispatchError(v any) (ErrorInfo, error) { panic("metadata: to be written") }

// EncodeRuntimeCall returns the parameters of a runtime API call: method as in "AccountNonceApi_account_nonce".
// It needs V15 or later: errors.Is(err, ErrNoRuntimeAPI) below.
func (m *Metadata) EncodeRuntimeCall(method string, args ...any) ([]byte, error) {
	panic("metadata: to be written")
}

// DecodeRuntimeResult decodes the result of a runtime API call.
func (m *Metadata) DecodeRuntimeResult(method string, result []byte) (any, error) {
	panic("metadata: to be written")
}

// ParseLean is Parse without the documentation texts, for small machines: all Docs are empty.
func ParseLean(b []byte) (*Metadata, error) { panic("metadata: to be written") }

// Pallet describes one pallet. Its slices are shared: do not change them.
type Pallet struct {
	Name      string
	Index     uint8
	Docs      string
	Prefix    string // of its storage; mostly the name
	Calls     []Item
	Events    []Item
	Errors    []Item
	Storage   []StorageItem
	Constants []ConstantItem
}

// Item describes a call, an event or an error.
type Item struct {
	Name   string
	Index  uint8
	Fields []FieldType
	Docs   string
}

// FieldType is the name and type of an argument or field. Name is empty for positional ones.
type FieldType struct {
	Name string
	Type TypeID
}

// StorageItem describes a storage entry. A plain value has no Keys.
type StorageItem struct {
	Name     string
	Keys     []TypeID // one for each hasher
	Hashers  []Hasher
	Value    TypeID
	Optional bool   // no value is None, rather than Default
	Default  []byte // SCALE bytes
	Docs     string
}

// ConstantItem describes a constant; Value is its SCALE bytes.
type ConstantItem struct {
	Name  string
	Type  TypeID
	Value []byte
	Docs  string
}

// Pallets returns all pallets in the order of the metadata. They are put together anew for each call: for
// people and tools, not for loops.
func (m *Metadata) Pallets() []Pallet { panic("metadata: to be written") }

// Pallet returns a pallet by name.
func (m *Metadata) Pallet(name string) (Pallet, error) { panic("metadata: to be written") }

// PalletByIndex returns a pallet by its index in calls, events and errors.
func (m *Metadata) PalletByIndex(i uint8) (Pallet, error) { panic("metadata: to be written") }

// StorageType returns the type of an entry's value and the types of its keys.
func (m *Metadata) StorageType(pallet, item string) (value TypeID, keys []TypeID, err error) {
	panic("metadata: to be written")
}
