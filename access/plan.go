package access

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"iod/key"
	"iod/metadata"
	"iod/pallet/rbac"
)

// ErrDisabled says that an entity that a grant needs is disabled. The pallet can never enable it again, so the
// owner has to arrange a way of their own, or to rename the stream.
var ErrDisabled = errors.New("is disabled for good")

// Plan is a change of an owner's RBAC, to be signed by the owner and sent as one batch_all.
type Plan struct {
	Calls []metadata.Call // none: there is nothing to change
	// Remaining are the ways by which the account keeps the stream after a revocation: arrangements of the owner's
	// own, which iod does not touch.
	Remaining []Path
	// Certain says that the pallet finds everything that is unassigned whichever Rust its runtime was built with. Otherwise it
	// does if that was Rust 1.52 to 1.81, as for the runtimes of peaq that are known.
	Certain bool
}

// Setup returns what is missing of the entities and assignments of a device and its streams. An entity that exists is left as it
// is, disabled or not (see Disabled); when everything is there, nothing is returned. current is what Read gave for them.
func Setup(owner, device key.AccountID, streams []string, current State) []metadata.Call {
	var calls []metadata.Call
	add := func(k rbac.Kind, id rbac.ID, stream string) {
		if current.exists(k, id) {
			return
		}
		// The name is one of ours and within the bound.
		if call, err := rbac.Add(k, id, entityName(device, stream)); err == nil {
			calls = append(calls, call)
		}
	}
	assign := func(r rbac.Relation, holder, held rbac.ID) {
		if !current.holds(r, holder, held) {
			calls = append(calls, rbac.Assign(rbac.Assignment{Relation: r, Holder: holder, Held: held}))
		}
	}
	all := EntityID(owner, device, "", rbac.Group)
	add(rbac.Group, all, "")
	for _, name := range streams {
		id := idsOf(owner, device, name)
		add(rbac.Permission, id.permission, name)
		add(rbac.Role, id.role, name)
		add(rbac.Group, id.group, name)
		assign(rbac.RolePermission, id.role, id.permission)
		assign(rbac.GroupRole, id.group, id.role)
		assign(rbac.GroupRole, all, id.role)
	}
	return calls
}

// Disabled returns the entities of a device and its streams that exist but are disabled.
func Disabled(owner, device key.AccountID, streams []string, current State) []Ref {
	var out []Ref
	for _, f := range setupFacts(owner, device, streams) {
		if !f.held && current.exists(f.kind, f.id) && !current.enabled(f.kind, f.id) {
			out = append(out, Ref{f.kind, f.id})
		}
	}
	return out
}

// Grant plans that account may use a stream of the device, or with an empty stream all of its streams, those added
// later included. What is missing of the set-up of the streams is part of the plan.
func Grant(owner, device key.AccountID, streams []string, stream string, account key.AccountID, current State) (Plan, error) {
	if stream != "" && !slices.Contains(streams, stream) {
		return Plan{}, fmt.Errorf("grant %s: device %s has no stream %q", account, device, stream)
	}
	for _, r := range Disabled(owner, device, onWay(streams, stream), current) {
		if stream == "" || r.ID != EntityID(owner, device, "", rbac.Group) {
			return Plan{}, fmt.Errorf("grant %s: %s %s %w", account, r.Kind, r.ID, ErrDisabled)
		}
	}
	plan := Plan{Calls: Setup(owner, device, streams, current)}
	user, group := rbac.UserID(account), EntityID(owner, device, stream, rbac.Group)
	if !current.holds(rbac.UserGroup, user, group) {
		plan.Calls = append(plan.Calls, rbac.Assign(rbac.Assignment{Relation: rbac.UserGroup, Holder: user, Held: group}))
	}
	return plan, nil
}

// onWay are the streams whose entities a grant of stream depends on.
func onWay(streams []string, stream string) []string {
	if stream == "" {
		return streams
	}
	return []string{stream}
}

// Revoke plans that account loses a stream of the device, or with an empty stream all of its streams: it takes the account
// out of the stream's group, the device's group and the stream's role. Other streams that it would lose with them, as one who had the
// whole device does, it keeps by their own groups. Ways that the owner arranged otherwise are reported as remaining.
//
// Since the pallet misses some assignments that are there (see unassign.go), others may be taken out first and put back. Revocation.Do
// carries a plan out, checks what came of it and plans anew if need be.
func Revoke(owner, device key.AccountID, streams []string, stream string, account key.AccountID, current State) (Plan, error) {
	return Revocation{owner, device, streams, stream, account}.plan(current, false)
}

// plan makes the plan; padded: so that it holds in any case.
func (r Revocation) plan(current State, padded bool) (Plan, error) {
	revoked := onWay(r.Streams, r.Stream)
	if err := checkStreams(revoked); err != nil {
		return Plan{}, fmt.Errorf("revoke %s: %w", r.Account, err)
	}
	user := rbac.UserID(r.Account)
	after := current
	groups := regrouping{relation: rbac.UserGroup, user: user, list: current.Held[Holding{rbac.UserGroup, user}]}
	roles := regrouping{relation: rbac.UserRole, user: user, list: current.Held[Holding{rbac.UserRole, user}]}
	drop := func(g *regrouping, held rbac.ID) {
		if current.holds(g.relation, user, held) {
			g.drop = append(g.drop, held)
			after = after.changed(Holding{g.relation, user}, held, false)
		}
	}
	drop(&groups, EntityID(r.Owner, r.Device, "", rbac.Group))
	for _, name := range revoked {
		id := idsOf(r.Owner, r.Device, name)
		drop(&groups, id.group)
		drop(&roles, id.role)
	}
	plan := Plan{Remaining: r.paths(after)}
	for _, name := range r.Streams {
		id := idsOf(r.Owner, r.Device, name)
		if slices.Contains(revoked, name) || len(Paths(current, r.Account, id.permission)) == 0 || len(Paths(after, r.Account, id.permission)) > 0 {
			continue
		}
		kept := after.changed(Holding{rbac.UserGroup, user}, id.group, true)
		if len(Paths(kept, r.Account, id.permission)) > 0 && len(r.paths(kept)) == len(plan.Remaining) {
			groups.add = append(groups.add, id.group)
			after = kept
		}
	}
	plan.Certain = true
	for _, g := range []regrouping{groups, roles} {
		calls, certain, err := g.calls(current, padded)
		if err != nil {
			return Plan{}, fmt.Errorf("revoke %s: %w", r.Account, err)
		}
		plan.Calls = append(plan.Calls, calls...)
		plan.Certain = plan.Certain && certain
	}
	return plan, nil
}

// paths returns the ways by which the account reaches what it is to lose.
func (r Revocation) paths(s State) (paths []Path) {
	for _, name := range onWay(r.Streams, r.Stream) {
		paths = append(paths, Paths(s, r.Account, EntityID(r.Owner, r.Device, name, rbac.Permission))...)
	}
	return paths
}

// changed returns the state with one assignment more or less.
func (s State) changed(h Holding, held rbac.ID, more bool) State {
	out := State{Owner: s.Owner, Entities: s.Entities, Held: maps.Clone(s.Held)}
	out.Held[h] = slices.DeleteFunc(slices.Clone(s.Held[h]), func(id rbac.ID) bool { return id == held })
	if more {
		out.Held[h] = append(out.Held[h], held)
	}
	return out
}
