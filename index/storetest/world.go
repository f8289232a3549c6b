package storetest

import (
	"bytes"
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"

	"iod/access"
	"iod/index"
	"iod/key"
	"iod/pallet/rbac"
)

// Streams are those that the owners of a World share.
var Streams = []string{"wind", "camera"}

// World is a model of the RBAC pallet in which owners do all they can: set streams up as iod does and otherwise, with ids of their own
// that other owners have too, grant, revoke, rename and disable. The same seed gives the same deeds.
type World struct {
	r       *rand.Rand
	Owners  []key.AccountID
	Devices []key.AccountID
	Users   []key.AccountID
	states  map[key.AccountID]access.State
}

// NewWorld makes a world of three owners in which nobody has done anything.
func NewWorld(seed uint64) *World {
	return NewWorldOf(seed, key.AccountID{0x0a, 0}, key.AccountID{0x0a, 1}, key.AccountID{0x0a, 2})
}

// NewWorldOf makes a world of some owners.
func NewWorldOf(seed uint64, owners ...key.AccountID) *World {
	w := &World{r: rand.New(rand.NewPCG(seed, 2)), Owners: owners, states: map[key.AccountID]access.State{}}
	for _, o := range owners {
		w.states[o] = access.NewState(o)
	}
	for i := range 3 {
		w.Devices = append(w.Devices, key.AccountID{0x0d, byte(i)})
	}
	for i := range 5 {
		w.Users = append(w.Users, key.AccountID{0xa1, byte(i)})
	}
	return w
}

// State is how an owner's arrangement stands now. It is a copy.
func (w *World) State(owner key.AccountID) access.State {
	s := w.states[owner]
	out := access.State{Owner: owner, Entities: map[access.Ref]*rbac.Entity{}, Held: map[access.Holding][]rbac.ID{}}
	for r, e := range s.Entities {
		x := *e
		out.Entities[r] = &x
	}
	for h, ids := range s.Held {
		out.Held[h] = slices.Clone(ids)
	}
	return out
}

// Block is what owners do in one block, in order.
func (w *World) Block() []index.Deed {
	var deeds []index.Deed
	for range w.r.IntN(4) {
		owner := w.Owners[w.r.IntN(len(w.Owners))]
		for _, d := range w.act(owner) {
			if w.apply(&d) {
				deeds = append(deeds, d)
			}
		}
	}
	return deeds
}

// act is what an owner tries; what the pallet would refuse is not applied.
func (w *World) act(owner key.AccountID) []index.Deed {
	device, stream := w.Devices[w.r.IntN(len(w.Devices))], Streams[w.r.IntN(len(Streams))]
	user := rbac.UserID(w.Users[w.r.IntN(len(w.Users))])
	link := func(v rbac.Verb, r rbac.Relation, holder, held rbac.ID) index.Deed {
		return index.Deed{Owner: owner, Verb: v, Assignment: rbac.Assignment{Relation: r, Holder: holder, Held: held}}
	}
	switch w.r.IntN(12) {
	case 0, 1:
		return setUp(owner, device, stream)
	case 2, 3, 4:
		of := stream
		if w.r.IntN(3) == 0 {
			of = "" // the whole device
		}
		return []index.Deed{link(rbac.Assigned, rbac.UserGroup, user, access.EntityID(owner, device, of, rbac.Group))}
	case 5: // taken out and put back, as a revocation of another does
		all := w.standing(owner)
		if len(all) == 0 {
			return nil
		}
		a := all[w.r.IntN(len(all))]
		return []index.Deed{link(rbac.Unassigned, a.Relation, a.Holder, a.Held), link(rbac.Assigned, a.Relation, a.Holder, a.Held)}
	case 6, 7:
		all := w.standing(owner)
		if len(all) == 0 {
			return nil
		}
		return []index.Deed{{Owner: owner, Verb: rbac.Unassigned, Assignment: all[w.r.IntN(len(all))]}}
	case 8:
		verb := rbac.EntityUpdated
		if w.r.IntN(4) == 0 {
			verb = rbac.EntityDisabled
		}
		e := w.entity(owner, device, stream, rbac.Kind(w.r.IntN(3)))
		return []index.Deed{{Owner: owner, Verb: verb, Ref: e, Name: w.name()}}
	case 9:
		return []index.Deed{{Owner: owner, Verb: rbac.EntityAdded, Ref: w.entity(owner, device, stream, rbac.Kind(w.r.IntN(3))), Name: w.name()}}
	}
	r := rbac.Relation(w.r.IntN(4))
	holder := user
	switch r {
	case rbac.GroupRole:
		holder = w.entity(owner, device, stream, rbac.Group).ID
	case rbac.RolePermission:
		holder = w.entity(owner, device, stream, rbac.Role).ID
	}
	held := map[rbac.Relation]rbac.Kind{rbac.UserRole: rbac.Role, rbac.UserGroup: rbac.Group, rbac.GroupRole: rbac.Role, rbac.RolePermission: rbac.Permission}[r]
	return []index.Deed{link(rbac.Assigned, r, holder, w.entity(owner, device, stream, held).ID)}
}

// Tries is what an owner tries next, whether or not the pallet lets it: what it lets by this model is taken to be done.
func (w *World) Tries(owner key.AccountID) []index.Deed {
	all := w.act(owner)
	for i := range all {
		d := all[i]
		w.apply(&d)
	}
	return all
}

// setUp is what iod does for a stream.
func setUp(owner, device key.AccountID, stream string) (deeds []index.Deed) {
	id := func(s string, k rbac.Kind) rbac.ID { return access.EntityID(owner, device, s, k) }
	for _, e := range []access.Ref{{Kind: rbac.Group, ID: id("", rbac.Group)}, {Kind: rbac.Permission, ID: id(stream, rbac.Permission)},
		{Kind: rbac.Role, ID: id(stream, rbac.Role)}, {Kind: rbac.Group, ID: id(stream, rbac.Group)}} {
		deeds = append(deeds, index.Deed{Owner: owner, Verb: rbac.EntityAdded, Ref: e, Name: "iod " + stream})
	}
	for _, a := range []rbac.Assignment{
		{Relation: rbac.RolePermission, Holder: id(stream, rbac.Role), Held: id(stream, rbac.Permission)},
		{Relation: rbac.GroupRole, Holder: id(stream, rbac.Group), Held: id(stream, rbac.Role)},
		{Relation: rbac.GroupRole, Holder: id("", rbac.Group), Held: id(stream, rbac.Role)},
	} {
		deeds = append(deeds, index.Deed{Owner: owner, Verb: rbac.Assigned, Assignment: a})
	}
	return deeds
}

// entity names an entity: of iod's scheme, or one of a few that several owners have.
func (w *World) entity(owner, device key.AccountID, stream string, k rbac.Kind) access.Ref {
	if w.r.IntN(3) == 0 {
		return access.Ref{Kind: k, ID: rbac.ID{0xee, byte(w.r.IntN(3))}}
	}
	return access.Ref{Kind: k, ID: access.EntityID(owner, device, stream, k)}
}

func (w *World) name() string {
	return []string{"staff", "", "\xff\xfe no text", "<b>bold</b>", "ü\u202e"}[w.r.IntN(5)]
}

// standing are the owner's assignments, in a fixed order.
func (w *World) standing(owner key.AccountID) (all []rbac.Assignment) {
	s := w.states[owner]
	keys := slices.SortedFunc(maps.Keys(s.Held), func(a, b access.Holding) int {
		return cmp.Or(cmp.Compare(a.Relation, b.Relation), bytes.Compare(a.Holder[:], b.Holder[:]))
	})
	for _, h := range keys {
		for _, held := range s.Held[h] {
			all = append(all, rbac.Assignment{Relation: h.Relation, Holder: h.Holder, Held: held})
		}
	}
	return all
}

// canHold reports whether the entities of an assignment exist, enabled or not.
func canHold(s access.State, a rbac.Assignment) bool {
	need := map[rbac.Relation][]access.Ref{
		rbac.UserRole:       {{Kind: rbac.Role, ID: a.Held}},
		rbac.UserGroup:      {{Kind: rbac.Group, ID: a.Held}},
		rbac.GroupRole:      {{Kind: rbac.Role, ID: a.Held}, {Kind: rbac.Group, ID: a.Holder}},
		rbac.RolePermission: {{Kind: rbac.Permission, ID: a.Held}, {Kind: rbac.Role, ID: a.Holder}},
	}[a.Relation]
	return !slices.ContainsFunc(need, func(r access.Ref) bool { return s.Entities[r] == nil })
}

// apply does what the pallet does; false: it refuses.
func (w *World) apply(d *index.Deed) bool {
	s := w.states[d.Owner]
	e := s.Entities[d.Ref]
	h := access.Holding{Relation: d.Assignment.Relation, Holder: d.Assignment.Holder}
	i := slices.Index(s.Held[h], d.Assignment.Held)
	switch d.Verb {
	case rbac.EntityAdded:
		if e != nil {
			return false
		}
		s.Entities[d.Ref] = &rbac.Entity{ID: d.Ref.ID, Name: d.Name, Enabled: true}
	case rbac.EntityUpdated, rbac.EntityDisabled:
		if e == nil || !e.Enabled {
			return false
		}
		if d.Verb == rbac.EntityUpdated {
			e.Name = d.Name
			return true
		}
		e.Enabled, d.Name = false, ""
	case rbac.Assigned:
		if i >= 0 || !canHold(s, d.Assignment) {
			return false
		}
		s.Held[h] = append(s.Held[h], d.Assignment.Held)
	case rbac.Unassigned:
		if i < 0 {
			return false
		}
		if s.Held[h] = slices.Delete(s.Held[h], i, i+1); len(s.Held[h]) == 0 {
			delete(s.Held, h)
		}
	}
	return true
}
