package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"

	"iod/document"
	"iod/key"
	"iod/pallet/rbac"
)

// fork is a chain whose blocks a test makes, takes back and finalises, and the store that has taken in some of it.
type fork struct {
	Reader // nothing but what Pending asks
	t      *testing.T
	pairs  []*key.Pair

	mu     sync.Mutex
	serial uint64
	best   []Block // from block 0
	all    map[Hash]Block
	final  int
	cursor int // -1: none
	kept   map[key.AccountID]*Listing
	moved  chan struct{}
	bad    Hash // cannot be read
	reads  int
}

func newFork(t *testing.T) *fork {
	f := &fork{t: t, all: map[Hash]Block{}, kept: map[key.AccountID]*Listing{}, moved: make(chan struct{})}
	for i := range 3 {
		p, err := key.FromURI(key.Ed25519, fmt.Sprintf("//pending-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		f.pairs = append(f.pairs, p)
	}
	f.push()
	return f
}

// push adds a block; the lock is held or not needed.
func (f *fork) push(events ...Event) Block {
	f.serial++
	b := Block{Events: events}
	b.Hash = blake2b.Sum256(binary.BigEndian.AppendUint64(nil, f.serial))
	if n := len(f.best); n > 0 {
		b.Number, b.Parent = uint32(n), f.best[n-1].Hash
	}
	f.best = append(f.best, b)
	f.all[b.Hash] = b
	return b
}

func (f *fork) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.moved)
	f.moved = make(chan struct{})
}

// take lets the store take in blocks up to n.
func (f *fork) take(n int) {
	for ; f.cursor < n; f.cursor++ {
		for _, c := range Digest(f.best[f.cursor+1]) {
			if out := Believe(f.kept[*c.Account], c); out.Listing != nil {
				f.kept[*c.Account] = out.Listing
			}
		}
	}
}

func (f *fork) Tips(ctx context.Context) iter.Seq2[Tip, error] {
	return func(yield func(Tip, error) bool) {
		for {
			f.mu.Lock()
			t, moved := Tip{f.best[len(f.best)-1].Cursor, f.best[f.final].Cursor}, f.moved
			f.mu.Unlock()
			if !yield(t, nil) {
				return
			}
			select {
			case <-moved:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (f *fork) BlockAt(_ context.Context, h Hash) (Block, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	b, ok := f.all[h]
	if !ok || h == f.bad {
		return Block{}, errors.New("no such block")
	}
	b.Events = slices.Clone(b.Events)
	return b, nil
}

func (f *fork) State(context.Context) (State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cursor < 0 {
		return State{}, nil
	}
	return State{Cursor: &f.best[f.cursor].Cursor}, nil
}

func (f *fork) Listings(_ context.Context, accounts []key.AccountID, _ bool) (all []*Listing, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range accounts {
		if l := f.kept[a]; l != nil {
			all = append(all, l)
		}
	}
	return all, nil
}

// want is what is pending by definition: the best chain beyond the store's cursor, believed block by block.
func (f *fork) want() (all []PendingChange) {
	now := map[key.AccountID]*Listing{}
	for a, l := range f.kept {
		now[a] = l
	}
	for _, b := range f.best[f.cursor+1:] {
		for _, c := range Digest(b) {
			out := Believe(now[*c.Account], c)
			if out.Listing != nil {
				now[*c.Account] = out.Listing
			}
			if out.Listing != nil || out.Aside != "" {
				all = append(all, PendingChange{Account: c.Account, At: c.At, Who: c.Who, Action: out.Action, Aside: out.Aside, Verdict: c.Verdict, Sequence: c.Device.Sequence})
			}
		}
	}
	return all
}

// event is something that may happen to one of the devices.
func (f *fork) event(r *rand.Rand, n uint64) Event {
	p := f.pairs[r.IntN(len(f.pairs))]
	a, who := p.Account(), p.Account()
	if r.IntN(3) == 0 {
		who = key.AccountID{9}
	}
	switch r.IntN(5) {
	case 0:
		return Event{Kind: Erased, Who: &who, Account: &a, Expires: Never}
	case 1:
		return Event{Kind: Written, Who: &who, Account: &a, Expires: Never, Value: []byte{0xde, byte(n)}}
	}
	raw, err := document.Device{Account: a, Node: p.NodeKey().ID(), DataType: "noise", Sequence: n}.Sign(p)
	if err != nil {
		f.t.Fatal(err)
	}
	return Event{Kind: Written, Who: &who, Account: &a, Expires: Never, Value: raw}
}

// until waits for a condition on what is pending.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func run(t *testing.T, p *Pending) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPendingRandom: whatever a chain does, what is pending is what stands in the best chain beyond the store's cursor.
func TestPendingRandom(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 3))
		f := newFork(t)
		p := NewPending(f, f, nil)
		run(t, p)
		most, reorgs := 0, 0
		for n := range uint64(60) {
			var want []PendingChange
			f.change(func() {
				switch free := len(f.best) - 1 - f.final; {
				case r.IntN(4) == 0 && free > 0:
					f.best = f.best[:len(f.best)-1-r.IntN(free)] // and something longer comes
					reorgs++
					fallthrough
				default:
					for range 1 + r.IntN(4) {
						var events []Event
						for range r.IntN(3) {
							events = append(events, f.event(r, n+1))
						}
						f.push(events...)
					}
				}
				f.final = max(f.final, len(f.best)-1-r.IntN(8))
				f.take(max(f.cursor, f.final-r.IntN(3)))
				want = f.want()
			})
			until(t, fmt.Sprintf("seed %d, step %d: pending\n%+v\nwant\n%+v", seed, n, p.Changes(), want), func() bool { return reflect.DeepEqual(p.Changes(), want) })
			most = max(most, len(want))
			for _, pair := range f.pairs {
				for _, c := range p.Of(pair.Account()) {
					if *c.Account != pair.Account() {
						t.Fatalf("of another: %+v", c)
					}
				}
			}
		}
		if most < 5 || reorgs < 5 {
			t.Errorf("at most %d pending, %d reorganisations: the test shows less than it should", most, reorgs)
		}
	}
}

// TestPendingBounds: what is held has an end, in blocks and bytes, and what cannot be read costs itself alone.
func TestPendingBounds(t *testing.T) {
	f := newFork(t)
	big := func() Event {
		a := f.pairs[0].Account()
		return Event{Kind: Written, Who: &a, Account: &a, Expires: Never, Value: bytes.Repeat([]byte{1}, 1<<20)}
	}
	for range 2 * maxPendingBlocks {
		f.push()
	}
	last := f.push(big(), big(), big(), big()) // more than may be held
	first := f.push(Event{Kind: Erased, Who: &key.AccountID{1}, Account: &key.AccountID{1}})
	p := NewPending(f, f, nil)
	run(t, p)
	small := func() Event { return f.event(rand.New(rand.NewPCG(1, 1)), 5) }
	f.change(func() { f.push(small()) })
	until(t, "the small one is not pending", func() bool { return len(p.Changes()) == 1 })
	f.mu.Lock()
	reads := f.reads
	f.mu.Unlock()
	if reads > maxPendingBlocks+2 {
		t.Errorf("%d blocks were read", reads)
	}
	if c := p.Changes()[0]; c.At.Block <= last.Number || c.At.Block <= first.Number {
		t.Errorf("pending: %+v", c)
	}

	f.change(func() {
		f.bad = f.push(small()).Hash
	})
	f.change(func() { f.bad = Hash{}; f.push(small()) })
	until(t, "what could not be read for a while is not pending", func() bool { return len(p.Changes()) == 3 })
}

// TestPendingDeeds: what owners did is pending, too.
func TestPendingDeeds(t *testing.T) {
	f := newFork(t)
	p := NewPending(f, f, nil)
	run(t, p)
	owner := key.AccountID{7}
	f.change(func() {
		b := f.push()
		b.Deeds = []Deed{{Owner: owner, Verb: rbac.Assigned, At: Point{Extrinsic: 2, Event: 4}}}
		f.all[b.Hash], f.best[len(f.best)-1] = b, b
	})
	until(t, "nothing is pending", func() bool { return len(p.Deeds(owner)) == 1 })
	if d := p.Deeds(owner)[0]; d.At.Block != 1 || d.At.Hash.IsZero() || d.At.Event != 4 || len(p.Deeds(key.AccountID{8})) > 0 {
		t.Errorf("pending: %+v", d)
	}
	f.change(func() { f.final = 1; f.take(1) })
	until(t, "it stays pending", func() bool { return len(p.Deeds(owner)) == 0 })
}
