package devchain

import (
	"fmt"
	"math/big"
	"time"

	"iod/key"
)

// SetBalance makes a block that sets the free balance of an account, in planck; zero removes the account.
func (c *Chain) SetBalance(id key.AccountID, free *big.Int) ([32]byte, error) {
	if free.Sign() < 0 || free.Cmp(maxBalance) > 0 {
		return [32]byte{}, fmt.Errorf("devchain: set balance of %s: %s planck is out of range", id, free)
	}
	return c.sealOne(func(x *exec) {
		a := x.account(id)
		x.changeIssuance(new(big.Int).Sub(free, a.free))
		if free.Sign() == 0 {
			x.remove(accounts.key(id[:]))
			return
		}
		a.free, a.providers = free, 1
		x.putAccount(id, a)
		x.deposit(balancesIndex, 3, id[:], appendU128(nil, free), make([]byte, 16))
	})
}

// SetStorage makes a block that sets raw storage; nil removes a key.
func (c *Chain) SetStorage(values map[string][]byte) ([32]byte, error) {
	return c.sealOne(func(x *exec) {
		for k, v := range values {
			if v == nil {
				x.remove(k)
			} else {
				x.set(k, v)
			}
		}
	})
}

// Upgrade says what a runtime upgrade changes.
type Upgrade struct {
	SpecVersion  uint32 // 0: the next one
	TxVersion    uint32 // 0: as before
	MetadataHash bool   // transactions carry the signed extension CheckMetadataHash from now on
}

// Upgrade makes a block that changes the runtime. The metadata after it holds one more constant, System.DevchainUpgrade.
func (c *Chain) Upgrade(u Upgrade) ([32]byte, error) {
	return c.sealOne(func(x *exec) {
		rt := x.rt
		rt.marker = true
		rt.metadataHash = u.MetadataHash
		if rt.spec++; u.SpecVersion != 0 {
			rt.spec = u.SpecVersion
		}
		if u.TxVersion != 0 {
			rt.tx = u.TxVersion
		}
		x.set(codeKey, rt.encode())
		x.deposit(systemIndex, 2)
	})
}

// SetFinalityLag changes how many blocks finality is behind; what is final stays so.
func (c *Chain) SetFinalityLag(blocks uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lag = blocks
	c.announce(c.led.head(), nil, nil)
}

// Reorg says how Chain.Reorganise replaces blocks.
type Reorg struct {
	Depth  int  // how many of the newest blocks go; they must not be final
	Length int  // how many new ones come; 0: one more than go
	Drop   bool // forget their transactions; otherwise they go back into the pool and into the new blocks
}

// Reorganise replaces the newest blocks by others, as a fork that wins does: subscribers of new heads see its last block only.
// Transactions whose mortality began in a block that went are invalid thereafter. It returns the hash of the new head.
func (c *Chain) Reorganise(r Reorg) ([32]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	head := c.led.head()
	if free := int(head.number - c.led.finalised); r.Depth < 1 || r.Depth > free {
		return [32]byte{}, fmt.Errorf("devchain: reorganise %d blocks: %d are not final", r.Depth, free)
	}
	if r.Length <= 0 {
		r.Length = r.Depth + 1
	}
	retracted := make([]*block, 0, r.Depth)
	for range r.Depth {
		retracted = append(retracted, c.led.pop())
	}
	if !r.Drop {
		c.revive(retracted)
	}
	imported := make([]*block, 0, r.Length)
	for range r.Length {
		b, err := c.build(nil, !r.Drop)
		if err != nil {
			return [32]byte{}, fmt.Errorf("devchain: reorganise: %w", err)
		}
		imported = append(imported, b)
	}
	c.announce(head, imported, retracted)
	for _, b := range retracted {
		if r.Drop {
			for _, t := range c.included[b.id] {
				t.tell("dropped", true)
			}
		}
		delete(c.included, b.id)
	}
	return c.led.head().id, nil
}

// revive puts the transactions of blocks that went back into the pool, oldest first; the lock is held.
func (c *Chain) revive(retracted []*block) {
	for i := len(retracted) - 1; i >= 0; i-- {
		b := retracted[i]
		known, ok := c.included[b.id]
		if !ok { // from before a restart
			known = c.reread(b)
		}
		for _, t := range known {
			watchers := t.watchers
			t.watchers = nil // told of the retraction and the new block, not of the pool
			if err := c.enqueue(t); err != nil {
				for _, w := range watchers {
					w("invalid", true)
				}
				continue
			}
			t.watchers, t.future = watchers, false
		}
	}
}

// reread decodes the transactions of a block that was made before a restart.
func (c *Chain) reread(b *block) []*pooled {
	x := c.trial()
	var all []*pooled
	for _, raw := range c.led.body(b)[1:] {
		xt, err := decodeExtrinsic(x.rt, raw)
		if err != nil {
			continue
		}
		if birth, known := x.birthHash(xt.era); known && xt.verify(xt.payload(x.rt, c.genesis, birth)) {
			all = append(all, &pooled{extrinsic: xt, birth: birth, death: xt.era.death(x.number)})
		}
	}
	return all
}

// Best returns the number and hash of the newest block.
func (c *Chain) Best() (number uint32, hash [32]byte) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.led.head().number, c.led.head().id
}

// Finalised returns the number and hash of the newest final block.
func (c *Chain) Finalised() (number uint32, hash [32]byte) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.led.finalised, c.led.canon[c.led.finalised].id
}

// Stall makes the server hold all answers and notifications back, or let them go again.
func (c *Chain) Stall(on bool) { c.server.gate.set(!on) }

// StallFor is Stall for a while.
func (c *Chain) StallFor(d time.Duration) {
	c.Stall(true)
	time.AfterFunc(d, func() { c.Stall(false) })
}

// DropConnections cuts all WebSocket connections off.
func (c *Chain) DropConnections() { c.server.drop() }
