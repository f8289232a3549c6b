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
	Number() uint32
}

// Chain is what the judge needs of a chain client; OnChain makes one of a *chain.Client.
type Chain interface {
	Best(ctx context.Context) (View, error)
	Finalised(ctx context.Context) (View, error)
	// WaitFinalised returns the view at the canonical block of that number as soon as it is finalised.
	WaitFinalised(ctx context.Context, number uint32) (View, error)
	// WatchStorage yields the keys' values in the best chain, then each change; after a reconnect all values again.
	WatchStorage(ctx context.Context, keys [][]byte) iter.Seq2[chain.StorageChange, error]
}

// OnChain adapts a client.
func OnChain(c *chain.Client) Chain { return onChain{c} }

type onChain struct{ c *chain.Client }

type onBlock struct {
	rbac.Block
	number uint32
}

func (b onBlock) Number() uint32 { return b.number }

func viewOf(b *chain.Block, err error) (View, error) {
	if err != nil {
		return nil, err
	}
	return onBlock{b, b.Number}, nil
}

func (o onChain) Best(ctx context.Context) (View, error)      { return viewOf(o.c.Best(ctx)) }
func (o onChain) Finalised(ctx context.Context) (View, error) { return viewOf(o.c.Finalised(ctx)) }

func (o onChain) WaitFinalised(ctx context.Context, number uint32) (View, error) {
	return viewOf(o.c.WaitFinalised(ctx, number))
}

func (o onChain) WatchStorage(ctx context.Context, keys [][]byte) iter.Seq2[chain.StorageChange, error] {
	return o.c.WatchStorage(ctx, keys)
}
