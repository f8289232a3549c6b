package rbac_test

import (
	"fmt"
	"log"

	"iod/chain"
	"iod/key"
	"iod/metadata"
	"iod/pallet/rbac"
)

// A role with a permission, given to a user, in one transaction of the owner's.
func ExampleAssign() {
	reader, doors := rbac.ID{1}, rbac.ID{2}
	user := rbac.UserID(key.AccountID{3})
	add := func(k rbac.Kind, id rbac.ID, name string) metadata.Call {
		c, err := rbac.Add(k, id, name)
		if err != nil {
			log.Fatal(err)
		}
		return c
	}
	call := chain.BatchAll(
		add(rbac.Permission, doors, "open the doors"),
		add(rbac.Role, reader, "caretaker"),
		rbac.Assign(rbac.Assignment{Relation: rbac.RolePermission, Holder: reader, Held: doors}),
		rbac.Assign(rbac.Assignment{Relation: rbac.UserRole, Holder: user, Held: reader}),
	)
	for _, c := range call.Args[0].Value.([]any) {
		fmt.Println(c.(metadata.Call).Name)
	}
	// Output:
	// add_permission
	// add_role
	// assign_permission_to_role
	// assign_role_to_user
}
