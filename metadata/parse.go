package metadata

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"iod/scale"
)

const magic = "meta"

// parser reads metadata in its wire format. The first error sticks to r.
type parser struct {
	r       *scale.Reader
	version uint8
	lean    bool
	names   map[string]string // each text once
	values  map[string]string // each storage default once
}

func parse(b []byte, lean bool) (*Metadata, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("metadata: parse: %d bytes are more than %d: %w", len(b), MaxSize, ErrMalformed)
	}
	body, err := unwrap(b)
	if err != nil {
		return nil, fmt.Errorf("metadata: parse: %w", err)
	}
	m := &Metadata{address: NoType, signature: NoType, call: NoType, event: NoType, error: NoType}
	if !lean {
		m.raw = clone(body)
	}
	p := &parser{r: scale.NewReader(body), lean: lean, names: make(map[string]string), values: make(map[string]string)}
	if err := p.metadata(m); err != nil {
		return nil, fmt.Errorf("metadata: parse V%d at byte %d of %d: %w", m.version, p.r.Offset(), len(body), err)
	}
	return m, nil
}

// unwrap takes the Option and the length off that Metadata_metadata and Metadata_metadata_at_version put on.
func unwrap(b []byte) ([]byte, error) {
	if bytes.HasPrefix(b, []byte(magic)) {
		return b, nil
	}
	if len(b) == 1 && b[0] == 0 {
		return nil, fmt.Errorf("the runtime does not have metadata of the version asked for: %w", ErrVersion)
	}
	for _, skip := range []int{0, 1} {
		if skip > len(b) || skip == 1 && b[0] != 1 {
			break
		}
		r := scale.NewReader(b[skip:])
		if v := r.Vec(); r.End() == nil && bytes.HasPrefix(v, []byte(magic)) {
			return v, nil
		}
	}
	return nil, fmt.Errorf("not runtime metadata, which starts with %q: %w", magic, ErrMalformed)
}

func (p *parser) metadata(m *Metadata) error {
	p.r.Bytes(len(magic))
	m.version = p.r.U8()
	p.version = m.version
	if m.version < 14 || m.version > 16 {
		return ErrVersion // parse names it
	}
	defs := p.types()
	if err := p.r.Err(); err != nil {
		return err
	}
	nodes, err := compile(defs)
	if err != nil {
		return err
	}
	m.nodes = nodes
	p.pallets(m)
	p.extrinsic(m, defs)
	if m.version < 16 {
		p.r.Compact() // the type of the runtime itself, for nothing
	}
	if m.version > 14 {
		p.apis(m)
		m.call, m.event, m.error = p.id(), p.id(), p.id()
		p.custom()
	}
	if err := p.r.End(); err != nil {
		return err
	}
	return m.link()
}

// count reads the length of a sequence whose items take at least size bytes each.
func (p *parser) count(size int) int { return p.r.Count(size) }

// longestName bounds names, which end up in error texts.
const longestName = 1024

// text reads a name.
func (p *parser) text() string {
	b := p.r.Vec()
	if len(b) > longestName {
		p.r.Fail(fmt.Errorf("name of %d bytes: %w", len(b), ErrMalformed))
		return ""
	}
	if s, ok := p.names[string(b)]; ok {
		return s
	}
	s := strings.ToValidUTF8(string(b), "\uFFFD")
	p.names[s] = s
	return s
}

// doc reads documentation lines over and returns where they stand.
func (p *parser) doc() uint32 {
	at := p.r.Offset()
	n := p.count(1)
	for range n {
		p.r.Vec()
	}
	if p.lean || n == 0 {
		return 0
	}
	return uint32(at)
}

// id reads a type id. That it is in the registry is checked by compile and link.
func (p *parser) id() TypeID {
	v := p.r.Compact()
	if v > math.MaxInt32 { // so that an id fits an int anywhere
		p.r.Fail(scale.ErrOverflow)
	}
	return TypeID(v)
}

// types reads the registry, whose ids count from 0.
func (p *parser) types() []definition {
	defs := make([]definition, 0, p.count(6))
	for i := range cap(defs) {
		if id := p.id(); id != TypeID(i) {
			p.r.Fail(fmt.Errorf("type %d stands where %d belongs: %w", id, i, ErrMalformed))
		}
		defs = append(defs, p.definition())
		if p.r.Err() != nil {
			return nil
		}
	}
	return defs
}

func (p *parser) definition() (d definition) {
	d.path = p.path()
	for range p.count(2) {
		f := field{name: p.text(), typ: NoType}
		if p.r.Option() {
			f.typ = p.id()
		}
		d.params = append(d.params, f)
	}
	d.kind = p.r.U8()
	switch d.kind {
	case defComposite:
		d.op, d.fields = opComposite, p.fields()
	case defVariant:
		d.op, d.variants = opEnum, p.variants()
		if d.isOption() {
			d.op = opOption
		}
	case defSequence:
		d.op, d.elem = opSeq, p.id()
	case defArray:
		d.op, d.n, d.elem = opArray, p.r.U32(), p.id()
	case defTuple:
		d.op, d.fields = opTuple, make([]field, p.count(1))
		for i := range d.fields {
			d.fields[i].typ = p.id()
		}
	case defPrimitive:
		d.op, d.n = p.primitive()
	case defCompact:
		d.op, d.elem = opCompact, p.id()
	case defBits:
		d.op, d.store, d.order = opBits, p.id(), p.id()
	default:
		p.r.Fail(fmt.Errorf("kind %d of a type definition: %w", d.kind, ErrMalformed))
	}
	d.doc = p.doc()
	return d
}

func (p *parser) path() string {
	n := p.count(1)
	if n > 32 {
		p.r.Fail(fmt.Errorf("path of %d parts: %w", n, ErrMalformed))
		return ""
	}
	parts := make([]string, 0, n)
	for range n {
		parts = append(parts, p.text())
	}
	s := strings.Join(parts, "::")
	if known, ok := p.names[s]; ok {
		return known
	}
	p.names[s] = s
	return s
}

func (p *parser) fields() []field {
	n := p.count(4)
	if n == 0 {
		return nil
	}
	fs := make([]field, n)
	for i := range fs {
		if p.r.Option() {
			fs[i].name = p.text()
		}
		fs[i].typ = p.id()
		if p.r.Option() {
			p.r.Vec() // the name of the type in the source
		}
		p.doc()
	}
	return fs
}

// variants reads the variants of an enum, which need not stand in the order of their indices.
func (p *parser) variants() []variant {
	n := p.count(4)
	if n > 256 {
		p.r.Fail(fmt.Errorf("enum of %d variants: %w", n, ErrMalformed))
		return nil
	}
	vs := make([]variant, 0, n)
	for range n {
		vs = append(vs, variant{name: p.text(), fields: p.fields(), index: p.r.U8(), doc: p.doc()})
		if p.r.Err() != nil {
			return nil
		}
	}
	slices.SortStableFunc(vs, func(a, b variant) int { return int(a.index) - int(b.index) })
	for i := 1; i < len(vs); i++ {
		if vs[i-1].index == vs[i].index {
			p.r.Fail(fmt.Errorf("variants %q and %q have one index: %w", vs[i-1].name, vs[i].name, ErrMalformed))
		}
	}
	return vs
}

// primitive reads which primitive type it is.
func (p *parser) primitive() (op, uint32) {
	switch k := p.r.U8(); k {
	case 0:
		return opBool, 1
	case 1:
		return opChar, 4
	case 2:
		return opStr, 0
	case 3, 4, 5, 6:
		return opUint, 1 << (k - 3)
	case 7, 8:
		return opBigUint, 16 << (k - 7)
	case 9, 10, 11, 12:
		return opInt, 1 << (k - 9)
	case 13, 14:
		return opBigInt, 16 << (k - 13)
	default:
		p.r.Fail(fmt.Errorf("primitive type %d: %w", k, ErrMalformed))
		return opBad, 0
	}
}
