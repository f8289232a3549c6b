package metadata

import "strings"

// op says how a type is read and written. It is all that is left of a type's definition once Parse has compiled it:
// newtypes have taken over the op of what they hold.
type op uint8

const (
	opBad        op = iota // no value of it can be read or written
	opBool                 //
	opChar                 //
	opStr                  //
	opUint                 // n bytes, at most 8
	opInt                  // n bytes, at most 8
	opBigUint              // n bytes
	opBigInt               // n bytes
	opBytes                // Vec<u8>
	opFixed                // [u8; n]
	opSeq                  // Vec<elem>
	opArray                // [elem; n]
	opTuple                // fields
	opComposite            // fields
	opEnum                 // variants
	opOption               // variants None and Some
	opCall                 // the runtime's call: index of the pallet, then its call enum
	opCompact              // integer of at most n bytes, n ≤ 8
	opCompactBig           // integer of at most n bytes
	opBits                 // bit sequence in words of n bytes; elem 1: most significant bit first
)

// node is a compiled type.
type node struct {
	op       op
	least    uint16 // at least so many bytes encode a value
	empty    bool   // no bytes encode a value
	n        uint32
	elem     TypeID
	fields   []field
	variants []variant // ascending by index
	path     string    // as in "sp_runtime::MultiAddress", empty for built-in types
	doc      uint32
}

type field struct {
	name string
	typ  TypeID
}

type variant struct {
	name   string
	index  uint8
	fields []field
	doc    uint32
}

// byIndex returns the variant of that index, or nil. Most enums have no gaps.
func byIndex(vs []variant, i uint8) *variant {
	if int(i) < len(vs) && vs[i].index == i {
		return &vs[i]
	}
	lo, hi := 0, len(vs)
	for lo < hi {
		mid := (lo + hi) / 2
		if vs[mid].index < i {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(vs) && vs[lo].index == i {
		return &vs[lo]
	}
	return nil
}

// byName returns the first variant of that name, or nil.
func byName(vs []variant, name string) *variant {
	for i := range vs {
		if vs[i].name == name {
			return &vs[i]
		}
	}
	return nil
}

func variantNames(vs []variant) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range vs {
			if !yield(vs[i].name) {
				return
			}
		}
	}
}

// last returns the last segment of the type's path.
func (n *node) last() string { return n.path[strings.LastIndexByte(n.path, ':')+1:] }

// isOption reports whether the enum is Rust's Option.
func (n *node) isOption() bool {
	v := n.variants
	return n.path == "Option" && len(v) == 2 && v[0].index == 0 && v[0].name == "None" && len(v[0].fields) == 0 &&
		v[1].index == 1 && v[1].name == "Some" && len(v[1].fields) == 1
}
