package index

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"iod/chain"
	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

// owners is what OwnerStore tells of one DID: its entries (who, …) → DID account are the accounts that may write to it.
type owners struct {
	account  key.AccountID
	stranger bool // an account other than the DID's own may write to it
}

// State reads the registry in two passes. AttributeStore is keyed by a hash of account and name, so the account of an entry
// is found among the DID accounts that OwnerStore names: whoever ever added an attribute to a DID is in there. The first pass
// holds about 100 bytes of memory for each DID.
func (s chainSource) State(ctx context.Context, at Cursor, total func(uint64)) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		b, err := s.c.BlockAt(ctx, at.Hash)
		if err != nil {
			yield(Event{}, fmt.Errorf("open the state at block %d: %w", at.Number, err))
			return
		}
		m, err := b.Metadata(ctx)
		if err != nil {
			yield(Event{}, fmt.Errorf("open the state at block %d: %w", at.Number, err))
			return
		}
		known, err := readOwners(ctx, b, m)
		if err != nil {
			yield(Event{}, fmt.Errorf("read the registry's owners at block %d: %w", at.Number, err))
			return
		}
		total(uint64(len(known)))
		for kv, err := range b.Entries(ctx, did.Pallet, "AttributeStore") {
			if err != nil {
				yield(Event{}, fmt.Errorf("read the registry's attributes at block %d: %w", at.Number, err))
				return
			}
			e, ok, err := stateEvent(m, kv, known)
			if err != nil {
				err = fmt.Errorf("read the registry's attributes at block %d: entry 0x%x: %w", at.Number, kv.Key, err)
			}
			if (ok || err != nil) && (!yield(e, err) || err != nil) {
				return
			}
		}
	}
}

// readOwners maps the attribute key of every known DID's device document to its owners.
func readOwners(ctx context.Context, b *chain.Block, m *metadata.Metadata) (map[[32]byte]owners, error) {
	known := map[[32]byte]owners{}
	for kv, err := range b.Entries(ctx, did.Pallet, "OwnerStore") {
		if err != nil {
			return nil, err
		}
		whose, who, err := ownerEntry(m, kv)
		if err != nil {
			return nil, fmt.Errorf("entry 0x%x: %w", kv.Key, err)
		}
		k := did.AttributeKey(whose, document.DeviceAttribute)
		o := known[k]
		o.account, o.stranger = whose, o.stranger || who != whose
		known[k] = o
	}
	return known, nil
}

var errShape = errors.New("not of the known shape")

// ownerEntry reads an entry of OwnerStore: whose DID it is, and who may write to it.
func ownerEntry(m *metadata.Metadata, kv chain.KeyValue) (whose, who key.AccountID, err error) {
	v, err := m.DecodeStorage(did.Pallet, "OwnerStore", kv.Value)
	if err != nil {
		return whose, who, err
	}
	keys, err := m.DecodeStorageKey(did.Pallet, "OwnerStore", kv.Key)
	if err != nil {
		return whose, who, err
	}
	if len(keys) == 1 { // one key that is a tuple
		if pair, ok := keys[0].([]any); ok {
			keys = pair
		}
	}
	whose, okWhose := account(v)
	if len(keys) != 2 || !okWhose {
		return whose, who, errShape
	}
	who, okWho := account(keys[0])
	if !okWho {
		return whose, who, errShape
	}
	return whose, who, nil
}

func account(v any) (key.AccountID, bool) {
	b, ok := v.([]byte)
	if !ok || len(b) != len(key.AccountID{}) {
		return key.AccountID{}, false
	}
	return key.AccountID(b), true
}

// maxStored bounds the bytes of a stored attribute that are decoded. The registry itself takes far less.
const maxStored = 1 << 20

// stateEvent reads an entry of AttributeStore; ok is false when it is not a device's.
func stateEvent(m *metadata.Metadata, kv chain.KeyValue, known map[[32]byte]owners) (Event, bool, error) {
	e := Event{Kind: Written, Expires: Never, Extrinsic: -1}
	if len(kv.Value) > maxStored { // not decoded: it is set aside for its size
		e.Value = kv.Value
		e.identify(kv.Key, known)
		return e, e.Account != nil, nil
	}
	a, err := did.DecodeAttribute(m, kv.Value)
	if err != nil {
		return e, false, err
	}
	if a == nil || a.Name != document.DeviceAttribute {
		return e, false, nil
	}
	e.Value, e.Expires, e.Created = a.Value, a.Validity, a.Created
	e.identify(kv.Key, known)
	return e, true, nil
}

// identify finds out whose attribute it is, and whether only its own account can have written it.
func (e *Event) identify(storageKey []byte, known map[[32]byte]owners) {
	if len(storageKey) < 32 {
		return
	}
	k := [32]byte(storageKey[len(storageKey)-32:])
	o, ok := known[k]
	if !ok {
		return
	}
	e.Account = &o.account
	if o.stranger {
		e.Doubt = "read from the state, which does not tell who wrote it: another account may write to this DID too"
		return
	}
	e.Who = &o.account
}
