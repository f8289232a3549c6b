package devchain

import (
	"fmt"
	"strings"

	"iod/scale"
)

// kind is the variant index of a type definition in metadata.
type kind uint8

const (
	kindComposite kind = iota
	kindVariant
	kindSequence
	kindArray
	kindTuple
	kindPrimitive
	kindCompact
)

// typ is the declaration of a type of the runtime.
type typ struct {
	kind     kind
	path     string // "a::b::C"; empty for built-in shapes
	params   []typeParam
	fields   []field
	variants []variant
	elems    []*typ // of sequence, array, compact (one) and tuple
	n        uint32 // length of an array, number of a primitive
}

type typeParam struct {
	name string
	t    *typ
}

type field struct {
	name     string
	t        *typ
	typeName string
}

type variant struct {
	index  uint8
	name   string
	fields []field
}

func primitive(n uint32) *typ { return &typ{kind: kindPrimitive, n: n} }

var (
	boolT = primitive(0)
	strT  = primitive(2)
	u8T   = primitive(3)
	u16T  = primitive(4)
	u32T  = primitive(5)
	u64T  = primitive(6)
	u128T = primitive(7)

	bytesT   = seq(u8T)
	bytes32T = array(32, u8T)

	// The runtime's own enums are filled in by declare, since calls hold calls.
	callT   = &typ{kind: kindVariant, path: "peaq_runtime::Call"}
	eventT  = &typ{kind: kindVariant, path: "peaq_runtime::Event"}
	errorT  = &typ{kind: kindVariant, path: "peaq_runtime::Error"}
	originT = enum("peaq_runtime::OriginCaller",
		v(0, "system", f("", rawOriginT, "frame_system::Origin<Runtime>")),
		v(5, "Void", f("", voidT, "self::sp_api_hidden_includes_construct_runtime::hidden_include::Void")))
	rawOriginT = enum("frame_support::dispatch::RawOrigin",
		v(0, "Root"), v(1, "Signed", f("", accountId32T, "AccountId")), v(2, "None")).param("AccountId", accountId32T)
	voidT = enum("sp_core::Void")
)

func seq(t *typ) *typ                              { return &typ{kind: kindSequence, elems: []*typ{t}} }
func array(n uint32, t *typ) *typ                  { return &typ{kind: kindArray, n: n, elems: []*typ{t}} }
func tuple(ts ...*typ) *typ                        { return &typ{kind: kindTuple, elems: ts} }
func compact(t *typ) *typ                          { return &typ{kind: kindCompact, elems: []*typ{t}} }
func f(name string, t *typ, typeName string) field { return field{name, t, typeName} }

func v(index uint8, name string, fields ...field) variant { return variant{index, name, fields} }

func composite(path string, fields ...field) *typ {
	return &typ{kind: kindComposite, path: path, fields: fields}
}

func enum(path string, variants ...variant) *typ {
	return &typ{kind: kindVariant, path: path, variants: variants}
}

func option(t *typ) *typ {
	return enum("Option", v(0, "None"), v(1, "Some", f("", t, ""))).param("T", t)
}

// result is Result<ok, err>.
func result(ok, err *typ) *typ {
	return enum("Result", v(0, "Ok", f("", ok, "")), v(1, "Err", f("", err, ""))).param("T", ok).param("E", err)
}

// param adds a type parameter; nil stands for one that has no type of its own.
func (t *typ) param(name string, p *typ) *typ {
	t.params = append(t.params, typeParam{name, p})
	return t
}

// eras are the variants of sp_runtime's Era: Immortal, and one for each first byte of a mortal era.
func eras() []variant {
	all := []variant{v(0, "Immortal")}
	for i := 1; i < 256; i++ {
		all = append(all, v(uint8(i), fmt.Sprintf("Mortal%d", i), f("", u8T, "")))
	}
	return all
}

// registry numbers the types that the metadata reaches, equal shapes once.
type registry struct {
	byPointer map[*typ]uint32
	byShape   map[string]uint32
	encoded   [][]byte
}

func newRegistry() *registry {
	return &registry{byPointer: map[*typ]uint32{}, byShape: map[string]uint32{}}
}

// id returns the number of a type and registers it and all that it holds at first sight. Named types get their number
// before their fields do, so that they may hold themselves.
func (r *registry) id(t *typ) uint32 {
	if id, ok := r.byPointer[t]; ok {
		return id
	}
	shape := ""
	if t.path == "" || t.path == "Option" || t.path == "Result" {
		shape = r.shape(t)
		if id, ok := r.byShape[shape]; ok {
			r.byPointer[t] = id
			return id
		}
	}
	id := uint32(len(r.encoded))
	r.byPointer[t] = id
	if shape != "" {
		r.byShape[shape] = id
	}
	r.encoded = append(r.encoded, nil)
	r.encoded[id] = r.encode(id, t)
	return id
}

func (r *registry) shape(t *typ) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s %d", t.kind, t.path, t.n)
	for _, e := range t.elems {
		fmt.Fprintf(&b, " %d", r.id(e))
	}
	for _, p := range t.params {
		fmt.Fprintf(&b, " <%d>", r.id(p.t))
	}
	return b.String()
}

func (r *registry) encode(id uint32, t *typ) []byte {
	b := scale.AppendCompact(nil, uint64(id))
	var path []string
	if t.path != "" {
		path = strings.Split(t.path, "::")
	}
	b = appendStrings(b, path)
	b = scale.AppendCompact(b, uint64(len(t.params)))
	for _, p := range t.params {
		b = scale.AppendStr(b, p.name)
		b = r.appendOptional(b, p.t)
	}
	b = append(b, byte(t.kind))
	switch t.kind {
	case kindComposite:
		b = r.appendFields(b, t.fields)
	case kindVariant:
		b = scale.AppendCompact(b, uint64(len(t.variants)))
		for _, x := range t.variants {
			b = r.appendFields(scale.AppendStr(b, x.name), x.fields)
			b = appendDocs(append(b, x.index))
		}
	case kindArray:
		b = r.appendID(scale.AppendU32(b, t.n), t.elems[0])
	case kindTuple:
		b = scale.AppendCompact(b, uint64(len(t.elems)))
		for _, e := range t.elems {
			b = r.appendID(b, e)
		}
	case kindPrimitive:
		b = append(b, byte(t.n))
	default:
		b = r.appendID(b, t.elems[0])
	}
	return appendDocs(b)
}

func (r *registry) appendFields(b []byte, fields []field) []byte {
	b = scale.AppendCompact(b, uint64(len(fields)))
	for _, x := range fields {
		b = appendOptionalStr(b, x.name)
		b = r.appendID(b, x.t)
		b = appendDocs(appendOptionalStr(b, x.typeName))
	}
	return b
}

func (r *registry) appendID(b []byte, t *typ) []byte { return scale.AppendCompact(b, uint64(r.id(t))) }

func (r *registry) appendOptional(b []byte, t *typ) []byte {
	if t == nil {
		return append(b, 0)
	}
	return r.appendID(append(b, 1), t)
}

// append writes all types; ids must not be asked for afterwards.
func (r *registry) append(b []byte) []byte {
	b = scale.AppendCompact(b, uint64(len(r.encoded)))
	for _, e := range r.encoded {
		b = append(b, e...)
	}
	return b
}

// appendDocs writes the empty documentation that everything here has.
func appendDocs(b []byte) []byte { return append(b, 0) }

func appendOptionalStr(b []byte, s string) []byte {
	if s == "" {
		return append(b, 0)
	}
	return scale.AppendStr(append(b, 1), s)
}

func appendStrings(b []byte, all []string) []byte {
	b = scale.AppendCompact(b, uint64(len(all)))
	for _, s := range all {
		b = scale.AppendStr(b, s)
	}
	return b
}
