package access

import (
	"fmt"

	"iod/key"
	"iod/pallet/rbac"
)

// Path is one way by which an account reaches a permission.
type Path struct {
	Group      *rbac.ID // nil: the account holds the role itself
	Role       rbac.ID
	Permission rbac.ID
}

// String draws the path.
func (p Path) String() string {
	if p.Group == nil {
		return fmt.Sprintf("role %s", p.Role)
	}
	return fmt.Sprintf("group %s, role %s", *p.Group, p.Role)
}

// Decide reports whether the account reaches the permission in the state through enabled entities only, and why: the path
// found, or what stands in the way of the nearest one.
func Decide(s State, account key.AccountID, permission rbac.ID) (bool, string) {
	if paths := Paths(s, account, permission); len(paths) > 0 {
		return true, paths[0].String()
	}
	return false, whyNot(s, account, permission)
}

// Paths returns every way by which the account reaches the permission in the state; none when it has no access.
func Paths(s State, account key.AccountID, permission rbac.ID) []Path {
	if !s.enabled(rbac.Permission, permission) {
		return nil
	}
	var paths []Path
	eachRole(s, account, func(group *rbac.ID, role rbac.ID) {
		open := group == nil || s.enabled(rbac.Group, *group)
		if open && s.enabled(rbac.Role, role) && s.holds(rbac.RolePermission, role, permission) {
			paths = append(paths, Path{group, role, permission})
		}
	})
	return paths
}

// eachRole calls f for every role that the account holds, directly or by a group, enabled or not.
func eachRole(s State, account key.AccountID, f func(group *rbac.ID, role rbac.ID)) {
	user := rbac.UserID(account)
	for _, r := range s.Held[Holding{rbac.UserRole, user}] {
		f(nil, r)
	}
	for _, g := range s.Held[Holding{rbac.UserGroup, user}] {
		for _, r := range s.Held[Holding{rbac.GroupRole, g}] {
			f(&g, r)
		}
	}
}

func whyNot(s State, account key.AccountID, permission rbac.ID) string {
	reason := "nothing assigned to the account leads to the permission"
	for _, g := range s.Held[Holding{rbac.UserGroup, rbac.UserID(account)}] {
		if e := s.Entities[Ref{rbac.Group, g}]; e != nil && !e.Enabled {
			reason = fmt.Sprintf("group %s is disabled", g)
		}
	}
	eachRole(s, account, func(_ *rbac.ID, role rbac.ID) {
		if e := s.Entities[Ref{rbac.Role, role}]; e != nil && !e.Enabled {
			reason = fmt.Sprintf("role %s is disabled", role)
		}
		if !s.holds(rbac.RolePermission, role, permission) {
			return
		}
		switch e, known := s.Entities[Ref{rbac.Permission, permission}]; {
		case known && e == nil:
			reason = "the owner has not set the stream up"
		case known && !e.Enabled:
			reason = "the permission is disabled"
		}
	})
	return reason
}
