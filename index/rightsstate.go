package index

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"iod/access"
	"iod/chain"
	"iod/key"
	"iod/pallet/rbac"
)

var (
	entityKinds = []rbac.Kind{rbac.Role, rbac.Permission, rbac.Group}
	relations   = []rbac.Relation{rbac.UserRole, rbac.UserGroup, rbac.GroupRole, rbac.RolePermission}
)

// heldKind is the kind of entity that is held in a relation.
func heldKind(r rbac.Relation) rbac.Kind {
	switch r {
	case rbac.RolePermission:
		return rbac.Permission
	case rbac.UserGroup:
		return rbac.Group
	}
	return rbac.Role
}

// readRights reads RBAC in two passes. The maps of entities are keyed by owner. Those of relations are keyed by a hash of owner, holder
// and relation: so the owner of an entry is found among those who have the entity that is held, and the hash proves it. The
// first pass holds 16 bytes of memory for each entity.
func (c *census) readRights() error {
	at := Point{Block: c.at.Number, Hash: c.at.Hash, Extrinsic: -1, FromState: true}
	var w whose
	for _, k := range entityKinds {
		if !c.has(rbac.Pallet, k.Store()) {
			continue
		}
		err := c.each(rbac.Pallet, k.Store(), partEntries, func(kv chain.KeyValue, p *Part) {
			owner, all, err := c.entities(k, kv)
			if err != nil {
				p.Events = append(p.Events, strange(kv, k.Store(), err))
				return
			}
			for _, e := range all {
				out := Entity{Owner: owner, Ref: access.Ref{Kind: k, ID: e.ID}, Name: e.Name, Since: at}
				if !e.Enabled {
					out.Until = &at
				}
				p.Entities = append(p.Entities, out)
				w.add(owner, k, e.ID)
			}
		})
		if err != nil {
			return err
		}
	}
	w.sort()
	for _, r := range relations {
		if !c.has(rbac.Pallet, r.Store()) {
			continue
		}
		err := c.each(rbac.Pallet, r.Store(), partLinks, func(kv chain.KeyValue, p *Part) {
			all, err := rbac.DecodeAssignments(c.m, r, kv.Value)
			var owner key.AccountID
			if err == nil && len(all) > 0 {
				owner, err = w.find(all, kv.Key)
			}
			if err != nil {
				p.Events = append(p.Events, strange(kv, r.Store(), err))
				return
			}
			for i, a := range all {
				since := at
				since.Event = uint32(i) // their order
				p.Links = append(p.Links, Link{Owner: owner, Assignment: a, Since: since})
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// entities reads an entry of RoleStore, PermissionStore or GroupStore.
func (c *census) entities(k rbac.Kind, kv chain.KeyValue) (owner key.AccountID, all []rbac.Entity, err error) {
	keys, err := c.m.DecodeStorageKey(rbac.Pallet, k.Store(), kv.Key)
	if err != nil {
		return owner, nil, err
	}
	ok := false
	if len(keys) == 1 {
		owner, ok = account(keys[0])
	}
	if !ok {
		return owner, nil, errShape
	}
	all, err = rbac.DecodeEntities(c.m, k, kv.Value)
	return owner, all, err
}

// strange is an entry of the state that cannot be made sense of.
func strange(kv chain.KeyValue, item string, err error) Event {
	return Event{Kind: Undecodable, Value: kv.Value, Expires: Never, Extrinsic: -1, Doubt: fmt.Sprintf("entry 0x%.200x of %s: %v", kv.Key, item, err)}
}

// whose tells who has entities by some id. Different ids may fall together, which costs a hash.
type whose struct {
	owners []key.AccountID
	have   []holding // sorted
}

type holding struct {
	id    uint64
	owner uint32
}

func short(k rbac.Kind, id rbac.ID) uint64 { return binary.LittleEndian.Uint64(id[:]) + uint64(k) }

func (w *whose) add(owner key.AccountID, k rbac.Kind, id rbac.ID) {
	if n := len(w.owners); n == 0 || w.owners[n-1] != owner {
		w.owners = append(w.owners, owner)
	}
	w.have = append(w.have, holding{short(k, id), uint32(len(w.owners) - 1)})
}

func (w *whose) sort() {
	slices.SortFunc(w.have, func(a, b holding) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.owner, b.owner)) })
}

// maxCandidates bounds the owners that are tried for one entry: ids are chosen by their owners, so many may have the same.
const maxCandidates = 1 << 16

// find returns the owner under whose keys an entry of a relation's map stands; its pairs are all the same owner's.
func (w *whose) find(all []rbac.Assignment, storageKey []byte) (owner key.AccountID, err error) {
	if len(storageKey) < 32 {
		return owner, errShape
	}
	hashed := [32]byte(storageKey[len(storageKey)-32:])
	var fewest []holding
	for i, a := range all {
		id := short(heldKind(a.Relation), a.Held)
		from, _ := slices.BinarySearchFunc(w.have, id, func(h holding, id uint64) int { return cmp.Compare(h.id, id) })
		n := 0
		for from+n < len(w.have) && w.have[from+n].id == id {
			n++
		}
		if i == 0 || n < len(fewest) {
			fewest = w.have[from : from+n]
		}
	}
	if len(fewest) > maxCandidates {
		return owner, errors.New("its owner is not known: too many have entities by the same ids")
	}
	for _, h := range fewest {
		if rbac.Holds(w.owners[h.owner], all[0], hashed) {
			return w.owners[h.owner], nil
		}
	}
	return owner, errors.New("its owner is not known: nobody who has such entities is")
}
