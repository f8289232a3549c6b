package chain

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"iod/key"
	"iod/metadata"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBlock is a block of a fake chain; its hash is that of its header.
type fakeBlock struct {
	hash   Hash
	header map[string]any
	parent *fakeBlock
	number uint32
	txs    []string
	events string
	spec   uint32 // version of the code in its state
}

// fakeNode is a scripted node with peaq's metadata. Its chain grows by the test's hand.
type fakeNode struct {
	t    *testing.T
	url  string // ws
	http string
	meta string

	mu        sync.Mutex
	called    *sync.Cond // of mu: a call came
	blocks    map[Hash]*fakeBlock
	best      *fakeBlock
	finalised *fakeBlock
	storage   map[string]string
	nonce     uint32
	conns     map[*fakeConn]bool
	calls     map[string]int
	submitted chan string
	// hook answers instead of the node: raw JSON of the "result" or "error" member, "" to leave it to the node, "-" for silence.
	hook func(method string, params []json.RawMessage) string
	// frames, if set, sees every frame and reports whether the connection is to end.
	frames func(frame []byte) (hangUp bool)
}

type fakeConn struct {
	ws   *websocket.Conn
	mu   sync.Mutex
	subs map[string]string // id → kind
	keys []string
}

func newFake(t *testing.T, genesis string) *fakeNode {
	t.Helper()
	n := &fakeNode{t: t, blocks: map[Hash]*fakeBlock{}, storage: map[string]string{}, conns: map[*fakeConn]bool{}, calls: map[string]int{},
		submitted: make(chan string, 1024), meta: fmt.Sprintf("%#x", readShared(t, "metadata-v14.scale"))}
	n.called = sync.NewCond(&n.mu)
	g := n.makeBlock(nil, genesis)
	n.best, n.finalised = g, g
	var wg sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wg.Add(1)
		defer wg.Done()
		if r.Method == http.MethodPost {
			n.servePost(w, r)
			return
		}
		ws, err := websocket.Accept(w, r, nil)
		if err == nil {
			n.serve(&fakeConn{ws: ws, subs: map[string]string{}})
		}
	}))
	n.http, n.url = srv.URL, "ws"+strings.TrimPrefix(srv.URL, "http")
	t.Cleanup(func() { n.drop(); srv.CloseClientConnections(); srv.Close(); wg.Wait() })
	return n
}

// makeBlock makes a block on parent without making it known. salt tells forks apart.
func (n *fakeNode) makeBlock(parent *fakeBlock, salt string, txs ...string) *fakeBlock {
	b := &fakeBlock{parent: parent, txs: txs, events: "0x00", spec: 1}
	var p Hash
	if parent != nil {
		p, b.number, b.spec = parent.hash, parent.number+1, parent.spec
	}
	root := Hash(metadata.Blake2_256([]byte(salt)))
	h := header{Parent: p, Number: blockNumber(b.number), State: root, Extrinsics: root}
	h.Digest.Logs = []hexBytes{{6, 1, 2, 3}}
	b.hash = h.hash()
	b.header = map[string]any{"parentHash": p, "number": fmt.Sprintf("0x%x", b.number), "stateRoot": root, "extrinsicsRoot": root,
		"digest": map[string]any{"logs": []string{"0x06010203"}}}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blocks[b.hash] = b
	return b
}

// grow adds a block to the best chain and announces it.
func (n *fakeNode) grow(salt string, txs ...string) *fakeBlock {
	n.mu.Lock()
	parent := n.best
	n.mu.Unlock()
	b := n.makeBlock(parent, salt, txs...)
	n.setBest(b)
	return b
}

func (n *fakeNode) setBest(b *fakeBlock) {
	n.mu.Lock()
	n.best = b
	n.mu.Unlock()
	n.announce("best", b.header)
}

func (n *fakeNode) finalise(b *fakeBlock) {
	n.mu.Lock()
	n.finalised = b
	n.mu.Unlock()
	n.announce("finalised", b.header)
}

// growFinal adds count blocks and finalises each.
func (n *fakeNode) growFinal(count int) {
	for range count {
		n.finalise(n.grow(""))
	}
}

func (n *fakeNode) announce(kind string, result any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.mu.Lock()
		for id, k := range c.subs {
			if k == kind {
				c.notify(n.t, id, result)
			}
		}
		c.mu.Unlock()
	}
}

func (c *fakeConn) notify(t *testing.T, id string, result any) {
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "method": "n", "params": map[string]any{"subscription": id, "result": result}})
	if err != nil {
		t.Error(err)
	}
	c.write(b)
}

func (c *fakeConn) write(b []byte) {
	_ = c.ws.Write(context.Background(), websocket.MessageText, b) // the client may be gone
}

// drop cuts all connections.
func (n *fakeNode) drop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		_ = c.ws.CloseNow()
	}
}

func (n *fakeNode) count(method string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.calls[method]
}

func (n *fakeNode) setHook(h func(method string, params []json.RawMessage) string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hook = h
}

type fakeRequest struct {
	ID     json.RawMessage
	Method string
	Params []json.RawMessage
}

func (n *fakeNode) serve(c *fakeConn) {
	c.ws.SetReadLimit(1 << 22)
	n.mu.Lock()
	n.conns[c] = true
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.conns, c)
		n.mu.Unlock()
		_ = c.ws.CloseNow()
	}()
	for {
		_, frame, err := c.ws.Read(n.t.Context())
		if err != nil || n.frames != nil && n.frames(frame) {
			return
		}
		if out := n.answerFrame(c, frame); len(out) > 0 {
			c.write(out)
		}
		n.afterSubscribe(c)
	}
}

func (n *fakeNode) answerFrame(c *fakeConn, frame []byte) []byte {
	var all []fakeRequest
	if frame[0] != '[' {
		var r fakeRequest
		if err := json.Unmarshal(frame, &r); err != nil {
			n.t.Errorf("client sent %s", frame)
		}
		return n.answer(c, r)
	}
	if err := json.Unmarshal(frame, &all); err != nil {
		n.t.Errorf("client sent %s", frame)
	}
	var parts []string
	for _, r := range all {
		if b := n.answer(c, r); b != nil {
			parts = append(parts, string(b))
		}
	}
	return []byte("[" + strings.Join(parts, ",") + "]")
}

func (n *fakeNode) servePost(w http.ResponseWriter, r *http.Request) {
	var frame json.RawMessage
	if json.NewDecoder(r.Body).Decode(&frame) != nil {
		return
	}
	_, _ = w.Write(n.answerFrame(nil, frame)) // the client may be gone
}

// answer makes the answer to one request; nil is silence.
func (n *fakeNode) answer(c *fakeConn, r fakeRequest) []byte {
	n.mu.Lock()
	n.calls[r.Method]++
	n.called.Broadcast()
	hook := n.hook
	n.mu.Unlock()
	if hook != nil {
		switch raw := hook(r.Method, r.Params); raw {
		case "":
		case "-":
			return nil
		default:
			return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,%s}`, r.ID, raw)
		}
	}
	result, err := n.do(c, r)
	if err != "" {
		return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":%s}`, r.ID, err)
	}
	b, merr := json.Marshal(result)
	if merr != nil {
		n.t.Error(merr)
	}
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":%s}`, r.ID, b)
}

const notFound = `{"code":-32601,"message":"Method not found"}`

func (n *fakeNode) do(c *fakeConn, r fakeRequest) (any, string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	arg := func(i int, dst any) bool {
		return i < len(r.Params) && string(r.Params[i]) != "null" && json.Unmarshal(r.Params[i], dst) == nil
	}
	at := func(i int) *fakeBlock {
		var h Hash
		if arg(i, &h) {
			return n.blocks[h]
		}
		return n.best
	}
	switch r.Method {
	case "chain_getBlockHash":
		return n.hashesOf(arg), ""
	case "chain_getFinalizedHead":
		return n.finalised.hash, ""
	case "chain_getHeader":
		if b := at(0); b != nil {
			return b.header, ""
		}
		return nil, ""
	case "chain_getBlock":
		if b := at(0); b != nil {
			return map[string]any{"block": map[string]any{"header": b.header, "extrinsics": append([]string{}, b.txs...)}}, ""
		}
		return nil, ""
	case "state_getRuntimeVersion":
		return map[string]any{"specName": "peaq-node", "specVersion": at(0).spec, "transactionVersion": 1, "apis": []any{}}, ""
	case "state_getMetadata":
		return n.meta, ""
	case "state_getStorage":
		var k string
		arg(0, &k)
		if k == fmt.Sprintf("%#x", []byte(eventsKey)) {
			return at(1).events, ""
		}
		if v, ok := n.storage[k]; ok {
			return v, ""
		}
		return nil, ""
	case "state_queryStorageAt":
		var keys []string
		arg(0, &keys)
		return []any{n.changes(keys)}, ""
	case "state_call":
		var method string
		if arg(0, &method); method == "AccountNonceApi_account_nonce" {
			return fmt.Sprintf("0x%02x000000", n.nonce), ""
		}
		return nil, `{"code":4003,"message":"Exported method is not found"}`
	case "system_accountNextIndex":
		return n.nonce, ""
	case "system_properties":
		return map[string]any{"ss58Format": []int{42}, "tokenDecimals": []int{18}, "tokenSymbol": "PEAQ"}, ""
	case "author_submitExtrinsic":
		var x string
		arg(0, &x)
		n.submitted <- x
		return ExtrinsicHash(mustHex(n.t, x)), ""
	}
	return n.subscribe(c, r, arg)
}

func (n *fakeNode) changes(keys []string) any {
	changes := [][2]any{}
	for _, k := range keys {
		if v, ok := n.storage[k]; ok {
			changes = append(changes, [2]any{k, v})
		} else {
			changes = append(changes, [2]any{k, nil})
		}
	}
	return map[string]any{"block": n.best.hash, "changes": changes}
}

func (n *fakeNode) hashesOf(arg func(int, any) bool) any {
	hashAt := func(num uint32) any {
		for b := n.best; b != nil; b = b.parent {
			if b.number == num {
				return b.hash
			}
		}
		return nil
	}
	var list []uint32
	var one uint32
	switch {
	case arg(0, &list):
		out := []any{}
		for _, x := range list {
			out = append(out, hashAt(x))
		}
		return out
	case arg(0, &one):
		return hashAt(one)
	}
	return n.best.hash
}

func (n *fakeNode) subscribe(c *fakeConn, r fakeRequest, arg func(int, any) bool) (any, string) {
	kind := map[string]string{"chain_subscribeNewHeads": "best", "chain_subscribeFinalizedHeads": "finalised", "state_subscribeStorage": "storage"}[r.Method]
	if c == nil || kind == "" && !strings.HasPrefix(r.Method, "chain_unsub") && !strings.HasPrefix(r.Method, "state_unsub") {
		return nil, notFound
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if kind == "" {
		var id string
		arg(0, &id)
		delete(c.subs, id)
		return true, ""
	}
	id := fmt.Sprintf("%s-%d", kind, n.calls[r.Method])
	if kind == "storage" {
		arg(0, &c.keys)
	}
	c.subs[id] = "new " + kind
	return id, ""
}

// afterSubscribe sends the current state to new subscriptions.
func (n *fakeNode) afterSubscribe(c *fakeConn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, kind := range c.subs {
		old, isNew := strings.CutPrefix(kind, "new ")
		if !isNew {
			continue
		}
		c.subs[id] = old
		switch old {
		case "best":
			c.notify(n.t, id, n.best.header)
		case "finalised":
			c.notify(n.t, id, n.finalised.header)
		case "storage":
			c.notify(n.t, id, n.changes(c.keys))
		}
	}
}

// options are quick ones for tests.
func options(urls ...string) Options {
	return Options{Endpoints: urls, Timeout: 5 * time.Second, backoff: 2 * time.Millisecond}
}

func dialFake(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func alice(t testing.TB) *key.Pair {
	t.Helper()
	k, err := key.FromURI(key.Sr25519, "//Alice")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// within gives a test's waiting a bound.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
