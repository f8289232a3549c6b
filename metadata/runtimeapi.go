package metadata

import (
	"fmt"
	"maps"
	"slices"

	"iod/scale"
	"iod/spelling"
)

// RuntimeMethod describes a method of a runtime API.
type RuntimeMethod struct {
	Name   string // as in "AccountNonceApi_account_nonce"
	Inputs []FieldType
	Output TypeID
	Docs   string
}

// RuntimeMethods returns all methods of the runtime's APIs by name; none for V14.
func (m *Metadata) RuntimeMethods() []RuntimeMethod {
	var ms []RuntimeMethod
	for _, name := range slices.Sorted(maps.Keys(m.apis)) {
		x := m.apis[name]
		ms = append(ms, RuntimeMethod{name, fieldTypes(x.inputs), x.output, m.docs(x.doc)})
	}
	return ms
}

// EncodeRuntimeCall returns the parameters of a runtime API call: method as in "AccountNonceApi_account_nonce".
// It needs V15 or later: errors.Is(err, ErrNoRuntimeAPI) below.
func (m *Metadata) EncodeRuntimeCall(method string, args ...any) ([]byte, error) {
	x, err := m.method(method)
	if err != nil {
		return nil, err
	}
	if len(args) != len(x.inputs) {
		return nil, fmt.Errorf("metadata: encode runtime call %s: %w", method,
			misfit("want %s, got %d values", wanted(x.inputs), len(args)))
	}
	e := encoder{m: m}
	for i, f := range x.inputs {
		if err := e.value(f.typ, args[i]); err != nil {
			return nil, fmt.Errorf("metadata: encode runtime call %s: %w", method, within(f.name, err))
		}
	}
	return e.b, nil
}

// DecodeRuntimeResult decodes the result of a runtime API call; all of it must be used.
func (m *Metadata) DecodeRuntimeResult(method string, result []byte) (any, error) {
	x, err := m.method(method)
	if err != nil {
		return nil, err
	}
	d := newDecoder(m, scale.NewReader(clone(result)))
	v := d.value(x.output)
	if err := d.r.End(); err != nil {
		return nil, fmt.Errorf("metadata: decode result of runtime call %s as %s at byte %d of %d: %w",
			method, m.name(x.output), d.r.Offset(), len(result), err)
	}
	return v, nil
}

func (m *Metadata) method(name string) (runtimeMethod, error) {
	if m.version < 15 {
		return runtimeMethod{}, fmt.Errorf("metadata: runtime call %s: %w", name, ErrNoRuntimeAPI)
	}
	x, ok := m.apis[name]
	if !ok {
		return x, &NotFoundError{Kind: "runtime API method", Name: name, Nearest: spelling.Nearest(name, maps.Keys(m.apis))}
	}
	return x, nil
}
