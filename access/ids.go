// Package access decides who may use a device's streams, by the owner's entities in the chain's RBAC pallet: it names
// them, plans their set-up, grants and revocations as calls (pure), and judges accounts at a block and live.
//
// For each device and stream there is a permission, a role that has it and a group that has the role; one more group per
// device has all its roles. Their ids follow from owner, device and stream alone, so no id is ever copied by hand:
//
//	id = blake2_256("iod/rbac/1" ‖ owner ‖ device ‖ stream ‖ "permission"|"role"|"group")
//
// with the 32 bytes of the accounts, and an empty stream for the device's group. An account may use a stream when it
// reaches the stream's permission through enabled entities only, in whichever way the owner arranged them:
//
//	account ──────────────► role ──► permission
//	account ──► group ────► role ──► permission
//
// The runtime's own PeaqRBACRuntimeApi_fetch_user_permissions is no judge: it passes over disabled groups and roles.
//
// Nor does the pallet take back whatever it is told to: it searches unsorted lists by halving, and says that assignments which
// it misses do not exist. Revoke plans around that, and Revocation.Do makes sure.
//
// Known limits: a node that stands still is noticed only on chains that make blocks by the clock, once this process has seen them go on (see
// pace); a node that lies about state is believed, since no proofs are checked; a change that a watch leaves out, as nodes do with inner blocks of
// a reorganisation, is found within a lease.
package access

import (
	"fmt"

	"golang.org/x/crypto/blake2b"

	"iod/document"
	"iod/key"
	"iod/pallet/rbac"
)

const domain = "iod/rbac/1"

// EntityID returns the id of a stream's permission, role or group. With an empty stream and rbac.Group it is the group of
// the whole device.
func EntityID(owner, device key.AccountID, stream string, k rbac.Kind) rbac.ID {
	b := append([]byte(domain), owner[:]...)
	b = append(append(append(b, device[:]...), stream...), k.String()...)
	return blake2b.Sum256(b)
}

// entityName is what people see of an entity in other tools; nothing depends on it.
func entityName(device key.AccountID, stream string) string {
	if stream == "" {
		stream = "all streams"
	}
	return fmt.Sprintf("iod %s %s", stream, device.String()[:16])
}

// entities are the ids of one stream.
type entities struct{ permission, role, group rbac.ID }

func idsOf(owner, device key.AccountID, stream string) entities {
	return entities{
		permission: EntityID(owner, device, stream, rbac.Permission),
		role:       EntityID(owner, device, stream, rbac.Role),
		group:      EntityID(owner, device, stream, rbac.Group),
	}
}

// checkStreams refuses names that no document could hold, and lists that no device has.
func checkStreams(streams []string) error {
	if len(streams) > document.MaxStreams {
		return fmt.Errorf("%d streams are more than %d", len(streams), document.MaxStreams)
	}
	for _, s := range streams {
		if !document.ValidStreamName(s) {
			return fmt.Errorf("stream name %q: want 1 to 32 of a-z, 0-9, _ and -", s)
		}
	}
	return nil
}
