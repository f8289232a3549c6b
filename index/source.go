package index

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"iod/chain"
	"iod/document"
	"iod/key"
	"iod/metadata"
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
	for i, e := range events {
		if e.Pallet != "PeaqDid" {
			continue
		}
		ev, ok, err := attributeEvent(e, b.Number)
		if err != nil {
			return block, fmt.Errorf("event %d: %w", i, err)
		}
		if ok {
			ev.Index = uint32(i)
			block.Events = append(block.Events, ev)
		}
	}
	if len(block.Events) > 0 {
		if block.Time, err = b.Time(ctx); err != nil {
			return block, err
		}
	}
	return block, nil
}

var errShape = errors.New("the event is not of the known shape")

// attributeEvent reads AttributeAdded and AttributeUpdated (who, did_account, name, value, validity) and AttributeRemoved
// (who, did_account, name) by position, as the fields have no names. The validity of an event counts blocks from its own.
func attributeEvent(e metadata.Event, number uint32) (Event, bool, error) {
	var kind Kind
	switch e.Name {
	case "AttributeAdded", "AttributeUpdated":
		kind = Written
	case "AttributeRemoved":
		kind = Erased
	default:
		return Event{}, false, nil
	}
	if len(e.Fields) < 3 || kind == Written && len(e.Fields) < 5 {
		return Event{}, false, fmt.Errorf("%s: %w", e.Name, errShape)
	}
	name, ok := e.Fields[2].Value.([]byte)
	if !ok {
		return Event{}, false, fmt.Errorf("%s: %w: name", e.Name, errShape)
	}
	if string(name) != document.DeviceAttribute {
		return Event{}, false, nil
	}
	who, okWho := account(e.Fields[0].Value)
	did, okDID := account(e.Fields[1].Value)
	if !okWho || !okDID {
		return Event{}, false, fmt.Errorf("%s: %w: account", e.Name, errShape)
	}
	ev := Event{Kind: kind, Who: &who, Account: &did, Expires: Never, Extrinsic: -1}
	if e.Phase.Kind == metadata.ApplyExtrinsic {
		ev.Extrinsic = int32(e.Phase.Extrinsic)
	}
	if kind == Erased {
		return ev, true, nil
	}
	if ev.Value, ok = e.Fields[3].Value.([]byte); !ok {
		return Event{}, false, fmt.Errorf("%s: %w: value", e.Name, errShape)
	}
	validFor, some, err := optionU32(e.Fields[4].Value)
	if err != nil {
		return Event{}, false, fmt.Errorf("%s: validity: %w", e.Name, err)
	}
	if some && uint64(number)+validFor < uint64(Never) {
		ev.Expires = number + uint32(validFor)
	}
	return ev, true, nil
}

func account(v any) (key.AccountID, bool) {
	b, ok := v.([]byte)
	if !ok || len(b) != len(key.AccountID{}) {
		return key.AccountID{}, false
	}
	return key.AccountID(b), true
}

// optionU32 reads an Option of a block number.
func optionU32(v any) (uint64, bool, error) {
	o, ok := v.(*metadata.Variant)
	if !ok {
		return 0, false, errShape
	}
	if o.Name == "None" {
		return 0, false, nil
	}
	if len(o.Fields) != 1 {
		return 0, false, errShape
	}
	n, ok := o.Fields[0].Value.(uint64)
	if !ok {
		return 0, false, errShape
	}
	return n, true, nil
}
