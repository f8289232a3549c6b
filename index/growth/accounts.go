package growth

import "math/bits"

// accounts is a hash table of what stands for accounts, with linear probing. The lowest bit says whether the account's device is offered, so
// that it takes eight bytes for each, and a quarter as much again for room.
type accounts struct {
	slots []uint64 // 0: empty
	used  int
}

const offered = 1

func newAccounts() accounts { return accounts{slots: make([]uint64, 1<<10)} }

// find is the place of an account's hash, or the empty one where it would be. A hash of 0 stands for another one.
func (t *accounts) find(hash uint64) int {
	hash = keyOf(hash)
	place, _ := bits.Mul64(hash*0x9e3779b97f4a7c15, uint64(len(t.slots)))
	for i := int(place); ; i++ {
		if i == len(t.slots) {
			i = 0
		}
		if s := t.slots[i]; s == 0 || s&^offered == hash {
			return i
		}
	}
}

func keyOf(hash uint64) uint64 { return max(hash&^offered, 2) }

// at says what stands in a place.
func (t *accounts) at(place int) (live, known bool) {
	s := t.slots[place]
	return s&offered != 0, s != 0
}

// set puts an account into the place that find found for it.
func (t *accounts) set(place int, hash uint64, live bool) {
	if t.slots[place] == 0 {
		t.used++
	}
	t.slots[place] = keyOf(hash)
	if live {
		t.slots[place] |= offered
	}
	if t.used <= len(t.slots)/8*7 {
		return
	}
	old := t.slots
	t.slots = make([]uint64, len(old)+len(old)/4)
	for _, s := range old {
		if s != 0 {
			t.slots[t.find(s)] = s
		}
	}
}
