package chain_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"iod/chain"
	"iod/chain/rpc"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

// peaqEndpoint is where a node with peaq's real runtime answers: chopsticks with peaq's raw chain specification, see
// ../shared/peaq/README.md. Accounts are funded by dev_setStorage.
func peaqEndpoint(t *testing.T) string {
	t.Helper()
	url := os.Getenv("IOD_PEAQ_RPC")
	if url == "" {
		t.Skip("SKIPPED, and nothing of peaq's real runtime is tested: IOD_PEAQ_RPC names no node")
	}
	return url
}

// fund gives an account 1,000 PEAQ by chopsticks' dev_setStorage.
func fund(t *testing.T, url string, who ...key.AccountID) {
	t.Helper()
	c, err := rpc.Dial(t.Context(), url, rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var entries []any
	for _, a := range who {
		entries = append(entries, []any{[]any{a.String()}, map[string]any{"providers": 1, "data": map[string]any{"free": "1000000000000000000000"}}})
	}
	if err := c.Call(t.Context(), nil, "dev_setStorage", map[string]any{"System": map[string]any{"Account": entries}}); err != nil {
		t.Fatalf("fund accounts: %v", err)
	}
}

func newPair(t *testing.T, s key.Scheme) *key.Pair {
	t.Helper()
	k, _, err := key.Generate(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func randomID(t *testing.T) []byte {
	t.Helper()
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func attributeCall(name string, of key.AccountID, attribute, value []byte) metadata.Call {
	return metadata.Call{Pallet: "PeaqDid", Name: name, Args: metadata.Fields{
		{Name: "did_account", Value: of}, {Name: "name", Value: attribute}, {Name: "value", Value: value}, {Name: "valid_for", Value: nil}}}
}

func rbacCall(name string, kv ...any) metadata.Call {
	c := metadata.Call{Pallet: "PeaqRbac", Name: name}
	for i := 0; i < len(kv); i += 2 {
		c.Args = append(c.Args, metadata.Field{Name: kv[i].(string), Value: kv[i+1]})
	}
	return c
}

func hasEvent(o *chain.Outcome, pallet, name string) bool {
	for _, e := range o.Events {
		if e.Pallet == pallet && e.Name == name {
			return true
		}
	}
	return false
}

// finalise submits a call and waits for finality.
func finalise(t *testing.T, c *chain.Client, from *key.Pair, call metadata.Call) (*chain.Outcome, error) {
	t.Helper()
	tx, err := c.Submit(t.Context(), from, call, chain.TxOptions{})
	if err != nil {
		t.Fatalf("%s.%s: %v", call.Pallet, call.Name, err)
	}
	o, err := tx.Finalised(t.Context())
	if o == nil {
		t.Fatalf("%s.%s: %v", call.Pallet, call.Name, err)
	}
	t.Logf("%s.%s: block %d, extrinsic %d, %d events, fee %s PEAQ, %v", call.Pallet, call.Name, o.Number, o.Index, len(o.Events), o.Fee.Format(18), err)
	return o, err
}

func TestAgainstPeaqsRuntime(t *testing.T) {
	url := peaqEndpoint(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c, err := chain.Dial(ctx, chain.Options{Endpoints: []string{url}, Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, s := range []key.Scheme{key.Sr25519, key.Ed25519, key.Ecdsa} {
		owner, other := newPair(t, s), newPair(t, s)
		_, err = c.Submit(ctx, owner, chain.Remark(nil), chain.TxOptions{})
		var pay *chain.ErrCannotPay
		if !errors.As(err, &pay) || pay.Account != owner.Account() {
			t.Errorf("scheme %d: an empty account: %v", s, err)
		}
		fund(t, url, owner.Account())
		peaqStory(t, c, owner, other.Account())
		if s == key.Sr25519 {
			peaqInFlight(t, c, owner)
		}
	}
	peaqHistory(t, c)
}

// peaqInFlight sends some transactions without waiting for each.
func peaqInFlight(t *testing.T, c *chain.Client, owner *key.Pair) {
	var all []*chain.Tx
	for i := range 5 {
		tx, err := c.Submit(t.Context(), owner, chain.Remark([]byte{byte(i)}), chain.TxOptions{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tx)
	}
	for _, tx := range all {
		if o, err := tx.Finalised(t.Context()); err != nil || !hasEvent(o, "System", "Remarked") {
			t.Errorf("nonce %d: %v", tx.Nonce(), err)
		}
	}
}

// peaqHistory decodes every event and extrinsic of the chain, and its time.
func peaqHistory(t *testing.T, c *chain.Client) {
	head, err := c.Finalised(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	attributes := 0
	for kv, err := range head.Entries(t.Context(), "PeaqDid", "AttributeStore") {
		if err != nil || kv.Value == nil {
			t.Fatalf("entries: %x, %v", kv.Key, err)
		}
		attributes++
	}
	if attributes == 0 {
		t.Error("no attribute is listed")
	}
	t.Logf("%d attributes are listed", attributes)
	blocks, events, signed := 0, 0, 0
	for b, err := range c.FollowFinalised(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		all, err := b.Events(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := b.Metadata(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := b.Extrinsics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range raw {
			x, err := chain.DecodeExtrinsic(m, r)
			if err != nil {
				t.Fatalf("block %d: %v", b.Number, err)
			}
			if x.Signed {
				signed++
			}
		}
		if at, err := b.Time(t.Context()); err != nil || at.Year() < 2020 {
			t.Errorf("block %d is of %v, %v", b.Number, at, err)
		}
		if blocks, events = blocks+1, events+len(all); b.Number == head.Number {
			break
		}
	}
	if signed == 0 || events == 0 {
		t.Error("nothing was decoded")
	}
	t.Logf("decoded %d blocks, %d events, %d signed extrinsics", blocks, events, signed)
}

// peaqStory runs what iod does on the chain.
func peaqStory(t *testing.T, c *chain.Client, owner *key.Pair, other key.AccountID) {
	ctx := t.Context()
	name := []byte("staex-iod-device")
	fee, err := c.EstimateFee(ctx, owner.Public(), attributeCall("add_attribute", owner.Account(), name, []byte("one")))
	if err != nil || fee.IsZero() {
		t.Errorf("estimate of the fee: %v, %v", fee, err)
	}
	o, err := finalise(t, c, owner, attributeCall("add_attribute", owner.Account(), name, []byte("one")))
	if err != nil || !hasEvent(o, "PeaqDid", "AttributeAdded") {
		t.Errorf("add: %v", err)
	}
	// Fees follow how full blocks are, so one block later the fee may be another by some millionths.
	if low, high := chain.NewPlanck(fee.Big().Uint64()/1000*999), chain.NewPlanck(fee.Big().Uint64()/1000*1001); o.Fee.Cmp(low) < 0 || o.Fee.Cmp(high) > 0 {
		t.Errorf("fee %v, estimated %v", o.Fee, fee)
	}
	if o, err = finalise(t, c, owner, attributeCall("update_attribute", owner.Account(), name, []byte("two"))); err != nil || !hasEvent(o, "PeaqDid", "AttributeUpdated") {
		t.Errorf("update: %v", err)
	}
	b, err := c.BlockAt(ctx, o.Block)
	if err != nil {
		t.Fatal(err)
	}
	id := owner.Account()
	hash := metadata.Blake2_256(append(id[:], name...))
	v, err := b.Storage(ctx, "PeaqDid", "AttributeStore", hash)
	if f, ok := v.(metadata.Fields); err != nil || !ok {
		t.Errorf("attribute: %v, %v", v, err)
	} else if value, _ := f.Get("value"); !bytes.Equal(value.([]byte), []byte("two")) {
		t.Errorf("attribute holds %s", value)
	}
	_, err = finalise(t, c, owner, attributeCall("update_attribute", owner.Account(), []byte("none"), nil))
	var d *chain.DispatchError
	if !errors.As(err, &d) || d.Pallet != "PeaqDid" || d.Name != "AttributeNotFound" {
		t.Errorf("update of nothing: %v", err)
	}
	permission, role := randomID(t), randomID(t)
	o, err = finalise(t, c, owner, chain.BatchAll(
		rbacCall("add_permission", "permission_id", permission, "name", []byte("p")),
		rbacCall("add_role", "role_id", role, "name", []byte("r")),
		rbacCall("assign_permission_to_role", "permission_id", permission, "role_id", role)))
	if err != nil || !hasEvent(o, "PeaqRbac", "PermissionAssigned") || !hasEvent(o, "Utility", "BatchCompleted") {
		t.Errorf("RBAC set-up: %v, %+v", err, o)
	}
	_, err = finalise(t, c, owner, chain.BatchAll(chain.Remark([]byte("x")), rbacCall("add_role", "role_id", role, "name", []byte("r"))))
	if !errors.As(err, &d) || d.Pallet != "PeaqRbac" || d.Name != "EntityAlreadyExist" {
		t.Errorf("the same role again: %v", err)
	}
	amount, err := chain.ParsePlanck("1.5", 18)
	if err != nil {
		t.Fatal(err)
	}
	o, err = finalise(t, c, owner, chain.Transfer(other, amount))
	if err != nil {
		t.Errorf("transfer: %v", err)
	}
	if b, err = c.BlockAt(ctx, o.Block); err != nil {
		t.Fatal(err)
	}
	if bal, err := b.Balance(ctx, other); err != nil || bal.Free.Cmp(amount) != 0 {
		t.Errorf("balance after the transfer: %+v, %v", bal, err)
	}
}

// Batches made by the real runtime's own weights are taken by it, each as a whole.
func TestBatchesOnPeaqsRuntime(t *testing.T) {
	url := peaqEndpoint(t)
	c := dialDev(t, url)
	owner := newPair(t, key.Sr25519)
	fund(t, url, owner.Account())
	if _, err := finalise(t, c, owner, chain.Remark(nil)); err != nil { // chopsticks shows what was funded from the next block on
		t.Fatal(err)
	}
	var calls []metadata.Call
	for i := range 1200 {
		var to key.AccountID
		copy(to[:], randomID(t))
		calls = append(calls, chain.Transfer(to, chain.NewPlanck(1e15)),
			did.AddAttribute(owner.Account(), fmt.Sprintf("batch-%d", i), make([]byte, 130), nil))
	}
	parts, err := c.Batches(t.Context(), owner.Public(), calls)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		w, err := c.Weigh(t.Context(), owner.Public(), chain.BatchAll(p...))
		if err != nil {
			t.Fatal(err)
		}
		out, err := finalise(t, c, owner, chain.BatchAll(p...))
		if err != nil {
			t.Fatalf("a batch of %d, weight %+v: %v", len(p), w, err)
		}
		t.Logf("a batch of %d, weight %+v: block %d, fee %s", len(p), w, out.Number, out.Fee.Format(18))
	}
}
