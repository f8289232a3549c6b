package chain_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"iod/chain"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/key"
	"iod/metadata"
)

func dialDev(t testing.TB, url string) *chain.Client {
	t.Helper()
	c, err := chain.Dial(t.Context(), chain.Options{Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func dev(t testing.TB, s key.Scheme, uri string) *key.Pair {
	t.Helper()
	k, err := key.FromURI(s, uri)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func deadline(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestAgainstDevchain(t *testing.T) {
	url, _ := devchaintest.Start(t, devchain.Options{})
	c := dialDev(t, url)
	for _, s := range []key.Scheme{key.Sr25519, key.Ed25519, key.Ecdsa} {
		owner, other := newPair(t, s), newPair(t, s)
		_, err := c.Submit(t.Context(), owner, chain.Remark(nil), chain.TxOptions{})
		var pay *chain.ErrCannotPay
		if !errors.As(err, &pay) || pay.Account != owner.Account() {
			t.Errorf("scheme %d: an empty account: %v", s, err)
		}
		if _, err := finalise(t, c, dev(t, key.Sr25519, "//Alice"), chain.Transfer(owner.Account(), chain.NewPlanck(5e18))); err != nil {
			t.Fatal(err)
		}
		peaqStory(t, c, owner, other.Account())
	}
}

func TestHTTPAgainstDevchain(t *testing.T) {
	url, _ := devchaintest.Start(t, devchain.Options{})
	c := dialDev(t, "http"+url[2:])
	o, err := finalise(t, c, dev(t, key.Ed25519, "//Alice"), chain.Remark([]byte("over HTTP")))
	if err != nil || !hasEvent(o, "System", "Remarked") {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestEntriesAndWatchAgainstDevchain(t *testing.T) {
	url, _ := devchaintest.Start(t, devchain.Options{})
	c := dialDev(t, url)
	ctx := deadline(t, 30*time.Second)
	owner := dev(t, key.Sr25519, "//Bob")
	const n = 600 // more than two pages
	for i := range n / 100 {
		var calls []metadata.Call
		for j := range 100 {
			calls = append(calls, attributeCall("add_attribute", owner.Account(), []byte{byte(i), byte(j)}, []byte("v")))
		}
		if _, err := finalise(t, c, owner, chain.BatchAll(calls...)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := c.Finalised(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var last []byte
	got := 0
	for kv, err := range b.Entries(ctx, "PeaqDid", "AttributeStore") {
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Compare(kv.Key, last) <= 0 || len(kv.Value) == 0 {
			t.Fatalf("entry %x after %x", kv.Key, last)
		}
		last = kv.Key
		got++
	}
	if got != n {
		t.Errorf("%d entries, want %d", got, n)
	}
	watch(ctx, t, c, owner, last)
}

// watch removes the attribute behind the key when its value is seen, and waits until the change is.
func watch(ctx context.Context, t *testing.T, c *chain.Client, owner *key.Pair, k []byte) {
	seen := 0
	for ch, err := range c.WatchStorage(ctx, [][]byte{k}) {
		if err != nil {
			t.Fatal(err)
		}
		switch seen++; {
		case seen == 1:
			if len(ch.Changes) != 1 || ch.Changes[0].Value == nil {
				t.Fatalf("current value: %v", ch)
			}
			b, err := c.Best(ctx)
			if err != nil {
				t.Fatal(err)
			}
			m, err := b.Metadata(ctx)
			if err != nil {
				t.Fatal(err)
			}
			v, err := m.DecodeStorage("PeaqDid", "AttributeStore", ch.Changes[0].Value)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := v.(metadata.Fields).Get("name")
			call := metadata.Call{Pallet: "PeaqDid", Name: "remove_attribute", Args: metadata.Fields{{Name: "did_account", Value: owner.Account()}, {Name: "name", Value: name}}}
			if _, err := finalise(t, c, owner, call); err != nil {
				t.Fatal(err)
			}
		case len(ch.Changes) == 1 && ch.Changes[0].Value == nil:
			return
		}
	}
}

func TestManyTransactionsInFlight(t *testing.T) {
	url, _ := devchaintest.Start(t, devchain.Options{BlockTime: 100 * time.Millisecond, FinalityLag: 2})
	c := dialDev(t, url)
	ctx := deadline(t, 60*time.Second)
	const each = 50
	var wg sync.WaitGroup
	for _, name := range []string{"//Alice", "//Bob", "//Charlie", "//Dave"} {
		k := dev(t, key.Sr25519, name)
		for range each {
			wg.Go(func() {
				tx, err := c.Submit(ctx, k, chain.Remark([]byte("x")), chain.TxOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := tx.InBest(ctx); err != nil {
					t.Errorf("nonce %d: %v", tx.Nonce(), err)
				}
				if o, err := tx.Finalised(ctx); err != nil || !hasEvent(o, "System", "Remarked") {
					t.Errorf("nonce %d: %v", tx.Nonce(), err)
				}
			})
		}
	}
	wg.Wait()
}

func TestTwoClientsWithOneKey(t *testing.T) {
	url, _ := devchaintest.Start(t, devchain.Options{BlockTime: 50 * time.Millisecond})
	ctx := deadline(t, 60*time.Second)
	k := dev(t, key.Sr25519, "//Alice")
	var wg sync.WaitGroup
	var mu sync.Mutex
	done, taken := 0, 0
	for range 2 {
		c := dialDev(t, url)
		wg.Go(func() {
			for range 20 {
				tx, err := c.Submit(ctx, k, chain.Remark([]byte("x")), chain.TxOptions{})
				if err == nil {
					_, err = tx.Finalised(ctx)
				}
				mu.Lock()
				switch {
				case err == nil:
					done++
				case errors.Is(err, chain.ErrNonceTaken):
					taken++
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if done+taken != 40 || done < 30 {
		t.Errorf("%d transactions done, %d lost their nonce", done, taken)
	}
	t.Logf("%d done, %d lost their nonce for good", done, taken)
}

func TestReorganisationOnDevchain(t *testing.T) {
	url, dc := devchaintest.Start(t, devchain.Options{Manual: true, FinalityLag: 3})
	c := dialDev(t, url)
	ctx := deadline(t, 30*time.Second)
	for range 4 {
		if _, err := dc.NewBlock(1); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := c.Submit(ctx, dev(t, key.Sr25519, "//Alice"), chain.Remark([]byte("x")), chain.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dc.NewBlock(1); err != nil {
		t.Fatal(err)
	}
	first, err := tx.InBest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dc.Reorganise(devchain.Reorg{Depth: 2, Drop: true}); err != nil {
		t.Fatal(err)
	}
	final := make(chan *chain.Outcome, 1)
	go func() {
		o, err := tx.Finalised(ctx)
		if err != nil {
			t.Error(err)
		}
		final <- o
	}()
	for {
		select {
		case o := <-final:
			if o == nil || o.Block == first.Block {
				t.Errorf("final in %+v, first in %v", o, first.Block)
			}
			return
		default:
			if _, err := dc.NewBlock(1); err != nil {
				t.Fatal(err)
			}
			if err := c.Probe(ctx); err != nil { // paces the blocks
				t.Fatal(err)
			}
		}
	}
}

func TestUpgradeOnDevchain(t *testing.T) {
	url, dc := devchaintest.Start(t, devchain.Options{})
	c := dialDev(t, url)
	k := dev(t, key.Sr25519, "//Alice")
	if _, err := finalise(t, c, k, chain.Remark([]byte("before"))); err != nil {
		t.Fatal(err)
	}
	if _, err := dc.Upgrade(devchain.Upgrade{MetadataHash: true}); err != nil {
		t.Fatal(err)
	}
	if o, err := finalise(t, c, k, chain.Remark([]byte("after"))); err != nil || !hasEvent(o, "System", "Remarked") {
		t.Fatalf("after the upgrade: %+v, %v", o, err)
	}
	versions := map[uint32]int{}
	for b, err := range c.FollowFinalised(deadline(t, 20*time.Second), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Events(t.Context()); err != nil {
			t.Errorf("block %d: %v", b.Number, err)
		}
		v, err := b.Runtime(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if versions[v.SpecVersion]++; b.Number == 3 {
			break
		}
	}
	if len(versions) != 2 {
		t.Errorf("versions %v", versions)
	}
}

func TestDroppedConnectionsOnDevchain(t *testing.T) {
	url, dc := devchaintest.Start(t, devchain.Options{})
	c := dialDev(t, url)
	k := dev(t, key.Sr25519, "//Alice")
	next := uint32(0)
	for b, err := range c.FollowFinalised(deadline(t, 60*time.Second), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if b.Number != next {
			t.Fatalf("block %d, want %d", b.Number, next)
		}
		if next++; next == 8 {
			return
		}
		if next == 4 {
			dc.DropConnections()
		}
		if _, err := c.Submit(t.Context(), k, chain.Remark([]byte("x")), chain.TxOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkFollowFinalised(b *testing.B) {
	url, dc := devchaintest.Start(b, devchain.Options{Manual: true})
	const n = 5000
	for range n {
		if _, err := dc.NewBlock(1); err != nil {
			b.Fatal(err)
		}
	}
	c := dialDev(b, url)
	events := 0
	for b.Loop() {
		for blk, err := range c.FollowFinalised(b.Context(), 1) {
			if err != nil {
				b.Fatal(err)
			}
			all, err := blk.Events(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if events += len(all); blk.Number == n {
				break
			}
		}
	}
	if events == 0 {
		b.Fatal("no event was decoded")
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "blocks/s")
}

func BenchmarkSubmit(b *testing.B) {
	url, _ := devchaintest.Start(b, devchain.Options{BlockTime: 200 * time.Millisecond})
	c := dialDev(b, url)
	names := []string{"//Alice", "//Bob", "//Charlie", "//Dave", "//Eve", "//Ferdie"}
	var next atomic.Int32
	b.SetParallelism(3)
	b.RunParallel(func(pb *testing.PB) {
		k := dev(b, key.Sr25519, names[int(next.Add(1))%len(names)])
		for pb.Next() {
			if _, err := c.Submit(b.Context(), k, chain.Remark([]byte("x")), chain.TxOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
}

// A few thousand calls are too many for one block, and not for the batches made of them.
func TestBatches(t *testing.T) {
	url, _ := devchaintest.Start(t, devchain.Options{BlockTime: 200 * time.Millisecond})
	c := dialDev(t, url)
	alice := dev(t, key.Sr25519, "//Alice")
	calls := make([]metadata.Call, 3000)
	for i := range calls {
		var to key.AccountID
		to[0], to[1], to[2] = 7, byte(i), byte(i>>8)
		calls[i] = chain.Transfer(to, chain.NewPlanck(1e18))
	}
	parts, err := c.Batches(t.Context(), alice.Public(), calls)
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) < 2 {
		t.Errorf("%d calls in %d batches: the test shows less than it should", len(calls), len(parts))
	}
	var sent []*chain.Tx
	for _, p := range parts {
		tx, err := c.Submit(t.Context(), alice, chain.BatchAll(p...), chain.TxOptions{})
		if err != nil {
			t.Fatalf("a batch of %d: %v", len(p), err)
		}
		sent = append(sent, tx)
	}
	for _, tx := range sent {
		if _, err := tx.Finalised(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b, err := c.Finalised(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := key.AccountID{7, byte(2999 & 255), 2999 >> 8}
	if have, err := b.Balance(t.Context(), last); err != nil || have.Free.Cmp(chain.NewPlanck(1e18)) != 0 {
		t.Errorf("the last one has %v, %v", have, err)
	}
	if parts, err := c.Batches(t.Context(), alice.Public(), nil); err != nil || parts != nil {
		t.Errorf("no calls: %v, %v", parts, err)
	}
}
