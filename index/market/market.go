// Package market makes a marketplace of any size out of a number: devices at plausible places with fitting types, units, kinds and
// prices, owners of whom a few have many, documents that are signed and verify, republications, strangers' vandalism. It is an
// index.Source, so that an index takes it in as it does a chain, and it knows the searches that people would make in it (Searches). The
// same seed and size give the same blocks, byte by byte.
package market

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	"golang.org/x/crypto/blake2b"

	"iod/index"
	"iod/key"
)

// End is the time of a market's last block. Freshness is reckoned back from here.
var End = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)

const (
	span       = 365 * 24 * time.Hour // before End, in which all devices were published
	perBlock   = 10                   // publications in a block
	againEvery = 20                   // of so many publications one is of a device that is there already
	ruinEvery  = 300                  // in so many publications a stranger overwrites one
)

// Market is a marketplace of a number of devices. It is safe for concurrent use.
type Market struct {
	seed     uint64
	devices  int
	owners   []*key.Pair // the first ones, who own most; others are made when they are needed
	stranger key.AccountID
}

// New makes a market of that many devices.
func New(seed uint64, devices int) (*Market, error) {
	m := &Market{seed: seed, devices: devices}
	for i := range min(manyOwners, m.ownerCount()) {
		p, err := m.pair("owner", i)
		if err != nil {
			return nil, err
		}
		m.owners = append(m.owners, p)
	}
	p, err := m.pair("stranger", 0)
	if err != nil {
		return nil, err
	}
	m.stranger = p.Account()
	return m, nil
}

// Devices is how many devices there are in the end.
func (m *Market) Devices() int { return m.devices }

// pair is the key pair of a role's i-th actor. Its signatures are deterministic (ed25519).
func (m *Market) pair(role string, i int) (*key.Pair, error) {
	seed := blake2b.Sum256(fmt.Appendf(nil, "iod/market %d %s %d", m.seed, role, i))
	p, err := key.FromURI(key.Ed25519, fmt.Sprintf("%#x", seed))
	if err != nil {
		return nil, fmt.Errorf("make %s %d of a market: %w", role, i, err)
	}
	return p, nil
}

// random is the source of chance of one actor, or of one publication.
func (m *Market) random(role string, i int) *rand.Rand {
	h := blake2b.Sum256(fmt.Appendf(nil, "iod/market %d chance %s %d", m.seed, role, i))
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(h[:8]), binary.LittleEndian.Uint64(h[8:16])))
}

// publications is how many documents are published in all: of each device one, and some again.
func (m *Market) publications() int { return m.devices + m.devices/(againEvery-1) }

// published is the device whose document is the n-th one, and how many it published before.
func (m *Market) published(n int) (device, before int) {
	fresh := n - n/againEvery
	if n%againEvery != againEvery-1 {
		return fresh, 0
	}
	return m.random("again", n).IntN(fresh), n // the last one counts: any number that grows does
}

// Blocks is the number of the last block.
func (m *Market) Blocks() uint32 {
	return uint32((m.publications() + perBlock - 1) / perBlock)
}

// timeOf is the time of a block. Most devices were updated of late.
func (m *Market) timeOf(number uint32) time.Time {
	ago := 1 - float64(number)/float64(max(m.Blocks(), 1))
	return End.Add(-time.Duration(ago * ago * float64(span))).Truncate(time.Millisecond)
}

func (m *Market) hash(number uint32) index.Hash {
	return blake2b.Sum256(fmt.Appendf(nil, "iod/market %d block %d", m.seed, number))
}

// block makes a block.
func (m *Market) block(number uint32) (index.Block, error) {
	b := index.Block{Cursor: index.Cursor{Number: number, Hash: m.hash(number)}}
	if number == 0 {
		return b, nil
	}
	b.Parent, b.Time = m.hash(number-1), m.timeOf(number)
	first := int(number-1) * perBlock
	for n := first; n < min(first+perBlock, m.publications()); n++ {
		if err := m.publish(&b, n); err != nil {
			return b, fmt.Errorf("make block %d of a market: %w", number, err)
		}
	}
	return b, nil
}

// publish adds the events of a publication to a block.
func (m *Market) publish(b *index.Block, n int) error {
	device, before := m.published(n)
	account, raw, err := m.document(device, before, b.Time)
	if err != nil {
		return err
	}
	add := func(who key.AccountID, value []byte) {
		b.Events = append(b.Events, index.Event{Kind: index.Written, Who: &who, Account: &account, Value: value, Expires: index.Never,
			Extrinsic: int32(len(b.Events) + 1), Index: uint32(2*len(b.Events) + 3)})
	}
	add(account, raw)
	if n%ruinEvery == ruinEvery-1 {
		add(m.stranger, []byte("this is no document"))
	}
	return nil
}

// Genesis is the hash of block 0.
func (m *Market) Genesis() index.Hash { return m.hash(0) }

// Finalised is the last block.
func (m *Market) Finalised(context.Context) (index.Cursor, error) {
	return index.Cursor{Number: m.Blocks(), Hash: m.hash(m.Blocks())}, nil
}

// HashAt returns the hash of a block.
func (m *Market) HashAt(_ context.Context, number uint32) (index.Hash, error) {
	if number > m.Blocks() {
		return index.Hash{}, fmt.Errorf("a market has no block %d", number)
	}
	return m.hash(number), nil
}

// Follow yields the blocks from a number on, then waits for ctx to end.
func (m *Market) Follow(ctx context.Context, from uint32) iter.Seq2[index.Block, error] {
	return func(yield func(index.Block, error) bool) {
		for n := from; n <= m.Blocks(); n++ {
			b, err := m.block(n)
			if ctx.Err() != nil || !yield(b, err) || err != nil {
				return
			}
		}
		<-ctx.Done()
	}
}

// ErrNoState is yielded by State: a market is walked from its first block.
var ErrNoState = errors.New("a market has no state to begin from: walk it from block 0")

// State yields ErrNoState.
func (m *Market) State(context.Context, index.Cursor, func(uint64, uint64)) iter.Seq2[index.Part, error] {
	return func(yield func(index.Part, error) bool) { yield(index.Part{}, ErrNoState) }
}

// Fill empties a store and lets an index take the market in, as it would a chain. notify is told the progress, at most once a second.
func (m *Market) Fill(ctx context.Context, s index.Store, log *slog.Logger, notify func(index.Progress)) error {
	ctx, done := context.WithCancel(ctx)
	defer done()
	first, filled := uint32(0), false
	err := index.Run(ctx, index.Options{Source: m, Store: s, From: &first, Rebuild: true, Log: log, Notify: func(p index.Progress) {
		if notify != nil {
			notify(p)
		}
		if p.Block >= m.Blocks() {
			filled = true
			done()
		}
	}})
	switch {
	case err != nil:
		return fmt.Errorf("fill a market: %w", err)
	case !filled:
		return fmt.Errorf("fill a market: %w", context.Cause(ctx))
	}
	return nil
}

// ownerCount is how many owners share the devices.
func (m *Market) ownerCount() int { return max(1, m.devices/12) }

// manyOwners is how many owners' keys are kept.
const manyOwners = 2000

// owner is the owner of a device: few own many, most own few.
func (m *Market) owner(r *rand.Rand) (*key.Pair, error) {
	// The inverse of the distribution of Zipf with exponent 1, made continuous.
	n := float64(m.ownerCount())
	i := min(int(math.Pow(n+1, r.Float64()))-1, m.ownerCount()-1)
	if i < len(m.owners) {
		return m.owners[i], nil
	}
	return m.pair("owner", i)
}
