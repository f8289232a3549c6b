package metadata

import (
	"fmt"
	"slices"

	"iod/spelling"
)

// link checks that what the parts of the metadata say about types holds, and indexes them.
func (m *Metadata) link() error {
	m.byName = make(map[string]int, len(m.pallets))
	for i := range m.byIndex {
		m.byIndex[i] = -1
	}
	for i := range m.pallets {
		p := &m.pallets[i]
		if err := m.linkPallet(p); err != nil {
			return fmt.Errorf("pallet %q: %w", p.name, err)
		}
		if _, twice := m.byName[p.name]; twice || m.byIndex[p.index] >= 0 {
			return fmt.Errorf("pallet %q, index %d: there are two: %w", p.name, p.index, ErrMalformed)
		}
		m.byName[p.name], m.byIndex[p.index] = i, int16(i)
	}
	for name, x := range m.apis {
		if err := m.types(x.output); err != nil || !m.fieldsKnown(x.inputs) {
			return fmt.Errorf("runtime API %s: type is not in the registry: %w", name, ErrMalformed)
		}
	}
	if err := m.linkExtrinsic(); err != nil {
		return err
	}
	m.planEvents()
	return nil
}

// types refuses ids that are not of the registry; NoType passes.
func (m *Metadata) types(ids ...TypeID) error {
	for _, id := range ids {
		if id != NoType && int(id) >= len(m.nodes) {
			return fmt.Errorf("type %d is not in the registry: %w", id, ErrMalformed)
		}
	}
	return nil
}

func (m *Metadata) fieldsKnown(fs []field) bool {
	return !slices.ContainsFunc(fs, func(f field) bool { return int(f.typ) >= len(m.nodes) })
}

func (m *Metadata) linkPallet(p *pallet) error {
	for _, id := range []TypeID{p.calls, p.events, p.errors} {
		if err := m.types(id); err != nil {
			return err
		}
		if id != NoType && m.nodes[id].op != opEnum {
			return fmt.Errorf("type %d should be an enum: %w", id, ErrMalformed)
		}
	}
	for _, s := range p.storage {
		if err := m.types(append([]TypeID{s.value}, s.keys...)...); err != nil {
			return fmt.Errorf("storage entry %q: %w", s.name, err)
		}
	}
	for _, c := range p.constants {
		if err := m.types(c.typ); err != nil {
			return fmt.Errorf("constant %q: %w", c.name, err)
		}
	}
	return nil
}

func (m *Metadata) linkExtrinsic() error {
	if err := m.types(m.address, m.signature, m.call, m.event, m.error); err != nil {
		return fmt.Errorf("extrinsic: %w", err)
	}
	for i := range m.extensions {
		x := &m.extensions[i]
		if err := m.types(x.Type, x.Additional); err != nil || max(x.Type, x.Additional) == NoType {
			return fmt.Errorf("signed extension %q: type is not in the registry: %w", x.Identifier, ErrMalformed)
		}
		x.Empty, x.AdditionalEmpty = m.nodes[x.Type].empty, m.nodes[x.Additional].empty
	}
	if m.call != NoType {
		if m.nodes[m.call].op != opEnum {
			return fmt.Errorf("call type %d should be an enum: %w", m.call, ErrMalformed)
		}
		m.nodes[m.call].op = opCall
	}
	return nil
}

// pallet returns a pallet by name.
func (m *Metadata) pallet(name string) (*pallet, error) {
	if i, ok := m.byName[name]; ok {
		return &m.pallets[i], nil
	}
	return nil, &NotFoundError{Kind: "pallet", Name: name, Nearest: spelling.Nearest(name, func(yield func(string) bool) {
		for i := range m.pallets {
			if !yield(m.pallets[i].name) {
				return
			}
		}
	})}
}

// palletAt returns a pallet by index, or nil.
func (m *Metadata) palletAt(index uint8) *pallet {
	if i := m.byIndex[index]; i >= 0 {
		return &m.pallets[i]
	}
	return nil
}

// variants returns the variants of an enum type that a pallet may have, or none.
func (m *Metadata) variants(id TypeID) []variant {
	if id == NoType {
		return nil
	}
	return m.nodes[id].variants
}
