package storetest

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"iod/index"
)

// Shared is a store that several processes may share.
type Shared interface {
	index.Store
	index.Leader
	index.Announcer
}

const patience = 30 * time.Second

// Leaders checks how two openings of one store settle who writes. open opens the same one again and again.
func Leaders(t *testing.T, open func(testing.TB) Shared) {
	one, two := open(t), open(t)
	ctx, resign := context.WithCancel(t.Context())
	lost := must(one.Campaign(ctx))(t)
	begin(t, one, listing(1, nil))
	won, err := make(chan (<-chan struct{}), 1), make(chan error, 1)
	go func() {
		l, e := two.Campaign(t.Context())
		won <- l
		err <- e
	}()
	select {
	case <-won:
		t.Fatal("both write")
	case <-lost:
		t.Fatal("the first does not write any more, and nobody took over")
	case <-time.After(300 * time.Millisecond): // the only way to see that it waits
	}
	put(t, one, listing(2, nil))
	resign()
	wait(t, lost, "the first hears that it gave up")
	select {
	case <-won:
	case <-time.After(patience):
		t.Fatal("the second does not take over")
	}
	if e := <-err; e != nil {
		t.Fatal(e)
	}
	put(t, two, listing(3, nil))
	if st := must(one.State(t.Context()))(t); st.Live != 3 {
		t.Errorf("the first reads %+v, want 3 live", st)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, e := one.Campaign(short); !errors.Is(e, context.DeadlineExceeded) {
		t.Errorf("a campaign that ends with its context: %v", e)
	}
}

// paced is a chain whose blocks take their time.
type paced struct{ *Chain }

func (p paced) Follow(ctx context.Context, from uint32) iter.Seq2[index.Block, error] {
	return func(yield func(index.Block, error) bool) {
		tick := time.NewTicker(3 * time.Millisecond)
		defer tick.Stop()
		for b, err := range p.Chain.Follow(ctx, from) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// Succession runs an index in two openings of a store, and ends the one that writes, again and again.
func Succession(t *testing.T, open func(testing.TB) Shared) {
	const blocks, devices = 150, 5
	whole := open(t)
	source := Random(t, 11, blocks, devices)
	Fill(t, whole, index.Options{Source: source, From: &zero})
	want := Dump(t, whole, Accounts(t, devices)...)
	if err := whole.Reset(t.Context(), index.Origin{Genesis: source.Genesis()}); err != nil {
		t.Fatal(err)
	}
	g := make(chan error, 64)
	start := func() (writes <-chan struct{}, stop func()) {
		s := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		began := make(chan struct{})
		var once atomic.Bool
		go func() {
			g <- index.Lead(ctx, s, index.Options{Source: paced{source}, Store: s, From: &zero}, func(standby bool) {
				if !standby && once.CompareAndSwap(false, true) {
					close(began)
				}
			})
		}()
		return began, cancel
	}
	writes, stop := start()
	wait(t, writes, "the first writes")
	reached := func(block uint32) {
		t.Helper()
		deadline := time.Now().Add(patience)
		for st := must(whole.State(t.Context()))(t); st.Cursor == nil || st.Cursor.Number < block; st = must(whole.State(t.Context()))(t) {
			if time.Now().After(deadline) {
				t.Fatalf("the index stays at %+v", st.Cursor)
			}
			time.Sleep(time.Millisecond) // others are at work
		}
	}
	const terms = 6
	for i := range uint32(terms) {
		next, stopNext := start()
		reached((i + 1) * 20)
		stop()
		wait(t, next, "the next writes")
		stop = stopNext
	}
	reached(blocks)
	stop()
	for range terms + 1 {
		if err := <-g; err != nil {
			t.Error(err)
		}
	}
	if got := Dump(t, whole, Accounts(t, devices)...); got != want {
		t.Errorf("after %d changes of the writer another index:\n%s", terms, FirstDifference(got, want))
	}
}

// Announcing checks that one opening of a store hears what another writes.
func Announcing(t *testing.T, open func(testing.TB) Shared) {
	one, two := open(t), open(t)
	begin(t, one)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var heard []<-chan struct{}
	for _, s := range []Shared{one, two} {
		heard = append(heard, must(s.Announcements(ctx))(t))
	}
	for n := byte(1); n <= 5; n++ {
		for _, h := range heard {
			select {
			case <-h: // of what was before
			default:
			}
		}
		put(t, one, listing(n, nil))
		for _, h := range heard {
			wait(t, h, "a change is heard")
		}
	}
}

func wait(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
	}
}
