package metadata

import (
	"fmt"

	"iod/scale"
)

// EncodeCall returns the SCALE bytes of a call. Arguments go by name, in any order, or all by position without names.
// An unknown pallet or call is a *NotFoundError; an argument that is missing, superfluous, of the wrong kind or out of
// range a *ValueError with the path to it.
func (m *Metadata) EncodeCall(c Call) ([]byte, error) {
	e := encoder{m: m, b: make([]byte, 0, 64)}
	if err := e.call(c); err != nil {
		if unknown, ok := err.(*NotFoundError); ok {
			return nil, unknown // says it all
		}
		return nil, fmt.Errorf("metadata: encode call %s.%s: %w", c.Pallet, c.Name, err)
	}
	return e.b, nil
}

// DecodeCall reads a call; all of b must be used.
func (m *Metadata) DecodeCall(b []byte) (Call, error) {
	d := newDecoder(m, scale.NewReader(clone(b)))
	c := d.call()
	if err := d.r.End(); err != nil {
		return Call{}, fmt.Errorf("metadata: decode call at byte %d of %d: %w", d.r.Offset(), len(b), err)
	}
	return c, nil
}

// ErrorInfo is a dispatch error by the names in metadata.
type ErrorInfo struct {
	Pallet string // empty for errors that no pallet declares
	Name   string
	Docs   string // empty after ParseLean
}

// ModuleError looks an error of a pallet up by the two indices. Where a runtime writes the error as [u8; 4], code is its
// first byte.
func (m *Metadata) ModuleError(pallet, code uint8) (ErrorInfo, error) {
	p := m.palletAt(pallet)
	if p == nil {
		return ErrorInfo{}, &NotFoundError{Kind: "pallet with index", Name: fmt.Sprint(pallet)}
	}
	v := byIndex(m.variants(p.errors), code)
	if v == nil {
		return ErrorInfo{}, &NotFoundError{Kind: "error with index", Pallet: p.name, Name: fmt.Sprint(code)}
	}
	return ErrorInfo{p.name, v.name, m.docs(v.doc)}, nil
}

// DispatchError names a decoded sp_runtime::DispatchError, as found in System.ExtrinsicFailed, Utility.BatchInterrupted
// and the like: Module errors (both the u8 and the [u8; 4] form) by pallet and name, the others as in "BadOrigin" or
// "Token.FundsUnavailable" without pallet.
func (m *Metadata) DispatchError(v any) (ErrorInfo, error) {
	x, ok := v.(*Variant)
	if !ok || x == nil {
		return ErrorInfo{}, fmt.Errorf("metadata: name dispatch error: want a variant, got %s", kindOf(v))
	}
	if x.Name != "Module" {
		name := x.Name
		if len(x.Fields) == 1 {
			if inner, ok := x.Fields[0].Value.(*Variant); ok && inner != nil {
				name += "." + inner.Name
			}
		}
		return ErrorInfo{Name: name}, nil
	}
	fs := x.Fields
	if len(fs) == 1 { // newer runtimes have a struct ModuleError inside
		if inner, ok := fs[0].Value.(Fields); ok {
			fs = inner
		}
	}
	index, _ := fs.Get("index")
	code, _ := fs.Get("error")
	if b, ok := code.([]byte); ok && len(b) > 0 {
		code = uint64(b[0])
	}
	i, okIndex := index.(uint64)
	c, okCode := code.(uint64)
	if !okIndex || !okCode || i > 255 || c > 255 {
		return ErrorInfo{}, fmt.Errorf("metadata: name dispatch error: module error of an unknown form: %w", ErrMalformed)
	}
	return m.ModuleError(uint8(i), uint8(c))
}
