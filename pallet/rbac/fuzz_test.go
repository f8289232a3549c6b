package rbac

import (
	"strings"
	"testing"
)

func seeds(t testing.TB) (out [][]byte) {
	for _, s := range load(t).Storage {
		if strings.HasPrefix(s.Name, "PeaqRbac.") {
			out = append(out, unhex(t, s.Value))
		}
	}
	return append(out, nil, []byte{0}, []byte{0xff, 0xff, 0xff, 0xff}, []byte{4, 1})
}

func TestFuzzSeedsAreThere(t *testing.T) {
	if n := len(seeds(t)); n != 10 {
		t.Errorf("%d seeds", n)
	}
}

func FuzzDecodeStored(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	m := recordedMetadata(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, k := range []Kind{Role, Permission, Group} {
			if all, err := DecodeEntities(m, k, raw); err == nil && len(all) > len(raw) {
				t.Fatalf("%d entities in %d bytes", len(all), len(raw))
			}
		}
		for r := range Relation(len(relations)) {
			if all, err := DecodeAssignments(m, r, raw); err == nil && len(all)*64 > len(raw) {
				t.Fatalf("%d pairs in %d bytes", len(all), len(raw))
			}
		}
		_, _ = DecodeEntity(m, raw)
	})
}

func FuzzDecodeEvents(f *testing.F) {
	for _, b := range load(f).Blocks {
		f.Add(unhex(f, b.EventsHex))
	}
	m := recordedMetadata(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, err := m.DecodeEvents(raw)
		if err != nil {
			return
		}
		got, err := Events(events)
		if err != nil {
			t.Fatalf("an event that the metadata describes does not decode: %v", err)
		}
		if len(got) > len(events) {
			t.Fatal("more events than there were")
		}
	})
}

func BenchmarkDecodeAssignments(b *testing.B) {
	m := recordedMetadata(b)
	var raw []byte
	for _, s := range load(b).Storage {
		if s.Name == "PeaqRbac.User2GroupStore" {
			raw = unhex(b, s.Value)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if all, err := DecodeAssignments(m, UserGroup, raw); err != nil || len(all) != 1 {
			b.Fatal(err)
		}
	}
}
