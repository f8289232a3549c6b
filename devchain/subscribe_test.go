package devchain

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"iod/key"
)

// status names the state of a transaction in a notification.
func status(t *testing.T, b json.RawMessage) (name, hash string) {
	t.Helper()
	if json.Unmarshal(b, &name) == nil {
		return name, ""
	}
	var m map[string]string
	if err := json.Unmarshal(b, &m); err != nil || len(m) != 1 {
		t.Fatalf("status %s", b)
	}
	for name, hash = range m {
	}
	return name, hash
}

func TestReorganisationIsSeen(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		t.Run("disk="+dir, func(t *testing.T) {
			c, addr := start(t, Options{Dir: dir, Manual: true, FinalityLag: 4})
			alice, bob := keyPair(t, key.Sr25519, "//Alice"), keyPair(t, key.Sr25519, "//Bob").Account()
			k := dial(t, addr)
			bobKey := hexBytes([]byte(accounts.key(bob[:])))
			k.call(nil, "chain_subscribeNewHead")
			k.call(nil, "chain_subscribeAllHeads")
			k.call(nil, "chain_subscribeFinalizedHeads")
			k.call(nil, "state_subscribeStorage", []string{bobKey})
			for _, m := range []string{"chain_newHead", "chain_allHead", "chain_finalizedHead"} {
				if n := number(t, k.note(m)); n != 0 {
					t.Fatalf("%s starts at %d", m, n)
				}
			}
			k.note("state_storage")
			k.call(nil, "author_submitAndWatchExtrinsic", hexBytes(immortal(c).sign(t, alice, 0, 0, transfer(bob, 1000))))
			var old string
			k.call(&old, "dev_newBlock", map[string]int{"count": 2})
			var oldBlock string
			k.call(&oldBlock, "chain_getBlockHash", 1)
			expectStatus(t, k, "ready", "")
			expectStatus(t, k, "inBlock", oldBlock)
			first := k.note("state_storage")
			expectHeads(t, k, "chain_newHead", 1, 2)
			expectHeads(t, k, "chain_allHead", 1, 2)

			// Both blocks are replaced by three; the transaction comes back in the first of them.
			var head, newBlock string
			k.call(&head, "dev_reorg", map[string]int{"depth": 2})
			k.call(&newBlock, "chain_getBlockHash", 1)
			expectStatus(t, k, "retracted", oldBlock)
			expectStatus(t, k, "inBlock", newBlock)
			expectHeads(t, k, "chain_newHead", 3)
			expectHeads(t, k, "chain_allHead", 1, 2, 3)
			if newBlock == oldBlock {
				t.Error("the block was not replaced")
			}
			var stale, now, genesisValue *string
			k.call(&stale, "state_getStorage", bobKey, old)
			k.call(&now, "state_getStorage", bobKey, head)
			k.call(&genesisValue, "state_getStorage", bobKey, hexHash(c.genesis))
			if *stale != *now || *now == *genesisValue {
				t.Errorf("values at the old head, the new one and genesis: %s %s %s", *stale, *now, *genesisValue)
			}

			// Dropped this time: the value goes back to what it was.
			k.call(&head, "dev_reorg", map[string]any{"depth": 3, "drop": true})
			expectStatus(t, k, "retracted", newBlock)
			expectStatus(t, k, "dropped", "")
			var back struct{ Changes [][2]string }
			if err := json.Unmarshal(k.note("state_storage"), &back); err != nil || back.Changes[0][1] != *genesisValue {
				t.Errorf("storage went to %v, want %s; first %s", back, *genesisValue, first)
			}
			expectHeads(t, k, "chain_newHead", 4)
			if n := c.nonce(alice.Account()); n != 0 {
				t.Errorf("nonce is %d", n)
			}
			if err := k.try(nil, "dev_reorg", map[string]int{"depth": 5}); err == nil || !strings.Contains(err.Message, "4 are not final") {
				t.Errorf("reorganisation of final blocks: %v", err)
			}
			k.call(nil, "dev_newBlock", map[string]int{"count": 2})
			expectHeads(t, k, "chain_finalizedHead", 1, 2)
			checkLinks(t, c)
		})
	}
}

func expectStatus(t *testing.T, k *client, name, hash string) {
	t.Helper()
	if n, h := status(t, k.note("author_extrinsicUpdate")); n != name || h != hash {
		t.Fatalf("status is %s %s, want %s %s", n, h, name, hash)
	}
}

func expectHeads(t *testing.T, k *client, method string, numbers ...int) {
	t.Helper()
	var got []int
	for range numbers {
		got = append(got, number(t, k.note(method)))
	}
	if !slices.Equal(got, numbers) {
		t.Fatalf("%s: %v, want %v", method, got, numbers)
	}
}

// TestReorganisationSurvivesRestart reopens a chain whose log holds a reorganisation.
func TestReorganisationSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	alice := keyPair(t, key.Sr25519, "//Alice")
	open := func() *Chain {
		c, err := New(Options{Dir: dir, Manual: true, FinalityLag: 10})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open()
	if _, err := c.Submit(immortal(c).sign(t, alice, 0, 0, remark("a"))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewBlock(4); err != nil {
		t.Fatal(err)
	}
	head, err := c.Reorganise(Reorg{Depth: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open()
	if n, hash := c.Best(); n != 5 || hash != head {
		t.Errorf("head is %d %x after a restart, want 5 %x", n, hash, head)
	}
	checkLinks(t, c)
	// A transaction from before the restart comes back too.
	if _, err := c.Reorganise(Reorg{Depth: 5}); err != nil {
		t.Fatal(err)
	}
	if n := c.nonce(alice.Account()); n != 1 {
		t.Errorf("nonce is %d, want 1", n)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Dir: dir, GenesisHash: &[32]byte{1}}); err == nil || !strings.Contains(err.Error(), "genesis") {
		t.Errorf("chain of another genesis: %v", err)
	}
	c = open()
	if _, err := New(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second chain on the state: %v", err)
	}
	c.Close()
}

func TestSubscriptionsEnd(t *testing.T) {
	c, addr := start(t, Options{Manual: true})
	k := dial(t, addr)
	var id string
	k.call(&id, "state_subscribeRuntimeVersion")
	k.note("state_runtimeVersion")
	k.call(nil, "dev_upgrade")
	var v struct{ SpecVersion int }
	if err := json.Unmarshal(k.note("state_runtimeVersion"), &v); err != nil || v.SpecVersion != 2 {
		t.Errorf("version %+v, %v", v, err)
	}
	var ended bool
	if k.call(&ended, "state_unsubscribeRuntimeVersion", id); !ended {
		t.Error("unsubscribing said false")
	}
	if k.call(&ended, "state_unsubscribeRuntimeVersion", id); ended {
		t.Error("unsubscribing twice said true")
	}
	for range maxSubscriptions {
		k.call(nil, "chain_subscribeNewHead")
	}
	if err := k.try(nil, "chain_subscribeNewHead"); err == nil || !strings.Contains(err.Message, "Too many") {
		t.Errorf("one subscription too many: %v", err)
	}
	c.DropConnections()
	for range k.answers { // ends when the connection does
	}
	k2 := dial(t, addr)
	k2.call(nil, "system_health")
	for c.subscriptions() != 0 {
		k2.call(nil, "system_health")
	}
}

func (c *Chain) subscriptions() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.hub.all)
}

// TestSlowReaderIsCutOff fills the outbox of a connection that reads nothing.
func TestSlowReaderIsCutOff(t *testing.T) {
	o := newOutbox()
	msg := make([]byte, 1<<20)
	for range maxOutbox/len(msg) + 1 {
		o.put(msg)
	}
	if _, ok := o.take(); ok || o.room() {
		t.Error("the outbox took more than its limit")
	}
}

func TestStalledServerAnswersLater(t *testing.T) {
	c, addr := start(t, Options{Manual: true})
	k := dial(t, addr)
	k.call(nil, "system_health")
	c.Stall(true)
	k.send("system_health")
	select {
	case m := <-k.answers:
		t.Fatalf("answer %d while stalled", m.ID)
	default:
	}
	c.Stall(false)
	if m := k.answer(); m.ID != k.next {
		t.Errorf("answer %d", m.ID)
	}
}
