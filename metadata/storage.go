package metadata

import (
	"bytes"
	"fmt"

	"iod/scale"
	"iod/spelling"
)

// entry returns a storage entry by name, or nil.
func (p *pallet) entry(name string) *storage {
	for i := range p.storage {
		if p.storage[i].name == name {
			return &p.storage[i]
		}
	}
	return nil
}

func (m *Metadata) storage(pallet, item string) (*pallet, *storage, error) {
	p, err := m.pallet(pallet)
	if err != nil {
		return nil, nil, err
	}
	if s := p.entry(item); s != nil {
		return p, s, nil
	}
	return nil, nil, &NotFoundError{"storage entry", pallet, item, spelling.Nearest(item, func(yield func(string) bool) {
		for _, s := range p.storage {
			if !yield(s.name) {
				return
			}
		}
	})}
}

// StorageType returns the type of an entry's value and the types of its keys.
func (m *Metadata) StorageType(pallet, item string) (value TypeID, keys []TypeID, err error) {
	_, s, err := m.storage(pallet, item)
	if err != nil {
		return NoType, nil, err
	}
	return s.value, append([]TypeID(nil), s.keys...), nil
}

// prefix returns the first 32 bytes of an entry's storage keys.
func (s *storage) prefix(p *pallet) []byte {
	a, b := Twox128([]byte(p.prefix)), Twox128([]byte(s.name))
	return append(append(make([]byte, 0, 96), a[:]...), b[:]...)
}

// StorageKey returns the whole key of an entry, or a prefix of it when fewer keys than the map has are given.
//
//	twox_128(prefix of the pallet) twox_128(name of the entry) {hash of each key, and the key where the hasher says so}
func (m *Metadata) StorageKey(pallet, item string, keys ...any) ([]byte, error) {
	p, s, err := m.storage(pallet, item)
	if err != nil {
		return nil, err
	}
	if len(keys) > len(s.keys) {
		return nil, fmt.Errorf("metadata: key of %s.%s: %w", pallet, item,
			misfit("want at most %d keys, got %d", len(s.keys), len(keys)))
	}
	out := s.prefix(p)
	for i, k := range keys {
		e := encoder{m: m}
		if err := e.value(s.keys[i], k); err != nil {
			return nil, fmt.Errorf("metadata: key of %s.%s: %w", pallet, item, within(fmt.Sprintf("key %d", i+1), err))
		}
		out = s.hashers[i].Append(out, e.b)
	}
	return out, nil
}

// DecodeStorage decodes a stored value; nil raw gives the item's default, or nil where it is optional.
func (m *Metadata) DecodeStorage(pallet, item string, raw []byte) (any, error) {
	_, s, err := m.storage(pallet, item)
	if err != nil {
		return nil, err
	}
	if raw == nil {
		if s.optional {
			return nil, nil
		}
		raw = []byte(s.fallback)
	} else {
		raw = clone(raw)
	}
	d := newDecoder(m, scale.NewReader(raw))
	v := d.value(s.value)
	if err := d.r.End(); err != nil {
		return nil, fmt.Errorf("metadata: decode storage %s.%s as %s at byte %d of %d: %w",
			pallet, item, m.name(s.value), d.r.Offset(), len(raw), err)
	}
	return v, nil
}

// EncodeStorage returns the stored form of a value of an entry.
func (m *Metadata) EncodeStorage(pallet, item string, v any) ([]byte, error) {
	_, s, err := m.storage(pallet, item)
	if err != nil {
		return nil, err
	}
	e := encoder{m: m}
	if err := e.value(s.value, v); err != nil {
		return nil, fmt.Errorf("metadata: encode storage %s.%s: %w", pallet, item, err)
	}
	return e.b, nil
}

// DecodeStorageKey returns the keys that hashers with a readable tail (blake2_128_concat, twox_64_concat,
// identity) leave in a storage key; the others are nil. It refuses a key whose hashes are not those of what follows them.
func (m *Metadata) DecodeStorageKey(pallet, item string, key []byte) ([]any, error) {
	p, s, err := m.storage(pallet, item)
	if err != nil {
		return nil, err
	}
	prefix := s.prefix(p)
	if !bytes.HasPrefix(key, prefix) {
		return nil, fmt.Errorf("metadata: decode key of %s.%s: %d bytes are not a key of this entry: %w",
			pallet, item, len(key), ErrMalformed)
	}
	key = clone(key[len(prefix):])
	d := newDecoder(m, scale.NewReader(key))
	keys := make([]any, len(s.keys))
	for i, h := range s.hashers {
		hash := d.r.Bytes(h.size())
		if !h.Readable() {
			continue
		}
		from := d.r.Offset()
		keys[i] = d.value(s.keys[i])
		if d.r.Err() == nil && !bytes.HasPrefix(h.Append(nil, key[from:d.r.Offset()]), hash) {
			d.r.Fail(fmt.Errorf("%s of key %d is wrong: %w", h, i+1, ErrMalformed))
		}
	}
	if err := d.r.End(); err != nil {
		return nil, fmt.Errorf("metadata: decode key of %s.%s: %w", pallet, item, err)
	}
	return keys, nil
}

// Constant returns a decoded constant of a pallet.
func (m *Metadata) Constant(pallet, name string) (any, error) {
	p, err := m.pallet(pallet)
	if err != nil {
		return nil, err
	}
	for _, c := range p.constants {
		if c.name == name {
			return m.Decode(c.typ, []byte(c.value))
		}
	}
	return nil, &NotFoundError{"constant", pallet, name, spelling.Nearest(name, func(yield func(string) bool) {
		for _, c := range p.constants {
			if !yield(c.name) {
				return
			}
		}
	})}
}
