package index

import (
	"context"
	"fmt"
	"iter"

	"iod/chain"
	"iod/document"
	"iod/metadata"
	"iod/pallet/did"
)

// Source is the chain as the index sees it: finalised blocks only.
type Source interface {
	// Genesis is the hash of block 0: the network's identity.
	Genesis() Hash
	// Finalised returns the newest finalised block.
	Finalised(ctx context.Context) (Cursor, error)
	// HashAt returns the hash of the canonical block of that number.
	HashAt(ctx context.Context, number uint32) (Hash, error)
	// Follow yields every finalised block from number from on, ascending, without a gap, until ctx ends. An error that it
	// yields is final.
	Follow(ctx context.Context, from uint32) iter.Seq2[Block, error]
	// State yields the device attributes that the registry holds as of a block. Once it knows about how many entries there
	// are it tells total.
	State(ctx context.Context, at Cursor, total func(uint64)) iter.Seq2[Event, error]
}

// ChainSource follows a chain through its client.
func ChainSource(c *chain.Client) Source { return chainSource{c} }

type chainSource struct{ c *chain.Client }

func (s chainSource) Genesis() Hash { return s.c.Genesis() }

func (s chainSource) Finalised(ctx context.Context) (Cursor, error) {
	b, err := s.c.Finalised(ctx)
	if err != nil {
		return Cursor{}, fmt.Errorf("ask for the newest finalised block: %w", err)
	}
	return Cursor{b.Number, b.Hash}, nil
}

func (s chainSource) HashAt(ctx context.Context, number uint32) (Hash, error) {
	b, err := s.c.BlockByNumber(ctx, number)
	if err != nil {
		return Hash{}, fmt.Errorf("ask for block %d: %w", number, err)
	}
	return b.Hash, nil
}

func (s chainSource) Follow(ctx context.Context, from uint32) iter.Seq2[Block, error] {
	return func(yield func(Block, error) bool) {
		for b, err := range s.c.FollowFinalised(ctx, from) {
			if err != nil {
				yield(Block{}, fmt.Errorf("follow finalised blocks: %w", err))
				return
			}
			block, err := readBlock(ctx, b)
			if err != nil {
				err = fmt.Errorf("read block %d: %w", b.Number, err)
			}
			if !yield(block, err) || err != nil {
				return
			}
		}
	}
}

// readBlock takes the device attributes' events out of a block. Its time is read only when there are any.
func readBlock(ctx context.Context, b *chain.Block) (Block, error) {
	block := Block{Cursor: Cursor{b.Number, b.Hash}, Parent: b.Parent}
	events, err := b.Events(ctx)
	if err != nil {
		return block, err
	}
	changes, err := did.Events(events)
	if err != nil {
		return block, err
	}
	for _, e := range changes {
		if e.Name == document.DeviceAttribute {
			block.Events = append(block.Events, eventOf(e, b.Number))
		}
	}
	if len(block.Events) > 0 {
		if block.Time, err = b.Time(ctx); err != nil {
			return block, err
		}
	}
	return block, nil
}

func eventOf(e did.Event, number uint32) Event {
	out := Event{Kind: Written, Who: &e.Who, Account: &e.Account, Value: e.Value, Expires: e.Validity(number), Extrinsic: -1, Index: uint32(e.Index)}
	if e.Kind == did.Removed {
		out.Kind = Erased
	}
	if e.Phase == metadata.ApplyExtrinsic {
		out.Extrinsic = int32(e.Extrinsic)
	}
	return out
}
