package access

import (
	"errors"
	"fmt"
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
// out of the stream's group, the device's group and the stream's role. An account that had the whole device keeps the other
// streams, each by its own group. Ways that the owner arranged otherwise are reported as remaining.
func Revoke(owner, device key.AccountID, streams []string, stream string, account key.AccountID, current State) (Plan, error) {
	if err := checkStreams(onWay(streams, stream)); err != nil {
		return Plan{}, fmt.Errorf("revoke %s: %w", account, err)
	}
	var plan Plan
	user := rbac.UserID(account)
	drop := func(r rbac.Relation, held rbac.ID) {
		if current.holds(r, user, held) {
			plan.Calls = append(plan.Calls, rbac.Unassign(rbac.Assignment{Relation: r, Holder: user, Held: held}))
			current = current.without(r, user, held)
		}
	}
	all := EntityID(owner, device, "", rbac.Group)
	had := current.holds(rbac.UserGroup, user, all)
	drop(rbac.UserGroup, all)
	for _, name := range onWay(streams, stream) {
		id := idsOf(owner, device, name)
		drop(rbac.UserGroup, id.group)
		drop(rbac.UserRole, id.role)
		plan.Remaining = append(plan.Remaining, Paths(current, account, id.permission)...)
	}
	for _, name := range streams {
		id := idsOf(owner, device, name)
		if had && stream != "" && name != stream && current.exists(rbac.Group, id.group) && !current.holds(rbac.UserGroup, user, id.group) {
			plan.Calls = append(plan.Calls, rbac.Assign(rbac.Assignment{Relation: rbac.UserGroup, Holder: user, Held: id.group}))
		}
	}
	return plan, nil
}

// without returns the state less one assignment.
func (s State) without(r rbac.Relation, holder, held rbac.ID) State {
	h := Holding{r, holder}
	out := State{Owner: s.Owner, Entities: s.Entities, Held: make(map[Holding][]rbac.ID, len(s.Held))}
	for k, v := range s.Held {
		out.Held[k] = v
	}
	out.Held[h] = slices.DeleteFunc(slices.Clone(s.Held[h]), func(id rbac.ID) bool { return id == held })
	return out
}
