package metadata

import "fmt"

// definition is a type as the metadata has it, before it is compiled.
type definition struct {
	node
	kind   uint8 // of the def: composite, variant, …
	params []field

	store, order TypeID // of a bit sequence
}

// The kinds of a type definition.
const (
	defComposite = iota
	defVariant
	defSequence
	defArray
	defTuple
	defPrimitive
	defCompact
	defBits
)

// compile turns definitions into nodes: newtypes become what they hold, sequences of u8 become byte strings, compacts
// learn their width.
func compile(defs []definition) ([]node, error) {
	nodes := make([]node, len(defs))
	for i := range defs {
		if err := refersTo(&defs[i], len(defs)); err != nil {
			return nil, fmt.Errorf("type %d: %w", i, err)
		}
	}
	for i := range defs {
		d, err := inner(defs, TypeID(i))
		if err != nil {
			return nil, err
		}
		n := d.node
		n.path, n.doc = defs[i].path, defs[i].doc
		switch n.op {
		case opSeq, opArray:
			n.op = bytesOp(n.op, &defs[n.elem])
		case opBits:
			compileBits(defs, &n, d)
		}
		nodes[i] = n
	}
	for i := range defs {
		if d, err := inner(defs, TypeID(i)); err == nil && d.kind == defCompact {
			compileCompact(nodes, &nodes[i])
		}
	}
	measure(nodes)
	return nodes, nil
}

// refersTo refuses a definition that names a type outside the registry.
func refersTo(d *definition, types int) error {
	ok := func(fs []field) bool {
		for _, f := range fs {
			if int(f.typ) >= types {
				return false
			}
		}
		return true
	}
	for _, v := range d.variants {
		if !ok(v.fields) {
			return fmt.Errorf("variant %q: type is not in the registry: %w", v.name, ErrMalformed)
		}
	}
	if !ok(d.fields) || int(max(d.elem, d.store, d.order)) >= types {
		return fmt.Errorf("type is not in the registry: %w", ErrMalformed)
	}
	return nil
}

// inner follows newtypes (composites with one unnamed field) to what they hold.
func inner(defs []definition, id TypeID) (*definition, error) {
	for range 64 {
		d := &defs[id]
		if d.op != opComposite || len(d.fields) != 1 || d.fields[0].name != "" {
			return d, nil
		}
		id = d.fields[0].typ
	}
	return nil, fmt.Errorf("type %d: newtype of a newtype without end: %w", id, ErrMalformed)
}

func bytesOp(o op, elem *definition) op {
	switch {
	case elem.op != opUint || elem.n != 1:
		return o
	case o == opSeq:
		return opBytes
	default:
		return opFixed
	}
}

// compileBits reads the word size and the order of a bit sequence off its type arguments.
func compileBits(defs []definition, n *node, d *definition) {
	store, order := &defs[d.store], &defs[d.order]
	n.n = store.n
	switch {
	case store.op != opUint:
		n.op = opBad
	case order.last() == "Msb0":
		n.elem = 1
	case order.last() != "Lsb0":
		n.op = opBad
	}
}

// compileCompact gives a compact the width of the integer inside. A compact of nothing is nothing; of anything else
// there is no value.
func compileCompact(nodes []node, n *node) {
	switch e := &nodes[n.elem]; {
	case e.op == opUint:
		n.op, n.n = opCompact, e.n
	case e.op == opBigUint:
		n.op, n.n = opCompactBig, e.n
	case (e.op == opTuple || e.op == opComposite) && len(e.fields) == 0:
		n.op, n.fields = e.op, nil
	default:
		n.op = opBad
	}
}

// rounds bounds how often measure looks at all types. The sizes it finds are lower bounds after any number of rounds,
// so types nested deeper than this only cost precision.
const rounds = 16

// measure finds for each type the number of bytes that a value takes at least, and whether it is always none.
func measure(nodes []node) {
	for range rounds {
		changed := false
		for i := range nodes {
			n := &nodes[i]
			least, empty := n.size(nodes)
			if least != n.least || empty != n.empty {
				n.least, n.empty, changed = least, empty, true
			}
		}
		if !changed {
			return
		}
	}
}

const most = 1 << 15 // where least saturates

// size computes least and empty from what is known about the parts so far.
func (n *node) size(nodes []node) (least uint16, empty bool) {
	switch n.op {
	case opBool, opBytes, opStr, opSeq, opCompact, opCompactBig, opBits:
		return 1, false
	case opChar:
		return 4, false
	case opCall:
		return 2, false
	case opUint, opInt, opBigUint, opBigInt:
		return uint16(n.n), false
	case opFixed:
		return uint16(min(n.n, most)), n.n == 0
	case opArray:
		e := &nodes[n.elem]
		return uint16(min(uint64(n.n)*uint64(e.least), most)), n.n == 0 || e.empty
	case opTuple, opComposite:
		return sum(nodes, n.fields)
	case opEnum, opOption:
		return 1, false
	}
	return 0, false
}

func sum(nodes []node, fs []field) (least uint16, empty bool) {
	total := 0
	empty = true
	for _, f := range fs {
		total = min(total+int(nodes[f.typ].least), most)
		empty = empty && nodes[f.typ].empty
	}
	return uint16(total), empty
}
