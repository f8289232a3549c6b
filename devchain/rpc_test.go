package devchain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"

	"iod/key"
	"iod/metadata"
	"iod/scale"
)

// post sends a body by HTTP.
func post(t *testing.T, addr, body string) string {
	t.Helper()
	resp, err := http.Post("http://"+addr, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("browsers are not let in")
	}
	return strings.TrimSpace(string(b))
}

func TestHTTP(t *testing.T) {
	_, addr := start(t, Options{Manual: true})
	for body, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"system_chainType"}`:                                          `{"jsonrpc":"2.0","id":1,"result":"Development"}`,
		`{"jsonrpc":"2.0","id":"x","method":"nope"}`:                                                    `{"jsonrpc":"2.0","id":"x","error":{"code":-32601,"message":"Method not found"}}`,
		`{"jsonrpc":"2.0","id":2,"method":"chain_getBlockHash","params":[9]}`:                           `{"jsonrpc":"2.0","id":2,"result":null}`,
		`{"jsonrpc":"2.0","id":2,"method":"chain_getHeader","params":["0x12"]}`:                         `{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"Invalid params: parameter 0 is not a block hash"}}`,
		`{"jsonrpc":"2.0","id":3,"method":"chain_subscribeNewHead"}`:                                    `{"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"Subscriptions need a WebSocket"}}`,
		`{"jsonrpc":"2.0","id":3,"method":"chain_getHeader","params":["` + hexHash([32]byte{1}) + `"]}`: `{"jsonrpc":"2.0","id":3,"result":null}`,
		`{`:  `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`,
		`[]`: `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request: batch of 0 requests"}}`,
		`{"jsonrpc":"2.0","method":"system_health"}`:                                                         ``,
		`[{"jsonrpc":"2.0","id":1,"method":"system_version"},{"jsonrpc":"2.0","method":"system_version"},7]`: `[{"jsonrpc":"2.0","id":1,"result":"1"},{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}]`,
	} {
		if got := post(t, addr, body); got != want {
			t.Errorf("%s\n gives %s\n  want %s", body, got, want)
		}
	}
	if got := post(t, addr, strings.Repeat(" ", maxRequest+1)); !strings.Contains(got, "longer than") {
		t.Errorf("too long a request: %.100s", got)
	}
	resp, err := http.Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", resp.Status)
	}
}

// TestBatchOfTransactions sends all in one batch, whose answers stand in its order.
func TestBatchOfTransactions(t *testing.T) {
	c, addr := start(t, Options{Manual: true})
	alice := keyPair(t, key.Sr25519, "//Alice")
	var batch []string
	for i := range 50 {
		batch = append(batch, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"author_submitExtrinsic","params":["%s"]}`,
			i, hexBytes(immortal(c).sign(t, alice, uint32(i), 0, remark("x")))))
	}
	var answers []message
	if err := json.Unmarshal([]byte(post(t, addr, "["+strings.Join(batch, ",")+"]")), &answers); err != nil || len(answers) != 50 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for i, a := range answers {
		if a.ID != i || a.Error != nil {
			t.Errorf("answer %d: %+v", i, a)
		}
	}
	if _, err := c.NewBlock(1); err != nil || c.nonce(alice.Account()) != 50 {
		t.Errorf("nonce %d, %v", c.nonce(alice.Account()), err)
	}
}

func TestReads(t *testing.T) {
	c, addr := start(t, Options{Manual: true})
	k := dial(t, addr)
	var hashes []string
	for i := range 5 {
		hash, err := c.SetStorage(map[string][]byte{"p1": {byte(i)}, "p2": bytes.Repeat([]byte{1}, i/2+1), fmt.Sprint("p9", i): {9}})
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, hexHash(hash))
	}
	if _, err := c.SetStorage(map[string][]byte{"p1": nil}); err != nil {
		t.Fatal(err)
	}
	hex := func(s string) string { return hexBytes([]byte(s)) }
	var value *string
	if k.call(&value, "state_getStorage", hex("p1")); value != nil {
		t.Errorf("removed value is %s", *value)
	}
	for i, h := range hashes {
		if k.call(&value, "state_getStorage", hex("p1"), h); value == nil || *value != fmt.Sprintf("0x0%d", i) {
			t.Errorf("value at block %d is %v", i+1, value)
		}
	}
	var size int
	if k.call(&size, "state_getStorageSize", hex("p2")); size != 3 {
		t.Errorf("size %d", size)
	}
	var keys, more []string
	k.call(&keys, "state_getKeysPaged", hex("p"), 4)
	k.call(&more, "state_getKeysPaged", hex("p"), 4, keys[3])
	if got := append(keys, more...); !slices.Equal(got, []string{hex("p2"), hex("p90"), hex("p91"), hex("p92"), hex("p93"), hex("p94")}) {
		t.Errorf("keys %v", got)
	}
	if k.call(&keys, "state_getKeys", hex("p9"), hashes[1]); len(keys) != 2 {
		t.Errorf("keys at block 2: %v", keys)
	}
	var sets []changeSet
	k.call(&sets, "state_queryStorage", []string{hex("p2")}, hashes[0], hashes[4])
	if len(sets) != 3 || sets[0].Block != hashes[0] || sets[1].Block != hashes[2] || sets[2].Block != hashes[4] {
		t.Errorf("changes of p2: %v", sets)
	}
	if err := k.try(nil, "state_getStorage", hex("p1"), hexHash([32]byte{7})); err == nil || err.Code != 4003 {
		t.Errorf("unknown block: %v", err)
	}
	if err := k.try(nil, "state_getReadProof", []string{hex("p1")}); err == nil {
		t.Error("a proof was given")
	}
	if err := k.try(nil, "state_getKeysPaged", "0x", 1001); err == nil || err.Code != -32602 {
		t.Errorf("page too long: %v", err)
	}
	var names struct{ Methods []string }
	if k.call(&names, "rpc_methods"); len(names.Methods) < 70 || !slices.IsSorted(names.Methods) {
		t.Errorf("%d methods", len(names.Methods))
	}
}

// TestFeeQueries compares the RPC, the runtime API and what is taken.
func TestFeeQueries(t *testing.T) {
	c, addr := start(t, Options{Manual: true})
	k := dial(t, addr)
	alice := keyPair(t, key.Sr25519, "//Alice")
	raw := immortal(c).sign(t, alice, 0, 0, remark("what does it cost"))
	var info struct{ PartialFee string }
	k.call(&info, "payment_queryInfo", hexBytes(raw))
	params := scale.AppendU32(bytes.Clone(raw), uint32(len(raw)))
	var out string
	k.call(&out, "state_call", "TransactionPaymentApi_query_info", hexBytes(params))
	r := scale.NewReader(unhex(t, out))
	r.Bytes(9)
	if fee := r.Big(16).String(); fee != info.PartialFee || r.End() != nil {
		t.Errorf("RPC says %s, runtime API %s", info.PartialFee, fee)
	}
	k.call(nil, "payment_queryFeeDetails", hexBytes(raw))
	before := c.balance(alice.Account())
	k.call(nil, "author_submitExtrinsic", hexBytes(raw))
	k.call(nil, "dev_newBlock")
	paid := before.Sub(before, c.balance(alice.Account()))
	estimated, ok := new(big.Int).SetString(info.PartialFee, 10)
	if !ok || paid.Cmp(withdrawn(estimated)) != 0 {
		t.Errorf("%s was taken, %s estimated", paid, estimated)
	}
}

func (c *Chain) balance(id key.AccountID) *big.Int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return decodeAccount(c.led.getter(c.led.head())(accounts.key(id[:]))).free
}

// TestMetadataParses reads both versions of every runtime with the client's parser.
func TestMetadataParses(t *testing.T) {
	for _, rt := range []runtime{{spec: 1, tx: 1}, {spec: 2, tx: 1, marker: true}, {spec: 3, tx: 2, marker: true, metadataHash: true}} {
		for _, version := range []uint8{14, 15} {
			m, err := metadata.Parse(rt.metadata(version))
			if err != nil {
				t.Fatalf("%+v V%d: %v", rt, version, err)
			}
			if n := len(m.SignedExtensions()); n != len(rt.extensions()) || m.Version() != version {
				t.Errorf("%+v: %d extensions, V%d", rt, n, m.Version())
			}
			if _, err := m.Constant("System", "DevchainUpgrade"); (err == nil) != rt.marker {
				t.Errorf("%+v: constant of the upgrade: %v", rt, err)
			}
			if version == 15 {
				if _, err := m.EncodeRuntimeCall("PeaqDIDApi_read", make([]byte, 32), "x"); err != nil {
					t.Errorf("%+v: %v", rt, err)
				}
			}
		}
	}
}
