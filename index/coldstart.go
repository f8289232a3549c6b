package index

import (
	"context"
	"fmt"
	"iter"

	"iod/chain"
	"iod/document"
	"iod/key"
	"iod/metadata"
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
		for kv, err := range b.Entries(ctx, "PeaqDid", "AttributeStore") {
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
	for kv, err := range b.Entries(ctx, "PeaqDid", "OwnerStore") {
		if err != nil {
			return nil, err
		}
		did, who, err := ownerEntry(m, kv)
		if err != nil {
			return nil, fmt.Errorf("entry 0x%x: %w", kv.Key, err)
		}
		k := attributeKey(did)
		o := known[k]
		o.account, o.stranger = did, o.stranger || who != did
		known[k] = o
	}
	return known, nil
}

func ownerEntry(m *metadata.Metadata, kv chain.KeyValue) (did, who key.AccountID, err error) {
	v, err := m.DecodeStorage("PeaqDid", "OwnerStore", kv.Value)
	if err != nil {
		return did, who, err
	}
	keys, err := m.DecodeStorageKey("PeaqDid", "OwnerStore", kv.Key)
	if err != nil {
		return did, who, err
	}
	if len(keys) == 1 { // one key that is a tuple
		if pair, ok := keys[0].([]any); ok {
			keys = pair
		}
	}
	did, okDID := account(v)
	if len(keys) != 2 || !okDID {
		return did, who, errShape
	}
	who, okWho := account(keys[0])
	if !okWho {
		return did, who, errShape
	}
	return did, who, nil
}

// attributeKey is the key of a DID's device document in AttributeStore: blake2_256(account ‖ name).
func attributeKey(a key.AccountID) [32]byte {
	return metadata.Blake2_256(append(a[:len(a):len(a)], document.DeviceAttribute...))
}

// stateEvent reads an entry of AttributeStore; ok is false when it is not a device's.
func stateEvent(m *metadata.Metadata, kv chain.KeyValue, known map[[32]byte]owners) (Event, bool, error) {
	v, err := m.DecodeStorage("PeaqDid", "AttributeStore", kv.Value)
	if err != nil {
		return Event{}, false, err
	}
	f, _ := v.(metadata.Fields)
	name, _ := f.Get("name")
	value, _ := f.Get("value")
	validity, _ := f.Get("validity")
	created, _ := f.Get("created")
	n, okName := name.([]byte)
	raw, okValue := value.([]byte)
	until, okUntil := validity.(uint64)
	if !okName || !okValue || !okUntil {
		return Event{}, false, errShape
	}
	if string(n) != document.DeviceAttribute {
		return Event{}, false, nil
	}
	e := Event{Kind: Written, Value: raw, Expires: Never, Extrinsic: -1}
	if until < uint64(Never) {
		e.Expires = uint32(until)
	}
	e.Created, _ = created.(uint64)
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
