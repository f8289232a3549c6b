package metadata

import (
	"fmt"
	"slices"
)

// pallet is a pallet as it is kept.
type pallet struct {
	name   string
	prefix string
	index  uint8
	doc    uint32

	calls, events, errors TypeID
	storage               []storage
	constants             []constant
}

type storage struct {
	name     string
	optional bool
	hashers  []Hasher
	keys     []TypeID // one for each hasher
	value    TypeID
	fallback string
	doc      uint32
}

type constant struct {
	name  string
	typ   TypeID
	value string
	doc   uint32
}

type runtimeMethod struct {
	inputs []field
	output TypeID
	doc    uint32
}

// itemNote reads the deprecation note of an item in V16 over.
func (p *parser) itemNote() {
	if p.v16() {
		p.note(p.r.U8(), 0)
	}
}

// enumNote reads the deprecation notes of an enum's variants in V16 over.
func (p *parser) enumNote() {
	if p.v16() {
		for range p.count(2) {
			p.r.U8() // of the variant
			p.note(p.r.U8(), 1)
		}
	}
}

// note reads what follows a deprecation's kind: nothing for 0 (not deprecated) and 1 (no note).
func (p *parser) note(kind, least uint8) {
	if kind < least || kind > 2 {
		p.r.Fail(fmt.Errorf("deprecation of kind %d: %w", kind, ErrMalformed))
	}
	if kind == 2 {
		p.r.Vec()
		if p.r.Option() {
			p.r.Vec()
		}
	}
}

func (p *parser) v16() bool { return p.version == 16 }

func (p *parser) pallets(m *Metadata) {
	n := p.count(7)
	m.pallets = make([]pallet, 0, n)
	for range n {
		m.pallets = append(m.pallets, p.pallet(m))
		if p.r.Err() != nil {
			return
		}
	}
}

func (p *parser) pallet(m *Metadata) pallet {
	x := pallet{name: p.text()}
	if p.r.Option() {
		x.prefix = p.text()
		x.storage = make([]storage, p.count(6))
		for i := range x.storage {
			x.storage[i] = p.storage(m)
		}
	}
	x.calls = p.palletEnum()
	x.events = p.palletEnum()
	x.constants = make([]constant, p.count(4))
	for i := range x.constants {
		x.constants[i] = constant{name: p.text(), typ: p.id(), value: string(p.r.Vec()), doc: p.doc()}
		p.itemNote()
	}
	x.errors = p.palletEnum()
	if p.v16() {
		p.views()
	}
	x.index = p.r.U8()
	if p.version > 14 {
		x.doc = p.doc()
	}
	p.itemNote()
	return x
}

func (p *parser) palletEnum() TypeID {
	if !p.r.Option() {
		return NoType
	}
	id := p.id()
	p.enumNote()
	return id
}

// views reads the associated types and view functions of a pallet over.
func (p *parser) views() {
	for range p.count(3) {
		p.r.Vec()
		p.id()
		p.doc()
	}
	for range p.count(36) {
		p.r.Bytes(32)
		p.r.Vec()
		p.inputs()
		p.id()
		p.doc()
		p.itemNote()
	}
}

func (p *parser) inputs() []field {
	fs := make([]field, p.count(2))
	for i := range fs {
		fs[i] = field{p.text(), p.id()}
	}
	return fs
}

func (p *parser) storage(m *Metadata) storage {
	s := storage{name: p.text()}
	switch k := p.r.U8(); k {
	case 0, 1:
		s.optional = k == 0
	default:
		p.r.Fail(fmt.Errorf("storage entry %q: modifier %d: %w", s.name, k, ErrMalformed))
	}
	switch k := p.r.U8(); k {
	case 0:
		s.value = p.id()
	case 1:
		s.hashers = make([]Hasher, p.count(1))
		for i := range s.hashers {
			if s.hashers[i] = Hasher(p.r.U8()); s.hashers[i] >= hashers {
				p.r.Fail(fmt.Errorf("storage entry %q: hasher %d: %w", s.name, s.hashers[i], ErrMalformed))
			}
		}
		s.keys = p.keys(m, &s, p.id())
		s.value = p.id()
	default:
		p.r.Fail(fmt.Errorf("storage entry %q: kind %d: %w", s.name, k, ErrMalformed))
	}
	s.fallback = p.fallback()
	s.doc = p.doc()
	p.itemNote()
	return s
}

// fallback shares the bytes of equal defaults: most are a few zeros.
func (p *parser) fallback() string {
	b := p.r.Vec()
	if s, ok := p.values[string(b)]; ok {
		return s
	}
	s := string(b)
	p.values[s] = s
	return s
}

// keys gives each hasher its type: one takes the key type as a whole, several take the members of a tuple.
func (p *parser) keys(m *Metadata, s *storage, key TypeID) []TypeID {
	if p.r.Err() != nil {
		return nil
	}
	if len(s.hashers) == 1 {
		return []TypeID{key}
	}
	if int(key) >= len(m.nodes) || m.nodes[key].op != opTuple || len(m.nodes[key].fields) != len(s.hashers) {
		p.r.Fail(fmt.Errorf("storage entry %q: %d hashers for key type %d: %w", s.name, len(s.hashers), key, ErrMalformed))
		return nil
	}
	var ids []TypeID
	for _, f := range m.nodes[key].fields {
		ids = append(ids, f.typ)
	}
	return ids
}

func (p *parser) extrinsic(m *Metadata, defs []definition) {
	if p.v16() {
		p.extrinsic16(m)
		return
	}
	if p.version == 14 {
		p.extrinsicParams(m, defs, p.id())
		m.extrinsicVersion = p.r.U8()
	} else {
		m.extrinsicVersion = p.r.U8()
		m.address, m.call, m.signature = p.id(), p.id(), p.id()
		p.id() // the tuple of the extensions
	}
	m.extensions = p.extensions()
}

// extrinsicParams finds in V14 the parts of an extrinsic, which are its type's parameters.
func (p *parser) extrinsicParams(m *Metadata, defs []definition, id TypeID) {
	if p.r.Err() != nil || int(id) >= len(defs) {
		return
	}
	for _, f := range defs[id].params {
		switch f.name {
		case "Address":
			m.address = f.typ
		case "Call":
			m.call = f.typ
		case "Signature":
			m.signature = f.typ
		}
	}
}

func (p *parser) extensions() []SignedExtension {
	xs := make([]SignedExtension, p.count(3))
	for i := range xs {
		xs[i] = SignedExtension{Identifier: p.text(), Type: p.id(), Additional: p.id()}
	}
	return xs
}

func (p *parser) extrinsic16(m *Metadata) {
	versions := p.r.Vec()
	if len(versions) > 0 {
		m.extrinsicVersion = slices.Max(versions)
		if slices.Contains(versions, 4) {
			m.extrinsicVersion = 4
		}
	}
	m.address, m.call, m.signature = p.id(), p.id(), p.id()
	var chosen []uint64
	for i := range p.count(2) {
		version := p.r.U8()
		indices := make([]uint64, p.count(1))
		for i := range indices {
			indices[i] = p.r.Compact()
		}
		if version == 0 || i == 0 {
			chosen = indices
		}
	}
	all := p.extensions()
	for _, i := range chosen {
		if i >= uint64(len(all)) {
			p.r.Fail(fmt.Errorf("transaction extension %d of %d: %w", i, len(all), ErrMalformed))
			return
		}
		m.extensions = append(m.extensions, all[i])
	}
}

func (p *parser) apis(m *Metadata) {
	m.apis = make(map[string]runtimeMethod)
	for range p.count(3) {
		name := p.text()
		for range p.count(4) {
			method := p.text()
			x := runtimeMethod{inputs: p.inputs(), output: p.id(), doc: p.doc()}
			p.itemNote()
			if p.r.Err() != nil {
				return
			}
			m.apis[name+"_"+method] = x
		}
		p.doc()
		if p.v16() {
			p.r.Compact()
		}
		p.itemNote()
	}
}

// custom reads the values that a runtime may add to its metadata over.
func (p *parser) custom() {
	for range p.count(3) {
		p.r.Vec()
		p.id()
		p.r.Vec()
	}
}
