package chain

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"iod/chain/rpc"
)

const (
	pageSize = 256     // keys asked for at once by Entries
	maxKey   = 4 << 10 // bytes of a storage key
)

// Storage reads and decodes one entry; nil when it is absent and has no default.
func (b *Block) Storage(ctx context.Context, pallet, item string, keys ...any) (any, error) {
	m, err := b.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	k, err := m.StorageKey(pallet, item, keys...)
	if err != nil {
		return nil, err
	}
	got, err := b.Raw(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("storage %s.%s: %w", pallet, item, err)
	}
	return m.DecodeStorage(pallet, item, got[0].Value)
}

// Raw reads entries by their whole keys in one request, in the order of keys; absent ones have a nil Value.
func (b *Block) Raw(ctx context.Context, keys ...[]byte) ([]KeyValue, error) {
	out := make([]KeyValue, len(keys))
	for i, k := range keys {
		out[i].Key = k
	}
	if len(keys) == 0 {
		return out, nil
	}
	err := b.c.on(ctx, func(s *session) error {
		if len(keys) == 1 {
			return s.each(ctx, b.Hash, out)
		}
		return s.read(ctx, b.Hash, out)
	})
	if err != nil {
		return nil, fmt.Errorf("state at block %d: %w", b.Number, err)
	}
	return out, nil
}

// read reads entries by one call, or by one for each where a node lacks that or leaves keys out of its answer: one that does not
// speak of a key has not said that it is absent.
func (s *session) read(ctx context.Context, at Hash, kvs []KeyValue) error {
	whole, err := s.queryAt(ctx, at, kvs)
	if lacks(err) || err == nil && !whole {
		return s.each(ctx, at, kvs)
	}
	return err
}

// each reads entries by a call for each, in one frame.
func (s *session) each(ctx context.Context, at Hash, kvs []KeyValue) error {
	values := make([]*hexBytes, len(kvs))
	reqs := make([]*rpc.Request, len(kvs))
	for i := range kvs {
		reqs[i] = &rpc.Request{Method: "state_getStorage", Params: []any{hexBytes(kvs[i].Key), at}, Result: &values[i]}
	}
	if err := s.batch(ctx, reqs...); err != nil {
		return err
	}
	if err := firstError(reqs); err != nil {
		return err
	}
	for i, v := range values {
		if kvs[i].Value = nil; v != nil {
			kvs[i].Value = present(*v)
		}
	}
	return nil
}

// present makes an empty value differ from none.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// changeSet is what nodes call the entries of a block.
type changeSet struct {
	Block   Hash               `json:"block"`
	Changes list[[2]*hexBytes] `json:"changes"`
}

// queryAt reads entries by one call, and reports whether the answer speaks of every key.
func (s *session) queryAt(ctx context.Context, at Hash, kvs []KeyValue) (whole bool, err error) {
	keys := make([]hexBytes, len(kvs))
	for i := range kvs {
		keys[i] = kvs[i].Key
	}
	var sets list[changeSet]
	if err := s.conn.Call(ctx, &sets, "state_queryStorageAt", keys, at); err != nil {
		return false, err
	}
	found := map[string][]byte{}
	for _, set := range sets {
		for _, c := range set.Changes {
			switch {
			case c[0] == nil:
				return false, fmt.Errorf("%w: change without a key", rpc.ErrProtocol)
			case c[1] == nil:
				found[string(*c[0])] = nil
			default:
				found[string(*c[0])] = present(*c[1])
			}
		}
	}
	whole = true
	for i := range kvs {
		v, ok := found[string(kvs[i].Key)]
		kvs[i].Value, whole = v, whole && ok
	}
	return whole, nil
}

// Entries yields all entries of a map (below the given leading keys) in the order of their keys, page by page.
func (b *Block) Entries(ctx context.Context, pallet, item string, keys ...any) iter.Seq2[KeyValue, error] {
	return func(yield func(KeyValue, error) bool) {
		m, err := b.Metadata(ctx)
		if err != nil {
			yield(KeyValue{}, err)
			return
		}
		prefix, err := m.StorageKey(pallet, item, keys...)
		if err != nil {
			yield(KeyValue{}, err)
			return
		}
		for kv, err := range b.entries(ctx, prefix) {
			if err != nil {
				err = fmt.Errorf("entries of %s.%s: %w", pallet, item, err)
			}
			if !yield(kv, err) {
				return
			}
		}
	}
}

func (b *Block) entries(ctx context.Context, prefix []byte) iter.Seq2[KeyValue, error] {
	return func(yield func(KeyValue, error) bool) {
		for last := []byte(nil); ; {
			keys, err := b.page(ctx, prefix, last)
			if err != nil {
				yield(KeyValue{}, err)
				return
			}
			kvs, err := b.Raw(ctx, keys...)
			if err != nil {
				yield(KeyValue{}, err)
				return
			}
			for _, kv := range kvs {
				if !yield(kv, nil) {
					return
				}
			}
			if len(keys) < pageSize {
				return
			}
			last = keys[len(keys)-1]
		}
	}
}

// page returns the next keys below prefix after last. They must ascend, or a node could keep us busy for ever.
func (b *Block) page(ctx context.Context, prefix, last []byte) ([][]byte, error) {
	var raw list[hexBytes]
	err := b.c.on(ctx, func(s *session) error {
		params := []any{hexBytes(prefix), pageSize, nil, b.Hash}
		if last != nil {
			params[2] = hexBytes(last)
		}
		raw = nil
		if err := s.conn.Call(ctx, &raw, "state_getKeysPaged", params...); err != nil {
			return err
		}
		prev := last
		for _, k := range raw {
			if !bytes.HasPrefix(k, prefix) || prev != nil && bytes.Compare(k, prev) <= 0 || len(k) > maxKey || len(raw) > pageSize {
				return fmt.Errorf("%w: keys are not those asked for, or not in order", rpc.ErrProtocol)
			}
			prev = k
		}
		return nil
	})
	keys := make([][]byte, len(raw))
	for i := range raw {
		keys[i] = raw[i]
	}
	return keys, err
}
