package access

import (
	"testing"

	"iod/pallet/rbac"
)

func BenchmarkDecide(b *testing.B) {
	p := newPallet(meta(b), owner)
	grant(b, p, []string{"a", "b"}, "a", alice)
	s := mustRead(b, p, []string{"a", "b"}, alice)
	permission := EntityID(owner, device, "a", rbac.Permission)
	b.ReportAllocs()
	for b.Loop() {
		if ok, _ := Decide(s, alice, permission); !ok {
			b.Fatal("refused")
		}
	}
}

func BenchmarkRead(b *testing.B) {
	p := newPallet(meta(b), owner)
	grant(b, p, []string{"a", "b"}, "a", alice)
	v := view(b, p)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(b.Context(), v, owner, device, []string{"a"}, alice); err != nil {
			b.Fatal(err)
		}
	}
}
