package access_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"iod/access"
	"iod/chain"
	"iod/chain/rpc"
	"iod/devchain"
	"iod/key"
	"iod/metadata"
	"iod/pallet/rbac"
)

// finalised signs calls of the owner's and waits for finality.
func (o *owned) finalised(calls ...metadata.Call) (*chain.Outcome, error) {
	o.t.Helper()
	tx, err := o.c.Submit(o.t.Context(), o.owner, chain.BatchAll(calls...), chain.TxOptions{})
	if err != nil {
		o.t.Fatal(err)
	}
	return tx.Finalised(o.t.Context())
}

// revoke does it as iod does, and returns how many transactions and calls it took.
func (o *owned) revoke(stream string, a key.AccountID) (transactions, calls int) {
	o.t.Helper()
	r := access.Revocation{Owner: o.owner.Account(), Device: o.device, Streams: streams, Stream: stream, Account: a}
	err := r.Do(o.t.Context(), access.OnChain(o.c), func(_ context.Context, all []metadata.Call) (uint32, error) {
		transactions, calls = transactions+1, calls+len(all)
		out, err := o.finalised(all...)
		if err != nil {
			o.t.Logf("transaction %d: %v", transactions, err)
			return 0, err
		}
		return out.Number, nil
	})
	if err != nil {
		o.t.Fatalf("revoke %q: %v", stream, err)
	}
	return transactions, calls
}

func (o *owned) groups(a key.AccountID) (held []rbac.ID) {
	o.t.Helper()
	b, err := o.c.Best(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	all, err := rbac.Held(o.t.Context(), b, o.owner.Account(), rbac.UserGroup, rbac.UserID(a))
	if err != nil {
		o.t.Fatal(err)
	}
	for _, x := range all {
		held = append(held, x.Held)
	}
	return held
}

// join makes groups of the owner's, unless they are there, and puts a into them in this order.
func (o *owned) join(a key.AccountID, there bool, groups ...rbac.ID) {
	o.t.Helper()
	var calls []metadata.Call
	for _, g := range groups {
		if !there {
			add, err := rbac.Add(rbac.Group, g, "own")
			if err != nil {
				o.t.Fatal(err)
			}
			calls = append(calls, add)
		}
		calls = append(calls, rbac.Assign(rbac.Assignment{Relation: rbac.UserGroup, Holder: rbac.UserID(a), Held: g}))
	}
	if _, err := o.finalised(calls...); err != nil {
		o.t.Fatal(err)
	}
}

// unsortedStory grants and revokes among other groups of the account's, in orders in which the pallet misses some.
func (o *owned) unsortedStory() {
	t := o.t
	measurements := access.EntityID(o.owner.Account(), o.device, "measurements", rbac.Group)
	low := []rbac.ID{{0, 3}, {0, 2}, {0, 1}}
	other := key.AccountID(o.alice)
	other[0] ^= 1
	o.join(other, false, low...)
	if _, err := o.finalised(o.granting("measurements", o.alice)...); err != nil {
		t.Fatal(err)
	}
	o.join(o.alice, true, low...)
	// That is the fault: what is there is said not to be.
	_, err := o.finalised(rbac.Unassign(rbac.Assignment{Relation: rbac.UserGroup, Holder: rbac.UserID(o.alice), Held: measurements}))
	var d *chain.DispatchError
	if !errors.As(err, &d) || d.Pallet != rbac.Pallet || d.Name != "AssignmentDoesNotExist" {
		t.Errorf("unassigned at once: %v", err)
	}
	if !o.has(o.alice, "measurements") {
		t.Error("no access before")
	}
	transactions, calls := o.revoke("measurements", o.alice)
	t.Logf("first of four in falling order: %d transactions, %d calls", transactions, calls)
	if o.has(o.alice, "measurements") {
		t.Error("access after the revocation")
	}
	if got := o.groups(o.alice); !sameSet(got, low) {
		t.Errorf("in groups %x, want %x", got, low)
	}
	if got := o.groups(other); !slices.Equal(got, low) {
		t.Errorf("another account is in %x", got)
	}
	if transactions != 1 {
		t.Errorf("%d transactions", transactions)
	}
	// One stream of a whole device, among others; then the rest.
	if _, err := o.finalised(o.granting("", o.alice)...); err != nil {
		t.Fatal(err)
	}
	transactions, calls = o.revoke("camera", o.alice)
	t.Logf("one stream of all: %d transactions, %d calls", transactions, calls)
	if o.has(o.alice, "camera") || !o.has(o.alice, "measurements") {
		t.Error("not as revoked")
	}
	transactions, calls = o.revoke("", o.alice)
	t.Logf("the whole device: %d transactions, %d calls", transactions, calls)
	if o.has(o.alice, "camera") || o.has(o.alice, "measurements") || !sameSet(o.groups(o.alice), low) {
		t.Error("not as revoked")
	}
	if transactions, _ = o.revoke("", o.alice); transactions != 0 {
		t.Errorf("again: %d transactions", transactions)
	}
}

// fleetStory is one who has streams of many devices of the owner's, and loses one after the other.
func (o *owned) fleetStory(n, gone int) {
	t := o.t
	user := key.AccountID(o.alice)
	user[31] ^= 1
	first := o.device
	grant := func(i int) {
		o.device = first
		o.device[0] ^= byte(i + 1)
		plan, err := access.Grant(o.owner.Account(), o.device, streams, "camera", user, o.state(user))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.finalised(plan.Calls...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		grant(i)
	}
	for i := range gone {
		o.device = first
		o.device[0] ^= byte(i + 1)
		before := len(o.groups(user))
		transactions, calls := o.revoke("camera", user)
		t.Logf("device %d of %d: %d transactions, %d calls", i, n, transactions, calls)
		if transactions != 1 || o.has(user, "camera") || len(o.groups(user)) != before-1 {
			t.Errorf("device %d: %d transactions, has it: %v, in %d of %d groups", i, transactions, o.has(user, "camera"), len(o.groups(user)), before)
		}
	}
}

// paddedStory revokes as if the runtime had been built by another Rust: by a plan that any runtime carries out.
func (o *owned) paddedStory() {
	t := o.t
	user := key.AccountID(o.alice)
	user[31] ^= 4
	if _, err := o.finalised(o.granting("camera", user)...); err != nil {
		t.Fatal(err)
	}
	low := []rbac.ID{{0, 0, 1, 9}, {0, 0, 1, 8}, {0, 0, 1, 7}}
	o.join(user, false, low...)
	sent := 0
	r := access.Revocation{Owner: o.owner.Account(), Device: o.device, Streams: streams, Stream: "camera", Account: user}
	err := r.Do(t.Context(), access.OnChain(o.c), func(_ context.Context, all []metadata.Call) (uint32, error) {
		if sent++; sent == 1 {
			return 0, &chain.DispatchError{Pallet: rbac.Pallet, Name: "AssignmentDoesNotExist"}
		}
		t.Logf("padded: %d calls, the first %s", len(all), all[0].Name)
		if !slices.ContainsFunc(all, func(c metadata.Call) bool { return c.Name == "add_group" }) {
			t.Error("no pads")
		}
		out, err := o.finalised(all...)
		if err != nil {
			return 0, err
		}
		return out.Number, nil
	})
	if err != nil || sent != 2 || o.has(user, "camera") || !sameSet(o.groups(user), low) {
		t.Errorf("%d transactions, has it: %v, groups %x, error %v", sent, o.has(user, "camera"), o.groups(user), err)
	}
}

// longStory takes the first of many in falling order out, the worst there is.
func (o *owned) longStory(n int) {
	t := o.t
	user := key.AccountID(o.alice)
	user[31] ^= 2
	if _, err := o.finalised(o.granting("camera", user)...); err != nil {
		t.Fatal(err)
	}
	low := make([]rbac.ID, n)
	for i := range low {
		low[i] = rbac.ID{0, 0, byte((n - i) >> 8), byte(n - i)}
	}
	o.join(user, false, low...)
	transactions, calls := o.revoke("camera", user)
	t.Logf("first of %d in falling order: %d transactions, %d calls", n+1, transactions, calls)
	if transactions != 1 || o.has(user, "camera") || !sameSet(o.groups(user), low) {
		t.Errorf("%d transactions, has it: %v, in %d groups", transactions, o.has(user, "camera"), len(o.groups(user)))
	}
}

func sameSet(a, b []rbac.ID) bool {
	order := func(x, y rbac.ID) int { return bytes.Compare(x[:], y[:]) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), order), slices.SortedFunc(slices.Values(b), order))
}

func TestRevokeAmongUnsorted(t *testing.T) {
	o := setting(t, devchain.Options{})
	o.unsortedStory()
	o.paddedStory()
	o.longStory(120)
	o.fleetStory(12, 12)
}

// TestRevokeOnPeaqsRuntime does the same on peaq's real runtime: chopsticks with peaq's raw chain specification, see
// ../shared/peaq/README.md.
func TestRevokeOnPeaqsRuntime(t *testing.T) {
	url := os.Getenv("IOD_PEAQ_RPC")
	if url == "" {
		t.Skip("SKIPPED, and nothing of peaq's real runtime is tested: IOD_PEAQ_RPC names no node")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	owner, _, err := key.Generate(key.Sr25519)
	if err != nil {
		t.Fatal(err)
	}
	node, err := rpc.Dial(ctx, url, rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	rich := []any{[]any{owner.Account().String()}, map[string]any{"providers": 1, "data": map[string]any{"free": "1000000000000000000000"}}}
	if err := node.Call(ctx, nil, "dev_setStorage", map[string]any{"System": map[string]any{"Account": []any{rich}}}); err != nil {
		t.Fatalf("fund the owner: %v", err)
	}
	o := &owned{t: t, url: url, c: dial(t, url), owner: owner}
	for _, id := range []*key.AccountID{&o.device, &o.alice} {
		if _, err := rand.Read(id[:]); err != nil {
			t.Fatal(err)
		}
	}
	o.paddedStory()
	o.unsortedStory()
	o.longStory(60)
	o.fleetStory(6, 6)
}
