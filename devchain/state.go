package devchain

import (
	"slices"
	"sort"
	"strings"

	"iod/metadata"
	"iod/scale"
)

// change is the value that a block leaves under a key; nil removes the key.
type change struct {
	key   string
	value []byte
}

// overlay is state being changed: reads fall through to base, writes can be taken back to a mark.
type overlay struct {
	base    func(key string) []byte
	values  map[string][]byte // nil: removed
	journal []undo
}

type undo struct {
	key   string
	value []byte
	had   bool
}

func newOverlay(base func(string) []byte) *overlay {
	return &overlay{base: base, values: map[string][]byte{}}
}

func (o *overlay) get(key string) []byte {
	if v, ok := o.values[key]; ok {
		return v
	}
	return o.base(key)
}

func (o *overlay) has(key string) bool { return o.get(key) != nil }

// set stores a value, which the caller must not change afterwards.
func (o *overlay) set(key string, value []byte) {
	old, had := o.values[key]
	o.journal = append(o.journal, undo{key, old, had})
	if value == nil {
		value = []byte{}
	}
	o.values[key] = value
}

func (o *overlay) remove(key string) {
	old, had := o.values[key]
	o.journal = append(o.journal, undo{key, old, had})
	o.values[key] = nil
}

func (o *overlay) mark() int { return len(o.journal) }

// rollback undoes all that was written since mark.
func (o *overlay) rollback(mark int) {
	for i := len(o.journal) - 1; i >= mark; i-- {
		u := o.journal[i]
		if u.had {
			o.values[u.key] = u.value
		} else {
			delete(o.values, u.key)
		}
	}
	o.journal = o.journal[:mark]
}

// changes returns what differs from the base, by key.
func (o *overlay) changes() []change {
	all := make([]change, 0, len(o.values))
	for k, v := range o.values {
		if old := o.base(k); (old == nil) != (v == nil) || !slices.Equal(old, v) {
			all = append(all, change{k, v})
		}
	}
	slices.SortFunc(all, func(a, b change) int { return strings.Compare(a.key, b.key) })
	return all
}

// version is the value of a key as of a block. Old versions of a chain on disk stand in the log only.
type version struct {
	number uint32
	gone   bool
	off    int64 // in the log, when mem is nil
	n      int
	mem    []byte
}

// history holds the state at every block of the best chain: the versions of each key in the order of their blocks.
type history struct {
	versions map[string][]version
	keys     []string // sorted
	fresh    []string // not sorted in yet
	read     func(off int64, n int) []byte
}

func newHistory() *history { return &history{versions: map[string][]version{}} }

// at returns the value of a key after block number, nil when there is none.
func (h *history) at(key string, number uint32) []byte {
	vs := h.versions[key]
	i := before(vs, number)
	if i == 0 || vs[i-1].gone {
		return nil
	}
	if vs[i-1].mem == nil {
		return h.read(vs[i-1].off, vs[i-1].n)
	}
	return vs[i-1].mem
}

// before is how many of the versions are of block number or older.
func before(vs []version, number uint32) int {
	if n := len(vs); n == 0 || vs[n-1].number <= number {
		return n
	}
	return sort.Search(len(vs), func(i int) bool { return vs[i].number > number })
}

// has reports whether a key has a value after block number, without reading it.
func (h *history) has(key string, number uint32) bool {
	vs := h.versions[key]
	i := before(vs, number)
	return i > 0 && !vs[i-1].gone
}

// push adds the changes of a block. offs tells where in the log each value stands; nil for a chain in memory.
func (h *history) push(number uint32, changes []change, offs []int64) {
	for i, c := range changes {
		vs, known := h.versions[c.key]
		if !known {
			h.fresh = append(h.fresh, c.key)
		}
		v := version{number: number, gone: c.value == nil, mem: c.value, n: len(c.value)}
		if offs != nil {
			v.off = offs[i]
			if len(vs) > 0 && vs[len(vs)-1].off != 0 {
				vs[len(vs)-1].mem = nil
			}
		}
		h.versions[c.key] = append(vs, v)
	}
}

// pop takes the changes of the newest block back.
func (h *history) pop(changes []change) {
	for _, c := range changes {
		vs := h.versions[c.key]
		h.versions[c.key] = vs[:len(vs)-1]
	}
}

// sortKeys makes scan possible; it needs the chain's write lock.
func (h *history) sortKeys() {
	if len(h.fresh) == 0 {
		return
	}
	h.keys = append(h.keys, h.fresh...)
	h.fresh = nil
	sort.Strings(h.keys)
}

// scan calls yield with the keys that start with prefix and come after start, in order, until it returns false.
func (h *history) scan(prefix, start string, yield func(key string) bool) {
	i := sort.SearchStrings(h.keys, prefix)
	if start >= prefix {
		i = sort.Search(len(h.keys), func(i int) bool { return h.keys[i] > start })
	}
	for ; i < len(h.keys) && strings.HasPrefix(h.keys[i], prefix); i++ {
		if !yield(h.keys[i]) {
			return
		}
	}
}

// Storage keys.

func plainKey(pallet, item string) string {
	p, i := metadata.Twox128([]byte(pallet)), metadata.Twox128([]byte(item))
	return string(p[:]) + string(i[:])
}

// blakeMap is a map hashed with blake2_128_concat.
type blakeMap string

func newBlakeMap(pallet, item string) blakeMap { return blakeMap(plainKey(pallet, item)) }

func (m blakeMap) key(k []byte) string {
	h := metadata.Blake2_128(k)
	return string(m) + string(h[:]) + string(k)
}

const codeKey = ":code"

var (
	numberKey      = plainKey("System", "Number")
	parentHashKey  = plainKey("System", "ParentHash")
	digestKey      = plainKey("System", "Digest")
	eventsKey      = plainKey("System", "Events")
	eventCountKey  = plainKey("System", "EventCount")
	blockWeightKey = plainKey("System", "BlockWeight")
	upgradeKey     = plainKey("System", "LastRuntimeUpgrade")
	timestampKey   = plainKey("Timestamp", "Now")
	issuanceKey    = plainKey("Balances", "TotalIssuance")
	multiplierKey  = plainKey("TransactionPayment", "NextFeeMultiplier")
	accounts       = newBlakeMap("System", "Account")
	blockHashes    = plainKey("System", "BlockHash")
)

// blockHashKey is the key of System.BlockHash, which is hashed with twox_64_concat.
func blockHashKey(number uint32) string {
	k := scale.AppendU32(nil, number)
	h := metadata.Twox64(k)
	return blockHashes + string(h[:]) + string(k)
}
