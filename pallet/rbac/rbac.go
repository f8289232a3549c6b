// Package rbac speaks to the chain's PeaqRbac pallet: its calls, its storage at a block and its events, as types.
//
// Everything is scoped by the owner's account, and only the owner can change it. An entity (role, permission or group)
// is disabled for good: the pallet has no way to enable it again. A user is any account.
//
//	RoleStore, PermissionStore, GroupStore   owner → all entities of the kind
//	KeysLookUpStore                          k(id, "Role"|"Permission"|"Group") → the entity, kept equal to the above
//	Role2UserStore                           k(user, "R2U")  → [{role, user}]
//	User2GroupStore                          k(user, "U2G")  → [{user, group}]
//	Role2GroupStore                          k(group, "R2G") → [{role, group}]
//	Permission2RoleStore                     k(role, "P2R")  → [{permission, role}]
//
// where k(id, tag) = blake2_256(owner ‖ id ‖ tag), and every map hashes its key with blake2_128_concat.
package rbac

import (
	"encoding/hex"
	"fmt"

	"iod/key"
)

// Pallet is the pallet's name in metadata.
const Pallet = "PeaqRbac"

// MaxName is the longest name of an entity, in bytes.
const MaxName = 64

// ID names an entity or a user within the scope of one owner. Entity ids are chosen by the owner.
type ID [32]byte

// UserID returns the id of an account as a user: the account id itself.
func UserID(a key.AccountID) ID { return ID(a) }

// String returns 0x-hex.
func (id ID) String() string { return "0x" + hex.EncodeToString(id[:]) }

// MarshalText returns 0x-hex.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// Kind is a kind of entity.
type Kind uint8

// The kinds of entities.
const (
	Role Kind = iota
	Permission
	Group
)

var kindNames = [...]string{"role", "permission", "group"}

// String returns "role", "permission" or "group".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Store returns the name of the map that lists all entities of the kind by owner.
func (k Kind) Store() string { return [...]string{"RoleStore", "PermissionStore", "GroupStore"}[k] }

// tag is hashed into the keys of KeysLookUpStore.
func (k Kind) tag() string { return [...]string{"Role", "Permission", "Group"}[k] }

// Entity is a role, permission or group.
type Entity struct {
	ID      ID
	Name    string // as written by the owner: not necessarily UTF-8
	Enabled bool
}

// Relation is one of the four kinds of assignment.
type Relation uint8

// The relations, named holder first: a user holds roles and groups, a group holds roles, a role holds permissions.
const (
	UserRole Relation = iota
	UserGroup
	GroupRole
	RolePermission
)

type relation struct {
	name, store, tag string
	holder, held     string // names of the fields in the stored pair
}

var relations = [...]relation{
	UserRole:       {"role of user", "Role2UserStore", "R2U", "user", "role"},
	UserGroup:      {"group of user", "User2GroupStore", "U2G", "user", "group"},
	GroupRole:      {"role of group", "Role2GroupStore", "R2G", "group", "role"},
	RolePermission: {"permission of role", "Permission2RoleStore", "P2R", "role", "permission"},
}

// String returns as in "role of user".
func (r Relation) String() string {
	if int(r) < len(relations) {
		return relations[r].name
	}
	return fmt.Sprintf("relation %d", uint8(r))
}

// Store returns the name of the storage map that holds the relation.
func (r Relation) Store() string { return relations[r].store }

// Assignment is one pair of a relation.
type Assignment struct {
	Relation     Relation
	Holder, Held ID
}
