package metadata

import (
	"fmt"
	"strings"
)

// Describe returns the shape of a type in Rust-like notation, for error texts and for people: the name of a built-in
// or opaque type, and what is inside a struct or an enum, one level deep.
func (m *Metadata) Describe(id TypeID) string {
	if m.known(id) != nil {
		return fmt.Sprintf("unknown type %d", id)
	}
	n := &m.nodes[id]
	switch n.op {
	case opComposite:
		return strings.TrimSpace("struct "+n.last()) + m.members(n.fields)
	case opEnum:
		var vs []string
		for _, v := range n.variants {
			if len(vs) == maxDescribed {
				vs = append(vs, fmt.Sprintf("… %d more", len(n.variants)-len(vs)))
				break
			}
			vs = append(vs, v.name+m.members(v.fields))
		}
		return "enum " + n.last() + " { " + strings.Join(vs, ", ") + " }"
	}
	return m.name(id)
}

// maxDescribed is how many fields or variants Describe shows.
const maxDescribed = 24

// members describes fields: " { name: type }" or "(type)".
func (m *Metadata) members(fs []field) string {
	if len(fs) == 0 {
		return ""
	}
	var parts []string
	for i, f := range fs {
		if i == maxDescribed {
			parts = append(parts, fmt.Sprintf("… %d more", len(fs)-i))
			break
		}
		if s := m.name(f.typ); f.name == "" {
			parts = append(parts, s)
		} else {
			parts = append(parts, f.name+": "+s)
		}
	}
	if fs[0].name == "" {
		return "(" + strings.Join(parts, ", ") + ")"
	}
	return " { " + strings.Join(parts, ", ") + " }"
}

// name returns the short name of a type: its own where it has one, otherwise what it is made of.
func (m *Metadata) name(id TypeID) string { return m.nameTo(&m.nodes[id], 3) }

func (m *Metadata) short(n *node) string { return m.nameTo(n, 3) }

// nameTo names a type down to a depth, and the parts of a tuple up to a number: both are the metadata's choice.
func (m *Metadata) nameTo(n *node, depth int) string {
	if n.path != "" && n.op != opOption {
		return n.last()
	}
	if depth == 0 {
		return "…"
	}
	elem := func() string { return m.nameTo(&m.nodes[n.elem], depth-1) }
	switch n.op {
	case opBool:
		return "bool"
	case opChar:
		return "char"
	case opStr:
		return "str"
	case opUint, opBigUint:
		return fmt.Sprintf("u%d", 8*n.n)
	case opInt, opBigInt:
		return fmt.Sprintf("i%d", 8*n.n)
	case opCompact, opCompactBig:
		return fmt.Sprintf("Compact<u%d>", 8*n.n)
	case opBytes:
		return "Vec<u8>"
	case opFixed:
		return fmt.Sprintf("[u8; %d]", n.n)
	case opSeq:
		return "Vec<" + elem() + ">"
	case opArray:
		return fmt.Sprintf("[%s; %d]", elem(), n.n)
	case opOption:
		return "Option<" + m.nameTo(&m.nodes[n.variants[1].fields[0].typ], depth-1) + ">"
	case opBits:
		return "BitVec"
	case opTuple, opComposite:
		return m.tupleName(n, depth)
	}
	return "unnamed type"
}

func (m *Metadata) tupleName(n *node, depth int) string {
	var parts []string
	for i, f := range n.fields {
		if i == 4 {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, m.nameTo(&m.nodes[f.typ], depth-1))
	}
	return "(" + strings.Join(parts, ", ") + ")"
}
