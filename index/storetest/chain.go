// Package storetest checks implementations of index.Store, all by one suite, and offers a chain made of nothing but its
// events to feed them.
package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/blake2b"

	"iod/index"
	"iod/key"
	"iod/pallet/rbac"
)

// BlockTime is the time between two blocks of a Chain.
const BlockTime = 6 * time.Second

// Epoch is the time of block 0 of a Chain.
var Epoch = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// Chain is an index.Source of scripted blocks. All of them are final. The same name and events give the same hashes.
type Chain struct {
	mu     sync.Mutex
	blocks []index.Block
	grown  chan struct{} // closed when a block is appended
}

// NewChain makes a chain of a block 0, whose hash comes from name.
func NewChain(name string) *Chain {
	c := &Chain{grown: make(chan struct{})}
	c.blocks = []index.Block{{Cursor: index.Cursor{Hash: blake2b.Sum256([]byte(name))}, Time: Epoch}}
	return c
}

// Write is the event of a document written by who to account's DID; validFor as in the call, nil for no end.
func Write(who, account key.AccountID, raw []byte, validFor *uint32) index.Event {
	e := index.Event{Kind: index.Written, Who: &who, Account: &account, Value: raw, Expires: index.Never}
	if validFor != nil {
		e.Expires = *validFor // made absolute by Append
	}
	return e
}

// Erase is the event of a removal.
func Erase(who, account key.AccountID) index.Event {
	return index.Event{Kind: index.Erased, Who: &who, Account: &account, Expires: index.Never}
}

// Append adds a block with the events and returns it.
func (c *Chain) Append(events ...index.Event) index.Block { return c.Extend(events, nil) }

// Extend adds a block with events of devices and then deeds of owners, and returns it.
func (c *Chain) Extend(events []index.Event, deeds []index.Deed) index.Block {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.blocks[len(c.blocks)-1]
	b := index.Block{Parent: last.Hash, Events: events, Deeds: deeds}
	b.Number = last.Number + 1
	seed := binary.BigEndian.AppendUint32(last.Hash[:], b.Number)
	for i := range events {
		e := &events[i]
		e.Extrinsic, e.Index = int32(i+1), uint32(2*i+3)
		if e.Expires != index.Never {
			e.Expires += b.Number
		}
		seed = append(append(seed, byte(e.Kind)), e.Value...)
	}
	for i := range deeds {
		d := &deeds[i]
		d.At.Extrinsic, d.At.Event = int32(len(events)+1+i), uint32(2*len(events)+3+i)
		seed = fmt.Append(seed, *d)
	}
	b.Hash = blake2b.Sum256(seed)
	if len(events)+len(deeds) > 0 {
		b.Time = Epoch.Add(time.Duration(b.Number) * BlockTime)
	}
	c.blocks = append(c.blocks, b)
	close(c.grown)
	c.grown = make(chan struct{})
	return b
}

// Genesis is the hash of block 0.
func (c *Chain) Genesis() index.Hash { return c.blocks[0].Hash }

// Finalised returns the newest block.
func (c *Chain) Finalised(context.Context) (index.Cursor, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks[len(c.blocks)-1].Cursor, nil
}

// HashAt returns the hash of a block.
func (c *Chain) HashAt(_ context.Context, n uint32) (index.Hash, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int(n) >= len(c.blocks) {
		return index.Hash{}, fmt.Errorf("there is no block %d", n)
	}
	return c.blocks[n].Hash, nil
}

// Follow yields the blocks from a number on and waits for more.
func (c *Chain) Follow(ctx context.Context, from uint32) iter.Seq2[index.Block, error] {
	return func(yield func(index.Block, error) bool) {
		for n := int(from); ; {
			c.mu.Lock()
			blocks, grown := c.blocks[min(n, len(c.blocks)):], c.grown
			c.mu.Unlock()
			for _, b := range blocks {
				b.Events, b.Deeds = slices.Clone(b.Events), slices.Clone(b.Deeds)
				if ctx.Err() != nil || !yield(b, nil) {
					return
				}
				n++
			}
			select {
			case <-grown:
			case <-ctx.Done():
				return
			}
		}
	}
}

var errState = errors.New("the state is not of this chain")

// State yields what the blocks up to at leave in the registry, as a chain source does: who wrote is told only where none but
// the DID's own account ever wrote to it.
func (c *Chain) State(_ context.Context, at index.Cursor, total func(documents, others uint64)) iter.Seq2[index.Part, error] {
	return func(yield func(index.Part, error) bool) {
		c.mu.Lock()
		blocks := c.blocks[:min(int(at.Number)+1, len(c.blocks))]
		c.mu.Unlock()
		if blocks[len(blocks)-1].Hash != at.Hash {
			yield(index.Part{}, errState)
			return
		}
		entries, order := registryOf(blocks)
		total(uint64(len(order)), 0)
		for _, a := range order {
			x := entries[a]
			if x.Kind == index.Erased {
				continue
			}
			x.Extrinsic, x.Event.Index, x.Who = -1, 0, x.Account
			if x.strangers {
				x.Who, x.Doubt = nil, "another account may write to this DID too"
			}
			if !yield(index.Part{Entries: 1, Events: []index.Event{x.Event}}, nil) {
				return
			}
		}
		yield(rightsOf(blocks, at), nil)
	}
}

// attribute is what stands in the registry for a device.
type attribute struct {
	index.Event
	strangers bool
}

func registryOf(blocks []index.Block) (entries map[key.AccountID]*attribute, order []key.AccountID) {
	entries = map[key.AccountID]*attribute{}
	for _, b := range blocks {
		for _, e := range b.Events {
			x := entries[*e.Account]
			if x == nil {
				x = &attribute{}
				entries[*e.Account] = x
				order = append(order, *e.Account)
			}
			if x.strangers = x.strangers || *e.Who != *e.Account; x.Created.IsZero() || x.Kind == index.Erased {
				e.Created = b.Time
			} else {
				e.Created = x.Created
			}
			x.Event = e
		}
	}
	return entries, order
}

// rightsOf is what the deeds leave in the pallet's stores.
func rightsOf(blocks []index.Block, at index.Cursor) (p index.Part) {
	now := index.Point{Block: at.Number, Hash: at.Hash, Extrinsic: -1, FromState: true}
	for _, b := range blocks {
		for _, d := range b.Deeds {
			switch d.Verb {
			case rbac.EntityAdded:
				p.Entities = append(p.Entities, index.Entity{Owner: d.Owner, Ref: d.Ref, Name: d.Name, Since: now})
			case rbac.EntityUpdated, rbac.EntityDisabled:
				for i := range p.Entities {
					if e := &p.Entities[i]; e.Owner != d.Owner || e.Ref != d.Ref {
						continue
					} else if d.Verb == rbac.EntityUpdated {
						e.Name = d.Name
					} else {
						e.Until = &now
					}
				}
			case rbac.Assigned:
				p.Links = append(p.Links, index.Link{Owner: d.Owner, Assignment: d.Assignment, Since: now})
			case rbac.Unassigned:
				p.Links = slices.DeleteFunc(p.Links, func(l index.Link) bool { return l.Owner == d.Owner && l.Assignment == d.Assignment })
			}
		}
	}
	for i := range p.Links {
		p.Links[i].Since.Event = uint32(i)
	}
	p.Entries = uint64(len(p.Entities) + len(p.Links))
	return p
}
