package access

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"

	"iod/chain"
	"iod/key"
	"iod/pallet/rbac"
)

// maxListed bounds the entries of the chain's assignments that List looks through.
const maxListed = 1 << 20

// Access is what an account may use of a device.
type Access struct {
	Account key.AccountID `json:"account"`
	Streams []string      `json:"streams"` // in the order asked for
	Whole   bool          `json:"whole"`   // by the device's group: streams added later are included
}

// Entries is a block that can be walked; *chain.Block is one.
type Entries interface {
	rbac.Block
	Entries(ctx context.Context, pallet, item string, keys ...any) iter.Seq2[chain.KeyValue, error]
}

// List returns who may use any of the device's streams as of the block, by address. The pallet keeps no list of a group's users,
// but each of its entries names its user: List walks the assignments of all owners on the chain, page by page, and keeps
// those that stand under owner's keys. So it costs more the more others use the pallet; nothing of the past is needed.
func List(ctx context.Context, b Entries, owner, device key.AccountID, streams []string) ([]Access, error) {
	users, err := usersOf(ctx, b, owner)
	if err != nil {
		return nil, fmt.Errorf("list access to %s: %w", device, err)
	}
	var out []Access
	for some := range slices.Chunk(users, 64) {
		s, err := Read(ctx, b, owner, device, streams, some...)
		if err != nil {
			return nil, err
		}
		for _, u := range some {
			if a := accessOf(s, owner, device, streams, u); len(a.Streams) > 0 {
				out = append(out, a)
			}
		}
	}
	return out, nil
}

func accessOf(s State, owner, device key.AccountID, streams []string, u key.AccountID) Access {
	a := Access{Account: u}
	for _, name := range streams {
		if ok, _ := Decide(s, u, EntityID(owner, device, name, rbac.Permission)); ok {
			a.Streams = append(a.Streams, name)
		}
	}
	all := EntityID(owner, device, "", rbac.Group)
	a.Whole = s.holds(rbac.UserGroup, rbac.UserID(u), all) && s.enabled(rbac.Group, all)
	return a
}

// usersOf returns everybody to whom owner has assigned a group or role.
func usersOf(ctx context.Context, b Entries, owner key.AccountID) ([]key.AccountID, error) {
	m, err := b.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	found := map[key.AccountID]bool{}
	n := 0
	for _, r := range []rbac.Relation{rbac.UserGroup, rbac.UserRole} {
		for kv, err := range b.Entries(ctx, rbac.Pallet, r.Store()) {
			if err != nil {
				return nil, err
			}
			if n++; n > maxListed {
				return nil, fmt.Errorf("more than %d assignments on the chain", maxListed)
			}
			all, err := rbac.DecodeAssignments(m, r, kv.Value)
			if err != nil || len(all) == 0 {
				continue // another owner's affair
			}
			k, err := rbac.AssignmentKey(m, owner, r, all[0].Holder)
			if err != nil {
				return nil, err
			}
			if bytes.Equal(k, kv.Key) {
				found[key.AccountID(all[0].Holder)] = true
			}
		}
	}
	users := make([]key.AccountID, 0, len(found))
	for u := range found {
		users = append(users, u)
	}
	slices.SortFunc(users, func(x, y key.AccountID) int { return bytes.Compare(x[:], y[:]) })
	return users, nil
}
