package access

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"iod/pallet/rbac"
)

type finder = func([]rbac.ID, rbac.ID) int

var finders = map[string]finder{"eager": findEager, "whole": findWhole}

// The planner's searches are those of the model, which were written apart, on every list.
func TestSearches(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		list := drawList(rt, 12)
		s := newShuffle(list, nil, nil, nil)
		for i, id := range list {
			if got, want := finds(searchEager, s.list, i), findEager(list, id) == i; got != want {
				rt.Fatalf("eager finds %d in %v: %v", i, s.list, got)
			}
			if got, want := finds(searchWhole, s.list, i), findWhole(list, id) == i; got != want {
				rt.Fatalf("whole finds %d in %v: %v", i, s.list, got)
			}
		}
	})
	list := ids(3, 2, 1)
	if findEager(list, list[0]) != -1 || findEager(list, list[1]) != 1 || findEager(list, list[2]) != -1 {
		t.Error("eager")
	}
	if findWhole(list, list[0]) != -1 || findWhole(list, list[1]) != -1 || findWhole(list, list[2]) != -1 {
		t.Error("whole")
	}
}

func ids(first ...byte) (out []rbac.ID) {
	for _, b := range first {
		out = append(out, rbac.ID{b})
	}
	return out
}

func drawList(t *rapid.T, most int) []rbac.ID {
	first := rapid.SliceOfNDistinct(rapid.ByteMax(0xfe), 0, most, rapid.ID).Draw(t, "list")
	return ids(first...)
}

// runSteps executes steps on a list as the pallet does.
func runSteps(list []rbac.ID, steps []step, find finder) ([]rbac.ID, error) {
	list = slices.Clone(list)
	for n, s := range steps {
		i := slices.Index(list, s.id)
		switch {
		case s.add && i >= 0:
			return nil, fmt.Errorf("step %d: %x is there already", n, s.id[:1])
		case s.add:
			list = append(list, s.id)
		case find(list, s.id) < 0:
			return nil, fmt.Errorf("step %d: %x is not found in %x", n, s.id[:1], list)
		default:
			i = find(list, s.id)
			list = slices.Delete(list, i, i+1)
		}
	}
	return list, nil
}

func sorted(list []rbac.ID) []rbac.ID {
	return slices.SortedFunc(slices.Values(list), func(a, b rbac.ID) int { return bytes.Compare(a[:], b[:]) })
}

// check executes the plans of a regrouping on models of the pallet.
func (r regrouping) check(t interface {
	Helper()
	Fatalf(string, ...any)
}) (certain bool, steps []step) {
	t.Helper()
	want := slices.DeleteFunc(slices.Clone(r.list), func(id rbac.ID) bool { return slices.Contains(r.drop, id) })
	want = sorted(append(want, r.add...))
	for _, padded := range []bool{false, true} {
		plan, sure, err := r.steps(padded)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if !padded {
			certain, steps = sure, plan
		} else if !sure {
			t.Fatalf("a padded plan is uncertain")
		}
		for name, find := range finders {
			got, err := runSteps(r.list, plan, find)
			if err != nil && !sure && name != "eager" {
				continue
			}
			if err != nil {
				t.Fatalf("padded %v, %s: %v without %x: %v", padded, name, r.list, r.drop, err)
			}
			if !slices.Equal(sorted(got), want) {
				t.Fatalf("padded %v, %s: %x gives %x, want %x", padded, name, r.list, got, want)
			}
		}
	}
	return certain, steps
}

func TestPropertyRegrouping(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		list := drawList(rt, 24)
		r := regrouping{relation: rapid.SampledFrom([]rbac.Relation{rbac.UserGroup, rbac.UserRole}).Draw(rt, "relation"), list: list}
		for _, id := range list {
			if rapid.IntRange(0, 4).Draw(rt, "drop") == 0 {
				r.drop = append(r.drop, id)
			}
		}
		for _, id := range drawList(rt, 3) {
			if !slices.Contains(list, id) {
				r.add = append(r.add, id)
			}
		}
		r.check(rt)
	})
}

// permutations calls f with each order of 1 to n.
func permutations(n int, f func([]rbac.ID)) {
	var list []byte
	var rec func()
	rec = func() {
		if len(list) == n {
			f(ids(list...))
			return
		}
		for b := byte(1); b <= byte(n); b++ {
			if !slices.Contains(list, b) {
				list = append(list, b)
				rec()
				list = list[:len(list)-1]
			}
		}
	}
	rec()
}

// fewest is the length of the shortest plan that finders all find, by breadth; -1 when there is none without pads.
func fewest(list []rbac.ID, drop rbac.ID, all []finder) int {
	want := sorted(slices.DeleteFunc(slices.Clone(list), func(id rbac.ID) bool { return id == drop }))
	level, seen := [][]rbac.ID{list}, map[string]bool{}
	for depth := 0; len(level) > 0; depth++ {
		var next [][]rbac.ID
		for _, l := range level {
			if slices.Equal(sorted(l), want) {
				return depth
			}
			for _, id := range list {
				q := slices.Clone(l)
				if i := slices.Index(l, id); i < 0 {
					if id == drop {
						continue
					}
					q = append(q, id)
				} else if slices.ContainsFunc(all, func(f finder) bool { return f(l, id) < 0 }) {
					continue
				} else {
					q = slices.Delete(q, i, i+1)
				}
				if k := fmt.Sprint(q); !seen[k] {
					seen[k] = true
					next = append(next, q)
				}
			}
		}
		level = next
	}
	return -1
}

// Every order of up to five, every one to be taken out: the plan is right, and no other has fewer calls.
func TestEveryShortList(t *testing.T) {
	all, eager := slices.Collect(maps.Values(finders)), []finder{findEager}
	for n := 1; n <= 5; n++ {
		lists, longest, uncertain := 0, 0, 0
		permutations(n, func(list []rbac.ID) {
			for _, drop := range list {
				certain, steps := regrouping{list: list, drop: []rbac.ID{drop}}.check(t)
				by := all
				if !certain {
					uncertain, by = uncertain+1, eager
					if fewest(list, drop, all) >= 0 {
						t.Fatalf("%x without %x: not certain, but could be", list, drop[:1])
					}
				}
				if want := fewest(list, drop, by); len(steps) != want {
					t.Fatalf("%x without %x: %d calls, want %d", list, drop[:1], len(steps), want)
				}
				lists, longest = lists+1, max(longest, len(steps))
			}
		})
		t.Logf("%d items: %d cases, at most %d calls, %d certain only with pads", n, lists, longest, uncertain)
	}
}

// One who is in the groups of a whole fleet: plans stay short and are quickly made.
func TestLongLists(t *testing.T) {
	for _, n := range []int{20, 100} {
		var plain, took time.Duration
		lengths, padded := []int{}, []int{}
		for seed := range 4 {
			list := make([]rbac.ID, n)
			for i := range list {
				list[i] = EntityID(owner, device, fmt.Sprint(seed, "-", i), rbac.Group)
			}
			r := regrouping{list: list, drop: []rbac.ID{list[seed*n/4]}}
			for _, pad := range []bool{false, true} {
				began := time.Now()
				steps, sure, err := r.steps(pad)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := runSteps(list, steps, findEager); err != nil {
					t.Fatal(err)
				}
				if _, err := runSteps(list, steps, findWhole); err != nil && sure {
					t.Fatal(err)
				}
				if pad {
					padded, took = append(padded, len(steps)), max(took, time.Since(began))
				} else {
					lengths, plain = append(lengths, len(steps)), max(plain, time.Since(began))
				}
			}
		}
		t.Logf("%d groups: %v calls, planned in at most %v; with pads %v, %v", n, lengths, plain, padded, took)
		if slices.Max(lengths) > 2*n || slices.Max(padded) > 4*n || plain+took > time.Minute {
			t.Error("too much")
		}
	}
	// In falling order, the worst for it, and as it stands when everything was granted in the right order.
	for _, n := range []int{2, 3, 50} {
		var down []rbac.ID
		for i := range n {
			down = append(down, rbac.ID{byte(n - i)})
		}
		for _, drop := range []rbac.ID{down[0], down[n/2], down[n-1]} {
			certain, steps := regrouping{list: down, drop: []rbac.ID{drop}}.check(t)
			t.Logf("%d falling, without %d: %d calls, certain %v", n, drop[0], len(steps), certain)
		}
		up := sorted(down)
		if _, steps := (regrouping{list: up, drop: []rbac.ID{up[n/2]}}).check(t); len(steps) != 1 {
			t.Errorf("%d calls in a sorted list", len(steps))
		}
	}
}

func TestPads(t *testing.T) {
	pads := padsFor(5)
	if len(pads) != 5 || pads[0] != rbac.ID(bytes.Repeat([]byte{0xff}, 32)) || !slices.Equal(sorted(pads), []rbac.ID{pads[4], pads[3], pads[2], pads[1], pads[0]}) {
		t.Errorf("pads %x", pads)
	}
	r := regrouping{list: []rbac.ID{pads[0], {1}, {2}}, drop: ids(1)}
	if _, _, err := r.steps(true); err == nil {
		t.Error("a list that holds a pad")
	}
}
