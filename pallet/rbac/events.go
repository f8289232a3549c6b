package rbac

import (
	"fmt"

	"iod/key"
	"iod/metadata"
)

// Verb is what happened to an entity or an assignment.
type Verb uint8

// The verbs of events.
const (
	EntityAdded Verb = iota + 1
	EntityUpdated
	EntityDisabled
	Assigned
	Unassigned
)

var verbNames = [...]string{EntityAdded: "added", EntityUpdated: "renamed", EntityDisabled: "disabled", Assigned: "assigned", Unassigned: "unassigned"}

// String returns "added", "renamed", "disabled", "assigned" or "unassigned".
func (v Verb) String() string {
	if v > 0 && int(v) < len(verbNames) {
		return verbNames[v]
	}
	return fmt.Sprintf("verb %d", uint8(v))
}

// Event is a change of an owner's entities or assignments. Events that only answer a fetch call are left out.
type Event struct {
	Verb       Verb
	Owner      key.AccountID
	Kind       Kind       // of the entity, for the entity verbs
	Entity     ID         // for the entity verbs
	Name       string     // for EntityAdded and EntityUpdated
	Assignment Assignment // for Assigned and Unassigned
	Variant    string     // the event's name in metadata, as in "UserUnAssignedToGroup"
	Extrinsic  uint32     // index in the block
	Index      int        // position among the block's events
}

// form says how to read an event. Assignment events carry (owner, held, holder), those of users and groups the user first.
type form struct {
	verb      Verb
	kind      Kind
	relation  Relation
	userFirst bool
}

var forms = map[string]form{
	"RoleAdded":                  {verb: EntityAdded, kind: Role},
	"RoleUpdated":                {verb: EntityUpdated, kind: Role},
	"RoleRemoved":                {verb: EntityDisabled, kind: Role},
	"PermissionAdded":            {verb: EntityAdded, kind: Permission},
	"PermissionUpdated":          {verb: EntityUpdated, kind: Permission},
	"PermissionDisabled":         {verb: EntityDisabled, kind: Permission},
	"GroupAdded":                 {verb: EntityAdded, kind: Group},
	"GroupUpdated":               {verb: EntityUpdated, kind: Group},
	"GroupDisabled":              {verb: EntityDisabled, kind: Group},
	"RoleAssignedToUser":         {verb: Assigned, relation: UserRole},
	"RoleUnassignedToUser":       {verb: Unassigned, relation: UserRole},
	"RoleAssignedToGroup":        {verb: Assigned, relation: GroupRole},
	"RoleUnassignedToGroup":      {verb: Unassigned, relation: GroupRole},
	"PermissionAssigned":         {verb: Assigned, relation: RolePermission},
	"PermissionUnassignedToRole": {verb: Unassigned, relation: RolePermission},
	"UserAssignedToGroup":        {verb: Assigned, relation: UserGroup, userFirst: true},
	"UserUnAssignedToGroup":      {verb: Unassigned, relation: UserGroup, userFirst: true},
}

// Events returns the pallet's changes among a block's events, in order. It stops at an event of a form unknown to it.
func Events(events []metadata.Event) ([]Event, error) {
	var out []Event
	for i := range events {
		e, ok, err := Decode(&events[i])
		if err != nil {
			return out, err
		}
		if ok {
			e.Index = i
			out = append(out, e)
		}
	}
	return out, nil
}

// Decode reads one event; ok is false for what changes nothing.
func Decode(e *metadata.Event) (out Event, ok bool, err error) {
	f, ok := forms[e.Name]
	if !ok || e.Pallet != Pallet {
		return Event{}, false, nil
	}
	out = Event{Verb: f.verb, Variant: e.Name, Extrinsic: e.Phase.Extrinsic}
	var first, second ID
	var name []byte
	dsts := []any{&out.Owner, &first}
	switch f.verb {
	case EntityAdded, EntityUpdated:
		dsts = append(dsts, &name)
	case Assigned, Unassigned:
		dsts = append(dsts, &second)
	}
	if len(e.Fields) < len(dsts) {
		return Event{}, false, fmt.Errorf("decode event %s.%s: %d fields, want %d", e.Pallet, e.Name, len(e.Fields), len(dsts))
	}
	for i, dst := range dsts {
		if err := metadata.Assign(dst, e.Fields[i].Value); err != nil {
			return Event{}, false, fmt.Errorf("decode event %s.%s: field %d: %w", e.Pallet, e.Name, i, err)
		}
	}
	switch {
	case f.verb < Assigned:
		out.Kind, out.Entity, out.Name = f.kind, first, string(name)
	case f.userFirst:
		out.Assignment = Assignment{f.relation, first, second}
	default:
		out.Assignment = Assignment{f.relation, second, first}
	}
	return out, true, nil
}
