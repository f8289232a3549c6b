package did

import (
	"testing"
)

func FuzzDecodeAttribute(f *testing.F) {
	v := load(f)
	f.Add(unhex(f, v.Storage[0].Value))
	f.Add([]byte{})
	f.Add([]byte{0xfe, 0xff, 0xff, 0xff})
	m := recordedMetadata(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := DecodeAttribute(m, raw)
		if err == nil && raw != nil && len(a.Name)+len(a.Value) > len(raw) {
			t.Fatalf("%d bytes of name and value in %d", len(a.Name)+len(a.Value), len(raw))
		}
		if err == nil && raw != nil && a.Created.Year() > 9999 {
			t.Fatalf("created %v", a.Created)
		}
	})
}

func FuzzDecodeEvents(f *testing.F) {
	blocks := load(f).Blocks
	if len(blocks) != 32 {
		f.Fatalf("%d seeds", len(blocks))
	}
	for _, b := range blocks {
		f.Add(unhex(f, b.EventsHex))
	}
	m := recordedMetadata(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, err := m.DecodeEvents(raw)
		if err != nil {
			return
		}
		if _, err := Events(events); err != nil {
			t.Fatalf("an event that the metadata describes does not decode: %v", err)
		}
	})
}
