package growth

// accounts is a hash table of what stands for accounts, with linear probing. The lowest bit says whether the account's device is offered, so
// that it takes eight bytes for each, and half as much again for room.
type accounts struct {
	slots []uint64 // a power of two; 0: empty
	used  int
}

const offered = 1

func newAccounts() accounts { return accounts{slots: make([]uint64, 1<<10)} }

// find is the place of an account's hash, or the empty one where it would be. A hash of 0 stands for another one.
func (t *accounts) find(hash uint64) int {
	hash = keyOf(hash)
	mask := uint64(len(t.slots) - 1)
	for i := hash >> 1 & mask; ; i = (i + 1) & mask {
		if s := t.slots[i]; s == 0 || s&^offered == hash {
			return int(i)
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
	if t.used <= len(t.slots)/4*3 {
		return
	}
	old := t.slots
	t.slots = make([]uint64, 2*len(old))
	for _, s := range old {
		if s != 0 {
			t.slots[t.find(s)] = s
		}
	}
}
