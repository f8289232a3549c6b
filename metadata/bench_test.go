package metadata

import (
	"math/big"
	"testing"
)

// BenchmarkDecodeEvents decodes the first recorded block, 14 events in 2,010 bytes; interop/bench_events.mjs does the
// same with the polkadot.js API.
func BenchmarkDecodeEvents(b *testing.B) {
	m, raw := peaq(b), recorded(b).Blocks[0].EventsHex
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	n := 0
	for b.Loop() {
		es, err := m.DecodeEvents(raw)
		if err != nil {
			b.Fatal(err)
		}
		n += len(es)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
}

// BenchmarkDecodeAllEvents decodes all recorded blocks, 450 events.
func BenchmarkDecodeAllEvents(b *testing.B) {
	m, blocks := peaq(b), recorded(b).Blocks
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for i := range blocks {
			es, err := m.DecodeEvents(blocks[i].EventsHex)
			if err != nil {
				b.Fatal(err)
			}
			n += len(es)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
}

func BenchmarkEncodeCall(b *testing.B) {
	m := peaq(b)
	c := Call{"Balances", "transfer", Fields{{"dest", make([]byte, 32)}, {"value", big.NewInt(1e18)}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.EncodeCall(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeCall(b *testing.B) {
	m := peaq(b)
	raw := recorded(b).Calls[0].Hex
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.DecodeCall(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStorageKey(b *testing.B) {
	m := peaq(b)
	var id any = make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.StorageKey("System", "Account", id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct {
		name  string
		parse func([]byte) (*Metadata, error)
	}{{"full", Parse}, {"lean", ParseLean}} {
		b.Run(c.name, func(b *testing.B) {
			raw := read(b, "metadata-v14.scale")
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := c.parse(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAssign(b *testing.B) {
	m := peaq(b)
	v, err := m.DecodeStorage("PeaqDid", "AttributeStore", recorded(b).Storage[0].Value)
	if err != nil {
		b.Fatal(err)
	}
	var out struct {
		Name     string
		Value    []byte
		Validity uint32
		Created  uint64
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := Assign(&out, v); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAllocations(t *testing.T) {
	m, raw := peaq(t), recorded(t).Blocks[0].EventsHex
	call := Call{"Balances", "transfer", Fields{{"dest", make([]byte, 32)}, {"value", big.NewInt(1e18)}}}
	for _, c := range []struct {
		name string
		most float64
		f    func() error
	}{
		{"decode 14 events", 61, func() error { _, err := m.DecodeEvents(raw); return err }},
		{"encode a call", 3, func() error { _, err := m.EncodeCall(call); return err }},
	} {
		n := testing.AllocsPerRun(50, func() {
			if err := c.f(); err != nil {
				t.Error(err)
			}
		})
		if n > c.most {
			t.Errorf("%s: %v allocations, want at most %v", c.name, n, c.most)
		}
	}
}
