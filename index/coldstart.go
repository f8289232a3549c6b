package index

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"iod/chain"
	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
	"iod/pallet/rbac"
)

// owners is what OwnerStore tells of one DID: its entries (who, …) → DID account are the accounts that may write to it.
type owners struct {
	account  key.AccountID
	stranger bool // an account other than the DID's own may write to it
}

// State reads the registry in two passes. AttributeStore is keyed by a hash of account and name, so the account of an entry
// is found among the DID accounts that OwnerStore names: whoever ever added an attribute to a DID is in there; a runtime
// without it leaves the documents to name their account. The first pass holds about 100 bytes of memory for each DID. RBAC follows.
func (s chainSource) State(ctx context.Context, at Cursor, total func(documents, others uint64)) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		b, err := patiently(ctx, func(ctx context.Context) (*chain.Block, error) { return s.c.BlockAt(ctx, at.Hash) })
		if err != nil {
			yield(Part{}, fmt.Errorf("open the state at block %d: %w", at.Number, err))
			return
		}
		m, err := patiently(ctx, b.Metadata)
		if err != nil {
			yield(Part{}, fmt.Errorf("open the state at block %d: %w", at.Number, err))
			return
		}
		c := &census{ctx: ctx, b: b, m: m, at: at, yield: yield}
		if documents, others, err := c.count(); err != nil {
			yield(Part{}, fmt.Errorf("read the state at block %d: %w", at.Number, explain(err)))
			return
		} else {
			total(documents, others)
		}
		if err := c.read(); err != nil && !c.stopped {
			yield(Part{}, fmt.Errorf("read the state at block %d: %w", at.Number, explain(err)))
		}
	}
}

// census is one reading of the state.
type census struct {
	ctx     context.Context
	b       *chain.Block
	m       *metadata.Metadata
	at      Cursor
	yield   func(Part, error) bool
	stopped bool
}

// has reports whether the runtime has a storage item.
func (c *census) has(pallet, item string) bool {
	_, err := c.m.StorageKey(pallet, item)
	return !errors.Is(err, metadata.ErrNotFound)
}

// count tells about how many entries there will be, OwnerStore apart, which goes fast.
func (c *census) count() (documents, others uint64, err error) {
	items := [][2]string{{did.Pallet, "AttributeStore"}}
	for _, k := range entityKinds {
		items = append(items, [2]string{rbac.Pallet, k.Store()})
	}
	for _, r := range relations {
		items = append(items, [2]string{rbac.Pallet, r.Store()})
	}
	for _, i := range items {
		if !c.has(i[0], i[1]) {
			continue
		}
		n, err := patiently(c.ctx, func(ctx context.Context) (uint64, error) { return c.b.Count(ctx, i[0], i[1]) })
		if err != nil {
			return 0, 0, err
		}
		if i[0] == did.Pallet {
			documents += n
		} else {
			others += n
		}
	}
	return documents, others, nil
}

func (c *census) read() error {
	r := registry{m: c.m}
	if err := r.readOwners(c); err != nil {
		return fmt.Errorf("the registry's owners: %w", err)
	}
	if err := c.each(did.Pallet, "AttributeStore", partDocuments, func(kv chain.KeyValue, p *Part) {
		if e, ok := r.event(kv); ok {
			p.Events = append(p.Events, e)
		}
	}); err != nil {
		return fmt.Errorf("the registry's attributes: %w", err)
	}
	r.known = nil // for the memory
	if err := c.readRights(); err != nil {
		return fmt.Errorf("RBAC: %w", err)
	}
	return nil
}

// How many entries of the state make a part. Keys are hashes, so that devices come in no order, and an owner's links lie scattered over
// the map: many at once are brought into the order in which stores keep them.
const (
	partEntries   = 128
	partDocuments = 1 << 10
	partLinks     = 1 << 14
)

// each reads all entries of a map into parts of a size, which it yields. While no endpoint answers it waits, and continues where it was.
func (c *census) each(pallet, item string, size uint64, read func(chain.KeyValue, *Part)) error {
	var p Part
	flush := func() error {
		if p.Entries == 0 {
			return nil
		}
		slices.SortStableFunc(p.Events, func(a, b Event) int { return a.Created.Compare(b.Created) })
		slices.SortFunc(p.Links, func(a, b Link) int {
			return cmp.Or(bytes.Compare(a.Owner[:], b.Owner[:]), bytes.Compare(a.Held[:], b.Held[:]), bytes.Compare(a.Holder[:], b.Holder[:]))
		})
		if !c.yield(p, nil) {
			c.stopped = true
			return errStopped
		}
		p = Part{}
		return nil
	}
	err := c.walk(pallet, item, func(kv chain.KeyValue) error {
		read(kv, &p)
		if p.Entries++; p.Entries < size {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

var errStopped = errors.New("stopped")

// walk calls each for all entries of a map.
func (c *census) walk(pallet, item string, each func(chain.KeyValue) error) error {
	var last []byte
	for pause := firstTry; ; pause = min(2*pause, lastTry) {
		var failed error
		for kv, err := range c.b.EntriesAfter(c.ctx, last, pallet, item) {
			if err != nil {
				failed = err
				break
			}
			if err := each(kv); err != nil {
				return err
			}
			last, pause = kv.Key, firstTry
		}
		if failed == nil || !silent(failed) {
			return failed
		}
		select {
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-time.After(pause):
		}
	}
}

// registry makes events of the state's entries.
type registry struct {
	m     *metadata.Metadata
	known map[[32]byte]owners // by the attribute key of the DID's device document
	doubt string              // why the owners are not all known; empty when they are
}

// readOwners reads OwnerStore. A runtime without it, and entries of it that cannot be decoded, leave it in doubt who may write
// where: then no unsigned document is believed.
func (r *registry) readOwners(c *census) error {
	r.known = map[[32]byte]owners{}
	if !c.has(did.Pallet, "OwnerStore") {
		r.doubt = "this runtime has no OwnerStore, which would tell who may write to the DID"
		return nil
	}
	return c.walk(did.Pallet, "OwnerStore", func(kv chain.KeyValue) error {
		whose, who, err := ownerEntry(r.m, kv)
		if err != nil {
			r.doubt = fmt.Sprintf("who may write to the DID is not known: entry 0x%.200x of OwnerStore: %v", kv.Key, err)
			return nil
		}
		k := did.AttributeKey(whose, document.DeviceAttribute)
		o := r.known[k]
		o.account, o.stranger = whose, o.stranger || who != whose
		r.known[k] = o
		return nil
	})
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

// event reads an entry of AttributeStore; ok is false when it is not a device's. One that cannot be decoded is an event too.
func (r *registry) event(kv chain.KeyValue) (e Event, ok bool) {
	e = Event{Kind: Written, Expires: Never, Extrinsic: -1}
	if len(kv.Value) > maxStored { // not decoded: it is set aside for its size
		e.Value = kv.Value
		r.identify(&e, kv.Key)
		return e, e.Account != nil
	}
	a, err := did.DecodeAttribute(r.m, kv.Value)
	if err != nil {
		r.identify(&e, kv.Key)
		e.Kind, e.Value, e.Doubt = Undecodable, kv.Value, fmt.Sprintf("entry 0x%.200x of the registry: %v", kv.Key, err)
		return e, true
	}
	if a == nil || a.Name != document.DeviceAttribute {
		return e, false
	}
	e.Value, e.Expires, e.Created = a.Value, a.Validity, a.Created
	r.identify(&e, kv.Key)
	return e, true
}

// identify finds out whose attribute it is, and whether only its own account can have written it. Where OwnerStore does not name
// the account the document itself may: the storage key, a hash of account and name, proves it.
func (r *registry) identify(e *Event, storageKey []byte) {
	if len(storageKey) < 32 {
		return
	}
	k := [32]byte(storageKey[len(storageKey)-32:])
	o, ok := r.known[k]
	switch {
	case !ok:
		e.Account, e.Doubt = named(e.Value, k), "read from the state, which does not tell who wrote it: "+r.doubt
		if r.doubt == "" {
			e.Doubt = "read from the state, whose OwnerStore names nobody who may have written it"
		}
		return
	case o.stranger:
		e.Doubt = "read from the state, which does not tell who wrote it: another account may write to this DID too"
	case r.doubt != "":
		e.Doubt = "read from the state, which does not tell who wrote it: " + r.doubt
	default:
		e.Who = &o.account
	}
	e.Account = &o.account
}

// named returns the account that a document names if its device attribute has the key; nil otherwise.
func named(raw []byte, attributeKey [32]byte) *key.AccountID {
	if len(raw) > maxDocument {
		return nil
	}
	doc, err := document.Parse(raw)
	if err != nil {
		return nil
	}
	a, err := key.ParseAccount(doc.ID)
	if err != nil || did.AttributeKey(a, document.DeviceAttribute) != attributeKey {
		return nil
	}
	return &a
}
