package devchain

import (
	"errors"
	"fmt"

	"iod/scale"
)

// block is a block that the chain knows.
type block struct {
	header
	id      [32]byte // its hash
	parent  *block   // nil for genesis
	changes []change // dropped once the block is final
	best    bool     // on the best chain

	extrinsics [][]byte // nil when they stand in the log
	off        int64
	n          int
}

// recentBlocks is how many of the newest blocks keep their extrinsics in memory, and how many blocks that were taken back are
// remembered.
const recentBlocks = 256

// ledger is all blocks and their states; the chain's lock guards it.
type ledger struct {
	state     *history
	byHash    map[[32]byte]*block
	canon     []*block // by number
	retracted []*block // oldest first
	finalised uint32
	log       *chainLog // nil for a chain in memory
}

func newLedger() *ledger {
	return &ledger{state: newHistory(), byHash: map[[32]byte]*block{}}
}

func (l *ledger) head() *block { return l.canon[len(l.canon)-1] }

// getter returns the state after a block.
func (l *ledger) getter(b *block) getter {
	if b.best {
		return func(key string) []byte { return l.state.at(key, b.number) }
	}
	return func(key string) []byte {
		for b := b; ; b = b.parent {
			if b.best {
				return l.state.at(key, b.number)
			}
			for _, c := range b.changes {
				if c.key == key {
					return c.value
				}
			}
		}
	}
}

// body returns the extrinsics of a block.
func (l *ledger) body(b *block) [][]byte {
	if b.extrinsics != nil {
		return b.extrinsics
	}
	return readExtrinsics(scale.NewReader(l.log.read(b.off, b.n)))
}

// push adds a block on top of the best chain, writing it to the log first.
func (l *ledger) push(rec blockRecord) (*block, error) {
	if l.log == nil {
		return l.link(rec, 0, 0, nil), nil
	}
	payload, extrinsics, offs := rec.encode()
	at, err := l.log.append(payload)
	if err != nil {
		return nil, err
	}
	for i := range offs {
		offs[i] += at
	}
	return l.link(rec, at+int64(extrinsics), len(payload)-extrinsics, offs), nil
}

// link makes a record the head of the best chain.
func (l *ledger) link(rec blockRecord, off int64, n int, offs []int64) *block {
	b := &block{header: rec.header, id: rec.hash, changes: rec.changes, best: true,
		extrinsics: rec.extrinsics, off: off, n: n}
	if b.number > 0 {
		b.parent = l.head()
	}
	if b.extrinsics == nil {
		b.extrinsics = [][]byte{} // of genesis
	}
	l.state.push(b.number, b.changes, offs)
	l.canon = append(l.canon, b)
	l.byHash[b.id] = b
	if old := len(l.canon) - recentBlocks; off != 0 && old > 0 {
		l.canon[old].extrinsics = nil
	}
	l.finalise(rec.finalised)
	return b
}

// pop takes the newest block off the best chain and remembers it.
func (l *ledger) pop() *block {
	b := l.head()
	l.state.pop(b.changes)
	b.best = false
	l.canon = l.canon[:len(l.canon)-1]
	l.retracted = append(l.retracted, b)
	if len(l.retracted) > recentBlocks {
		delete(l.byHash, l.retracted[0].id)
		l.retracted = l.retracted[1:]
	}
	return b
}

// finalise makes the best chain up to number final and returns the blocks that were not yet.
func (l *ledger) finalise(number uint32) []*block {
	var fresh []*block
	for n := l.finalised + 1; n <= number && int(n) < len(l.canon); n++ {
		l.canon[n].changes = nil
		l.finalised = n
		fresh = append(fresh, l.canon[n])
	}
	return fresh
}

var (
	errLogOrder = errors.New("block does not fit the chain")
	errLogKind  = errors.New("record is of an unknown kind")
)

// load takes a record of the log.
func (l *ledger) load(payload []byte, at int64) error {
	if len(payload) == 0 {
		return errLogKind
	}
	switch payload[0] {
	case recordBlock:
		rec, extrinsics, offs, err := decodeBlockRecord(payload)
		if err != nil {
			return err
		}
		if err := l.rewind(rec.header); err != nil {
			return err
		}
		for i := range offs {
			offs[i] += at
		}
		l.link(rec, at+int64(extrinsics), len(payload)-extrinsics, offs)
		return nil
	case recordFinal:
		r := scale.NewReader(payload[1:])
		l.finalise(r.U32())
		return r.End()
	}
	return errLogKind
}

// rewind takes blocks back until the head is the parent of h.
func (l *ledger) rewind(h header) error {
	if h.number == 0 && len(l.canon) == 0 {
		return nil
	}
	parent := int(h.number) - 1
	if parent < int(l.finalised) || parent >= len(l.canon) || l.canon[parent].id != h.parentHash {
		return fmt.Errorf("%w: number %d", errLogOrder, h.number)
	}
	for len(l.canon)-1 > parent {
		l.pop()
	}
	return nil
}
