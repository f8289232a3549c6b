package metadata

import (
	"math/big"
	"reflect"

	"iod/scale"
)

func isInteger(v any) bool {
	switch v.(type) {
	case *big.Int, big.Int:
		return true
	}
	r := reflect.ValueOf(v)
	return r.IsValid() && (r.CanInt() || r.CanUint())
}

// integer encodes any Go integer as an integer type of the chain, if it is in its range.
func (e *encoder) integer(n *node, v any) error {
	if u, ok := asUint(v); ok && (n.op == opUint || n.op == opCompact) {
		if n.n < 8 && u>>(8*n.n) != 0 {
			return e.outOfRange(n, v)
		}
		e.uint(n, u)
		return nil
	}
	x, ok := asBig(v)
	if !ok {
		return misfit("want %s, got %s", e.m.short(n), kindOf(v))
	}
	width := 8 * int(n.n)
	if n.op == opInt || n.op == opBigInt {
		low := new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), uint(width-1)))
		if x.Cmp(low) < 0 || x.Sign() > 0 && x.BitLen() >= width {
			return e.outOfRange(n, v)
		}
		if x.Sign() < 0 {
			x = new(big.Int).Add(x, new(big.Int).Lsh(big.NewInt(1), uint(width)))
		}
	}
	if x.Sign() < 0 || x.BitLen() > width {
		return e.outOfRange(n, v)
	}
	var err error
	switch n.op {
	case opCompact, opCompactBig:
		e.b, err = scale.AppendCompactBig(e.b, x)
	default:
		e.b, err = scale.AppendBig(e.b, x, int(n.n))
	}
	return err
}

func (e *encoder) outOfRange(n *node, v any) error {
	x, _ := asBig(v)
	if x != nil && x.BitLen() > 512 {
		return misfit("number of %d bits is out of range of %s", x.BitLen(), e.m.short(n))
	}
	return misfit("%s is out of range of %s", x, e.m.short(n))
}

func (e *encoder) uint(n *node, u uint64) {
	switch {
	case n.op == opCompact:
		e.b = scale.AppendCompact(e.b, u)
	case n.n == 1:
		e.b = append(e.b, byte(u))
	case n.n == 2:
		e.b = scale.AppendU16(e.b, uint16(u))
	case n.n == 4:
		e.b = scale.AppendU32(e.b, uint32(u))
	default:
		e.b = scale.AppendU64(e.b, u)
	}
}

// asUint returns a non-negative Go integer of at most 64 bits.
func asUint(v any) (uint64, bool) {
	switch x := v.(type) {
	case uint64:
		return x, true
	case int:
		return uint64(x), x >= 0
	case *big.Int:
		return x.Uint64(), x.IsUint64()
	}
	r := reflect.ValueOf(v)
	switch {
	case !r.IsValid():
		return 0, false
	case r.CanUint():
		return r.Uint(), true
	case r.CanInt():
		return uint64(r.Int()), r.Int() >= 0
	}
	return 0, false
}

func asBig(v any) (*big.Int, bool) {
	switch x := v.(type) {
	case *big.Int:
		return x, x != nil
	case big.Int:
		return &x, true
	}
	if u, ok := asUint(v); ok {
		return new(big.Int).SetUint64(u), true
	}
	if r := reflect.ValueOf(v); r.IsValid() && r.CanInt() {
		return big.NewInt(r.Int()), true
	}
	return nil, false
}
