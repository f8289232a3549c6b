package devchain

import (
	"context"
	"fmt"
	"time"

	"iod/scale"
)

// produce makes blocks until ctx is done: at once when a transaction is ready, or every BlockTime.
func (c *Chain) produce(ctx context.Context) {
	defer c.done.Done()
	var tick <-chan time.Time
	if c.o.BlockTime > 0 {
		t := time.NewTicker(c.o.BlockTime)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			c.produceOne(false)
		case <-c.kick:
			if c.o.BlockTime == 0 {
				c.produceOne(true)
			}
		}
	}
}

// produceOne makes a block; with ifReady only when there is something to put in, and then until nothing is left.
func (c *Chain) produceOne(ifReady bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ifReady && !c.pool.hasReady(c.led.getter(c.led.head())) {
		return
	}
	if _, err := c.seal(nil); err != nil {
		c.log.Error("block could not be made", "error", err)
		return
	}
	if ifReady {
		c.poke()
	}
}

func (c *Chain) poke() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// next opens the block after the head; the lock is held.
func (c *Chain) next() *exec {
	head := c.led.head()
	state := c.led.getter(head)
	rt, err := decodeRuntime(state(codeKey))
	if err != nil {
		rt = runtime{spec: 1, tx: 1} // :code is written by this package only
	}
	x := &exec{overlay: newOverlay(state), rt: rt, number: head.number + 1, genesis: c.genesis, parent: head.id}
	if b := state(timestampKey); b != nil {
		x.now = scale.NewReader(b).U64()
	}
	return x
}

// seal makes a block out of what the pool has ready and, if given, what more does to the state, puts it on top and tells
// everybody. The lock is held.
func (c *Chain) seal(more func(x *exec)) (*block, error) {
	old := c.led.head()
	b, err := c.build(more, true)
	if err != nil {
		return nil, err
	}
	c.announce(old, []*block{b}, nil)
	return b, nil
}

// build is seal without telling.
func (c *Chain) build(more func(x *exec), fill bool) (*block, error) {
	if c.failed != nil {
		return nil, c.failed
	}
	x := c.next()
	x.now = max(uint64(max(c.o.Now().UnixMilli(), 0)), x.now+1)
	c.serial++
	digest := append([]byte{4, 6}, "idev"...)
	x.begin(scale.AppendVec(digest, scale.AppendU64(nil, c.serial)))
	if more != nil {
		x.phase = []byte{2}
		more(x)
	}
	var applied []*pooled
	if fill {
		applied = c.pool.fill(x)
	}
	x.finish()
	b, err := c.record(x)
	if err != nil {
		c.fail(err)
		return nil, err
	}
	c.included[b.id] = applied
	return b, nil
}

// record turns an executed block into the new head.
func (c *Chain) record(x *exec) (*block, error) {
	changes := x.changes()
	h := header{parentHash: x.parent, number: x.number, digest: x.get(digestKey),
		stateRoot:      stateCommitment(c.led.head().stateRoot, changes),
		extrinsicsRoot: commitment(x.extrinsics...)}
	rec := blockRecord{hash: h.hash(), header: h, extrinsics: x.extrinsics, changes: changes, finalised: c.led.finalised}
	if c.o.BlockHash != nil {
		if hash, ok := c.o.BlockHash(x.number); ok {
			rec.hash = hash
		}
	}
	return c.led.push(rec)
}

// announce moves finality on and tells subscribers and the watchers of transactions of new blocks, of which the last one is
// the head, and of those that they replaced. The lock is held.
func (c *Chain) announce(old *block, imported, retracted []*block) {
	for _, b := range retracted {
		for _, t := range c.included[b.id] {
			t.tell(map[string]any{"retracted": hexHash(b.id)}, false)
		}
	}
	for _, b := range imported {
		for _, t := range c.included[b.id] {
			if t.future {
				t.future = false
				t.tell("ready", false)
			}
			t.tell(map[string]any{"inBlock": hexHash(b.id)}, false)
		}
	}
	c.hub.publish(c, update{old: old, imported: imported})
	finalised := c.moveFinality() // after the others were told, since final blocks forget their changes
	c.hub.publish(c, update{old: old, finalised: finalised})
	for _, b := range finalised {
		for _, t := range c.included[b.id] {
			t.tell(map[string]any{"finalized": hexHash(b.id)}, true)
		}
		delete(c.included, b.id)
	}
}

// moveFinality makes final what is FinalityLag blocks behind the head, on disk too.
func (c *Chain) moveFinality() []*block {
	head := c.led.head().number
	if head < c.lag || head-c.lag <= c.led.finalised {
		return nil
	}
	if c.led.log != nil {
		if _, err := c.led.log.append(scale.AppendU32([]byte{recordFinal}, head-c.lag)); err != nil {
			c.fail(err)
			return nil
		}
	}
	return c.led.finalise(head - c.lag)
}

// NewBlock makes count blocks, the first one with what the pool has ready, and returns the hash of the last.
func (c *Chain) NewBlock(count int) (hash [32]byte, err error) {
	for range max(count, 1) {
		if hash, err = c.sealOne(nil); err != nil {
			return hash, err
		}
	}
	return hash, nil
}

func (c *Chain) sealOne(more func(*exec)) ([32]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := c.seal(more)
	if err != nil {
		return [32]byte{}, fmt.Errorf("devchain: make block: %w", err)
	}
	return b.id, nil
}
