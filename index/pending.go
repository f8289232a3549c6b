package index

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"iod/document"
	"iod/key"
)

// Tip is how far a chain has come: its newest block, and its newest one that is final.
type Tip struct{ Best, Final Cursor }

// Tips is the chain as Pending sees it; ChainTips makes one of a client.
type Tips interface {
	// Tips yields how far the chain has come, whenever that changes, until ctx ends; some may be skipped. An error that it yields
	// is final.
	Tips(ctx context.Context) iter.Seq2[Tip, error]
	// BlockAt reads the block of a hash, final or not.
	BlockAt(ctx context.Context, hash Hash) (Block, error)
}

// PendingChange is what a block that is not final yet, or not taken in yet, will mean once it is: it may never come to pass.
type PendingChange struct {
	Account  *key.AccountID // whose device attribute; nil where that is not known
	At       Point
	Who      *key.AccountID // the event's signer
	Action   Action         // for the listing; empty: it stays as it is
	Aside    string         // why the document will be set aside; empty: it will not
	Verdict  document.Verdict
	Sequence uint64
}

// The bounds of what Pending holds. What is beyond them is passed over: it will be seen once it is final.
const (
	maxPendingBlocks = 256
	maxPendingBytes  = 8 << 20
)

// caughtUpEvery is how often the store is asked whether it has taken in what is final.
const caughtUpEvery = 200 * time.Millisecond

// Pending follows the blocks beyond those that the store has taken in, in memory only. Every process that answers runs one of its own.
type Pending struct {
	tips  Tips
	store Reader
	log   *slog.Logger

	// Of Run alone:
	tail   []pendingBlock // the best chain beyond the store's cursor, ascending without a gap
	final  uint32
	cursor int64 // the store's when last asked; -1: none

	mu      sync.RWMutex
	changes []PendingChange
	deeds   []Deed
}

// pendingBlock is a block as digested.
type pendingBlock struct {
	Cursor
	parent Hash
	claims []Claim
	deeds  []Deed
	bytes  int
}

// NewPending makes a tracker; log may be nil.
func NewPending(t Tips, store Reader, log *slog.Logger) *Pending {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Pending{tips: t, store: store, log: log, cursor: -1}
}

// Changes returns what is pending of all devices, oldest first.
func (p *Pending) Changes() []PendingChange {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.changes
}

// Of returns what is pending of one device, oldest first.
func (p *Pending) Of(a key.AccountID) (all []PendingChange) {
	for _, c := range p.Changes() {
		if c.Account != nil && *c.Account == a {
			all = append(all, c)
		}
	}
	return all
}

// Deeds returns what is pending of an owner's RBAC, oldest first.
func (p *Pending) Deeds(owner key.AccountID) (all []Deed) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, d := range p.deeds {
		if d.Owner == owner {
			all = append(all, d)
		}
	}
	return all
}

// Run follows the chain until ctx ends; then it returns nil.
func (p *Pending) Run(outer context.Context) error {
	g, ctx := errgroup.WithContext(outer)
	newest := make(chan Tip, 1)
	g.Go(func() error {
		for t, err := range p.tips.Tips(ctx) {
			if err != nil {
				return err
			}
			select { // only the newest counts
			case <-newest:
			default:
			}
			newest <- t
		}
		return errors.New("the source ended")
	})
	g.Go(func() error {
		for {
			if err := p.step(ctx, newest); err != nil {
				return err
			}
		}
	})
	err := g.Wait()
	if outer.Err() != nil {
		return nil
	}
	return fmt.Errorf("follow pending blocks: %w", err)
}

// step waits for the next thing to do, and does it.
func (p *Pending) step(ctx context.Context, newest <-chan Tip) error {
	var again <-chan time.Time
	if len(p.tail) > 0 && p.tail[0].Number <= p.final {
		timer := time.NewTimer(caughtUpEvery)
		defer timer.Stop()
		again = timer.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-again:
	case t := <-newest:
		p.final = max(p.final, t.Final.Number)
		if n, err := p.reached(ctx); err == nil {
			p.cursor = n
		}
		if err := p.advance(ctx, t.Best); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p.log.Debug("pending block cannot be read", "block", t.Best.Number, "hash", t.Best.Hash, "error", err)
		}
	}
	if err := p.settle(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.log.Warn("pending changes cannot be compared with the index", "error", err)
	}
	return nil
}

// advance makes best the end of the tail. It reads what is missing, back to where the tail knows the chain, and only then changes
// anything.
func (p *Pending) advance(ctx context.Context, best Cursor) error {
	floor := p.final // a store that is far behind will see what is final in its own time
	if p.cursor >= 0 && int64(p.final)-p.cursor < maxPendingBlocks {
		floor = uint32(p.cursor)
	}
	switch {
	case best.Number < p.final || p.position(best.Hash) >= 0: // nothing new, or a node that is behind
		return nil
	case best.Number <= floor: // the store has all of this chain, and the tail was of another
		p.tail = nil
		return nil
	}
	var path []pendingBlock
	join := -1
	for hash := best.Hash; ; {
		b, err := p.tips.BlockAt(ctx, hash)
		if err != nil {
			return err
		}
		if b.Number != best.Number-uint32(len(path)) || b.Hash != hash {
			return fmt.Errorf("block %d %v came in place of %d %v", b.Number, b.Hash, best.Number-uint32(len(path)), hash)
		}
		path = append(path, digested(b))
		if join = p.position(b.Parent); join >= 0 || b.Number <= floor+1 || len(path) >= maxPendingBlocks {
			break
		}
		hash = b.Parent
	}
	slices.Reverse(path)
	p.tail = append(p.tail[:join+1:join+1], path...)
	return nil
}

// position returns the index in the tail of a block; -1 when it is not there.
func (p *Pending) position(hash Hash) int {
	return slices.IndexFunc(p.tail, func(b pendingBlock) bool { return b.Hash == hash })
}

func digested(b Block) pendingBlock {
	out := pendingBlock{Cursor: b.Cursor, parent: b.Parent, claims: Digest(b), deeds: b.deeds()}
	for _, c := range out.claims {
		out.bytes += perEvent + 3*len(c.Value)
	}
	out.bytes += perRow * len(out.deeds)
	return out
}

// settle drops what the store has taken in and tells what the rest means for its listings.
func (p *Pending) settle(ctx context.Context) error {
	for try := 0; ; try++ {
		was, err := p.reached(ctx)
		if err != nil {
			return err
		}
		p.cursor = was
		p.drop()
		listings, err := p.store.Listings(ctx, p.accounts(), true)
		if err != nil {
			return err
		}
		// Listings of a later state than the cursor's would have seen some of the blocks already.
		now, err := p.reached(ctx)
		if err != nil {
			return err
		}
		if now == was || try == 3 {
			p.publish(listings)
			return nil
		}
	}
}

// reached is how far the store has come; -1: nowhere yet.
func (p *Pending) reached(ctx context.Context) (int64, error) {
	st, err := p.store.State(ctx)
	if err != nil || st.Cursor == nil {
		return -1, err
	}
	return int64(st.Cursor.Number), nil
}

// drop forgets the blocks that the store has, and the oldest that are too many.
func (p *Pending) drop() {
	n := 0
	for n < len(p.tail) && int64(p.tail[n].Number) <= p.cursor {
		n++
	}
	n = max(n, len(p.tail)-maxPendingBlocks)
	bytes := 0
	for i := len(p.tail) - 1; i >= n; i-- {
		if bytes += p.tail[i].bytes; bytes > maxPendingBytes {
			// A block that is too large by itself stays in the chain, without what happened in it.
			p.tail[i].claims, p.tail[i].deeds, p.tail[i].bytes = nil, nil, 0
		}
	}
	p.tail = slices.Clone(p.tail[n:])
}

// accounts are those of whom something is pending, each once.
func (p *Pending) accounts() (all []key.AccountID) {
	seen := map[key.AccountID]bool{}
	for _, b := range p.tail {
		for _, c := range b.claims {
			if c.Account != nil && !seen[*c.Account] {
				seen[*c.Account] = true
				all = append(all, *c.Account)
			}
		}
	}
	return all
}

// publish decides what the pending blocks mean for the listings as they are.
func (p *Pending) publish(listings []*Listing) {
	now := map[key.AccountID]*Listing{}
	for _, l := range listings {
		now[l.Account] = l
	}
	var changes []PendingChange
	var deeds []Deed
	for _, b := range p.tail {
		for _, c := range b.claims {
			var cur *Listing
			if c.Account != nil {
				cur = now[*c.Account]
			}
			out := Believe(cur, c)
			if out.Listing != nil {
				now[*c.Account] = out.Listing
			}
			if out.Listing == nil && out.Aside == "" {
				continue
			}
			changes = append(changes, PendingChange{Account: c.Account, At: c.At, Who: c.Who, Action: out.Action, Aside: clipReason(out.Aside),
				Verdict: c.Verdict, Sequence: c.Device.Sequence})
		}
		deeds = append(deeds, b.deeds...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes, p.deeds = changes, deeds
}
