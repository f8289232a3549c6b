package metadata

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"unicode/utf8"

	"iod/scale"
)

// maxDepth bounds how deeply sequences, composites and enums nest in a value. Substrate refuses calls that nest
// deeper than 256; each such level counts as two here.
const maxDepth = 512

// decoder decodes values. What it makes is bounded by the bytes that it reads, whatever the types are: each container
// charges its members to left, which grows with the input.
type decoder struct {
	m     *Metadata
	r     *scale.Reader
	left  int // members that may still be made
	depth int
}

func newDecoder(m *Metadata, r *scale.Reader) decoder {
	return decoder{m: m, r: r, left: 1024 + 8*r.Len()}
}

// charge accounts for n members and reports whether they may be made.
func (d *decoder) charge(n int) bool {
	if d.left -= n; d.left < 0 {
		d.r.Fail(ErrTooMany)
	}
	return d.r.Err() == nil
}

// value reads a value of the type; what it returns after an error is of no use.
func (d *decoder) value(id TypeID) any {
	n := &d.m.nodes[id]
	switch n.op {
	case opBytes:
		return d.r.Vec()
	case opFixed:
		return d.r.Bytes(int(n.n))
	case opUint:
		return d.uint(n.n)
	case opCompact:
		return d.compact(n.n)
	case opBigUint:
		return d.bigUint(n.n)
	case opCompactBig:
		return d.compactBig(n.n)
	case opBool:
		return d.r.Bool()
	case opStr, opChar:
		return d.text(n.op)
	case opInt:
		return d.int(n.n)
	case opBigInt:
		return d.bigInt(n.n)
	case opBits:
		return d.bits(n)
	case opBad:
		d.r.Fail(fmt.Errorf("type %d has no values: %w", id, ErrMalformed))
		return nil
	}
	if d.depth++; d.depth > maxDepth {
		d.r.Fail(ErrTooDeep)
		return nil
	}
	v := d.container(n)
	d.depth--
	return v
}

func (d *decoder) container(n *node) any {
	switch n.op {
	case opSeq:
		return d.items(n.elem, d.r.Count(int(d.m.nodes[n.elem].least)))
	case opArray:
		if n.n > math.MaxInt32 { // more than an int where ints have 32 bits
			d.r.Fail(ErrTooMany)
			return nil
		}
		return d.items(n.elem, int(n.n))
	case opTuple:
		if len(n.fields) == 0 {
			return nothing
		}
		return d.tuple(n)
	case opComposite:
		return d.fields(n.fields)
	case opCall:
		return d.call()
	default:
		return d.variant(n)
	}
}

// nothing is the empty tuple, which costs no memory however many a hostile value has.
var nothing any = []any{}

func (d *decoder) items(elem TypeID, n int) []any {
	if !d.charge(n) {
		return nil
	}
	vs := make([]any, n)
	for i := range vs {
		if vs[i] = d.value(elem); d.r.Err() != nil {
			return nil
		}
	}
	return vs
}

func (d *decoder) tuple(n *node) []any {
	if !d.charge(len(n.fields)) {
		return nil
	}
	vs := make([]any, len(n.fields))
	for i, f := range n.fields {
		if vs[i] = d.value(f.typ); d.r.Err() != nil {
			return nil
		}
	}
	return vs
}

func (d *decoder) fields(fs []field) Fields {
	if !d.charge(len(fs)) {
		return nil
	}
	vs := make(Fields, len(fs))
	for i := range fs {
		vs[i].Name = fs[i].name
		if vs[i].Value = d.value(fs[i].typ); d.r.Err() != nil {
			return nil
		}
	}
	return vs
}

func (d *decoder) variant(n *node) *Variant {
	v := d.which(n)
	if v == nil || !d.charge(1) {
		return nil
	}
	return &Variant{Name: v.name, Index: v.index, Fields: d.fields(v.fields)}
}

// which reads the index of a variant; nil is an error.
func (d *decoder) which(n *node) *variant {
	i := d.r.U8()
	v := byIndex(n.variants, i)
	if v == nil {
		d.r.Fail(fmt.Errorf("enum %s has no variant %d: %w", n.path, i, ErrMalformed))
	}
	if d.r.Err() != nil {
		return nil
	}
	return v
}

// call reads a call of any pallet.
func (d *decoder) call() Call {
	p, v := d.item("call", func(p *pallet) TypeID { return p.calls })
	if v == nil {
		return Call{}
	}
	return Call{Pallet: p.name, Name: v.name, Args: d.fields(v.fields)}
}

// item reads the index of a pallet and of a variant of one of its enums; a nil variant is an error.
func (d *decoder) item(kind string, enum func(*pallet) TypeID) (*pallet, *variant) {
	i := d.r.U8()
	p := d.m.palletAt(i)
	if d.r.Err() != nil {
		return nil, nil
	}
	if p == nil || enum(p) == NoType {
		d.r.Fail(fmt.Errorf("no pallet %d with a %s: %w", i, kind, ErrMalformed))
		return nil, nil
	}
	return p, d.which(&d.m.nodes[enum(p)])
}

func (d *decoder) uint(n uint32) any {
	switch n {
	case 1:
		return uint64(d.r.U8())
	case 2:
		return uint64(d.r.U16())
	case 4:
		return uint64(d.r.U32())
	default:
		return d.r.U64()
	}
}

func (d *decoder) int(n uint32) any {
	switch n {
	case 1:
		return int64(int8(d.r.U8()))
	case 2:
		return int64(int16(d.r.U16()))
	case 4:
		return int64(int32(d.r.U32()))
	default:
		return int64(d.r.U64())
	}
}

func (d *decoder) compact(n uint32) any {
	v := d.r.Compact()
	if n < 8 && v>>(8*n) != 0 {
		d.r.Fail(scale.ErrOverflow)
	}
	return v
}

func (d *decoder) compactBig(n uint32) any {
	v := d.r.CompactBig()
	if v.BitLen() > 8*int(n) {
		d.r.Fail(scale.ErrOverflow)
	}
	return v
}

// wide is a big.Int with its words beside it: one allocation instead of two.
type wide struct {
	v big.Int
	w [2]big.Word
}

func (d *decoder) bigUint(n uint32) any {
	if n != 16 || bits.UintSize != 64 {
		return d.r.Big(int(n))
	}
	b := d.r.Bytes(16)
	if b == nil {
		return nil
	}
	x := new(wide)
	x.w[0] = big.Word(binary.LittleEndian.Uint64(b))
	x.w[1] = big.Word(binary.LittleEndian.Uint64(b[8:]))
	return x.v.SetBits(x.w[:])
}

func (d *decoder) bigInt(n uint32) any {
	v := d.r.Big(int(n))
	if v.Bit(8*int(n)-1) == 1 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	}
	return v
}

func (d *decoder) text(o op) any {
	if o == opChar {
		c := d.r.U32()
		if c > utf8.MaxRune || !utf8.ValidRune(rune(c)) {
			d.r.Fail(fmt.Errorf("char %#x: %w", c, ErrMalformed))
		}
		return string(rune(c))
	}
	b := d.r.Vec()
	if !utf8.Valid(b) {
		d.r.Fail(fmt.Errorf("text is not UTF-8: %w", ErrMalformed))
	}
	return string(b)
}

// bits reads a bit sequence: the number of bits, then whole words. Bits beyond the number have to be 0.
func (d *decoder) bits(n *node) any {
	count := d.r.Compact()
	word := uint64(8 * n.n)
	if count > uint64(d.r.Len())*8 {
		d.r.Fail(scale.ErrShort)
	}
	if !d.charge(int(min(count/8, 1<<30))) {
		return nil
	}
	b := d.r.Bytes(int((count + word - 1) / word * word / 8))
	if d.r.Err() != nil {
		return nil
	}
	vs := make([]bool, count)
	for i := range uint64(len(b)) * 8 {
		set := b[bitByte(n, i)]>>(i%8)&1 == 1
		if n.elem == 1 {
			set = b[bitByte(n, i)]>>(7-i%8)&1 == 1
		}
		if i < count {
			vs[i] = set
		} else if set {
			d.r.Fail(fmt.Errorf("bit %d of %d is set: %w", i, count, ErrMalformed))
		}
	}
	return vs
}

// bitByte returns the byte that holds bit i: words are little-endian, so the most significant bit first means the last
// byte of a word first.
func bitByte(n *node, i uint64) uint64 {
	at := i / 8
	if w := uint64(n.n); n.elem == 1 {
		return at - at%w + w - 1 - at%w
	}
	return at
}
