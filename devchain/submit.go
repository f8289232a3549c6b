package devchain

import (
	"encoding/hex"
	"errors"
	"fmt"
)

var (
	errImported = errors.New("transaction is already in the pool")
	errPriority = errors.New("transaction pays no higher tip than the one of the same nonce")
	errPoolFull = errors.New("pool is full")
)

func hexHash(h [32]byte) string { return "0x" + hex.EncodeToString(h[:]) }

func hexBytes(b []byte) string { return "0x" + hex.EncodeToString(b) }

// trial opens the next block for checking transactions against it; the lock is held, for reading at least.
func (c *Chain) trial() *exec {
	x := c.next()
	x.multiplier = multiplierOf(x.get)
	x.set(blockHashKey(x.number-1), x.parent[:])
	return x
}

// verified decodes a transaction and checks its signature, all but the decoding without the lock.
func (c *Chain) verified(raw []byte) (*pooled, error) {
	c.mu.RLock()
	if c.failed != nil {
		defer c.mu.RUnlock()
		return nil, c.failed
	}
	x := c.trial()
	xt, err := decodeExtrinsic(x.rt, raw)
	if err != nil {
		c.mu.RUnlock()
		return nil, err
	}
	birth, known := x.birthHash(xt.era)
	stale := xt.nonce < x.account(xt.who).nonce
	imported := c.pool.byHash[xt.hash] != nil
	c.mu.RUnlock()
	switch {
	case imported:
		return nil, errImported
	case !xt.found:
		return nil, errBadSigner
	case !known:
		return nil, errAncient
	case stale:
		return nil, errStale
	case xt.mode != 0 || !xt.verify(xt.payload(x.rt, c.genesis, birth)):
		return nil, errBadProof
	}
	return &pooled{extrinsic: xt, birth: birth, death: xt.era.death(x.number)}, nil
}

// Submit takes a SCALE-encoded signed extrinsic, with its length, into the pool and returns its hash.
func (c *Chain) Submit(raw []byte) (hash [32]byte, err error) { return c.submit(raw, nil) }

func (c *Chain) submit(raw []byte, w watch) ([32]byte, error) {
	t, err := c.verified(raw)
	if err != nil {
		return [32]byte{}, fmt.Errorf("devchain: submit extrinsic: %w", err)
	}
	if w != nil {
		t.watchers = append(t.watchers, w)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.enqueue(t); err != nil {
		return [32]byte{}, fmt.Errorf("devchain: submit extrinsic: %w", err)
	}
	return t.hash, nil
}

// enqueue puts a verified transaction into the pool unless it can never be applied; the lock is held.
func (c *Chain) enqueue(t *pooled) error {
	if c.failed != nil {
		return c.failed
	}
	x := c.trial()
	if err := x.check(t.extrinsic, t.birth); err != nil && !errors.Is(err, errFuture) {
		return err
	}
	if err := c.pool.add(t, x.account(t.who).nonce); err != nil {
		return err
	}
	c.poke()
	return nil
}
