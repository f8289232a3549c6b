package metadata

import (
	"bytes"
	"testing"
)

// metadataSeeds are small pieces of metadata, since the real ones are too large to mutate well.
func metadataSeeds() [][]byte {
	return [][]byte{
		metadata16(), metadata14(),
		metadata14(prim(0), prim(2), prim(3), seq(2), array(4, 2), tuple(0, 1), compact(2), composite("A", fld("x", 0), fld("", 1))),
		metadata14(prim(3), enum("Option", vrt("None", 0), vrt("Some", 1, fld("", 0))), composite("Lsb0"), bitseq(0, 2)),
		metadata14(composite("A", fld("a", 0), fld("b", 1)), seq(0), array(1<<30, 0)),
		withTypes(15, prim(3), enum("Call", vrt("x", 0, fld("", 0)))).n(0).u8(4).n(0, 1, 0, 0, 0).n(0).
			n(1).str("Api").n(1).str("m").n(1).str("p").n(0, 0, 0, 0).n(1, 1, 1).n(0),
		events14(prim(6)), []byte("meta\x0d"), {0},
	}
}

func eventSeeds(t testing.TB) (all [][]byte) {
	for _, b := range recorded(t).Blocks {
		all = append(all, b.EventsHex)
	}
	return all
}

func callSeeds(t testing.TB) (all [][]byte) {
	for _, c := range recorded(t).Calls {
		all = append(all, c.Hex)
	}
	return all
}

func TestFuzzCorporaAreThere(t *testing.T) {
	for i, s := range metadataSeeds()[:7] {
		if _, err := Parse(s); err != nil {
			t.Errorf("seed %d: %v", i, err)
		}
	}
	if len(metadataSeeds()) != 9 || len(eventSeeds(t)) != 32 || len(callSeeds(t)) != 32 {
		t.Error("seeds are missing")
	}
}

// bound is what decoding n bytes may allocate: the parts are charged by decoder, and none is larger than 100 bytes.
func bound(n int) uint64 { return 1<<19 + 1000*uint64(n) }

// FuzzParse checks that whatever parses can be looked at, and that values of its types survive a round trip.
func FuzzParse(f *testing.F) {
	for _, s := range metadataSeeds() {
		f.Add(s, []byte{1, 4, 0, 255})
	}
	f.Fuzz(func(t *testing.T, b, value []byte) {
		var m *Metadata
		if n := allocated(func() { m, _ = Parse(b) }); n > bound(len(b)) {
			t.Fatalf("%d bytes of metadata allocate %d", len(b), n)
		}
		if m == nil {
			return
		}
		m.Pallets()
		for id := range m.nodes {
			id := TypeID(id)
			m.Describe(id)
			v, err := m.Decode(id, value)
			if err != nil {
				continue
			}
			if out, err := m.Encode(id, v); err != nil || !bytes.Equal(out, value) {
				t.Fatalf("%s: %x decodes as %#v, which encodes as %x, %v", m.Describe(id), value, v, out, err)
			}
		}
	})
}

func FuzzDecodeEvents(f *testing.F) {
	for _, s := range eventSeeds(f) {
		f.Add([]byte(s))
	}
	m := peaq(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var es []Event
		var err error
		if n := allocated(func() { es, err = m.DecodeEvents(b) }); n > bound(len(b)) {
			t.Fatalf("%d bytes of events allocate %d", len(b), n)
		}
		if err != nil || len(b) == 0 {
			return
		}
		if out, err := m.EncodeEvents(es); err != nil || !bytes.Equal(out, b) {
			t.Fatalf("%x decodes as %+v, which encodes as %x, %v", b, es, out, err)
		}
	})
}

func FuzzDecodeCall(f *testing.F) {
	for _, s := range callSeeds(f) {
		f.Add(s)
	}
	m := peaq(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var c Call
		var err error
		if n := allocated(func() { c, err = m.DecodeCall(b) }); n > bound(len(b)) {
			t.Fatalf("%d bytes of call allocate %d", len(b), n)
		}
		if err != nil {
			return
		}
		if out, err := m.EncodeCall(c); err != nil || !bytes.Equal(out, b) {
			t.Fatalf("%x decodes as %+v, which encodes as %x, %v", b, c, out, err)
		}
	})
}
