package metadata

import (
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"iod/interop"
)

// shownOtherwise are types that polkadot.js has classes of its own for, whose JSON is not the type's structure.
var shownOtherwise = []string{"U256", "Data", "Era", "CheckMortality", "BTreeMap", "BTreeSet", "BoundedBTreeMap", "BoundedBTreeSet",
	"Vote", "IdentityFields", "BitFlags", "OpenTip", "Event", "RuntimeEvent", "OriginCaller", "WrapperKeepOpaque"}

// plainTypes tells for each type whether polkadot.js shows it, with all that it holds, by its structure.
func plainTypes(m *Metadata) []bool {
	plain := make([]bool, len(m.nodes))
	for i := range m.nodes {
		n := &m.nodes[i]
		special := n.op == opInt || n.op == opBigInt || n.op == opBits || n.op == opCall || n.op == opBad || n.op == opTuple && len(n.fields) == 0
		plain[i] = !special && !slices.Contains(shownOtherwise, n.last())
	}
	for range m.nodes { // what holds something that is shown otherwise is so too
		changed := false
		for i := range m.nodes {
			n := &m.nodes[i]
			ok := plain[i] && (n.op != opSeq && n.op != opArray || plain[n.elem])
			fs := slices.Clone(n.fields)
			for _, v := range n.variants {
				fs = append(fs, v.fields...)
			}
			for _, f := range fs {
				ok = ok && plain[f.typ]
			}
			if ok != plain[i] {
				plain[i], changed = ok, true
			}
		}
		if !changed {
			break
		}
	}
	return plain
}

// TestPolkadotJSAgrees decodes arbitrary values of the types of two runtimes here and with the polkadot.js API.
func TestPolkadotJSAgrees(t *testing.T) {
	for file, least := range map[string]int{"metadata-v14.scale": 800, "other-runtimes/polkadot-v14.scale": 1800} {
		m, r := load(t, file), rand.New(rand.NewPCG(3, 4))
		plain := plainTypes(m)
		type value struct {
			Type  TypeID `json:"type"`
			Bytes string `json:"bytes"`
		}
		var values []value
		for id := range m.nodes {
			for range 5 {
				// MultiAddress alone has an Index that polkadot.js shows as an address.
				if b, ok := arbitrary(m, TypeID(id), nil, r, 8); ok && plain[id] && m.nodes[id].last() != "MultiAddress" {
					values = append(values, value{TypeID(id), "0x" + hex.EncodeToString(b)})
				}
			}
		}
		if len(values) < least {
			t.Errorf("%s: only %d values", file, len(values))
		}
		in := must(json.Marshal(map[string]any{"metadata": "0x" + hex.EncodeToString(read(t, file)), "values": values}))
		out, ok := decodeJSON(t, interop.NodeInput(t, in, "decode_types.mjs")).([]any)
		if !ok || len(out) != len(values) {
			t.Fatalf("%s: %d answers for %d values", file, len(out), len(values))
		}
		for i, v := range values {
			x := out[i].(map[string]any)
			got := must(m.Decode(v.Type, must(hex.DecodeString(v.Bytes[2:]))))
			if err, isErr := x["error"]; isErr {
				t.Errorf("%s: type %d, %s: polkadot.js: %v", file, v.Type, m.Describe(v.Type), err)
			} else if err := same(x["json"], got); err != nil {
				t.Errorf("%s: type %d, %s: %v", file, v.Type, m.Describe(v.Type), err)
			}
		}
		t.Logf("%s: compared %d values", file, len(values))
	}
}
