package atlas

import (
	"hash/maphash"

	"iod/key"
)

// slot is where a listing is: a block's number and the row in it.
type slot uint32

const (
	rowBits = 10
	noSlot  = slot(1<<32 - 1)
)

func slotOf(b uint32, row int) slot { return slot(b<<rowBits | uint32(row)) }
func (s slot) block() uint32        { return uint32(s) >> rowBits }
func (s slot) row() int             { return int(s & (1<<rowBits - 1)) }

// table finds listings by account: a hash table with linear probing that holds slots only; accounts stand in the blocks.
type table struct {
	seed  maphash.Seed
	slots []slot // a power of two
	used  int
}

func newTable() table {
	t := table{seed: maphash.MakeSeed()}
	t.clear(1 << 10)
	return t
}

func (t *table) clear(size int) {
	t.slots, t.used = make([]slot, size), 0
	for i := range t.slots {
		t.slots[i] = noSlot
	}
}

func (t *table) home(a *key.AccountID) int {
	return int(maphash.Bytes(t.seed, a[:])) & (len(t.slots) - 1)
}

// find returns the place in the table of an account, or the empty one where it would be.
func (t *table) find(a *key.AccountID, at func(slot) *key.AccountID) (i int, known bool) {
	for i = t.home(a); ; i = (i + 1) & (len(t.slots) - 1) {
		if t.slots[i] == noSlot {
			return i, false
		}
		if *at(t.slots[i]) == *a {
			return i, true
		}
	}
}

// add puts a slot where find found none.
func (t *table) add(i int, s slot, at func(slot) *key.AccountID) {
	t.slots[i] = s
	if t.used++; t.used > len(t.slots)/4*3 {
		t.grow(at)
	}
}

func (t *table) grow(at func(slot) *key.AccountID) {
	old := t.slots
	t.clear(2 * len(old))
	for _, s := range old {
		if s != noSlot {
			i, _ := t.find(at(s), at)
			t.slots[i] = s
			t.used++
		}
	}
}

// remove empties a place, and moves those up that were pushed on by it.
func (t *table) remove(i int, at func(slot) *key.AccountID) {
	mask := len(t.slots) - 1
	for j := i; ; {
		j = (j + 1) & mask
		s := t.slots[j]
		if s == noSlot {
			break
		}
		if home := t.home(at(s)); (j-home)&mask >= (j-i)&mask { // i lies between its home and j
			t.slots[i] = s
			i = j
		}
	}
	t.slots[i] = noSlot
	t.used--
}
