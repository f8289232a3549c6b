package access

import (
	"fmt"
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

// BenchmarkPlanUnassign plans to take one out of the groups of a user, in the order of their hashes' chance.
func BenchmarkPlanUnassign(b *testing.B) {
	for _, n := range []int{1, 4, 8, 20, 100, 400} {
		list := make([]rbac.ID, n)
		for i := range list {
			list[i] = EntityID(owner, device, fmt.Sprint(i), rbac.Group)
		}
		for name, padded := range map[string]bool{"plain": false, "padded": true} {
			b.Run(fmt.Sprint(n, "/", name), func(b *testing.B) {
				calls, i := 0, 0
				for b.Loop() {
					steps, _, err := regrouping{list: list, drop: list[i%n : i%n+1]}.steps(padded)
					if err != nil {
						b.Fatal(err)
					}
					calls, i = calls+len(steps), i+1
				}
				b.ReportMetric(float64(calls)/float64(i), "calls/op")
			})
		}
	}
}
