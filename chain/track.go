package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"iod/chain/rpc"
	"iod/metadata"
)

const (
	// maxWalk bounds how many blocks back a transaction is looked for.
	maxWalk = 2048
	// resendAfter is after how many best blocks without it a transaction is sent again, in case the pool lost it.
	resendAfter = 3
)

// errLost is the error of a transaction whose nonce was used in blocks that were not looked at.
var errLost = errors.New("transaction was lost from sight: its nonce was used during a long time without connection")

// tracker looks for the client's transactions in best and finalised blocks, over any transport and across reconnects: it follows
// heads and reads the bodies of blocks only while there are transactions under way.
type tracker struct {
	c *Client

	mu    sync.Mutex
	txs   map[Hash]*Tx
	chase *chase // nil while there is nothing to look for
}

// add begins to look for a transaction; false when the client is closed.
func (tr *tracker) add(t *Tx) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.chase == nil {
		ch := &chase{tr: tr, floor: t.since, turn: make(chan struct{}, 1)}
		ch.turn <- struct{}{}
		ch.ctx, ch.cancel = context.WithCancel(tr.c.ctx)
		if !tr.c.run(ch.run) {
			ch.cancel()
			return false
		}
		tr.chase = ch
	}
	if tr.txs == nil {
		tr.txs = map[Hash]*Tx{}
	}
	tr.txs[t.Hash] = t
	return true
}

// drop stops looking for a transaction; without any left, the chase ends.
func (tr *tracker) drop(t *Tx) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	delete(tr.txs, t.Hash)
	if len(tr.txs) == 0 && tr.chase != nil {
		tr.chase.cancel()
		tr.chase = nil
	}
}

// list returns the transactions looked for, in the order of their nonces.
func (tr *tracker) list() []*Tx {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	all := make([]*Tx, 0, len(tr.txs))
	for _, t := range tr.txs {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *Tx) int { return int(int64(a.nonce) - int64(b.nonce)) })
	return all
}

func (tr *tracker) find(h Hash) *Tx {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.txs[h]
}

// chase is one time of looking, from the first transaction under way to the last.
type chase struct {
	tr     *tracker
	ctx    context.Context
	cancel context.CancelFunc

	turn  chan struct{} // holds a token: who takes it handles a head, one at a time
	tail  []*seen       // the best chain as far as it was looked at, ascending, without a gap
	floor uint32        // number up to which nothing is looked for
	final uint32        // the newest finalised number handled
}

// seen is a block that was looked through.
type seen struct {
	block *Block
	found []foundTx
}

type foundTx struct {
	t     *Tx
	index uint32
}

// run follows both kinds of heads until the chase is over.
func (ch *chase) run() {
	var wg sync.WaitGroup
	for _, f := range []struct {
		finalised bool
		use       func(context.Context, *session, Hash, *header) error
	}{{false, ch.best}, {true, ch.finalised}} {
		wg.Go(func() {
			_ = ch.tr.c.follow(ch.ctx, f.finalised, f.use) // ends with ctx only
		})
	}
	wg.Wait()
	if ch.tr.c.ctx.Err() != nil {
		for _, t := range ch.tr.list() {
			t.fail(ErrClosed)
		}
	}
}

// take waits for the turn to handle a head: a node is asked meanwhile.
func (ch *chase) take(ctx context.Context) error {
	select {
	case <-ch.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (ch *chase) give() { ch.turn <- struct{}{} }

// best handles a best head.
func (ch *chase) best(ctx context.Context, s *session, hash Hash, h *header) error {
	if err := ch.take(ctx); err != nil {
		return err
	}
	defer ch.give()
	switch n := uint32(h.Number); {
	case n < ch.final:
		return nil // of a node that is behind
	case n > ch.final && n > ch.floor:
		if err := ch.advance(ctx, s, hash, h); err != nil {
			return err
		}
	}
	return ch.resend(ctx, s)
}

// advance makes hash the end of the looked-through chain. It fetches what is missing back to where the chain is known, and only
// then changes anything.
func (ch *chase) advance(ctx context.Context, s *session, hash Hash, h *header) error {
	if ch.position(hash) >= 0 {
		return nil // an ancestor of what is known: a node that is behind
	}
	var path []*seen
	join := -1
	for cur := hash; ; {
		x, err := ch.look(ctx, s, cur)
		if err != nil {
			return err
		}
		if uint64(x.block.Number)+uint64(len(path)) != uint64(h.Number) {
			return fmt.Errorf("%w: block %d is said to stand %d below block %d", rpc.ErrProtocol, x.block.Number, len(path), h.Number)
		}
		path = append(path, x)
		if join = ch.position(x.block.Parent); join >= 0 || x.block.Number <= ch.floor+1 || len(path) >= maxWalk {
			break
		}
		cur = x.block.Parent
	}
	slices.Reverse(path)
	for _, gone := range ch.tail[join+1:] {
		for _, f := range gone.found {
			f.t.retract(gone.block)
		}
	}
	ch.tail = append(ch.tail[:join+1], path...)
	for _, x := range path {
		for _, f := range x.found {
			f.t.place(&place{block: x.block, index: f.index})
		}
	}
	return nil
}

// position returns the index in the tail of a block; -1 when it is not there.
func (ch *chase) position(hash Hash) int {
	for i := len(ch.tail) - 1; i >= 0; i-- {
		if ch.tail[i].block.Hash == hash {
			return i
		}
	}
	return -1
}

// look reads a block's body and finds our transactions in it.
func (ch *chase) look(ctx context.Context, s *session, hash Hash) (*seen, error) {
	x, err := s.body(ctx, hash)
	if err != nil {
		return nil, err
	}
	out := &seen{block: ch.tr.c.newBlock(hash, &x.Block.Header)}
	for i, raw := range x.Block.Extrinsics {
		if t := ch.tr.find(metadata.Blake2_256(raw)); t != nil {
			out.found = append(out.found, foundTx{t, uint32(i)})
		}
	}
	return out, nil
}

// resend sends transactions again that a reorganisation dropped or that no block has taken for a while.
func (ch *chase) resend(ctx context.Context, s *session) error {
	for _, t := range ch.tr.list() {
		if !t.due() {
			continue
		}
		_, err := s.hash(ctx, "author_submitExtrinsic", hexBytes(t.raw))
		var answered *rpc.Error
		if err != nil && !errors.As(err, &answered) {
			t.hurry()
			return err
		}
		err = refusal(err, t.from)
		var pay *ErrCannotPay
		switch {
		case err == nil, errors.Is(err, errImported), errors.Is(err, errFuture), errors.Is(err, ErrBanned), errors.Is(err, ErrPoolFull):
		case errors.Is(err, errStaleNonce):
			t.markStale() // by itself, in a block still to be seen, or by another
		case errors.Is(err, errAncient):
			ch.end(t, fmt.Errorf("%w: %w", ErrExpired, err), false)
		case errors.As(err, &pay), errors.Is(err, ErrBadProof), errors.Is(err, ErrRefused):
			ch.end(t, err, false)
		}
	}
	return nil
}

// end closes a transaction's case.
func (ch *chase) end(t *Tx, err error, usedUp bool) {
	t.acc.done(t.nonce, usedUp)
	ch.tr.drop(t)
	t.fail(err)
}

// finalised handles a finalised head: what stands in its chain is final, what can no longer get there has failed.
func (ch *chase) finalised(ctx context.Context, s *session, hash Hash, h *header) error {
	if err := ch.take(ctx); err != nil {
		return err
	}
	defer ch.give()
	n := uint32(h.Number)
	if n <= ch.final || n <= ch.floor {
		return nil
	}
	if err := ch.advance(ctx, s, hash, h); err != nil {
		return err
	}
	for _, t := range ch.tr.list() {
		err := ch.judge(ctx, s, t, n, hash)
		if err != nil {
			return err
		}
	}
	ch.final, ch.floor = n, n
	if i := ch.position(hash); i > 0 {
		ch.tail = slices.Clone(ch.tail[i:])
	}
	return nil
}

// judge says what a finalised head n means for a transaction.
func (ch *chase) judge(ctx context.Context, s *session, t *Tx, n uint32, hash Hash) error {
	p, stale := t.state()
	switch {
	case p != nil && p.block.Number <= n:
		t.acc.done(t.nonce, true)
		ch.tr.drop(t)
		t.finish(p)
	case p != nil:
	case t.death != 0 && uint64(n)+1 >= t.death && n > t.since:
		ch.end(t, ErrExpired, false)
	case stale:
		next, err := s.nonceAt(ctx, t.from, hash)
		if err != nil {
			return err
		}
		if next > t.nonce {
			err := error(ErrNonceTaken)
			if len(ch.tail) > 0 && ch.tail[0].block.Number > ch.floor+1 {
				err = errLost
			}
			ch.end(t, err, true)
		}
	}
	return nil
}
