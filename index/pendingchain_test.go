package index_test

import (
	"context"
	"testing"
	"time"

	"iod/chain"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/document"
	"iod/index"
	"iod/index/storetest"
	"iod/key"
	"iod/pallet/did"
	"iod/pallet/rbac"
)

// TestPendingOnChain: over a real connection, what a best block holds is pending at once, moves with a reorganisation or vanishes with
// it, and is in the index when it is pending no more.
func TestPendingOnChain(t *testing.T) {
	url, dev := devchaintest.Start(t, devchain.Options{FinalityLag: 3})
	c, s := dial(t, url), openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := index.NewPending(index.ChainTips(c), s, nil)
	ended := make(chan error, 2)
	go func() { ended <- p.Run(ctx) }()
	zero := uint32(0)
	go func() { ended <- index.Run(ctx, index.Options{Source: index.ChainSource(c), Store: s, From: &zero}) }()
	defer func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}()
	alice, err := key.FromURI(key.Sr25519, "//Alice")
	if err != nil {
		t.Fatal(err)
	}
	a := alice.Account()
	wait := func(what string, ok func([]index.PendingChange) bool) []index.PendingChange {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !ok(p.Of(a)); time.Sleep(2 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: pending are %+v", what, p.Of(a))
			}
		}
		return p.Of(a)
	}
	send := func(sequence uint64) (forget func() error) { // its client would send a dropped transaction again
		t.Helper()
		sender, err := chain.Dial(t.Context(), chain.Options{Endpoints: []string{url}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sender.Close() })
		call := did.AddAttribute(a, document.DeviceAttribute, storetest.Sign(t, alice, storetest.Weather(alice, sequence)), nil)
		if sequence > 10 {
			call.Name = "update_attribute"
		}
		role, err := rbac.Add(rbac.Role, rbac.ID{byte(sequence)}, "role")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sender.Submit(t.Context(), alice, chain.BatchAll(call, role), chain.TxOptions{Immortal: true}); err != nil {
			t.Fatal(err)
		}
		return sender.Close
	}
	one := func(all []index.PendingChange) bool { return len(all) == 1 }
	none := func(all []index.PendingChange) bool { return len(all) == 0 }

	send(10)
	first := wait("published", one)[0]
	if first.Action != index.Published || first.Verdict.State != document.Verified || first.Sequence != 10 || *first.Who != a || first.At.Time.IsZero() {
		t.Errorf("pending: %+v", first)
	}
	if d := p.Deeds(a); len(d) != 1 || d[0].At.Hash != first.At.Hash {
		t.Errorf("pending deeds: %+v", d)
	}
	if _, err := dev.Reorganise(devchain.Reorg{Depth: 1}); err != nil {
		t.Fatal(err)
	}
	moved := wait("in another block", func(all []index.PendingChange) bool { return len(all) == 1 && all[0].At.Hash != first.At.Hash })
	if l, err := s.Get(t.Context(), a); l != nil || err != nil {
		t.Errorf("in the index before it is final: %+v, %v", l, err)
	}
	if _, err := dev.NewBlock(3); err != nil {
		t.Fatal(err)
	}
	wait("final", none)
	if l, err := s.Get(t.Context(), a); err != nil || l == nil || l.Updated.Hash != moved[0].At.Hash {
		t.Errorf("in the index once it is pending no more: %+v, %v", l, err)
	}

	forget := send(11)
	wait("published again", one)
	if err := forget(); err != nil {
		t.Fatal(err)
	}
	if _, err := dev.Reorganise(devchain.Reorg{Depth: 1, Length: 2, Drop: true}); err != nil {
		t.Fatal(err)
	}
	wait("gone with its block", none)
	if d := p.Deeds(a); len(d) > 0 {
		t.Errorf("pending deeds: %+v", d)
	}
}
