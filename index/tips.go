package index

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"iod/chain"
)

// ChainTips follows a chain's best and finalised blocks through its client.
func ChainTips(c *chain.Client) Tips { return chainSource{c} }

// Tips joins two followings, each with a goroutine of its own, which end with it.
func (s chainSource) Tips(ctx context.Context) iter.Seq2[Tip, error] {
	return func(yield func(Tip, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		type news struct {
			at    Cursor
			final bool
			err   error
		}
		told := make(chan news)
		follow := func(blocks iter.Seq2[*chain.Block, error], final bool) {
			for b, err := range blocks {
				n := news{final: final, err: err}
				if err == nil {
					n.at = Cursor{b.Number, b.Hash}
				}
				select {
				case told <- n:
				case <-ctx.Done():
					return
				}
			}
		}
		wg.Go(func() { follow(s.c.FollowBest(ctx), false) })
		wg.Go(func() { follow(s.c.FollowFinality(ctx), true) })
		var tip Tip
		var best, final bool
		for {
			var n news
			select {
			case n = <-told:
			case <-ctx.Done():
				return
			}
			switch {
			case n.err != nil:
				yield(Tip{}, fmt.Errorf("follow the newest blocks: %w", n.err))
				return
			case n.final:
				tip.Final, final = n.at, true
			default:
				tip.Best, best = n.at, true
			}
			if best && final && !yield(tip, nil) {
				return
			}
		}
	}
}

// BlockAt reads the block of a hash.
func (s chainSource) BlockAt(ctx context.Context, hash Hash) (Block, error) {
	b, err := s.c.BlockAt(ctx, hash)
	if err != nil {
		return Block{}, err
	}
	return s.insist(ctx, b)
}
