package devchain

import (
	"iod/key"
	"iod/scale"
)

// rbacQuery is a read of the RBAC pallet: what a fetch_ call deposits as its event and a runtime API returns.
type rbacQuery func(state getter, owner key.AccountID, id [32]byte) ([]byte, *rbacError)

func one(c class) rbacQuery {
	return func(state getter, owner key.AccountID, id [32]byte) ([]byte, *rbacError) {
		e, err := c.get(state, owner, id)
		if err != nil {
			return nil, err
		}
		return e.append(nil), nil
	}
}

func every(c class) rbacQuery {
	return func(state getter, owner key.AccountID, _ [32]byte) ([]byte, *rbacError) {
		return encodeEntities(c.list(state, owner)), nil
	}
}

func assigned(c relation) rbacQuery {
	return func(state getter, owner key.AccountID, id [32]byte) ([]byte, *rbacError) {
		pairs, err := c.list(state, owner, id)
		if err != nil {
			return nil, err
		}
		return encodePairs(pairs), nil
	}
}

func entities(of func(getter, key.AccountID, [32]byte) ([]entity, *rbacError)) rbacQuery {
	return func(state getter, owner key.AccountID, id [32]byte) ([]byte, *rbacError) {
		all, err := of(state, owner, id)
		if err != nil {
			return nil, err
		}
		return encodeEntities(all), nil
	}
}

// rbacFetch is a read that is both a call and a runtime API.
type rbacFetch struct {
	call, event uint8
	api         string
	whole       bool // takes no id
	query       rbacQuery
}

var rbacFetches = []rbacFetch{
	{0, 3, "fetch_role", false, one(roles)},
	{1, 4, "fetch_roles", true, every(roles)},
	{5, 10, "fetch_user_roles", false, assigned(userRoles)},
	{8, 20, "fetch_permission", false, one(permissions)},
	{9, 21, "fetch_permissions", true, every(permissions)},
	{13, 19, "fetch_role_permissions", false, assigned(rolePermissions)},
	{16, 22, "fetch_group", false, one(groups)},
	{17, 23, "fetch_groups", true, every(groups)},
	{23, 9, "fetch_group_roles", false, assigned(groupRoles)},
	{26, 11, "fetch_user_groups", false, assigned(userGroups)},
	{27, 12, "fetch_user_permissions", false, entities(permissionsOfUser)},
	{28, 13, "fetch_group_permissions", false, entities(permissionsOfGroup)},
}

// rbacChange is a call that changes one entity; it has a name if named.
type rbacChange struct {
	call, event uint8
	weight      uint64
	named       bool
	do          func(x *exec, who key.AccountID, id [32]byte, name []byte) *rbacError
}

var rbacChanges = []rbacChange{
	{2, 0, 270_419_000, true, roles.add},
	{3, 1, 275_000_000, true, roles.rename},
	{4, 2, 275_000_000, false, roles.disable},
	{10, 14, 270_779_000, true, permissions.add},
	{11, 15, 275_000_000, true, permissions.rename},
	{12, 16, 275_358_000, false, permissions.disable},
	{18, 24, 270_679_000, true, groups.add},
	{19, 25, 275_000_000, true, groups.rename},
	{20, 26, 275_000_000, false, groups.disable},
}

func (c class) rename(x *exec, who key.AccountID, id [32]byte, name []byte) *rbacError {
	return c.change(x, who, id, func(e *entity) { e.name = name })
}

func (c class) disable(x *exec, who key.AccountID, id [32]byte, _ []byte) *rbacError {
	return c.change(x, who, id, func(e *entity) { e.enabled = false })
}

// rbacLink is a call that assigns the first of two entities to the second, or takes that back.
type rbacLink struct {
	call, event uint8
	weight      uint64
	do          func(x *exec, who key.AccountID, a, b [32]byte) *rbacError
}

var rbacLinks = []rbacLink{
	{6, 5, 170_000_000, func(x *exec, who key.AccountID, role, user [32]byte) *rbacError {
		if err := roles.exists(x, who, role); err != nil {
			return err
		}
		return userRoles.assign(x, who, user, newPair(role, user))
	}},
	{7, 6, 144_000_000, func(x *exec, who key.AccountID, role, user [32]byte) *rbacError {
		return userRoles.unassign(x, who, user, newPair(role, user))
	}},
	{14, 17, 199_978_000, func(x *exec, who key.AccountID, permission, role [32]byte) *rbacError {
		if err := roles.exists(x, who, role); err != nil {
			return err
		}
		if err := permissions.exists(x, who, permission); err != nil {
			return err
		}
		return rolePermissions.assign(x, who, role, newPair(permission, role))
	}},
	{15, 18, 144_000_000, func(x *exec, who key.AccountID, permission, role [32]byte) *rbacError {
		return rolePermissions.unassign(x, who, role, newPair(permission, role))
	}},
	{21, 7, 200_038_000, func(x *exec, who key.AccountID, role, group [32]byte) *rbacError {
		if err := roles.exists(x, who, role); err != nil {
			return err
		}
		if err := groups.exists(x, who, group); err != nil {
			return err
		}
		return groupRoles.assign(x, who, group, newPair(role, group))
	}},
	{22, 8, 144_000_000, func(x *exec, who key.AccountID, role, group [32]byte) *rbacError {
		return groupRoles.unassign(x, who, group, newPair(role, group))
	}},
	{24, 27, 170_469_000, func(x *exec, who key.AccountID, user, group [32]byte) *rbacError {
		if err := groups.exists(x, who, group); err != nil {
			return err
		}
		return userGroups.assign(x, who, user, newPair(user, group))
	}},
	{25, 28, 144_036_000, func(x *exec, who key.AccountID, user, group [32]byte) *rbacError {
		return userGroups.unassign(x, who, user, newPair(user, group))
	}},
}

func readRbacCall(r *scale.Reader, index uint8) call {
	for _, f := range rbacFetches {
		if f.call == index {
			return f.readCall(r)
		}
	}
	for _, c := range rbacChanges {
		if c.call == index {
			return c.readCall(r)
		}
	}
	for _, l := range rbacLinks {
		if l.call == index {
			return l.readCall(r)
		}
	}
	return call{}
}

func (f rbacFetch) readCall(r *scale.Reader) call {
	owner := readAccount(r)
	var id [32]byte
	if !f.whole {
		id = readEntity(r)
	}
	return call{163_674_000, func(x *exec, _ key.AccountID) error {
		found, err := f.query(x.get, owner, id)
		if err != nil {
			return err.dispatch()
		}
		x.deposit(rbacIndex, f.event, found)
		return nil
	}}
}

func (c rbacChange) readCall(r *scale.Reader) call {
	id := readEntity(r)
	var name []byte
	if c.named {
		name = r.Vec()
	}
	return call{c.weight, func(x *exec, who key.AccountID) error {
		if len(name) > maxName {
			return errEntityName
		}
		if err := c.do(x, who, id, name); err != nil {
			return err.dispatch()
		}
		data := append(who[:len(who):len(who)], id[:]...)
		if c.named {
			data = scale.AppendVec(data, name)
		}
		x.deposit(rbacIndex, c.event, data)
		return nil
	}}
}

func (l rbacLink) readCall(r *scale.Reader) call {
	a, b := readEntity(r), readEntity(r)
	return call{l.weight, func(x *exec, who key.AccountID) error {
		if err := l.do(x, who, a, b); err != nil {
			return err.dispatch()
		}
		x.deposit(rbacIndex, l.event, who[:], a[:], b[:])
		return nil
	}}
}
