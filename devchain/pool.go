package devchain

import (
	"bytes"
	"slices"

	"iod/key"
)

// The limits of the pool.
const (
	maxPooled      = 100_000
	maxPooledBytes = 256 << 20
)

// watch is told the status of a transaction in the form of author_extrinsicUpdate.
type watch func(status any, last bool)

// pooled is a transaction whose signature is good, waiting for a block or in one that is not final.
type pooled struct {
	*extrinsic
	birth    [32]byte // the hash that its signature is over
	death    uint64   // the first block that it is too late for
	future   bool     // its watchers believe that it waits for an earlier nonce
	gone     bool     // out of the pool
	watchers []watch
}

func (t *pooled) tell(status any, last bool) {
	for _, w := range t.watchers {
		w(status, last)
	}
}

// pool holds transactions by account and nonce, and in the order of their arrival; the chain's lock guards it.
type pool struct {
	byHash    map[[32]byte]*pooled
	byAccount map[key.AccountID]map[uint32]*pooled
	order     []*pooled
	bytes     int
}

func newPool() *pool {
	return &pool{byHash: map[[32]byte]*pooled{}, byAccount: map[key.AccountID]map[uint32]*pooled{}}
}

// next returns the nonce after those that are in the pool without a gap from nonce on.
func (p *pool) next(who key.AccountID, nonce uint32) uint32 {
	for p.byAccount[who][nonce] != nil {
		nonce++
	}
	return nonce
}

// add takes a transaction in. One of the same account and nonce is replaced if the new one pays a higher tip.
func (p *pool) add(t *pooled, nonce uint32) error {
	if p.byHash[t.hash] != nil {
		return errImported
	}
	old := p.byAccount[t.who][t.nonce]
	if old != nil && old.tip.Cmp(t.tip) >= 0 {
		return errPriority
	}
	if len(p.byHash) >= maxPooled || p.bytes+len(t.raw) > maxPooledBytes {
		return errPoolFull
	}
	if old != nil {
		p.remove(old)
		old.tell(map[string]any{"usurped": hexHash(t.hash)}, true)
	}
	p.byHash[t.hash] = t
	if p.byAccount[t.who] == nil {
		p.byAccount[t.who] = map[uint32]*pooled{}
	}
	p.byAccount[t.who][t.nonce] = t
	p.order = append(p.order, t)
	p.bytes += len(t.raw)
	t.gone = false
	t.future = p.next(t.who, nonce) <= t.nonce
	if t.future {
		t.tell("future", false)
	} else {
		t.tell("ready", false)
	}
	return nil
}

func (p *pool) remove(t *pooled) {
	t.gone = true
	delete(p.byHash, t.hash)
	of := p.byAccount[t.who]
	delete(of, t.nonce)
	if len(of) == 0 {
		delete(p.byAccount, t.who)
	}
	p.bytes -= len(t.raw)
}

func (p *pool) compact() {
	p.order = slices.DeleteFunc(p.order, func(t *pooled) bool { return t.gone })
}

// fill applies what is ready to a block, account after account in the order of arrival, until it is full, and returns what
// it applied. What can never be applied is dropped.
func (p *pool) fill(x *exec) []*pooled {
	var applied []*pooled
	seen := map[key.AccountID]bool{}
	for _, first := range p.order {
		if first.gone {
			continue
		}
		if uint64(x.number) >= first.death {
			p.drop(first)
			continue
		}
		if seen[first.who] {
			continue
		}
		seen[first.who] = true
		applied = append(applied, p.fillFrom(x, first.who)...)
	}
	p.compact()
	return applied
}

// fillFrom applies the transactions of one account.
func (p *pool) fillFrom(x *exec, who key.AccountID) []*pooled {
	var applied []*pooled
	nonce := x.account(who).nonce
	for _, t := range p.byAccount[who] {
		if t.nonce < nonce {
			p.drop(t)
		}
	}
	for ; ; nonce++ {
		t := p.byAccount[who][nonce]
		if t == nil {
			return applied
		}
		if err := x.check(t.extrinsic, t.birth); err != nil {
			p.drop(t)
			return applied
		}
		if !x.fits(t.extrinsic) {
			return applied
		}
		x.apply(t.extrinsic)
		p.remove(t)
		applied = append(applied, t)
	}
}

func (p *pool) drop(t *pooled) {
	p.remove(t)
	t.tell("invalid", true)
}

// hasReady tells whether any account's next transaction is there.
func (p *pool) hasReady(state getter) bool {
	for who, of := range p.byAccount {
		if of[decodeAccount(state(accounts.key(who[:]))).nonce] != nil {
			return true
		}
	}
	return false
}

// pending returns all transactions in the order of arrival.
func (p *pool) pending() [][]byte {
	all := make([][]byte, 0, len(p.order))
	for _, t := range p.order {
		if !t.gone {
			all = append(all, bytes.Clone(t.raw))
		}
	}
	return all
}
