package metadata

import (
	"fmt"
	"strings"

	"iod/scale"
)

// Pallet describes one pallet.
type Pallet struct {
	Name      string
	Index     uint8
	Docs      string // of V15 and later
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
func (m *Metadata) Pallets() []Pallet {
	ps := make([]Pallet, len(m.pallets))
	for i := range m.pallets {
		ps[i] = m.describePallet(&m.pallets[i])
	}
	return ps
}

// Pallet returns a pallet by name.
func (m *Metadata) Pallet(name string) (Pallet, error) {
	p, err := m.pallet(name)
	if err != nil {
		return Pallet{}, err
	}
	return m.describePallet(p), nil
}

// PalletByIndex returns a pallet by its index in calls, events and errors.
func (m *Metadata) PalletByIndex(i uint8) (Pallet, error) {
	if p := m.palletAt(i); p != nil {
		return m.describePallet(p), nil
	}
	return Pallet{}, &NotFoundError{Kind: "pallet with index", Name: fmt.Sprint(i)}
}

func (m *Metadata) describePallet(p *pallet) Pallet {
	x := Pallet{Name: p.name, Index: p.index, Docs: m.docs(p.doc), Prefix: p.prefix,
		Calls: m.items(p.calls), Events: m.items(p.events), Errors: m.items(p.errors)}
	for _, s := range p.storage {
		x.Storage = append(x.Storage, StorageItem{s.name, append([]TypeID(nil), s.keys...), append([]Hasher(nil), s.hashers...),
			s.value, s.optional, []byte(s.fallback), m.docs(s.doc)})
	}
	for _, c := range p.constants {
		x.Constants = append(x.Constants, ConstantItem{c.name, c.typ, []byte(c.value), m.docs(c.doc)})
	}
	return x
}

func (m *Metadata) items(id TypeID) []Item {
	var items []Item
	for _, v := range m.variants(id) {
		items = append(items, Item{v.name, v.index, fieldTypes(v.fields), m.docs(v.doc)})
	}
	return items
}

func fieldTypes(fs []field) []FieldType {
	var ts []FieldType
	for _, f := range fs {
		ts = append(ts, FieldType{f.name, f.typ})
	}
	return ts
}

// docs reads the documentation lines that stand at an offset of the metadata.
func (m *Metadata) docs(at uint32) string {
	if at == 0 {
		return ""
	}
	r := scale.NewReader(m.raw[at:min(len(m.raw), int(at)+maxDocs)])
	var b strings.Builder
	for i := range r.Compact() {
		line := r.Vec()
		if r.Err() != nil {
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(strings.ToValidUTF8(strings.TrimPrefix(string(line), " "), "\uFFFD"))
	}
	return b.String()
}

// maxDocs is the number of bytes of documentation of one item that are read.
const maxDocs = 64 << 10
