package rbac

import (
	"fmt"

	"iod/key"
	"iod/metadata"
)

// Add returns the call that makes an entity of the signer's.
func Add(k Kind, id ID, name string) (metadata.Call, error) { return named("add", k, id, name) }

// Update returns the call that renames an enabled entity of the signer's.
func Update(k Kind, id ID, name string) (metadata.Call, error) { return named("update", k, id, name) }

// Disable returns the call that disables an entity of the signer's, for good.
func Disable(k Kind, id ID) metadata.Call {
	return metadata.Call{Pallet: Pallet, Name: "disable_" + k.String(), Args: metadata.Fields{argument(k, id)}}
}

func named(verb string, k Kind, id ID, name string) (metadata.Call, error) {
	if len(name) > MaxName {
		return metadata.Call{}, fmt.Errorf("%s %s %q: its name has %d bytes, more than %d", verb, k, name, len(name), MaxName)
	}
	return metadata.Call{Pallet: Pallet, Name: verb + "_" + k.String(), Args: metadata.Fields{
		argument(k, id), {Name: "name", Value: []byte(name)},
	}}, nil
}

func argument(k Kind, id ID) metadata.Field {
	return metadata.Field{Name: k.String() + "_id", Value: id[:]}
}

// Assign returns the call that adds a pair to a relation of the signer's.
func Assign(a Assignment) metadata.Call { return assignment("assign", a) }

// Unassign returns the call that takes a pair out of a relation of the signer's.
func Unassign(a Assignment) metadata.Call { return assignment("unassign", a) }

func assignment(verb string, a Assignment) metadata.Call {
	user := metadata.Field{Name: "user_id", Value: a.Holder[:]}
	var name string
	var args metadata.Fields
	switch a.Relation {
	case UserRole:
		name, args = "role_to_user", metadata.Fields{argument(Role, a.Held), user}
	case UserGroup:
		name, args = "user_to_group", metadata.Fields{user, argument(Group, a.Held)}
	case GroupRole:
		name, args = "role_to_group", metadata.Fields{argument(Role, a.Held), argument(Group, a.Holder)}
	case RolePermission:
		name, args = "permission_to_role", metadata.Fields{argument(Permission, a.Held), argument(Role, a.Holder)}
	}
	return metadata.Call{Pallet: Pallet, Name: verb + "_" + name, Args: args}
}

// Fetch returns the call that makes the chain deposit an entity of owner's as an event. Reading storage costs nothing; this does.
func Fetch(k Kind, owner key.AccountID, id ID) metadata.Call {
	arg := argument(k, id)
	if k == Role {
		arg.Name = "entity"
	}
	return fetch("fetch_"+k.String(), owner, arg)
}

// FetchAll returns the call that makes the chain deposit all entities of owner's of the kind as an event.
func FetchAll(k Kind, owner key.AccountID) metadata.Call {
	return fetch("fetch_"+k.String()+"s", owner)
}

// FetchUserRoles returns the call that deposits the roles that user holds directly.
func FetchUserRoles(owner key.AccountID, user ID) metadata.Call {
	return fetch("fetch_user_roles", owner, metadata.Field{Name: "user_id", Value: user[:]})
}

// FetchUserGroups returns the call that deposits the groups that user is in.
func FetchUserGroups(owner key.AccountID, user ID) metadata.Call {
	return fetch("fetch_user_groups", owner, metadata.Field{Name: "user_id", Value: user[:]})
}

// FetchUserPermissions returns the call that deposits what the pallet takes for the user's permissions: it passes over
// disabled groups and roles, so it is no judge.
func FetchUserPermissions(owner key.AccountID, user ID) metadata.Call {
	return fetch("fetch_user_permissions", owner, metadata.Field{Name: "user_id", Value: user[:]})
}

// FetchGroupRoles returns the call that deposits the roles of a group.
func FetchGroupRoles(owner key.AccountID, group ID) metadata.Call {
	return fetch("fetch_group_roles", owner, argument(Group, group))
}

// FetchGroupPermissions returns the call that deposits what the pallet takes for a group's permissions.
func FetchGroupPermissions(owner key.AccountID, group ID) metadata.Call {
	return fetch("fetch_group_permissions", owner, argument(Group, group))
}

// FetchRolePermissions returns the call that deposits the permissions of a role.
func FetchRolePermissions(owner key.AccountID, role ID) metadata.Call {
	return fetch("fetch_role_permissions", owner, argument(Role, role))
}

func fetch(name string, owner key.AccountID, args ...metadata.Field) metadata.Call {
	return metadata.Call{Pallet: Pallet, Name: name, Args: append(metadata.Fields{{Name: "owner", Value: owner}}, args...)}
}
