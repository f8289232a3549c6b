package index_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"iod/access"
	"iod/chain"
	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/index"
	"iod/index/storetest"
	"iod/key"
	"iod/metadata"
	"iod/pallet/rbac"
)

// callOf is the call of a deed.
func callOf(t testing.TB, d index.Deed) metadata.Call {
	t.Helper()
	var c metadata.Call
	var err error
	switch d.Verb {
	case rbac.EntityAdded:
		c, err = rbac.Add(d.Ref.Kind, d.Ref.ID, d.Name)
	case rbac.EntityUpdated:
		c, err = rbac.Update(d.Ref.Kind, d.Ref.ID, d.Name)
	case rbac.EntityDisabled:
		c = rbac.Disable(d.Ref.Kind, d.Ref.ID)
	case rbac.Assigned:
		c = rbac.Assign(d.Assignment)
	case rbac.Unassigned:
		c = rbac.Unassign(d.Assignment)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRightsOnChain: after random calls of several owners, many of them refused, an index that walked the history and one that started
// from the state tell who has access as package access judges on the chain itself, at every block that was looked at.
func TestRightsOnChain(t *testing.T) {
	url, _ := devchaintest.Start(t, devchain.Options{})
	c := dial(t, url)
	o := &onChain{t: t, client: c, store: openStore(t)}
	var pairs []*key.Pair
	var owners []key.AccountID
	for _, uri := range []string{"//Alice", "//Bob", "//Charlie"} {
		p, err := key.FromURI(key.Sr25519, uri)
		if err != nil {
			t.Fatal(err)
		}
		pairs, owners = append(pairs, p), append(owners, p.Account())
	}
	w := storetest.NewWorldOf(3, owners...)
	const rounds = 45
	var last *chain.Outcome
	failed := 0
	for n := range rounds {
		p := pairs[n%len(pairs)]
		var calls []metadata.Call
		for range 12 {
			for _, d := range w.Tries(p.Account()) {
				calls = append(calls, callOf(t, d))
			}
		}
		last = o.send(p, chain.ForceBatch(calls...))
		if last.Failed != nil {
			failed++
		}
	}
	if failed < 10 {
		t.Errorf("only %d batches met the pallet's refusal", failed)
	}
	zero := uint32(0)
	o.index(last.Number, index.Options{From: &zero})
	state := &onChain{t: t, client: c, store: openStore(t)}
	if st := state.index(last.Number, index.Options{}); st.SetAside != 0 {
		t.Errorf("from the state: %+v", st)
	}

	yes := 0
	for n := uint32(1); n <= last.Number; n++ {
		if n%9 != 0 && n != last.Number {
			continue
		}
		b, err := c.BlockByNumber(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		for _, owner := range owners {
			for _, device := range w.Devices {
				s, err := access.Read(t.Context(), b, owner, device, storetest.Streams, w.Users...)
				if err != nil {
					t.Fatal(err)
				}
				stores := []*onChain{o}
				if n == last.Number {
					stores = append(stores, state)
				}
				for _, x := range stores {
					yes += compareWithChain(t, x, s, device, w.Users, n, n == last.Number)
				}
			}
		}
	}
	if yes < 30 {
		t.Errorf("only %d times was there access", yes)
	}
}

// compareWithChain holds what a store tells against the state of the chain at a block, and counts who has access.
func compareWithChain(t *testing.T, o *onChain, s access.State, device key.AccountID, users []key.AccountID, n uint32, last bool) (yes int) {
	t.Helper()
	grants, err := o.store.Access(t.Context(), s.Owner, device, storetest.Streams)
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range storetest.Streams {
		for _, u := range users {
			paths := access.Paths(s, u, access.EntityID(s.Owner, device, stream, rbac.Permission))
			at := slices.IndexFunc(grants, func(g index.Grant) bool {
				return g.Stream == stream && g.Account == u && g.Since.Block <= n && (g.Until == nil || g.Until.Block > n)
			})
			if (at >= 0) != (len(paths) > 0) {
				t.Errorf("block %d, owner %v, device %v, %s, user %v: granted is %v, and the chain has %v", n, s.Owner, device, stream, u, at >= 0, paths)
			}
			if at < 0 {
				continue
			}
			yes++
			var ways []access.Path
			for _, v := range grants[at].Via {
				ways = append(ways, v.Path)
			}
			if last && !reflect.DeepEqual(ways, paths) {
				t.Errorf("block %d: ways %v, and the chain has %v", n, ways, paths)
			}
		}
	}
	return yes
}

// TestRightsOfNobody: an assignment whose owner cannot be found is set aside, and the others are taken in.
func TestRightsOfNobody(t *testing.T) {
	url, dev := devchaintest.Start(t, devchain.Options{})
	o := &onChain{t: t, client: dial(t, url), store: openStore(t)}
	alice, err := key.FromURI(key.Sr25519, "//Alice")
	if err != nil {
		t.Fatal(err)
	}
	a, user, role := alice.Account(), rbac.ID{1}, rbac.ID{2}
	add, err := rbac.Add(rbac.Role, role, "role")
	if err != nil {
		t.Fatal(err)
	}
	link := rbac.Assignment{Relation: rbac.UserRole, Holder: user, Held: role}
	o.send(alice, add, rbac.Assign(link))
	b, err := o.client.Finalised(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k, err := rbac.AssignmentKey(m, a, rbac.UserRole, user)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := b.Raw(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	// The same pair under a key that is nobody's, one that is no list of pairs, and a list of roles cut short.
	strange, torn := slices.Clone(k), slices.Clone(k)
	strange[len(k)-1]++
	torn[len(k)-2]++
	roles, err := rbac.StoreKey(m, key.AccountID{77}, rbac.Role)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dev.SetStorage(map[string][]byte{string(strange): kv[0].Value, string(torn): kv[0].Value[:40], string(roles): {8, 1, 2}}); err != nil {
		t.Fatal(err)
	}
	head, _ := dev.Finalised()
	if st := o.index(head, index.Options{}); st.SetAside != 3 {
		t.Errorf("state: %+v", st)
	}
	links, err := o.store.Links(t.Context(), a, nil, 0)
	if err != nil || len(links) != 1 || links[0].Assignment != link || !links[0].Since.FromState {
		t.Errorf("links %+v, %v", links, err)
	}
	asides, err := o.store.Asides(t.Context(), 0, 0)
	if err != nil || len(asides) != 3 {
		t.Fatalf("%+v, %v", asides, err)
	}
	for _, x := range asides {
		if x.At.Block != head || len(x.Raw) == 0 || len(x.Reason) < 40 {
			t.Errorf("set aside: %+v", x)
		}
	}
}

// TestStateNeedsNobody: while no endpoint answers in the middle of a reading of the state, it waits, and then goes on where it was.
func TestStateNeedsNobody(t *testing.T) {
	url, dev := devchaintest.Start(t, devchain.Options{})
	o := &onChain{t: t, client: dial(t, url), store: openStore(t)}

	b, err := o.client.Finalised(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	values := storetest.Seed(t, m, 0, 1500)
	if _, err := dev.SetStorage(values); err != nil {
		t.Fatal(err)
	}
	head, _ := dev.Finalised()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cut := 0
	err = index.Run(ctx, index.Options{Source: index.ChainSource(o.client), Store: o.store, Notify: func(p index.Progress) {
		if p.Phase == index.ReadingState && cut < 3 {
			cut++
			dev.DropConnections()
		}
		if p.Phase == index.Following {
			cancel()
		}
	}})
	if err != nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatal(err, ctx.Err())
	}
	st, err := o.store.State(t.Context())
	if err != nil || st.Live != 1500 || st.Cursor.Number != head || cut == 0 {
		t.Errorf("%+v, %v, cut %d times", st, err, cut)
	}
}
