package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"iod/access"
	"iod/index"
	"iod/key"
	"iod/pallet/rbac"
)

// rights are all that a store tells of an owner's arrangement.
type rights struct {
	Entities []index.Entity
	Links    []index.Link
	Deeds    []index.Deed
}

// rightsIn reads them in small pages.
func rightsIn(t testing.TB, s index.Reader, owner key.AccountID) (out rights) {
	t.Helper()
	const page = 7
	for n := page; n == page; {
		var after *access.Ref
		if len(out.Entities) > 0 {
			after = &out.Entities[len(out.Entities)-1].Ref
		}
		more := must(s.Entities(t.Context(), owner, after, page))(t)
		out.Entities, n = append(out.Entities, more...), len(more)
	}
	for n := page; n == page; {
		var after *index.Link
		if len(out.Links) > 0 {
			after = &out.Links[len(out.Links)-1]
		}
		more := must(s.Links(t.Context(), owner, after, page))(t)
		out.Links, n = append(out.Links, more...), len(more)
	}
	for n, before := page, int64(0); n == page; {
		more := must(s.Deeds(t.Context(), owner, before, page))(t)
		if out.Deeds, n = append(out.Deeds, more...), len(more); n > 0 {
			before = more[n-1].ID
		}
	}
	return out
}

// judged: at every block of random histories a store tells the same accounts to have had access, by the same ways, as package access
// decides on the pallet's state at that block.
func judged(t *testing.T, s index.Store) {
	granted, past, ways := 0, 0, 0
	for seed := range uint64(6) {
		c, w := NewChain("rights"), NewWorld(seed)
		states := map[key.AccountID][]access.State{}
		for range 150 {
			c.Extend(nil, w.Block())
			for _, o := range w.Owners {
				states[o] = append(states[o], w.State(o))
			}
		}
		Fill(t, s, index.Options{Source: c, From: &zero, Rebuild: true})
		for _, owner := range w.Owners {
			for _, device := range w.Devices {
				grants := must(s.Access(t.Context(), owner, device, Streams))(t)
				for _, stream := range Streams {
					permission := access.EntityID(owner, device, stream, rbac.Permission)
					for _, u := range w.Users {
						compareAccess(t, fmt.Sprintf("seed %d, owner %v, device %v, %s, user %v", seed, owner[1], device[1], stream, u[1]),
							of(grants, stream, u), u, permission, states[owner])
					}
				}
				for _, g := range grants {
					if g.Until != nil {
						past++
					} else {
						granted++
					}
					ways = max(ways, len(g.Via))
				}
			}
		}
	}
	if granted < 50 || past < 50 || ways < 2 {
		t.Errorf("%d grants, %d of the past, at most %d ways: the test shows less than it should", granted, past, ways)
	}
}

func of(grants []index.Grant, stream string, u key.AccountID) (out []index.Grant) {
	for _, g := range grants {
		if g.Stream == stream && g.Account == u {
			out = append(out, g)
		}
	}
	return out
}

// compareAccess holds an account's grants against the states after each block from 1 on.
func compareAccess(t *testing.T, what string, grants []index.Grant, u key.AccountID, permission rbac.ID, states []access.State) {
	t.Helper()
	for i, s := range states {
		n := uint32(i + 1)
		want, why := access.Decide(s, u, permission)
		at := slices.IndexFunc(grants, func(g index.Grant) bool {
			return g.Since.Block <= n && (g.Until == nil || g.Until.Block > n)
		})
		if (at >= 0) != want {
			t.Errorf("%s, block %d: granted is %v, and access says %v, %s\n%+v", what, n, at >= 0, want, why, grants)
			return
		}
		if i < len(states)-1 || !want {
			continue
		}
		var paths []access.Path
		for _, v := range grants[at].Via {
			paths = append(paths, v.Path)
			if v.RoleName != s.Entities[access.Ref{Kind: rbac.Role, ID: v.Role}].Name || v.Group == nil && v.GroupName != "" ||
				v.Group != nil && v.GroupName != s.Entities[access.Ref{Kind: rbac.Group, ID: *v.Group}].Name {
				t.Errorf("%s: names of %+v", what, v)
			}
		}
		if have := access.Paths(s, u, permission); !reflect.DeepEqual(paths, have) {
			t.Errorf("%s: ways %v, and access has %v", what, paths, have)
		}
	}
	for i, g := range grants {
		if i > 0 && grants[i-1].Until.Block >= g.Since.Block {
			t.Errorf("%s: grants meet: %+v", what, grants)
		}
		if g.Since.Hash == (index.Hash{}) || g.Since.Time.IsZero() || g.Since.Extrinsic < 1 || len(g.Via) == 0 {
			t.Errorf("%s: %+v", what, g)
		}
	}
}

// arranged: what an owner arranged is told in full, that of others and foreign names included.
func arranged(t *testing.T, s index.Store) {
	c, w := NewChain("arranged"), NewWorld(7)
	var done []index.Deed
	for range 200 {
		b := c.Extend(nil, w.Block())
		for _, d := range b.Deeds {
			d.At = index.Point{Block: b.Number, Hash: b.Hash, Time: b.Time, Extrinsic: d.At.Extrinsic, Event: d.At.Event}
			done = append(done, d)
		}
	}
	Fill(t, s, index.Options{Source: c, From: &zero})
	for _, owner := range w.Owners {
		got := rightsIn(t, s, owner)
		sameArrangement(t, got, w.State(owner))
		var want []index.Deed
		for _, d := range done {
			if d.Owner == owner {
				want = append(want, d)
			}
		}
		slices.Reverse(want)
		last := int64(0)
		for i := range got.Deeds {
			if i > 0 && got.Deeds[i].ID >= last {
				t.Fatalf("IDs of deeds: %d after %d", got.Deeds[i].ID, last)
			}
			last, got.Deeds[i].ID = got.Deeds[i].ID, 0
		}
		if len(want) < 50 || !reflect.DeepEqual(got.Deeds, want) {
			t.Errorf("%d deeds, want %d: %+v\n%+v", len(got.Deeds), len(want), got.Deeds[0], want[0])
		}
	}
	if got := rightsIn(t, s, key.AccountID{9}); len(got.Entities)+len(got.Links)+len(got.Deeds) > 0 {
		t.Errorf("of nobody: %+v", got)
	}
	if g := must(s.Access(t.Context(), key.AccountID{9}, w.Devices[0], Streams))(t); len(g) > 0 {
		t.Errorf("by nobody: %+v", g)
	}
	if g := must(s.Access(t.Context(), w.Owners[0], w.Devices[0], nil))(t); len(g) > 0 {
		t.Errorf("to nothing: %+v", g)
	}
}

// sameArrangement compares what stands with the pallet's state.
func sameArrangement(t *testing.T, got rights, want access.State) {
	t.Helper()
	if len(got.Entities) != len(want.Entities) {
		t.Errorf("%d entities, want %d", len(got.Entities), len(want.Entities))
	}
	for _, e := range got.Entities {
		x := want.Entities[e.Ref]
		if x == nil || x.Name != e.Name || x.Enabled != (e.Until == nil) {
			t.Errorf("entity %+v, want %+v", e, x)
		}
	}
	stand := 0
	for _, l := range got.Links {
		if l.Until != nil {
			continue
		}
		if stand++; !slices.Contains(want.Held[access.Holding{Relation: l.Relation, Holder: l.Holder}], l.Held) {
			t.Errorf("link %+v does not stand", l)
		}
	}
	for _, ids := range want.Held {
		stand -= len(ids)
	}
	if stand != 0 {
		t.Errorf("%d links more than stand", stand)
	}
}

// arrangedState: a start from the state has the same arrangement, and goes on from there; nobody who has access is missed.
func arrangedState(t *testing.T, s index.Store) {
	c, w := NewChain("arranged state"), NewWorld(11)
	for range 100 {
		c.Extend(nil, w.Block())
	}
	Fill(t, s, index.Options{Source: c})
	check := func() {
		t.Helper()
		n := 0
		for _, owner := range w.Owners {
			state := w.State(owner)
			sameArrangement(t, rightsIn(t, s, owner), state)
			for _, device := range w.Devices {
				grants := must(s.Access(t.Context(), owner, device, Streams))(t)
				for _, stream := range Streams {
					for _, u := range w.Users {
						want := access.Paths(state, u, access.EntityID(owner, device, stream, rbac.Permission))
						now := slices.DeleteFunc(of(grants, stream, u), func(g index.Grant) bool { return g.Until != nil })
						if len(now) != min(len(want), 1) || len(want) > 0 && len(now[0].Via) != len(want) {
							t.Errorf("%+v, and access has %v", now, want)
						}
						if len(now) > 0 && now[0].Since.FromState {
							n++
						}
					}
				}
			}
		}
		if n == 0 {
			t.Error("nobody has had access since the state was read")
		}
	}
	check()
	for range 50 {
		c.Extend(nil, w.Block())
	}
	Fill(t, s, index.Options{Source: c})
	check()
}

// tooMuch: an arrangement that changes without end for a crowd is refused rather than told for minutes.
func tooMuch(t *testing.T, s index.Store) {
	owner, device := key.AccountID{1}, key.AccountID{2}
	c := NewChain("too much")
	deeds := setUp(owner, device, "wind")
	for n := range 3000 {
		user := rbac.ID{byte(n), byte(n >> 8), 1}
		deeds = append(deeds, index.Deed{Owner: owner, Verb: rbac.Assigned,
			Assignment: rbac.Assignment{Relation: rbac.UserGroup, Holder: user, Held: access.EntityID(owner, device, "wind", rbac.Group)}})
	}
	c.Extend(nil, deeds)
	Fill(t, s, index.Options{Source: c, From: &zero})
	if g := must(s.Access(t.Context(), owner, device, []string{"wind"}))(t); len(g) != 3000 {
		t.Errorf("%d grants", len(g))
	}
	a := rbac.Assignment{Relation: rbac.RolePermission, Holder: access.EntityID(owner, device, "wind", rbac.Role), Held: access.EntityID(owner, device, "wind", rbac.Permission)}
	for range 400 {
		c.Extend(nil, []index.Deed{{Owner: owner, Verb: rbac.Unassigned, Assignment: a}})
		c.Extend(nil, []index.Deed{{Owner: owner, Verb: rbac.Assigned, Assignment: a}})
	}
	Fill(t, s, index.Options{Source: c})
	if g, err := s.Access(t.Context(), owner, device, []string{"wind"}); !errors.Is(err, access.ErrTooMuch) {
		t.Errorf("%d grants, %v", len(g), err)
	}
}
