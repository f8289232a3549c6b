package scale

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// compacts are the examples of the SCALE specification and the borders between the modes.
var compacts = []struct {
	v   uint64
	hex string
}{
	{0, "00"}, {1, "04"}, {42, "a8"}, {63, "fc"}, {64, "0101"}, {69, "1501"}, {16383, "fdff"}, {16384, "02000100"},
	{65535, "feff0300"}, {1<<30 - 1, "feffffff"}, {1 << 30, "0300000040"}, {math.MaxUint32, "03ffffffff"},
	{1 << 32, "070000000001"}, {100000000000000, "0b00407a10f35a"}, {math.MaxUint64, "13ffffffffffffffff"},
}

func TestCompactVectors(t *testing.T) {
	for _, c := range compacts {
		if got := hex.EncodeToString(AppendCompact(nil, c.v)); got != c.hex {
			t.Errorf("compact of %d = %s, want %s", c.v, got, c.hex)
		}
		b, _ := hex.DecodeString(c.hex)
		r := NewReader(b)
		if got := r.Compact(); got != c.v || r.End() != nil {
			t.Errorf("compact %s reads as %d, %v; want %d", c.hex, got, r.End(), c.v)
		}
		r = NewReader(b)
		if got := r.CompactBig(); got.Cmp(new(big.Int).SetUint64(c.v)) != 0 || r.End() != nil {
			t.Errorf("big compact %s reads as %d, %v; want %d", c.hex, got, r.End(), c.v)
		}
	}
}

func TestRefusesCompactsThatAreNotCanonical(t *testing.T) {
	for _, s := range []string{
		"0100", "fd00", "02000000", "feff0000", "0300000000", "03ffffff3f", "070000008000",
		"0b000000000000", "130000000000000000", "17000000000000000000", "33" + fmt.Sprintf("%032x", 0),
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(b)
		if v := r.CompactBig(); !errors.Is(r.Err(), ErrNotCanonical) || v.Sign() != 0 {
			t.Errorf("%s reads as %d, %v; want ErrNotCanonical", s, v, r.Err())
		}
		if b[0]>>2 > 4 {
			continue
		}
		r = NewReader(b)
		if v := r.Compact(); !errors.Is(r.Err(), ErrNotCanonical) || v != 0 {
			t.Errorf("%s reads as %d, %v; want ErrNotCanonical", s, v, r.Err())
		}
	}
}

func TestCompactIsMonotonousInLength(t *testing.T) {
	last := 0
	for shift := range 64 {
		for _, v := range []uint64{1<<shift - 1, 1 << shift} {
			n := len(AppendCompact(nil, v))
			if n < last {
				t.Errorf("compact of %d takes %d bytes, a smaller one %d", v, n, last)
			}
			last = n
		}
	}
}

func TestCompactWiderThan64Bits(t *testing.T) {
	r := NewReader([]byte{0x17, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	if v := r.Compact(); v != 0 || !errors.Is(r.Err(), ErrOverflow) {
		t.Errorf("2^64 as 64-bit compact: %d, %v; want ErrOverflow", v, r.Err())
	}
	if _, err := AppendCompactBig(nil, new(big.Int).Lsh(big.NewInt(1), 536)); !errors.Is(err, ErrOverflow) {
		t.Errorf("2^536: %v; want ErrOverflow", err)
	}
	if _, err := AppendCompactBig(nil, big.NewInt(-1)); !errors.Is(err, ErrOverflow) {
		t.Errorf("-1: %v; want ErrOverflow", err)
	}
}

func TestRoundTripLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := rapid.Uint64().Draw(t, "u64")
		x := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 67).Draw(t, "big"))
		s := rapid.String().Draw(t, "str")
		b := rapid.Bool().Draw(t, "bool")
		out := AppendCompact(nil, u)
		out, err := AppendCompactBig(out, x)
		if err != nil {
			t.Fatal(err)
		}
		if out, err = AppendBig(out, x, 67); err != nil {
			t.Fatal(err)
		}
		out = AppendBool(AppendStr(AppendU16(AppendU32(AppendU64(out, u), uint32(u)), uint16(u)), s), b)
		r := NewReader(out)
		if r.Compact() != u || r.CompactBig().Cmp(x) != 0 || r.Big(67).Cmp(x) != 0 || r.U64() != u ||
			r.U32() != uint32(u) || r.U16() != uint16(u) || r.Str() != s || r.Bool() != b {
			t.Fatalf("%x does not read as it was written", out)
		}
		if err := r.End(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFirstErrorSticks(t *testing.T) {
	r := NewReader([]byte{2, 1, 1, 1, 1, 1, 1, 1, 1})
	r.Bool()
	if !errors.Is(r.Err(), ErrBool) {
		t.Fatalf("bool 2: %v", r.Err())
	}
	if r.U8() != 0 || r.U64() != 0 || r.Compact() != 0 || r.Vec() != nil || r.Option() || r.Len() != 0 || r.CompactBig().Sign() != 0 {
		t.Error("a reader with an error still reads")
	}
	if r.Fail(ErrShort); !errors.Is(r.End(), ErrBool) {
		t.Errorf("a later error took the place of the first: %v", r.End())
	}
}

func TestShortAndTrailing(t *testing.T) {
	whole := AppendStr(AppendU64(AppendCompact(nil, 1<<40), 7), "shared")
	read := func(b []byte) error {
		r := NewReader(b)
		r.Compact()
		r.U64()
		_ = r.Str()
		return r.End()
	}
	for n := range whole {
		if err := read(whole[:n]); !errors.Is(err, ErrShort) {
			t.Errorf("cut to %d bytes: %v; want ErrShort", n, err)
		}
	}
	if err := read(append(bytes.Clone(whole), 0)); !errors.Is(err, ErrTrailing) {
		t.Errorf("one byte more: %v; want ErrTrailing", err)
	}
	r := NewReader(whole)
	if r.Bytes(-1) != nil || !errors.Is(r.Err(), ErrShort) {
		t.Errorf("a negative length: %v", r.Err())
	}
}

func TestCountIsBoundedByWhatIsLeft(t *testing.T) {
	for _, c := range []struct {
		count    uint64
		left     int
		itemSize int
		ok       bool
	}{
		{4, 8, 2, true}, {5, 8, 2, false}, {8, 8, 0, true}, {9, 8, 0, false}, {math.MaxUint64, 8, 1, false}, {0, 0, 32, true},
	} {
		r := NewReader(append(AppendCompact(nil, c.count), make([]byte, c.left)...))
		if n := r.Count(c.itemSize); (r.Err() == nil) != c.ok || c.ok && uint64(n) != c.count || !c.ok && n != 0 {
			t.Errorf("%+v: %d, %v", c, n, r.Err())
		}
	}
}

func TestBytesCannotReachBehindThemselves(t *testing.T) {
	src := []byte{1, 2, 3, 4}
	r := NewReader(src)
	_ = append(r.Bytes(2), 9)
	if src[2] != 3 {
		t.Error("appending to what Bytes returned wrote into the input")
	}
}

func TestAppendBigRefusesWhatDoesNotFit(t *testing.T) {
	for _, x := range []*big.Int{big.NewInt(256), big.NewInt(-1)} {
		if out, err := AppendBig([]byte{7}, x, 1); !errors.Is(err, ErrOverflow) || len(out) != 1 {
			t.Errorf("%d in one byte: %x, %v; want ErrOverflow", x, out, err)
		}
	}
}

func TestReadingAndWritingAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 128)
	text := []byte("temperature")
	n := testing.AllocsPerRun(100, func() {
		b := AppendVec(AppendCompact(AppendU64(AppendU32(buf, 1), 2), 1<<40), text)
		var r Reader
		r.b = b
		if r.U32() != 1 || r.U64() != 2 || r.Compact() != 1<<40 || len(r.Vec()) != len(text) || r.End() != nil {
			t.Fatal("it does not read as it was written")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// seeds of FuzzReader, kept apart so that a test can tell that there are any.
func seeds() [][]byte {
	all := [][]byte{nil, AppendStr(AppendBool(nil, true), "peaq"), bytes.Repeat([]byte{0xff}, 80)}
	for _, c := range compacts {
		b, _ := hex.DecodeString(c.hex)
		all = append(all, b)
	}
	return all
}

func TestFuzzCorpusIsThere(t *testing.T) {
	if n := len(seeds()); n < 18 {
		t.Fatalf("%d seeds", n)
	}
}

// FuzzReader checks that whatever reads also writes as the same bytes.
func FuzzReader(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		if v := r.Compact(); r.Err() == nil && !bytes.HasPrefix(b, AppendCompact(nil, v)) {
			t.Errorf("%x reads as compact %d, which writes as %x", b, v, AppendCompact(nil, v))
		}
		r = NewReader(b)
		v := r.CompactBig()
		if out, err := AppendCompactBig(nil, v); r.Err() == nil && (err != nil || !bytes.Equal(out, b[:r.Offset()])) {
			t.Errorf("%x reads as compact %d, which writes as %x, %v", b, v, out, err)
		}
		r = NewReader(b)
		s := r.Vec()
		if r.Err() == nil && !bytes.Equal(AppendVec(nil, s), b[:r.Offset()]) {
			t.Errorf("%x reads as %x, which writes otherwise", b, s)
		}
		if r.Offset() > len(b) || r.Len() < 0 {
			t.Errorf("offset %d of %d", r.Offset(), len(b))
		}
	})
}

func BenchmarkCompact(b *testing.B) {
	buf := AppendCompact(nil, 1<<40)
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(buf)
		if r.Compact() != 1<<40 {
			b.Fatal("misread")
		}
	}
}

func ExampleReader() {
	b := AppendStr(AppendU32(nil, 1000), "temperature")
	r := NewReader(b)
	validFor, name := r.U32(), r.Str()
	fmt.Println(validFor, name, r.End())
	// Output: 1000 temperature <nil>
}
