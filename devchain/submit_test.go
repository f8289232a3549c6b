package devchain

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"iod/key"
	"iod/scale"
)

func manual(t testing.TB, o Options) *Chain {
	t.Helper()
	o.Manual = true
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// refused submits through the server and returns code, message and data of the refusal.
func refused(t *testing.T, c *Chain, raw []byte) *rpcError {
	t.Helper()
	_, err := c.submit(raw, nil)
	if err == nil {
		t.Fatal("transaction was accepted")
	}
	return submitError(err).(*rpcError)
}

func TestRefusalsReadAsANodes(t *testing.T) {
	c := manual(t, Options{})
	alice, poor := keyPair(t, key.Sr25519, "//Alice"), keyPair(t, key.Sr25519, "//Poor")
	s := immortal(c)
	good := s.sign(t, alice, 0, 0, remark("one"))
	if _, err := c.Submit(good); err != nil {
		t.Fatal(err)
	}
	wrong := s
	wrong.rt.spec = 2
	foreign := s
	foreign.genesis[0] ^= 1
	mortal := s
	mortal.era, mortal.birth = []byte{0x15, 0x00}, c.genesis // period 64, phase 1: born in the block to come
	flipped := append([]byte(nil), good...)
	flipped[60] ^= 1
	inherent := scale.AppendVec(nil, scale.AppendCompact([]byte{4, timestampIndex, 0}, 5))
	enabled := s
	for _, x := range []struct {
		name string
		raw  []byte
		code int
		data string
	}{
		{"again", good, 1013, ""},
		{"same nonce, no more tip", s.sign(t, alice, 0, 0, remark("two")), 1014, "too low priority"},
		{"other spec version", wrong.sign(t, alice, 1, 0, remark("x")), 1010, "Transaction has a bad signature"},
		{"other genesis", foreign.sign(t, alice, 1, 0, remark("x")), 1010, "Transaction has a bad signature"},
		{"flipped bit", flipped, 1010, "Transaction has a bad signature"},
		{"nothing to pay with", s.sign(t, poor, 0, 0, remark("x")), 1010, "Inability to pay some fees"},
		{"tip beyond means", s.sign(t, keyPair(t, key.Ed25519, "//Alice"), 0, 1<<62, remark("x")), 0, ""},
		{"unborn", mortal.sign(t, alice, 1, 0, remark("x")), 1010, "ancient birth block"},
		{"inherent", inherent, 1010, "not expected"},
		{"garbage", []byte{8, 1, 2}, 1002, "version 4"},
		{"empty", nil, 1002, "not enough bytes"},
		{"unknown call", enabled.sign(t, alice, 1, 0, []byte{99, 0}), 1002, "unknown"},
		{"call with bytes left over", s.sign(t, alice, 1, 0, append(remark("x"), 0)), 1002, "left over"},
	} {
		if x.code == 0 {
			continue
		}
		err := refused(t, c, x.raw)
		data, _ := err.Data.(string)
		if err.Code != x.code || !strings.Contains(data, x.data) {
			t.Errorf("%s: %d %s %q, want %d %q", x.name, err.Code, err.Message, data, x.code, x.data)
		}
	}
	if _, err := c.NewBlock(1); err != nil {
		t.Fatal(err)
	}
	if err := refused(t, c, good); err.Data != string(errStale) {
		t.Errorf("included transaction again: %v %v", err, err.Data)
	}
}

// TestMortality follows a transaction of 4 blocks' life that waits for an earlier nonce until it is too late.
func TestMortality(t *testing.T) {
	c := manual(t, Options{})
	alice := keyPair(t, key.Sr25519, "//Alice")
	if _, err := c.NewBlock(5); err != nil {
		t.Fatal(err)
	}
	born, hash := c.Best()
	s := immortal(c)
	s.era, s.birth = []byte{byte(born%4)<<4 | 1, 0}, hash
	var states []string
	if _, err := c.submit(s.sign(t, alice, 1, 0, remark("late")), func(status any, last bool) {
		states = append(states, status.(string))
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.submit(s.sign(t, alice, 0, 0, remark("in time")), nil); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock() // the first one is taken out, so that the second waits for good
	c.pool.remove(c.pool.byAccount[alice.Account()][0])
	c.pool.compact()
	c.mu.Unlock()
	if _, err := c.NewBlock(4); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(states, " "); got != "future invalid" {
		t.Errorf("states: %s", got)
	}
	if err := refused(t, c, s.sign(t, alice, 0, 0, remark("expired"))); err.Data != string(errBadProof) {
		t.Errorf("expired transaction: %v %v", err, err.Data)
	}
}

func TestEraIsSubstrates(t *testing.T) {
	for _, x := range []struct {
		bytes       []byte
		number      uint32
		birth       uint32
		death       uint64
		period, err bool
	}{
		{[]byte{0}, 7, 0, 1 << 62, false, false},
		{[]byte{0x35, 0x00}, 4, 3, 67, true, false},    // recorded: period 64, made at block 3
		{[]byte{0xd5, 0x01}, 30, 29, 93, true, false},  // recorded: at block 29
		{[]byte{0x35, 0x00}, 67, 67, 131, true, false}, // the next period
		{[]byte{0x01, 0x00}, 1, 0, 4, true, false},     // the shortest
		{[]byte{0x10, 0x00}, 0, 0, 0, true, true},      // a period of 2
		{[]byte{0x05, 0x04}, 0, 0, 0, true, true},      // phase 64 of 64
		{[]byte{0x0f, 0x00}, 70000, 65536, 131072, true, false},
	} {
		r := scale.NewReader(x.bytes)
		e := readEra(r)
		if (r.End() != nil) != x.err {
			t.Errorf("%x: error %v", x.bytes, r.End())
			continue
		}
		if !x.err && (e.birth(x.number) != x.birth || e.death(x.number) != x.death) {
			t.Errorf("%x at %d: from %d to %d, want %d to %d", x.bytes, x.number, e.birth(x.number), e.death(x.number), x.birth, x.death)
		}
	}
}

// TestPoolOrdersNonces sends nonces backwards: nothing is ready until the first one comes, then all are in one block.
func TestPoolOrdersNonces(t *testing.T) {
	c := manual(t, Options{})
	alice := keyPair(t, key.Ecdsa, "//Alice")
	s := immortal(c)
	for nonce := 9; nonce >= 1; nonce-- {
		if _, err := c.Submit(s.sign(t, alice, uint32(nonce), 0, remark("x"))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.NewBlock(1); err != nil {
		t.Fatal(err)
	}
	if n := c.nonce(alice.Account()); n != 0 {
		t.Fatalf("nonce is %d before the first transaction", n)
	}
	usurped := ""
	if _, err := c.submit(s.sign(t, alice, 0, 1, remark("cheap")), func(status any, last bool) {
		if m, ok := status.(map[string]any); ok && last {
			usurped, _ = m["usurped"].(string)
		}
	}); err != nil {
		t.Fatal(err)
	}
	hash, err := c.Submit(s.sign(t, alice, 0, 2, remark("dear")))
	if err != nil || usurped != hexHash(hash) {
		t.Fatalf("replacement: %v, usurped by %s, want %x", err, usurped, hash)
	}
	if _, err := c.NewBlock(1); err != nil {
		t.Fatal(err)
	}
	if n := len(c.led.body(c.led.head())); n != 11 || c.nonce(alice.Account()) != 10 {
		t.Errorf("%d extrinsics in the block, nonce %d", n, c.nonce(alice.Account()))
	}
}

// TestBlockWeightIsBounded fills the pool beyond what a block may weigh.
func TestBlockWeightIsBounded(t *testing.T) {
	c := manual(t, Options{})
	alice := keyPair(t, key.Sr25519, "//Alice")
	s := immortal(c)
	calls := scale.AppendCompact([]byte{utilityIndex, 0}, 1000)
	for range 1000 {
		calls = append(calls, transfer(alice.Account(), 0)...)
	}
	for nonce := range uint32(5) { // of 0.172·10¹² each, and 0.375·10¹² fit
		if _, err := c.Submit(s.sign(t, alice, nonce, 0, calls)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []uint32{2, 4, 5} {
		if _, err := c.NewBlock(1); err != nil {
			t.Fatal(err)
		}
		if n := c.nonce(alice.Account()); n != want {
			t.Fatalf("nonce %d, want %d", n, want)
		}
	}
	for range 1000 {
		calls = append(calls, transfer(alice.Account(), 0)...)
	}
	heavy := append(scale.AppendCompact([]byte{utilityIndex, 0}, 2000), calls[4:]...)
	if err := refused(t, c, s.sign(t, alice, 5, 0, heavy)); err.Data != string(errExhausts) {
		t.Errorf("too heavy for any block: %v %v", err, err.Data)
	}
}

// TestTimedBlocks lets the clock tick under a chain of timed blocks.
func TestTimedBlocks(t *testing.T) {
	c, addr := start(t, Options{BlockTime: 5 * time.Millisecond})
	k := dial(t, addr)
	k.call(nil, "chain_subscribeFinalizedHeads")
	expectHeads(t, k, "chain_finalizedHead", number(t, k.note("chain_finalizedHead"))+1)
	alice := keyPair(t, key.Sr25519, "//Alice")
	k.call(nil, "author_submitAndWatchExtrinsic", hexBytes(immortal(c).sign(t, alice, 0, 0, remark("x"))))
	for name := ""; name != "finalized"; {
		name, _ = status(t, k.note("author_extrinsicUpdate"))
	}
}

func TestUpgradeAddsAnExtension(t *testing.T) {
	c := manual(t, Options{})
	alice := keyPair(t, key.Sr25519, "//Alice")
	s := immortal(c)
	if _, err := c.Submit(s.sign(t, alice, 0, 0, remark("before"))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upgrade(Upgrade{MetadataHash: true}); err != nil {
		t.Fatal(err)
	}
	if n := c.nonce(alice.Account()); n != 1 {
		t.Fatalf("transaction of the old version is not in the block that upgrades: nonce %d", n)
	}
	if err := refused(t, c, s.sign(t, alice, 1, 0, remark("x"))); err.Code != 1002 && err.Data != string(errBadProof) {
		t.Errorf("transaction of the old form: %v %v", err, err.Data)
	}
	s.rt = runtime{spec: 2, tx: 1, metadataHash: true}
	if _, err := c.Submit(s.sign(t, alice, 1, 0, remark("after"))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewBlock(1); err != nil || c.nonce(alice.Account()) != 2 {
		t.Errorf("nonce %d, %v", c.nonce(alice.Account()), err)
	}
}

func TestSetBalance(t *testing.T) {
	c := manual(t, Options{Endowed: map[key.AccountID]*big.Int{{1}: big.NewInt(5000)}})
	id := key.AccountID{2}
	issuance := func() string {
		return scale.NewReader(c.led.state.at(issuanceKey, c.led.head().number)).Big(16).String()
	}
	for _, x := range []struct {
		free     int64
		issuance string
	}{{700, "5700"}, {600, "5600"}, {0, "5000"}} {
		if _, err := c.SetBalance(id, big.NewInt(x.free)); err != nil {
			t.Fatal(err)
		}
		a := decodeAccount(c.led.state.at(accounts.key(id[:]), c.led.head().number))
		if a.free.Int64() != x.free || issuance() != x.issuance {
			t.Errorf("free %s, issuance %s; want %+v", a.free, issuance(), x)
		}
	}
	if _, err := c.SetBalance(id, new(big.Int).Lsh(unit, 200)); err == nil {
		t.Error("balance of more than 128 bits was taken")
	}
}
