package index

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"iod/chain"
	"iod/chain/rpc"
	"iod/document"
	"iod/metadata"
	"iod/pallet/did"
	"iod/pallet/rbac"
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
	// State yields what the state holds as of a block of device attributes and of RBAC, part by part. It tells total about how many
	// entries there are before it yields any.
	State(ctx context.Context, at Cursor, total func(documents, others uint64)) iter.Seq2[Part, error]
}

// Part is a part of the state.
type Part struct {
	Entries  uint64 // how many of the state's entries it stands for
	Events   []Event
	Entities []Entity // as of the block, FromState
	Links    []Link   // likewise
}

// ChainSource follows a chain through its client. A block whose events cannot be decoded is asked for a few times and then yielded
// as one Undecodable event; while no endpoint answers it waits.
func ChainSource(c *chain.Client) Source { return chainSource{c} }

type chainSource struct{ c *chain.Client }

func (s chainSource) Genesis() Hash { return s.c.Genesis() }

func (s chainSource) Finalised(ctx context.Context) (Cursor, error) {
	b, err := patiently(ctx, s.c.Finalised)
	if err != nil {
		return Cursor{}, fmt.Errorf("ask for the newest finalised block: %w", err)
	}
	return Cursor{b.Number, b.Hash}, nil
}

func (s chainSource) HashAt(ctx context.Context, number uint32) (Hash, error) {
	b, err := patiently(ctx, func(ctx context.Context) (*chain.Block, error) { return s.c.BlockByNumber(ctx, number) })
	if err != nil {
		return Hash{}, fmt.Errorf("ask for block %d: %w", number, err)
	}
	return b.Hash, nil
}

func (s chainSource) Follow(ctx context.Context, from uint32) iter.Seq2[Block, error] {
	return func(yield func(Block, error) bool) {
		for b, err := range s.c.FollowFinalised(ctx, from) {
			if err != nil {
				yield(Block{}, fmt.Errorf("follow finalised blocks: %w", reset(err)))
				return
			}
			block, err := s.insist(ctx, b)
			if err != nil {
				err = fmt.Errorf("read block %d: %w", b.Number, err)
			}
			if !yield(block, err) || err != nil {
				return
			}
		}
	}
}

// reset tells a chain that contradicts what was final from other errors.
func reset(err error) error {
	var broken *chain.FinalityError
	if errors.As(err, &broken) {
		return resetError(broken.Number, broken.Had, broken.Got)
	}
	return err
}

// The bounds of insisting on a block that cannot be read.
const (
	tries    = 3
	firstTry = 200 * time.Millisecond // pause after the first, doubling
	lastTry  = 5 * time.Second
)

// insist reads a block, again and again where an endpoint may answer better another time: without end while none answers at all.
func (s chainSource) insist(ctx context.Context, b *chain.Block) (Block, error) {
	for n, pause := 1, firstTry; ; n, pause = n+1, min(2*pause, lastTry) {
		block, err := readBlock(ctx, b)
		if err == nil || ctx.Err() != nil {
			return block, err
		}
		var garbage *undecodable
		switch {
		case silent(err):
		case n < tries:
		case errors.As(err, &garbage):
			block.Deeds, block.Events = nil, []Event{{Kind: Undecodable, Value: garbage.raw, Expires: Never, Extrinsic: -1, Doubt: "the whole block: " + err.Error()}}
			return block, nil
		default:
			return block, explain(err)
		}
		select {
		case <-ctx.Done():
			return block, ctx.Err()
		case <-time.After(pause):
		}
		if fresh, err := s.c.BlockAt(ctx, b.Hash); err == nil {
			b = fresh // which has nothing of the answers so far
		}
	}
}

// patiently asks again and again while no endpoint answers.
func patiently[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	for pause := firstTry; ; pause = min(2*pause, lastTry) {
		v, err := ask(ctx)
		if err == nil || ctx.Err() != nil || !silent(err) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// silent tells that no endpoint answered, which ends at some time, from what one did answer.
func silent(err error) bool {
	var one *chain.EndpointError
	var none *chain.UnreachableError
	var answered *rpc.Error
	return !errors.As(err, &answered) && (errors.As(err, &one) || errors.As(err, &none))
}

// explain adds what to do about a node that does not have what it is asked for.
func explain(err error) error {
	var answered *rpc.Error
	if errors.As(err, &answered) {
		return fmt.Errorf("%w: a node that discarded the state of old blocks cannot tell their events: "+
			"name an archive node, or begin anew from the state, with --rebuild and without --from", err)
	}
	return err
}

// undecodable is an answer that metadata cannot make sense of.
type undecodable struct {
	err error
	raw []byte
}

func (u *undecodable) Error() string { return u.err.Error() }
func (u *undecodable) Unwrap() error { return u.err }

// view is what is read of a block; *chain.Block is one.
type view interface {
	RawEvents(ctx context.Context) ([]byte, error)
	Metadata(ctx context.Context) (*metadata.Metadata, error)
	Time(ctx context.Context) (time.Time, error)
}

// readBlock takes the events of device attributes and of RBAC out of a block.
func readBlock(ctx context.Context, b *chain.Block) (Block, error) {
	block := Block{Cursor: Cursor{b.Number, b.Hash}, Parent: b.Parent}
	return block, block.read(ctx, b)
}

// read fills in the events, and the time when there are any.
func (b *Block) read(ctx context.Context, v view) error {
	raw, err := v.RawEvents(ctx)
	if err != nil || len(raw) == 0 {
		return err
	}
	m, err := v.Metadata(ctx)
	if err != nil {
		return err
	}
	events, err := m.DecodeEvents(raw)
	if err != nil {
		return &undecodable{err, raw}
	}
	for i := range events {
		if e, ok := eventOf(&events[i], i, b.Number); ok {
			b.Events = append(b.Events, e)
		}
		d, ok, err := rbac.Decode(&events[i])
		switch {
		case err != nil:
			b.Events = append(b.Events, Event{Kind: Undecodable, Expires: Never, Extrinsic: extrinsicOf(&events[i]), Index: uint32(i), Doubt: err.Error()})
		case ok:
			deed := deedOf(d)
			deed.At.Extrinsic, deed.At.Event = extrinsicOf(&events[i]), uint32(i)
			b.Deeds = append(b.Deeds, deed)
		}
	}
	if b.quiet() {
		return nil
	}
	if b.Time, err = v.Time(ctx); err != nil && !silent(err) {
		return &undecodable{fmt.Errorf("read its time: %w", err), raw}
	}
	return err
}

// extrinsicOf is the index of the extrinsic that an event belongs to; -1: none.
func extrinsicOf(e *metadata.Event) int32 {
	if e.Phase.Kind == metadata.ApplyExtrinsic {
		return int32(e.Phase.Extrinsic)
	}
	return -1
}

// eventOf reads what an event says of a device attribute; ok is false when it says nothing. One that is of the registry and not of
// the known form costs itself alone.
func eventOf(raw *metadata.Event, i int, number uint32) (out Event, ok bool) {
	out = Event{Kind: Written, Expires: Never, Extrinsic: extrinsicOf(raw), Index: uint32(i)}
	e, ok, err := did.Decode(raw)
	switch {
	case err != nil:
		out.Kind, out.Doubt = Undecodable, err.Error()
		return out, true
	case !ok || e.Name != document.DeviceAttribute:
		return out, false
	case e.Kind == did.Removed:
		out.Kind = Erased
	}
	out.Who, out.Account, out.Value, out.Expires = &e.Who, &e.Account, e.Value, e.Validity(number)
	return out, true
}
