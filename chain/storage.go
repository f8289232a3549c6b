package chain

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync"

	"iod/chain/rpc"
)

const (
	pageSize   = 512     // keys asked for at once by Entries; nodes give 1000 at most
	pagesAhead = 2       // pages whose values are fetched while the one before is consumed
	maxKey     = 4 << 10 // bytes of a storage key
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
	var got changeSets
	if err := s.conn.Call(ctx, &got, "state_queryStorageAt", keys, at); err != nil {
		return false, err
	}
	found := map[string][]byte{}
	for _, set := range got.sets {
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

// Entries yields all entries of a map (below the given leading keys) in the order of their keys. It reads ahead by a few pages.
func (b *Block) Entries(ctx context.Context, pallet, item string, keys ...any) iter.Seq2[KeyValue, error] {
	return b.EntriesAfter(ctx, nil, pallet, item, keys...)
}

// EntriesAfter is Entries from behind a whole storage key on: so what failed is continued. A nil after stands for the beginning.
func (b *Block) EntriesAfter(ctx context.Context, after []byte, pallet, item string, keys ...any) iter.Seq2[KeyValue, error] {
	return func(yield func(KeyValue, error) bool) {
		prefix, err := b.prefix(ctx, pallet, item, keys...)
		if err != nil {
			yield(KeyValue{}, err)
			return
		}
		for kv, err := range b.entries(ctx, prefix, after) {
			if err != nil {
				err = fmt.Errorf("entries of %s.%s: %w", pallet, item, err)
			}
			if !yield(kv, err) {
				return
			}
		}
	}
}

// Count tells about how many entries a map has whose first key is hashed, from its first page of keys: hashes lie evenly. What
// fits into a page is counted exactly.
func (b *Block) Count(ctx context.Context, pallet, item string) (uint64, error) {
	prefix, err := b.prefix(ctx, pallet, item)
	if err != nil {
		return 0, err
	}
	keys, err := b.page(ctx, prefix, nil)
	if err != nil {
		return 0, fmt.Errorf("count entries of %s.%s: %w", pallet, item, err)
	}
	if len(keys) < pageSize {
		return uint64(len(keys)), nil
	}
	var place [8]byte
	copy(place[:], keys[len(keys)-1][len(prefix):])
	part := (float64(binary.BigEndian.Uint64(place[:])) + 1) / (1 << 64)
	return uint64(min(float64(len(keys))/part, 1<<40)), nil
}

func (b *Block) prefix(ctx context.Context, pallet, item string, keys ...any) ([]byte, error) {
	m, err := b.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	return m.StorageKey(pallet, item, keys...)
}

// page is some entries on their way: kvs and err are set before ready is closed.
type page struct {
	kvs   []KeyValue
	err   error
	ready chan struct{}
}

func (b *Block) entries(ctx context.Context, prefix, last []byte) iter.Seq2[KeyValue, error] {
	return func(yield func(KeyValue, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		pages := make(chan *page, pagesAhead)
		wg.Go(func() { b.turn(ctx, prefix, last, pages, &wg) })
		for p := range pages {
			<-p.ready
			if p.err != nil {
				yield(KeyValue{}, p.err)
				return
			}
			for _, kv := range p.kvs {
				if !yield(kv, nil) {
					return
				}
			}
		}
		if err := ctx.Err(); err != nil {
			yield(KeyValue{}, context.Cause(ctx))
		}
	}
}

// turn asks for keys page by page and has the values of each fetched meanwhile.
func (b *Block) turn(ctx context.Context, prefix, last []byte, pages chan<- *page, wg *sync.WaitGroup) {
	defer close(pages)
	for {
		keys, err := b.page(ctx, prefix, last)
		p := &page{err: err, ready: make(chan struct{})}
		select {
		case pages <- p:
		case <-ctx.Done():
			return
		}
		if err != nil || len(keys) == 0 {
			close(p.ready)
			return
		}
		wg.Go(func() {
			defer close(p.ready)
			p.kvs, p.err = b.values(ctx, keys)
		})
		if len(keys) < pageSize {
			return
		}
		last = keys[len(keys)-1]
	}
}

// values is Raw in as many parts as the node's answers need to stay within their limit.
func (b *Block) values(ctx context.Context, keys [][]byte) ([]KeyValue, error) {
	kvs, err := b.Raw(ctx, keys...)
	if !errors.Is(err, rpc.ErrTooLarge) || len(keys) == 1 {
		return kvs, err
	}
	half := len(keys) / 2
	first, err := b.values(ctx, keys[:half])
	if err != nil {
		return nil, err
	}
	second, err := b.values(ctx, keys[half:])
	return append(first, second...), err
}

// page returns the next keys below prefix after last. They must ascend, or a node could keep us busy for ever.
func (b *Block) page(ctx context.Context, prefix, last []byte) ([][]byte, error) {
	var raw hexList
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
	return raw, err
}
