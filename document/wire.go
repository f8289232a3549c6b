package document

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Bounds of a document. What exceeds them is refused before it is looked at.
const (
	MaxSize     = 64 << 10 // bytes of the whole
	MaxServices = 256
	maxMethods  = 16 // verification methods, and authentications
	maxText     = 8 << 10
)

// ErrMalformed says that bytes are no document.
var ErrMalformed = errors.New("malformed document")

// KeyType is the protobuf enum of key types: the numbers of key.Scheme. The enum is open; what is unknown verifies nothing.
type KeyType uint64

// MarshalText names the key type as the W3C registry does.
func (k KeyType) MarshalText() ([]byte, error) {
	names := [...]string{"Ed25519VerificationKey2020", "Sr25519VerificationKey2020", "EcdsaSecp256k1RecoveryMethod2020"}
	if k < KeyType(len(names)) {
		return []byte(names[k]), nil
	}
	return strconv.AppendUint([]byte("unknown "), uint64(k), 10), nil
}

// VerificationMethod is a public key of the DID.
type VerificationMethod struct {
	ID         string  `json:"id,omitempty"`
	Type       KeyType `json:"type"`
	Controller string  `json:"controller,omitempty"`
	PublicKey  string  `json:"publicKeyMultibase,omitempty"` // 0x-hex as the existing marketplace writes it
}

// Signature is field 4.
type Signature struct {
	Type   KeyType `json:"type"`
	Issuer string  `json:"issuer,omitempty"`
	Hash   string  `json:"hash,omitempty"`
}

// Service is one fact that the document states.
type Service struct {
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Endpoint string `json:"serviceEndpoint,omitempty"`
	Data     string `json:"data,omitempty"`
}

// Document is the protobuf message that stands under an attribute, as it was written. Fields that are unknown here are
// passed over by Parse and not written by Encode.
type Document struct {
	ID              string               `json:"id,omitempty"`
	Controller      string               `json:"controller,omitempty"`
	Methods         []VerificationMethod `json:"verificationMethods,omitempty"`
	Signature       *Signature           `json:"signature,omitempty"`
	Services        []Service            `json:"services,omitempty"`
	Authentications []string             `json:"authentications,omitempty"`

	signatures int    // how many fields 4 there were
	sealed     []byte // the wire bytes of the last field 4, tag and length included
	rest       []byte // the wire bytes without any field 4
}

// Parse decodes a document within bounds. Every string must be UTF-8, fields that are known must have their wire type,
// and a repeated singular field counts by its last value, as protobuf has it. The error is ErrMalformed, wrapped.
func Parse(raw []byte) (*Document, error) {
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes are more than %d", ErrMalformed, len(raw), MaxSize)
	}
	d := &Document{rest: make([]byte, 0, len(raw))}
	for rest := raw; len(rest) > 0; {
		f, n, err := next(rest)
		if err != nil {
			return nil, fmt.Errorf("%w: at byte %d: %w", ErrMalformed, len(raw)-len(rest), err)
		}
		if err := d.take(f); err != nil {
			return nil, fmt.Errorf("%w: at byte %d: field %d: %w", ErrMalformed, len(raw)-len(rest), f.number, err)
		}
		if f.number == 4 {
			d.signatures, d.sealed = d.signatures+1, rest[:n:n]
		} else {
			d.rest = append(d.rest, rest[:n]...)
		}
		rest = rest[n:]
	}
	return d, nil
}

// field is one field of a message: bytes for wire type 2, number for the integers.
type field struct {
	number protowire.Number
	wire   protowire.Type
	bytes  []byte
	value  uint64
}

// next reads one field and returns how many bytes it takes. Groups, which protobuf has given up, are refused.
func next(b []byte) (field, int, error) {
	number, wire, n := protowire.ConsumeTag(b)
	if n < 0 {
		return field{}, 0, protowire.ParseError(n)
	}
	f := field{number: number, wire: wire}
	var m int
	switch wire {
	case protowire.VarintType:
		f.value, m = protowire.ConsumeVarint(b[n:])
	case protowire.BytesType:
		f.bytes, m = protowire.ConsumeBytes(b[n:])
	case protowire.Fixed32Type:
		_, m = protowire.ConsumeFixed32(b[n:])
	case protowire.Fixed64Type:
		_, m = protowire.ConsumeFixed64(b[n:])
	default:
		return field{}, 0, fmt.Errorf("field %d has wire type %d", number, wire)
	}
	if m < 0 {
		return field{}, 0, fmt.Errorf("field %d: %w", number, protowire.ParseError(m))
	}
	return f, n + m, nil
}

func (d *Document) take(f field) (err error) {
	if f.number > 6 {
		return nil
	}
	if f.wire != protowire.BytesType {
		return fmt.Errorf("wire type %d, want a length-prefixed value", f.wire)
	}
	switch f.number {
	case 1:
		d.ID, err = text(f)
	case 2:
		d.Controller, err = text(f)
	case 3:
		if len(d.Methods) == maxMethods {
			return fmt.Errorf("more than %d verification methods", maxMethods)
		}
		var m VerificationMethod
		err = message(f.bytes, &m.Type, map[protowire.Number]*string{1: &m.ID, 3: &m.Controller, 4: &m.PublicKey})
		d.Methods = append(d.Methods, m)
	case 4:
		var s Signature
		err = message(f.bytes, &s.Type, map[protowire.Number]*string{2: &s.Issuer, 3: &s.Hash})
		d.Signature = &s
	case 5:
		if len(d.Services) == MaxServices {
			return fmt.Errorf("more than %d services", MaxServices)
		}
		var s Service
		err = message(f.bytes, nil, map[protowire.Number]*string{1: &s.ID, 2: &s.Type, 3: &s.Endpoint, 4: &s.Data})
		d.Services = append(d.Services, s)
	case 6:
		if len(d.Authentications) == maxMethods {
			return fmt.Errorf("more than %d authentications", maxMethods)
		}
		var s string
		s, err = text(f)
		d.Authentications = append(d.Authentications, s)
	}
	return err
}

// message reads an inner message of strings, and of a key type in the field that is not among them: number 2 of a
// verification method, number 1 of a signature.
func message(b []byte, kind *KeyType, texts map[protowire.Number]*string) error {
	for len(b) > 0 {
		f, n, err := next(b)
		if err != nil {
			return err
		}
		b = b[n:]
		dst, known := texts[f.number]
		switch {
		case known:
			if *dst, err = text(f); err != nil {
				return fmt.Errorf("field %d: %w", f.number, err)
			}
		case kind != nil && f.number <= 2 && f.wire == protowire.VarintType:
			*kind = KeyType(f.value)
		}
	}
	return nil
}

func text(f field) (string, error) {
	switch {
	case f.wire != protowire.BytesType:
		return "", fmt.Errorf("wire type %d, want a string", f.wire)
	case len(f.bytes) > maxText:
		return "", fmt.Errorf("string of %d bytes is longer than %d", len(f.bytes), maxText)
	case !utf8.Valid(f.bytes):
		return "", errors.New("string is not UTF-8")
	}
	return string(f.bytes), nil
}

// Encode returns the wire bytes: fields in order, what is empty left out, as the existing marketplace writes them.
func (d *Document) Encode() []byte {
	b := appendText(nil, 1, d.ID)
	b = appendText(b, 2, d.Controller)
	for _, m := range d.Methods {
		inner := appendText(nil, 1, m.ID)
		inner = appendKeyType(inner, 2, m.Type)
		inner = appendText(inner, 3, m.Controller)
		inner = appendText(inner, 4, m.PublicKey)
		b = appendMessage(b, 3, inner)
	}
	if d.Signature != nil {
		b = d.Signature.append(b)
	}
	for _, s := range d.Services {
		inner := appendText(nil, 1, s.ID)
		inner = appendText(inner, 2, s.Type)
		inner = appendText(inner, 3, s.Endpoint)
		inner = appendText(inner, 4, s.Data)
		b = appendMessage(b, 5, inner)
	}
	for _, a := range d.Authentications {
		b = protowire.AppendString(protowire.AppendTag(b, 6, protowire.BytesType), a)
	}
	return b
}

func (s *Signature) append(b []byte) []byte {
	inner := appendKeyType(nil, 1, s.Type)
	inner = appendText(inner, 2, s.Issuer)
	inner = appendText(inner, 3, s.Hash)
	return appendMessage(b, 4, inner)
}

func appendText(b []byte, n protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
}

func appendKeyType(b []byte, n protowire.Number, k KeyType) []byte {
	if k == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(k))
}

func appendMessage(b []byte, n protowire.Number, inner []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), inner)
}
