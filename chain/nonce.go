package chain

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"iod/chain/rpc"
	"iod/key"
	"iod/scale"
)

// accounts hands out nonces to all transactions of this client.
type accounts struct {
	signing *signing // guarded by mu
	mu      sync.Mutex
	m       map[key.AccountID]*account
}

// account is the nonces of one account. Its transactions go to the node one after another (any number may then wait for
// their block): a node takes them in at random order otherwise, and one that it refuses would leave a hole below the others.
type account struct {
	turn chan struct{} // holds a token: who takes it may submit

	mu     sync.Mutex
	flying []uint32 // nonces of transactions that are neither final nor failed, ascending
	holes  []uint32 // nonces below flying ones whose transactions failed, ascending
}

func (a *accounts) of(id key.AccountID) *account {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.m == nil {
		a.m = map[key.AccountID]*account{}
	}
	x := a.m[id]
	if x == nil {
		x = &account{turn: make(chan struct{}, 1)}
		x.turn <- struct{}{}
		a.m[id] = x
	}
	return x
}

// local returns the next nonce as far as this client's own transactions tell; false when the chain must be asked.
func (a *account) local() (uint32, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case len(a.holes) > 0:
		return a.holes[0], true
	case len(a.flying) > 0:
		return a.flying[len(a.flying)-1] + 1, true
	}
	return 0, false
}

// choose returns the nonce to use when the chain says that next is the next one.
func (a *account) choose(next uint32) uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.holes = slices.DeleteFunc(a.holes, func(n uint32) bool { return n < next })
	if len(a.holes) > 0 {
		return a.holes[0]
	}
	for slices.Contains(a.flying, next) { // a node that does not know our transactions yet
		next++
	}
	return next
}

// use marks a nonce as flying.
func (a *account) use(n uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.holes = slices.DeleteFunc(a.holes, func(x uint32) bool { return x == n })
	if i, found := slices.BinarySearch(a.flying, n); !found {
		a.flying = slices.Insert(a.flying, i, n)
	}
}

// done ends a flight. A nonce that was not used up, with others flying above it, is a hole to be filled first.
func (a *account) done(n uint32, usedUp bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flying = slices.DeleteFunc(a.flying, func(x uint32) bool { return x == n })
	switch {
	case len(a.flying) == 0:
		a.holes = nil // the chain knows best
	case !usedUp && n < a.flying[len(a.flying)-1]:
		if i, found := slices.BinarySearch(a.holes, n); !found {
			a.holes = slices.Insert(a.holes, i, n)
		}
	}
}

// nextNonce asks the node: by the RPC that counts the pool in, or else by the runtime as of the best block.
func (s *session) nextNonce(ctx context.Context, id key.AccountID) (uint32, error) {
	var n *uint32
	err := s.conn.Call(ctx, &n, "system_accountNextIndex", id.String())
	if err == nil && n != nil {
		return *n, nil
	}
	if err != nil && !lacks(err) {
		return 0, err
	}
	return s.nonceAt(ctx, id)
}

// nonceAt asks the runtime for an account's nonce as of a block, the best one when none is given.
func (s *session) nonceAt(ctx context.Context, id key.AccountID, at ...Hash) (uint32, error) {
	params := []any{"AccountNonceApi_account_nonce", hexBytes(id[:])}
	for _, h := range at {
		params = append(params, h)
	}
	var b hexBytes
	if err := s.conn.Call(ctx, &b, "state_call", params...); err != nil {
		return 0, err
	}
	if len(b) < 4 || len(b) > 8 {
		return 0, fmt.Errorf("%w: nonce of %d bytes", rpc.ErrProtocol, len(b))
	}
	return scale.NewReader(b).U32(), nil
}
