package index_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"iod/chain"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/document"
	"iod/index"
	"iod/index/sqlite"
	"iod/index/storetest"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

// onChain is a development chain with a client, and an index to be run over it.
type onChain struct {
	t      testing.TB
	client *chain.Client
	store  *sqlite.Store
}

func newOnChain(t *testing.T) *onChain {
	t.Helper()
	url, _ := devchaintest.Start(t, devchain.Options{})
	c, err := chain.Dial(t.Context(), chain.Options{Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &onChain{t, c, openStore(t)}
}

// openStore opens a new store that is closed at the test's end.
func openStore(t *testing.T) *sqlite.Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "index.db"))
}

func openAt(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (o *onChain) send(from *key.Pair, calls ...metadata.Call) *chain.Outcome {
	o.t.Helper()
	call := calls[0]
	if len(calls) > 1 {
		call = chain.BatchAll(calls...)
	}
	tx, err := o.client.Submit(o.t.Context(), from, call, chain.TxOptions{})
	if err != nil {
		o.t.Fatal(err)
	}
	out, err := tx.Finalised(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

// index runs until the block is taken in.
func (o *onChain) index(to uint32, opts index.Options) index.State {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), 20*time.Second)
	defer cancel()
	opts.Source, opts.Store = index.ChainSource(o.client), o.store
	opts.Notify = func(p index.Progress) {
		if p.Phase == index.Following && p.Block >= to {
			cancel()
		}
	}
	if err := index.Run(ctx, opts); err != nil {
		o.t.Fatal(err)
	}
	st, err := o.store.State(o.t.Context())
	if err != nil || st.Cursor == nil || st.Cursor.Number < to {
		o.t.Fatalf("state %+v, %v; want block %d", st, err, to)
	}
	return st
}

func (o *onChain) get(a key.AccountID) *index.Listing {
	o.t.Helper()
	l, err := o.store.Get(o.t.Context(), a)
	if err != nil {
		o.t.Fatal(err)
	}
	return l
}

func TestDevelopmentChain(t *testing.T) {
	o := newOnChain(t)
	pair := func(uri string) *key.Pair {
		p, err := key.FromURI(key.Sr25519, uri)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	alice, bob, mallory := pair("//Alice"), pair("//Bob"), pair("//Charlie")
	a, b := alice.Account(), bob.Account()
	raw := storetest.Sign(t, alice, storetest.Weather(alice, 1000))
	ten := uint32(1000)
	published := o.send(alice, did.AddAttribute(a, document.DeviceAttribute, raw, &ten))
	out := o.send(bob, did.AddAttribute(b, "note", []byte("x"), nil),
		did.AddAttribute(b, document.DeviceAttribute, storetest.Unsigned(b, "noise", "3"), nil))

	st := o.index(out.Number, index.Options{})
	if !st.Origin.FromState || st.Live != 2 || st.Verified != 1 || st.SetAside != 0 {
		t.Fatalf("read from the state: %+v", st)
	}
	if l := o.get(a); l.Expires != published.Number+ten || l.Signer == nil || *l.Signer != a {
		t.Errorf("from the state: expires %d, signer %v; want %d, %v", l.Expires, l.Signer, published.Number+ten, a)
	}

	// A stranger makes itself a writer of Alice's DID, overwrites her document and removes it; she publishes again.
	o.send(mallory, did.AddAttribute(a, "foot in the door", []byte{1}, nil), did.UpdateAttribute(a, document.DeviceAttribute, []byte{0xde, 0xad}, nil))
	out = o.send(mallory, did.RemoveAttribute(a, document.DeviceAttribute))
	st = o.index(out.Number, index.Options{})
	l := o.get(a)
	if l.Status != index.Live || l.Presence != index.Gone || *l.PresenceWho != mallory.Account() || st.SetAside != 1 {
		t.Errorf("after a stranger removed it: %s, %s by %v, %d set aside", l.Status, l.Presence, l.PresenceWho, st.SetAside)
	}
	out = o.send(alice, did.AddAttribute(a, document.DeviceAttribute, raw, nil))
	o.send(bob, did.RemoveAttribute(b, document.DeviceAttribute))
	last := o.send(bob, did.RemoveAttribute(b, "note"))
	st = o.index(last.Number, index.Options{})
	if l := o.get(a); l.Presence != index.Present || l.Expires != index.Never || l.PresenceAt.Block != out.Number || l.PresenceAt.Time.IsZero() {
		t.Errorf("healed: %+v", l)
	}
	if l := o.get(b); l.Status != index.Removed || st.Live != 1 || st.Ended != 1 {
		t.Errorf("removed by its account: %+v, %+v", l, st)
	}

	// Walking the history from the start tells more than the state: who sent what.
	zero := uint32(0)
	st = o.index(last.Number, index.Options{From: &zero, Rebuild: true})
	l = o.get(a)
	if st.Live != 1 || st.Ended != 1 || st.SetAside != 1 || st.Origin.FromState || l.First.Block != published.Number || l.Updated.Extrinsic != 1 {
		t.Errorf("walked: %+v\n%+v", st, l)
	}

	// A chain that was wiped is noticed.
	other, _ := devchaintest.Start(t, devchain.Options{})
	c, err := chain.Dial(t.Context(), chain.Options{Endpoints: []string{other}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = index.Run(t.Context(), index.Options{Source: index.ChainSource(c), Store: o.store})
	if !errors.Is(err, index.ErrChainReset) {
		t.Errorf("over a chain that was wiped: %v, want ErrChainReset", err)
	}
}

// BenchmarkChain walks the history of a development chain over its WebSocket; every tenth block has a publication.
func BenchmarkChain(b *testing.B) {
	const blocks = 5000
	url, dev := devchaintest.Start(b, devchain.Options{})
	c, err := chain.Dial(b.Context(), chain.Options{Endpoints: []string{url}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	alice, err := key.FromURI(key.Sr25519, "//Alice")
	if err != nil {
		b.Fatal(err)
	}
	var sender *chain.Client
	for n := range blocks / 10 {
		call := did.UpdateAttribute(alice.Account(), document.DeviceAttribute, storetest.Sign(b, alice, storetest.Weather(alice, uint64(n)+1)), nil)
		if n == 0 {
			call.Name = "add_attribute"
		}
		if n%16 == 0 { // a client of its own for every few
			if sender, err = chain.Dial(b.Context(), chain.Options{Endpoints: []string{url}}); err != nil {
				b.Fatal(err)
			}
			defer sender.Close()
		}
		tx, err := sender.Submit(b.Context(), alice, call, chain.TxOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := tx.Finalised(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := dev.NewBlock(9); err != nil {
			b.Fatal(err)
		}
	}
	head, _ := dev.Finalised()
	if head < blocks {
		b.Fatalf("only %d blocks", head)
	}
	for b.Loop() {
		s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "index.db"))
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		zero := uint32(0)
		err = index.Run(ctx, index.Options{Source: index.ChainSource(c), Store: s, From: &zero, Notify: func(p index.Progress) {
			if p.Block >= head {
				cancel()
			}
		}})
		cancel()
		if st, errState := s.State(b.Context()); err != nil || errState != nil || st.Cursor.Number != head || st.Live != 1 {
			b.Fatal(err, errState, st)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(head)*float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
}
