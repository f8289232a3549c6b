package access

import (
	"context"
	"fmt"

	"golang.org/x/crypto/blake2b"

	"iod/key"
	"iod/pallet/rbac"
)

const fleetDomain = "iod/fleet/1"

// FleetAccount returns the id that stands in the place of a device's account in the entities that an owner keeps for a whole fleet:
//
//	blake2_256("iod/fleet/1" ‖ owner ‖ name)
//
// Nobody has its key. All that holds for a device's entities holds for a fleet's: they are set up, granted, revoked and listed by the same
// functions. What is granted for a fleet costs one assignment however many devices it has, and a device that joins later needs nothing:
// its document and its judge name the fleet.
func FleetAccount(owner key.AccountID, name string) key.AccountID {
	b := append([]byte(fleetDomain), owner[:]...)
	return blake2b.Sum256(append(b, name...))
}

// Scopes returns whose entities decide on a device: the device's own, and those of its fleet when it names one.
func Scopes(owner, device key.AccountID, fleet string) []key.AccountID {
	if fleet == "" {
		return []key.AccountID{device}
	}
	return []key.AccountID{device, FleetAccount(owner, fleet)}
}

// Reaches reports whether the account may use the stream as of the block, by the entities of any of the scopes.
func Reaches(ctx context.Context, b rbac.Block, owner key.AccountID, scopes []key.AccountID, stream string, account key.AccountID) (bool, error) {
	for _, scope := range scopes {
		s, err := Read(ctx, b, owner, scope, []string{stream}, account)
		if err != nil {
			return false, fmt.Errorf("access of %s to %s: %w", account, stream, err)
		}
		if ok, _ := Decide(s, account, EntityID(owner, scope, stream, rbac.Permission)); ok {
			return true, nil
		}
	}
	return false, nil
}
