package metadata

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"iod/scale"
)

// allocated returns the bytes that f allocates in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestRefusesOtherVersions(t *testing.T) {
	for _, version := range []byte{0, 13, 17, 255} {
		_, err := Parse(append([]byte(magic), version, 0, 0))
		want := fmt.Sprintf("metadata: parse V%d at byte 5 of 7: metadata version is not supported (14, 15 and 16 are)", version)
		if !errors.Is(err, ErrVersion) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if _, err := Parse([]byte{0}); !errors.Is(err, ErrVersion) {
		t.Errorf("None: %v", err)
	}
}

func TestParseAcceptsWhatNodesPutAround(t *testing.T) {
	plain := metadata14(prim(3))
	for _, b := range [][]byte{plain, scale.AppendVec(nil, plain), append([]byte{1}, scale.AppendVec(nil, plain)...)} {
		if m, err := Parse(b); err != nil || len(m.nodes) != 1 {
			t.Errorf("%x: %v", b, err)
		}
	}
	for _, b := range [][]byte{nil, {}, {1}, []byte("met"), []byte("atem\x0e"), append(scale.AppendVec(nil, plain), 0), append([]byte{2}, scale.AppendVec(nil, plain)...)} {
		if _, err := Parse(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: %v; want ErrMalformed", b, err)
		}
	}
}

func TestParseRefusesMalformedTypes(t *testing.T) {
	wrongID := wire(magic).u8(14).n(1, 5).add(prim(3)).n(0, 0).u8(4).n(0, 0)
	for name, b := range map[string][]byte{
		"id out of order":      wrongID,
		"endless name":         metadata14(composite(strings.Repeat("n", 1025))),
		"endless path":         metadata14(path(make([]string, 33)...).u8(defTuple, 0, 0)),
		"unknown kind":         metadata14(path().u8(9)),
		"unknown primitive":    metadata14(prim(15)),
		"type out of registry": metadata14(seq(1)),
		"field out of it":      metadata14(composite("A", fld("x", 7))),
		"variant out of it":    metadata14(enum("A", vrt("x", 0, fld("", 7)))),
		"bits out of it":       metadata14(bitseq(0, 9)),
		"newtype of itself":    metadata14(composite("A", fld("", 0))),
		"newtypes in a ring":   metadata14(composite("A", fld("", 1)), composite("B", fld("", 0))),
		"two of one index":     metadata14(enum("A", vrt("x", 3), vrt("y", 3))),
		"bytes left over":      append(metadata14(prim(3)), 0),
		"api out of registry":  withTypes(15, prim(3)).n(0).u8(4).n(0, 0, 0, 0, 0).n(0).n(1).str("A").n(1).str("m").n(0).n(4).n(0).n(0).n(0, 0, 0).n(0),
		"call is no enum":      withTypes(15, prim(3)).n(0).u8(4).n(0, 0, 0, 0, 0).n(0).n(0).n(0, 0, 0).n(0),
	} {
		if _, err := Parse(b); err == nil || !errors.Is(err, ErrMalformed) && !errors.Is(err, scale.ErrTrailing) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Parse(make([]byte, MaxSize+1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("too large: %v", err)
	}
}

func TestParseOfCutMetadata(t *testing.T) {
	b := read(t, "metadata-v14.scale")
	n := 0
	for cut := 5; cut < len(b); cut += 1 + cut/7 {
		if _, err := Parse(b[:cut]); !errors.Is(err, scale.ErrShort) {
			t.Errorf("cut to %d of %d: %v", cut, len(b), err)
		}
		n++
	}
	small := metadata16()
	for cut := 5; cut < len(small); cut++ {
		if _, err := Parse(small[:cut]); err == nil {
			t.Errorf("V16 cut to %d of %d parses", cut, len(small))
		}
		n++
	}
	if n < 200 {
		t.Errorf("only %d cuts", n)
	}
}

// TestHostileTypes decodes values of types made to be expensive: what is made stays in proportion to the bytes read.
func TestHostileTypes(t *testing.T) {
	wide := make([]wire, 200)
	for i := range wide {
		wide[i] = fld(fmt.Sprintf("f%d", i), 0)
	}
	m := parsed(t,
		tuple(), array(math.MaxUint32, 0), seq(0), array(1<<20, 1), // 0–3: (), [(); 2³²-1], Vec<()>, arrays of those
		composite("List", fld("a", 4), fld("b", 4)), // 4: holds itself twice
		composite("Wide", wide...), seq(5),          // 5, 6: a composite of 200 nothings, a list of them
		enum("Tree", vrt("Leaf", 0), vrt("Node", 1, fld("", 8))), seq(7), // 7, 8
		seq(10), seq(9), // 9, 10: lists of each other
		prim(3), array(math.MaxUint32, 11), seq(12), // 11–13: u8, [u8; 2³²-1]
	)
	deep := bytes.Repeat([]byte{1, 4}, 2000)
	ones := bytes.Repeat([]byte{4}, 4000)
	greedy := scale.AppendCompact(nil, 3900)
	for _, c := range []struct {
		id   TypeID
		in   []byte
		want error
	}{
		{1, nil, ErrTooMany}, {2, append(scale.AppendCompact(nil, 3000), make([]byte, 3000)...), scale.ErrTrailing},
		{3, make([]byte, 4000), ErrTooMany}, {4, make([]byte, 4000), ErrTooDeep}, {6, append(scale.AppendCompact(nil, 3000), make([]byte, 3000)...), ErrTooMany},
		{7, deep, ErrTooDeep}, {9, ones, ErrTooDeep}, {9, bytes.Repeat(greedy, 2000), ErrTooMany},
		{12, make([]byte, 4000), scale.ErrShort}, {13, append(greedy, make([]byte, 4000)...), scale.ErrShort},
	} {
		var err error
		n := allocated(func() { _, err = m.Decode(c.id, c.in) })
		if !errors.Is(err, c.want) {
			t.Errorf("type %d: %v; want %v", c.id, err, c.want)
		}
		if n > 1<<20 {
			t.Errorf("type %d: %d bytes of input made it allocate %d", c.id, len(c.in), n)
		}
	}
}

// TestHostileMetadataIsCheap parses a few KB that promise much more.
func TestHostileMetadataIsCheap(t *testing.T) {
	fill := make([]byte, 4096)
	all := []wire{wire(magic).u8(14).n(600).add(fill)}
	head := wire(magic).u8(14).n(1, 0)
	for _, kind := range []byte{defComposite, defVariant, defTuple} {
		all = append(all, head.add(path().u8(kind)).n(900).add(fill))
	}
	pallets := withTypes(14, prim(3))
	all = append(all, pallets.n(580).add(fill), pallets.n(500).str("").u8(1).str("").n(500).add(fill))
	for i, b := range all {
		if n := allocated(func() { Parse(b) }); n > 1<<20 {
			t.Errorf("%d: %d bytes of metadata made it allocate %d", i, len(b), n)
		}
	}
}

func TestHostileCallsAndEvents(t *testing.T) {
	m := peaq(t)
	batch := bytes.Repeat([]byte{8, 0, 4}, 1300) // a batch of a batch of …
	many := append([]byte{8, 0}, scale.AppendCompact(nil, 4000)...)
	many = append(many, make([]byte, 4000)...)
	for i, in := range [][]byte{batch, many, bytes.Repeat([]byte{8, 0, 0xf9, 0x1f}, 1000)} {
		var err error
		n := allocated(func() { _, err = m.DecodeCall(in) })
		if err == nil || n > 1<<20 {
			t.Errorf("call %d: %v, %d bytes allocated", i, err, n)
		}
	}
	if _, err := m.DecodeCall(batch); !errors.Is(err, ErrTooDeep) {
		t.Errorf("batches without end: %v", err)
	}
	promise := append(scale.AppendCompact(nil, 1000), make([]byte, 4000)...)
	n := allocated(func() { m.DecodeEvents(promise) })
	if n > 1<<20 {
		t.Errorf("events: %d bytes allocated", n)
	}
	if _, err := m.DecodeEvents(scale.AppendCompact(nil, 1<<29)); !errors.Is(err, scale.ErrShort) {
		t.Errorf("a promise of events: %v", err)
	}
	raw := recorded(t).Blocks[0].EventsHex
	for cut := 1; cut < len(raw); cut++ {
		if _, err := m.DecodeEvents(raw[:cut]); err == nil {
			t.Fatalf("events cut to %d of %d bytes decode", cut, len(raw))
		}
	}
	_, err := m.DecodeEvents(raw[:len(raw)-1])
	want := "metadata: decode event 13 of 14 (System.ExtrinsicSuccess) at byte 2008 of 2008: scale: not enough bytes: want 1 at offset 2008 of 2008"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestStorageKeysThatLie(t *testing.T) {
	m := peaq(t)
	key := must(m.StorageKey("System", "Account", make([]byte, 32)))
	for i := range key {
		bad := bytes.Clone(key)
		bad[i] ^= 1
		if _, err := m.DecodeStorageKey("System", "Account", bad); !errors.Is(err, ErrMalformed) {
			t.Fatalf("a key with byte %d changed reads: %v", i, err)
		}
		if _, err := m.DecodeStorageKey("System", "Account", key[:i]); err == nil {
			t.Fatalf("a key cut to %d bytes reads", i)
		}
	}
}

func TestMemoryOfParsedMetadata(t *testing.T) {
	for _, c := range []struct {
		parse func([]byte) (*Metadata, error)
		most  uint64
	}{{Parse, 700 << 10}, {ParseLean, 400 << 10}} {
		b := read(t, "metadata-v14.scale")
		before := heap()
		m, err := c.parse(b)
		after := heap()
		if err != nil || after-before > c.most {
			t.Errorf("metadata of %d bytes keeps %d, %v; want at most %d", len(b), after-before, err, c.most)
		}
		t.Logf("metadata of %d bytes keeps %d", len(b), after-before)
		runtime.KeepAlive(m)
		runtime.KeepAlive(b)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func TestLeanHasNoDocs(t *testing.T) {
	m, err := ParseLean(read(t, "metadata-v14.scale"))
	if err != nil {
		t.Fatal(err)
	}
	full, docs := peaq(t), 0
	for _, p := range m.Pallets() {
		rich := must(full.Pallet(p.Name))
		for i, c := range p.Calls {
			if c.Docs != "" {
				t.Fatalf("%s.%s has docs", p.Name, c.Name)
			}
			if rich.Calls[i].Docs != "" {
				docs++
			}
		}
	}
	if docs < 100 {
		t.Errorf("%d calls have docs in full metadata", docs)
	}
	b := recorded(t).Blocks[0].EventsHex
	if es, err := m.DecodeEvents(b); err != nil || len(es) != 14 {
		t.Errorf("lean: %d events, %v", len(es), err)
	}
}
