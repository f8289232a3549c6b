package devchain

import (
	"bytes"
	"slices"

	"iod/key"
	"iod/metadata"
	"iod/scale"
)

// entity is a role, permission or group.
type entity struct {
	id      [32]byte
	name    []byte
	enabled bool
}

func (e entity) append(b []byte) []byte {
	return scale.AppendBool(scale.AppendVec(append(b, e.id[:]...), e.name), e.enabled)
}

func readEntityRecord(r *scale.Reader) entity {
	return entity{readEntity(r), r.Vec(), r.Bool()}
}

func encodeEntities(all []entity) []byte {
	b := scale.AppendCompact(nil, uint64(len(all)))
	for _, e := range all {
		b = e.append(b)
	}
	return b
}

func decodeEntities(b []byte) []entity {
	if b == nil {
		return nil
	}
	r := scale.NewReader(b)
	all := make([]entity, r.Count(34))
	for i := range all {
		all[i] = readEntityRecord(r)
	}
	return all
}

// pair is an assignment, in the order of the fields of its struct: (role, user), (role, group), (user, group),
// (permission, role).
type pair [64]byte

func newPair(a, b [32]byte) (p pair) {
	copy(p[:32], a[:])
	copy(p[32:], b[:])
	return p
}

func (p pair) first() [32]byte  { return [32]byte(p[:32]) }
func (p pair) second() [32]byte { return [32]byte(p[32:]) }

func encodePairs(all []pair) []byte {
	b := scale.AppendCompact(nil, uint64(len(all)))
	for _, p := range all {
		b = append(b, p[:]...)
	}
	return b
}

func decodePairs(b []byte) []pair {
	if b == nil {
		return nil
	}
	r := scale.NewReader(b)
	all := make([]pair, r.Count(64))
	for i := range all {
		copy(all[i][:], r.Bytes(64))
	}
	return all
}

// rbacError is peaq_pallet_rbac's RbacError: what a runtime API returns; calls turn it into a module error.
type rbacError struct {
	kind uint8 // index in RbacErrorType
	id   [32]byte
}

// The kinds of rbacError, RbacErrorType.
const (
	rbacExists uint8 = iota
	rbacMissing
	rbacForeign
	rbacDisabled
	rbacAssigned
	rbacUnassigned
)

func (e *rbacError) encode() []byte { return scale.AppendVec([]byte{e.kind}, e.id[:]) }

// dispatch returns the pallet's error of the same meaning, whose index is another.
func (e *rbacError) dispatch() dispatchError {
	return moduleError(rbacIndex, [...]uint8{1, 2, 4, 3, 5, 6}[e.kind])
}

var errEntityName = moduleError(rbacIndex, 0)

// class is a kind of entity: where the entities of an owner are listed, and its tag in keys.
type class struct {
	store blakeMap
	tag   string
}

// relation is a kind of assignment.
type relation struct {
	store blakeMap
	tag   string
}

var (
	roles       = class{newBlakeMap("PeaqRbac", "RoleStore"), "Role"}
	permissions = class{newBlakeMap("PeaqRbac", "PermissionStore"), "Permission"}
	groups      = class{newBlakeMap("PeaqRbac", "GroupStore"), "Group"}
	lookup      = newBlakeMap("PeaqRbac", "KeysLookUpStore")

	userRoles       = relation{newBlakeMap("PeaqRbac", "Role2UserStore"), "R2U"}
	groupRoles      = relation{newBlakeMap("PeaqRbac", "Role2GroupStore"), "R2G"}
	userGroups      = relation{newBlakeMap("PeaqRbac", "User2GroupStore"), "U2G"}
	rolePermissions = relation{newBlakeMap("PeaqRbac", "Permission2RoleStore"), "P2R"}
)

// rbacKey is the key of the lookup store and of the assignment stores.
func rbacKey(owner key.AccountID, id [32]byte, tag string) []byte {
	b := append(owner[:len(owner):len(owner)], id[:]...)
	h := metadata.Blake2_256(append(b, tag...))
	return h[:]
}

func (c class) lookupKey(owner key.AccountID, id [32]byte) string {
	return lookup.key(rbacKey(owner, id, c.tag))
}

func (c relation) key(owner key.AccountID, id [32]byte) string {
	return c.store.key(rbacKey(owner, id, c.tag))
}

// getter reads state.
type getter func(key string) []byte

// get returns an entity that is there and enabled.
func (c class) get(state getter, owner key.AccountID, id [32]byte) (entity, *rbacError) {
	b := state(c.lookupKey(owner, id))
	if b == nil {
		return entity{}, &rbacError{rbacMissing, id}
	}
	e := readEntityRecord(scale.NewReader(b))
	if !e.enabled {
		return entity{}, &rbacError{rbacDisabled, id}
	}
	return e, nil
}

func (c class) list(state getter, owner key.AccountID) []entity {
	return decodeEntities(state(c.store.key(owner[:])))
}

func (c class) add(x *exec, owner key.AccountID, id [32]byte, name []byte) *rbacError {
	k := c.lookupKey(owner, id)
	if x.has(k) {
		return &rbacError{rbacExists, id}
	}
	e := entity{id, name, true}
	x.set(c.store.key(owner[:]), encodeEntities(append(c.list(x.get, owner), e)))
	x.set(k, e.append(nil))
	return nil
}

// change applies edit to an entity in both stores that hold it.
func (c class) change(x *exec, owner key.AccountID, id [32]byte, edit func(*entity)) *rbacError {
	if _, err := c.get(x.get, owner, id); err != nil {
		return err
	}
	all := c.list(x.get, owner)
	for i := range all {
		if all[i].id == id {
			edit(&all[i])
			x.set(c.lookupKey(owner, id), all[i].append(nil))
			break
		}
	}
	if len(all) > 0 {
		x.set(c.store.key(owner[:]), encodeEntities(all))
	}
	return nil
}

// exists tells whether an entity is there, be it disabled.
func (c class) exists(x *exec, owner key.AccountID, id [32]byte) *rbacError {
	if !x.has(c.lookupKey(owner, id)) {
		return &rbacError{rbacMissing, id}
	}
	return nil
}

func (c relation) list(state getter, owner key.AccountID, of [32]byte) ([]pair, *rbacError) {
	b := state(c.key(owner, of))
	if b == nil {
		return nil, &rbacError{rbacUnassigned, of}
	}
	return decodePairs(b), nil
}

func (c relation) assign(x *exec, owner key.AccountID, of [32]byte, p pair) *rbacError {
	k := c.key(owner, of)
	all := decodePairs(x.get(k))
	if slices.Contains(all, p) {
		return &rbacError{rbacAssigned, of}
	}
	x.set(k, encodePairs(append(all, p)))
	return nil
}

// unassign removes an assignment. As in the real pallet it looks for it by binary search although the list stands in the
// order of the assignments, so that it misses some that are there.
func (c relation) unassign(x *exec, owner key.AccountID, of [32]byte, p pair) *rbacError {
	k := c.key(owner, of)
	all := decodePairs(x.get(k))
	i := binarySearch(all, p)
	if i < 0 {
		return &rbacError{rbacUnassigned, of}
	}
	all = slices.Delete(all, i, i+1)
	if len(all) == 0 {
		x.remove(k)
	} else {
		x.set(k, encodePairs(all))
	}
	return nil
}

// binarySearch probes as Rust's slice::binary_search did at the time of the recorded runtime, which matters for lists that
// are not sorted. It returns -1 when p is not met.
func binarySearch(all []pair, p pair) int {
	left, right := 0, len(all)
	for left < right {
		mid := left + (right-left)/2
		switch c := bytes.Compare(all[mid][:], p[:]); {
		case c < 0:
			left = mid + 1
		case c > 0:
			right = mid
		default:
			return mid
		}
	}
	return -1
}

// permissionsOfRoles collects the permissions of roles; one that is disabled or missing fails it as a whole.
func permissionsOfRoles(state getter, owner key.AccountID, roleIDs [][32]byte) ([]entity, *rbacError) {
	var all []entity
	for _, role := range roleIDs {
		pairs, err := rolePermissions.list(state, owner, role)
		if err != nil {
			return nil, err
		}
		for _, p := range pairs {
			e, err := permissions.get(state, owner, p.first())
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// rolesOfGroup returns the roles of a group; a group without any has none.
func rolesOfGroup(state getter, owner key.AccountID, group [32]byte) [][32]byte {
	var all [][32]byte
	for _, p := range decodePairs(state(groupRoles.key(owner, group))) {
		all = append(all, p.first())
	}
	return all
}

// permissionsOfUser follows a user's own roles, then those of their groups, whether enabled or not.
func permissionsOfUser(state getter, owner key.AccountID, user [32]byte) ([]entity, *rbacError) {
	var own [][32]byte
	for _, p := range decodePairs(state(userRoles.key(owner, user))) {
		own = append(own, p.first())
	}
	all := own
	for _, p := range decodePairs(state(userGroups.key(owner, user))) {
		for _, role := range rolesOfGroup(state, owner, p.second()) {
			if !slices.Contains(own, role) {
				all = append(all[:len(all):len(all)], role)
			}
		}
	}
	return permissionsOfRoles(state, owner, all)
}

func permissionsOfGroup(state getter, owner key.AccountID, group [32]byte) ([]entity, *rbacError) {
	return permissionsOfRoles(state, owner, rolesOfGroup(state, owner, group))
}
