package metadata

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"iod/scale"
)

// arbitrary appends the encoding of an arbitrary value of a type. It reports false where depth ran out.
func arbitrary(m *Metadata, id TypeID, b []byte, r *rand.Rand, depth int) ([]byte, bool) {
	n := &m.nodes[id]
	random := func(k uint32) []byte {
		var out []byte
		for range k {
			out = append(out, byte(r.Uint32()))
		}
		return out
	}
	if depth == 0 {
		return b, false
	}
	switch n.op {
	case opBool:
		return append(b, byte(r.IntN(2))), true
	case opChar:
		return binary.LittleEndian.AppendUint32(b, uint32(r.IntN(0xd800))), true
	case opStr:
		return scale.AppendStr(b, fmt.Sprint("text ", r.Uint32())), true
	case opBytes:
		return scale.AppendVec(b, random(uint32(r.IntN(40)))), true
	case opUint, opInt, opBigUint, opBigInt, opFixed:
		return append(b, random(n.n)...), true
	case opCompact:
		return scale.AppendCompact(b, r.Uint64()>>(64-8*n.n)>>r.IntN(8*int(n.n))), true
	case opCompactBig:
		return must(scale.AppendCompactBig(b, new(big.Int).SetBytes(random(uint32(r.IntN(int(n.n)+1)))))), true
	case opBits:
		return (must(m.AppendEncode(b, id, make([]bool, r.IntN(70))))), true
	case opSeq:
		count := r.IntN(4)
		if depth < 4 {
			count = 0
		}
		return repeat(m, n.elem, count, scale.AppendCompact(b, uint64(count)), r, depth)
	case opArray:
		return repeat(m, n.elem, int(n.n), b, r, depth)
	case opTuple, opComposite:
		return arbitraryFields(m, n.fields, b, r, depth)
	case opEnum, opOption, opCall:
		for range 20 { // the shallowest variant may take some looking for
			if len(n.variants) == 0 {
				return b, false
			}
			v := n.variants[r.IntN(len(n.variants))]
			if out, ok := arbitraryFields(m, v.fields, append(b, v.index), r, depth); ok {
				return out, true
			}
		}
	}
	return b, false
}

func repeat(m *Metadata, elem TypeID, count int, b []byte, r *rand.Rand, depth int) (_ []byte, ok bool) {
	for range count {
		if b, ok = arbitrary(m, elem, b, r, depth-1); !ok {
			return b, false
		}
	}
	return b, true
}

func arbitraryFields(m *Metadata, fs []field, b []byte, r *rand.Rand, depth int) (_ []byte, ok bool) {
	for _, f := range fs {
		if b, ok = arbitrary(m, f.typ, b, r, depth-1); !ok {
			return b, false
		}
	}
	return b, true
}

// TestRoundTripOfEveryType: an arbitrary value of every type of three runtimes decodes, and encodes to the same bytes.
func TestRoundTripOfEveryType(t *testing.T) {
	for _, file := range []string{"metadata-v14.scale", "other-runtimes/polkadot-v14.scale", "other-runtimes/polkadot-v15.scale"} {
		m, r := load(t, file), rand.New(rand.NewPCG(1, 2))
		covered := make(map[TypeID]bool)
		for id := range m.nodes {
			for range 5 {
				b, ok := arbitrary(m, TypeID(id), nil, r, 12)
				if !ok {
					continue
				}
				v, err := m.Decode(TypeID(id), b)
				if err != nil {
					t.Fatalf("%s: type %d, %s: %x: %v", file, id, m.Describe(TypeID(id)), b, err)
				}
				if out, err := m.Encode(TypeID(id), v); err != nil || !bytes.Equal(out, b) {
					t.Fatalf("%s: type %d, %s: %x encodes as %x, %v", file, id, m.Describe(TypeID(id)), b, out, err)
				}
				covered[TypeID(id)] = true
			}
		}
		if len(covered) < len(m.nodes)*95/100 {
			t.Errorf("%s: covered %d types of %d", file, len(covered), len(m.nodes))
		}
	}
}

// events14 is metadata of a runtime with only System, whose one event holds a weight of the given type.
func events14(weight ...wire) []byte {
	types := []wire{
		prim(5), prim(3), array(32, 1), composite("H256", fld("", 2)), seq(3), // 0 u32, 1 u8, 2 [u8; 32], 3 H256, 4 topics
		enum("Phase", vrt("ApplyExtrinsic", 0, fld("", 0)), vrt("Finalization", 1), vrt("Initialization", 2)), // 5
		enum("Event", vrt("ExtrinsicSuccess", 3, fld("weight", 10))),                                          // 6
		enum("RuntimeEvent", vrt("System", 2, fld("", 6))),                                                    // 7
		composite("EventRecord", fld("phase", 5), fld("event", 7), fld("topics", 4)), seq(8),                  // 8, 9
	}
	types = append(types, weight...)
	entry := wire{}.str("Events").u8(1, 0).n(9).n(1).u8(0).n(0)
	pallet := wire{}.str("System").u8(1).str("System").list([]wire{entry}).u8(0).u8(1).n(6).n(0).u8(0).u8(2)
	return withTypes(14, types...).list([]wire{pallet}).n(0).u8(4).n(0).n(0)
}

// TestPhasesTopicsAndWeights decodes what the recorded blocks do not hold: events of Finalization, topics, and both the
// old weight (a number) and the new one (two compact numbers).
func TestPhasesTopicsAndWeights(t *testing.T) {
	topic := [32]byte{1, 2, 3}
	for name, c := range map[string]struct {
		weight []wire
		bytes  []byte
		want   any
	}{
		"old": {[]wire{prim(6)}, scale.AppendU64(nil, 5000), uint64(5000)},
		"new": {[]wire{composite("Weight", fld("ref_time", 12), fld("proof_size", 12)), prim(6), compact(11)},
			scale.AppendCompact(scale.AppendCompact(nil, 5000), 70), Fields{{"ref_time", uint64(5000)}, {"proof_size", uint64(70)}}},
	} {
		m, err := Parse(events14(c.weight...))
		if err != nil {
			t.Fatal(name, err)
		}
		raw := []byte{12, 0, 7, 0, 0, 0, 2, 3}
		raw = append(append(raw, c.bytes...), 4)
		raw = append(append(raw, topic[:]...), 1, 2, 3)
		raw = append(append(append(append(raw, c.bytes...), 0), 2, 2, 3), c.bytes...)
		raw = append(raw, 0)
		es, err := m.DecodeEvents(raw)
		if err != nil || len(es) != 3 {
			t.Fatalf("%s: %v", name, err)
		}
		for i, want := range []Event{
			{Phase: Phase{ApplyExtrinsic, 7}, Topics: [][32]byte{topic}}, {Phase: Phase{Finalization, 0}}, {Phase: Phase{Initialization, 0}},
		} {
			want.Pallet, want.Name, want.Fields = "System", "ExtrinsicSuccess", Fields{{"weight", c.want}}
			if !reflect.DeepEqual(es[i], want) {
				t.Errorf("%s: event %d is %+v, want %+v", name, i, es[i], want)
			}
		}
		if out, err := m.EncodeEvents(es); err != nil || !bytes.Equal(out, raw) {
			t.Errorf("%s: encodes as %x, %v; want %x", name, out, err, raw)
		}
	}
	if m := peaq(t); m.EventType() == NoType || m.CallType() == NoType || m.ErrorType() != NoType {
		t.Errorf("V14: event %d, call %d, error %d", m.EventType(), m.CallType(), m.ErrorType())
	}
	if m := load(t, "other-runtimes/polkadot-v15.scale"); m.EventType() == NoType || m.ErrorType() == NoType {
		t.Errorf("V15: event %d, error %d", m.EventType(), m.ErrorType())
	}
}

func TestDecodedValuesAreTheirOwn(t *testing.T) {
	m := peaq(t)
	raw := bytes.Clone(recorded(t).Calls[0].Hex)
	c := must(m.DecodeCall(raw))
	want := must(m.EncodeCall(c))
	clear(raw)
	if got := must(m.EncodeCall(c)); !bytes.Equal(got, want) {
		t.Error("a decoded call changed with the bytes that it came from")
	}
	name, _ := c.Args.Get("name")
	_ = append(name.([]byte), 0xff, 0xff)
	if got := must(m.EncodeCall(c)); !bytes.Equal(got, want) {
		t.Error("appending to one argument changed another")
	}
}

func TestSafeForConcurrentUse(t *testing.T) {
	m, v := peaq(t), recorded(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, b := range v.Blocks[:8] {
				if _, err := m.DecodeEvents(b.EventsHex); err != nil {
					t.Error(err)
				}
			}
			for _, c := range v.Calls {
				if _, err := m.DecodeCall(c.Hex); err != nil {
					t.Error(err)
				}
			}
			m.Pallets()
		})
	}
	wg.Wait()
}

func TestExtrinsicsReadPartByPart(t *testing.T) {
	m, n := peaq(t), 0
	for _, b := range recorded(t).Blocks {
		for _, x := range b.Extrinsics {
			r := scale.NewReader(x)
			if r.Count(1) != r.Len() {
				t.Fatalf("%s: length %d", b.Name, r.Len())
			}
			parts := []TypeID{m.CallType()}
			if version := r.U8(); version == 0x84 {
				parts = []TypeID{m.AddressType(), m.SignatureType()}
				for _, s := range m.SignedExtensions() {
					parts = append(parts, s.Type)
				}
				parts = append(parts, m.CallType())
				n++
			}
			var out []byte
			from := r.Offset()
			for _, id := range parts {
				v, err := m.Read(r, id)
				if err != nil {
					t.Fatalf("%s: %v", b.Name, err)
				}
				out = must(m.AppendEncode(out, id, v))
			}
			if r.End() != nil || !bytes.Equal(out, x[from:]) {
				t.Errorf("%s: extrinsic encodes otherwise: %v", b.Name, r.End())
			}
		}
	}
	if n != 32 {
		t.Errorf("read %d signed extrinsics, want 32", n)
	}
}

func TestDescribe(t *testing.T) {
	m := peaq(t)
	attribute, keys, err := m.StorageType("PeaqDid", "AttributeStore")
	if err != nil {
		t.Fatal(err)
	}
	owner, ownerKeys, _ := m.StorageType("PeaqDid", "OwnerStore")
	groups, _, _ := m.StorageType("PeaqRbac", "GroupStore")
	for _, c := range []struct {
		id   TypeID
		want string
	}{
		{attribute, "struct Attribute { name: Vec<u8>, value: Vec<u8>, validity: u32, created: u64 }"},
		{keys[0], "[u8; 32]"}, {owner, "AccountId32"}, {ownerKeys[0], "(AccountId32, [u8; 32])"}, {groups, "Vec<Entity>"},
		{m.SignatureType(), "enum MultiSignature { Ed25519(Signature), Sr25519(Signature), Ecdsa(Signature) }"},
		{m.CallType(), "Call"}, {NoType, "unknown type 4294967295"},
	} {
		if got := m.Describe(c.id); got != c.want {
			t.Errorf("type %d is %s, want %s", c.id, got, c.want)
		}
	}
}
