package access

import (
	"context"
	"iter"

	"iod/chain"
	"iod/pallet/rbac"
)

// View is the chain's state as of one block.
type View interface {
	rbac.Block
	Position() (hash chain.Hash, number uint32)
}

// Chain is what the judge needs of a chain client; OnChain makes one of a *chain.Client.
type Chain interface {
	Best(ctx context.Context) (View, error)
	Finalised(ctx context.Context) (View, error)
	At(ctx context.Context, h chain.Hash) (View, error)
	// WaitFinalised returns the view at the canonical block of that number as soon as it is finalised.
	WaitFinalised(ctx context.Context, number uint32) (View, error)
	// WatchStorage yields the keys' values in the best chain, then each change; after a reconnect all values again.
	WatchStorage(ctx context.Context, keys [][]byte) iter.Seq2[chain.StorageChange, error]
	// Probe proves that a node answers.
	Probe(ctx context.Context) error
}

// OnChain adapts a client.
func OnChain(c *chain.Client) Chain { return onChain{c} }

type onChain struct{ c *chain.Client }

type onBlock struct{ *chain.Block }

func (b onBlock) Position() (chain.Hash, uint32) { return b.Hash, b.Number }

func viewOf(b *chain.Block, err error) (View, error) {
	if err != nil {
		return nil, err
	}
	return onBlock{b}, nil
}

func (o onChain) Best(ctx context.Context) (View, error)      { return viewOf(o.c.Best(ctx)) }
func (o onChain) Finalised(ctx context.Context) (View, error) { return viewOf(o.c.Finalised(ctx)) }
func (o onChain) Probe(ctx context.Context) error             { return o.c.Probe(ctx) }

func (o onChain) At(ctx context.Context, h chain.Hash) (View, error) {
	return viewOf(o.c.BlockAt(ctx, h))
}

func (o onChain) WaitFinalised(ctx context.Context, number uint32) (View, error) {
	return viewOf(o.c.WaitFinalised(ctx, number))
}

func (o onChain) WatchStorage(ctx context.Context, keys [][]byte) iter.Seq2[chain.StorageChange, error] {
	return o.c.WatchStorage(ctx, keys)
}
