// Package scale is the SCALE codec of Substrate: little-endian integers, compact integers and
// length-prefixed sequences. It uses the standard library only.
//
//	u8 … u128   little-endian, fixed width
//	compact     low two bits of the first byte give the mode:
//	            00 six bits, 01 fourteen bits, 10 thirty bits, 11 (first>>2)+4 bytes follow
//	Vec<T>      compact count, then the items
//	Option<T>   0x00, or 0x01 and the value
//
// A Reader accepts canonical encodings only: a compact integer that a shorter mode could hold is an error.
package scale

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// Errors that a Reader stops at; test for them with errors.Is.
var (
	ErrShort        = errors.New("scale: not enough bytes")
	ErrNotCanonical = errors.New("scale: compact integer is longer than it needs to be")
	ErrOverflow     = errors.New("scale: integer is too large")
	ErrBool         = errors.New("scale: boolean is neither 0 nor 1")
	ErrTrailing     = errors.New("scale: bytes left over")
)

// Reader reads SCALE values from a byte slice. The first error sticks: later reads return zero values, and Err tells.
type Reader struct {
	b   []byte
	off int
	err error
}

// NewReader returns a Reader over b; it does not copy b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err returns the first error met.
func (r *Reader) Err() error { return r.err }

// End returns Err, or ErrTrailing when bytes are left over.
func (r *Reader) End() error {
	if r.err == nil && r.off != len(r.b) {
		return fmt.Errorf("%w: %d", ErrTrailing, len(r.b)-r.off)
	}
	return r.err
}

// Len returns how many bytes are left; 0 after an error.
func (r *Reader) Len() int {
	if r.err != nil {
		return 0
	}
	return len(r.b) - r.off
}

// Offset returns how many bytes were read.
func (r *Reader) Offset() int { return r.off }

// Fail makes err the reader's error, unless it has one.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Bytes returns the next n bytes without copying them.
func (r *Reader) Bytes(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b)-r.off {
		r.err = fmt.Errorf("%w: want %d at offset %d of %d", ErrShort, n, r.off, len(r.b))
		return nil
	}
	r.off += n
	return r.b[r.off-n : r.off : r.off]
}

// U8 reads a u8.
func (r *Reader) U8() uint8 {
	if b := r.Bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// U16 reads a u16.
func (r *Reader) U16() uint16 {
	if b := r.Bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

// U32 reads a u32.
func (r *Reader) U32() uint32 {
	if b := r.Bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// U64 reads a u64.
func (r *Reader) U64() uint64 {
	if b := r.Bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Big reads an unsigned integer of n bytes.
func (r *Reader) Big(n int) *big.Int { return leToBig(r.Bytes(n)) }

// Bool reads a bool.
func (r *Reader) Bool() bool {
	switch r.U8() {
	case 0:
	case 1:
		return true
	default:
		r.Fail(ErrBool)
	}
	return false
}

// Compact reads a compact integer of at most 64 bits.
func (r *Reader) Compact() uint64 {
	first := r.U8()
	switch first & 3 {
	case 0:
		return uint64(first >> 2)
	case 1:
		return r.compactMin(uint64(first)>>2|uint64(r.U8())<<6, 1<<6)
	case 2:
		b := r.Bytes(3)
		if b == nil {
			return 0
		}
		return r.compactMin(uint64(first)>>2|uint64(b[0])<<6|uint64(b[1])<<14|uint64(b[2])<<22, 1<<14)
	}
	n := int(first>>2) + 4
	if n > 8 {
		r.Fail(ErrOverflow)
		return 0
	}
	var buf [8]byte
	b := r.Bytes(n)
	if b == nil {
		return 0
	}
	copy(buf[:], b)
	return r.compactMin(binary.LittleEndian.Uint64(buf[:]), bigModeMin(n))
}

// bigModeMin is the smallest value that needs n bytes in the fourth mode.
func bigModeMin(n int) uint64 {
	if n == 4 {
		return 1 << 30
	}
	return 1 << (8 * (n - 1))
}

func (r *Reader) compactMin(v, least uint64) uint64 {
	if r.err == nil && v < least {
		r.err = ErrNotCanonical
	}
	if r.err != nil {
		return 0
	}
	return v
}

// CompactBig reads a compact integer of up to 536 bits.
func (r *Reader) CompactBig() *big.Int {
	if r.err != nil || r.off >= len(r.b) || r.b[r.off]&3 != 3 || r.b[r.off]>>2 <= 4 {
		return new(big.Int).SetUint64(r.Compact())
	}
	n := int(r.U8()>>2) + 4
	b := r.Bytes(n)
	if b != nil && b[n-1] == 0 {
		r.Fail(ErrNotCanonical)
		return new(big.Int)
	}
	return leToBig(b)
}

// Count reads the length of a sequence whose items take at least itemSize bytes each, and refuses one that the
// bytes left cannot hold, so that a caller may allocate by it. For items of no size it is bounded by the bytes left.
func (r *Reader) Count(itemSize int) int {
	n := r.Compact()
	if r.err == nil && n > uint64(r.Len()/max(itemSize, 1)) {
		r.Fail(fmt.Errorf("%w: sequence of %d items in %d bytes", ErrShort, n, r.Len()))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// Vec reads a length-prefixed byte string without copying it.
func (r *Reader) Vec() []byte { return r.Bytes(r.Count(1)) }

// Str reads a length-prefixed string.
func (r *Reader) Str() string { return string(r.Vec()) }

// Option reads the tag of an Option and reports whether a value follows.
func (r *Reader) Option() bool { return r.Bool() }

func leToBig(b []byte) *big.Int {
	be := make([]byte, len(b))
	for i, x := range b {
		be[len(b)-1-i] = x
	}
	return new(big.Int).SetBytes(be)
}

// AppendU16 appends a u16.
func AppendU16(dst []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(dst, v) }

// AppendU32 appends a u32.
func AppendU32(dst []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(dst, v) }

// AppendU64 appends a u64.
func AppendU64(dst []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(dst, v) }

// AppendBig appends a non-negative integer in n bytes; it fails when v does not fit.
func AppendBig(dst []byte, v *big.Int, n int) ([]byte, error) {
	if v.Sign() < 0 || v.BitLen() > 8*n {
		return dst, fmt.Errorf("%w: %d bits into %d bytes", ErrOverflow, v.BitLen(), n)
	}
	b := v.FillBytes(make([]byte, n))
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, b[i])
	}
	return dst, nil
}

// AppendBool appends a bool.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendCompact appends a compact integer.
func AppendCompact(dst []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(dst, byte(v<<2))
	case v < 1<<14:
		return AppendU16(dst, uint16(v<<2|1))
	case v < 1<<30:
		return AppendU32(dst, uint32(v<<2|2))
	}
	n := 4
	for n < 8 && v>>(8*n) != 0 {
		n++
	}
	dst = append(dst, byte((n-4)<<2|3))
	for range n {
		dst = append(dst, byte(v))
		v >>= 8
	}
	return dst
}

// AppendCompactBig appends a compact integer of up to 536 bits.
func AppendCompactBig(dst []byte, v *big.Int) ([]byte, error) {
	if v.IsUint64() {
		return AppendCompact(dst, v.Uint64()), nil
	}
	n := (v.BitLen() + 7) / 8
	if v.Sign() < 0 || n > 67 {
		return dst, fmt.Errorf("%w: compact of %d bits", ErrOverflow, v.BitLen())
	}
	return AppendBig(append(dst, byte((n-4)<<2|3)), v, n)
}

// AppendVec appends a length-prefixed byte string.
func AppendVec(dst, b []byte) []byte { return append(AppendCompact(dst, uint64(len(b))), b...) }

// AppendStr appends a length-prefixed string.
func AppendStr(dst []byte, s string) []byte { return append(AppendCompact(dst, uint64(len(s))), s...) }
