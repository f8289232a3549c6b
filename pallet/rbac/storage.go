package rbac

import (
	"context"
	"fmt"

	"golang.org/x/crypto/blake2b"

	"iod/chain"
	"iod/key"
	"iod/metadata"
)

// Bounds of what is decoded of one stored value. The runtime's own bound is 262,144 items.
const (
	maxStored      = 4 << 20
	MaxEntities    = 1 << 15
	MaxAssignments = 1 << 12
)

// Block is the view of the chain that reads need; *chain.Block is one.
type Block interface {
	Metadata(ctx context.Context) (*metadata.Metadata, error)
	Raw(ctx context.Context, keys ...[]byte) ([]chain.KeyValue, error)
}

func scoped(owner key.AccountID, id ID, tag string) [32]byte {
	b := make([]byte, 0, 64+len(tag))
	return blake2b.Sum256(append(append(append(b, owner[:]...), id[:]...), tag...))
}

// Holds reports whether a pair of a relation stands under owner's keys: whether hashed is the key of its holder there. The owner of
// an entry in the maps of the relations, whose keys are hashes, is found by that.
func Holds(owner key.AccountID, a Assignment, hashed [32]byte) bool {
	return scoped(owner, a.Holder, relations[a.Relation].tag) == hashed
}

// StoreKey returns the storage key of all entities of owner's of the kind.
func StoreKey(m *metadata.Metadata, owner key.AccountID, k Kind) ([]byte, error) {
	return m.StorageKey(Pallet, k.Store(), owner)
}

// EntityKey returns the storage key of one entity, in KeysLookUpStore.
func EntityKey(m *metadata.Metadata, owner key.AccountID, k Kind, id ID) ([]byte, error) {
	h := scoped(owner, id, k.tag())
	return m.StorageKey(Pallet, "KeysLookUpStore", h[:])
}

// AssignmentKey returns the storage key of what holder holds in a relation.
func AssignmentKey(m *metadata.Metadata, owner key.AccountID, r Relation, holder ID) ([]byte, error) {
	h := scoped(owner, holder, relations[r].tag)
	return m.StorageKey(Pallet, relations[r].store, h[:])
}

type storedEntity struct {
	ID      ID
	Name    []byte
	Enabled bool
}

func (e *storedEntity) entity() Entity { return Entity{e.ID, string(e.Name), e.Enabled} }

// DecodeEntity decodes a value of KeysLookUpStore; nil raw is an absent entity and gives nil.
func DecodeEntity(m *metadata.Metadata, raw []byte) (*Entity, error) {
	if raw == nil {
		return nil, nil
	}
	var e storedEntity
	if err := decode(m, "KeysLookUpStore", raw, &e); err != nil {
		return nil, fmt.Errorf("decode entity: %w", err)
	}
	out := e.entity()
	return &out, nil
}

// DecodeEntities decodes a value of RoleStore, PermissionStore or GroupStore; nil raw gives none.
func DecodeEntities(m *metadata.Metadata, k Kind, raw []byte) ([]Entity, error) {
	if raw == nil {
		return nil, nil
	}
	var all []storedEntity
	if err := decode(m, k.Store(), raw, &all); err != nil {
		return nil, fmt.Errorf("decode %ss: %w", k, err)
	}
	if len(all) > MaxEntities {
		return nil, fmt.Errorf("decode %ss: %d are more than %d", k, len(all), MaxEntities)
	}
	out := make([]Entity, len(all))
	for i := range all {
		out[i] = all[i].entity()
	}
	return out, nil
}

// DecodeAssignments decodes the pairs of a relation that stand under one key; nil raw gives none.
func DecodeAssignments(m *metadata.Metadata, r Relation, raw []byte) ([]Assignment, error) {
	if raw == nil {
		return nil, nil
	}
	var pairs []struct {
		User       ID `scale:"user,optional"`
		Role       ID `scale:"role,optional"`
		Group      ID `scale:"group,optional"`
		Permission ID `scale:"permission,optional"`
	}
	if err := decode(m, relations[r].store, raw, &pairs); err != nil {
		return nil, fmt.Errorf("decode %s: %w", r, err)
	}
	if len(pairs) > MaxAssignments {
		return nil, fmt.Errorf("decode %s: %d pairs are more than %d", r, len(pairs), MaxAssignments)
	}
	out := make([]Assignment, len(pairs))
	for i, p := range pairs {
		byField := map[string]ID{"user": p.User, "role": p.Role, "group": p.Group, "permission": p.Permission}
		out[i] = Assignment{r, byField[relations[r].holder], byField[relations[r].held]}
	}
	return out, nil
}

func decode(m *metadata.Metadata, store string, raw []byte, dst any) error {
	if len(raw) > maxStored {
		return fmt.Errorf("%s: %d bytes are more than %d", store, len(raw), maxStored)
	}
	v, err := m.DecodeStorage(Pallet, store, raw)
	if err != nil {
		return err
	}
	return metadata.Assign(dst, v)
}

// Entities reads all entities of owner's of the kind as of the block.
func Entities(ctx context.Context, b Block, owner key.AccountID, k Kind) ([]Entity, error) {
	m, raw, err := readOne(ctx, b, func(m *metadata.Metadata) ([]byte, error) { return StoreKey(m, owner, k) })
	if err != nil {
		return nil, fmt.Errorf("read %ss of %s: %w", k, owner, err)
	}
	return DecodeEntities(m, k, raw)
}

// ReadEntity reads one entity of owner's as of the block; nil when there is none.
func ReadEntity(ctx context.Context, b Block, owner key.AccountID, k Kind, id ID) (*Entity, error) {
	m, raw, err := readOne(ctx, b, func(m *metadata.Metadata) ([]byte, error) { return EntityKey(m, owner, k, id) })
	if err != nil {
		return nil, fmt.Errorf("read %s %s of %s: %w", k, id, owner, err)
	}
	return DecodeEntity(m, raw)
}

// Held reads what holder holds in a relation of owner's as of the block.
func Held(ctx context.Context, b Block, owner key.AccountID, r Relation, holder ID) ([]Assignment, error) {
	m, raw, err := readOne(ctx, b, func(m *metadata.Metadata) ([]byte, error) { return AssignmentKey(m, owner, r, holder) })
	if err != nil {
		return nil, fmt.Errorf("read %s %s at %s: %w", r, holder, owner, err)
	}
	return DecodeAssignments(m, r, raw)
}

func readOne(ctx context.Context, b Block, where func(*metadata.Metadata) ([]byte, error)) (*metadata.Metadata, []byte, error) {
	m, err := b.Metadata(ctx)
	if err != nil {
		return nil, nil, err
	}
	k, err := where(m)
	if err != nil {
		return nil, nil, err
	}
	kvs, err := b.Raw(ctx, k)
	if err != nil {
		return nil, nil, err
	}
	if len(kvs) != 1 {
		return nil, nil, fmt.Errorf("%d values for one key", len(kvs))
	}
	return m, kvs[0].Value, nil
}
