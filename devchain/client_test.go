package devchain

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"iod/key"
	"iod/scale"
)

func TestMain(m *testing.M) {
	if dir := childDir(); dir != "" {
		runChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// start serves a chain until the test ends and returns its address.
func start(t testing.TB, o Options) (*Chain, string) {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, ln.Addr().String()
}

// client is a WebSocket client that sorts answers from notifications.
type client struct {
	t       testing.TB
	ws      *websocket.Conn
	ctx     context.Context
	next    int
	answers chan message
	notes   map[string]chan json.RawMessage
}

type message struct {
	ID     int
	Result json.RawMessage
	Error  *rpcError
	Method string
	Params struct {
		Subscription string
		Result       json.RawMessage
	}
}

// dial connects. Notifications of all methods go to notes, which subscribe fills in.
func dial(t testing.TB, addr string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	ws, _, err := websocket.Dial(ctx, "ws://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(-1)
	c := &client{t: t, ws: ws, ctx: ctx, answers: make(chan message, 100_000), notes: map[string]chan json.RawMessage{}}
	for _, m := range []string{"chain_newHead", "chain_allHead", "chain_finalizedHead", "state_storage",
		"state_runtimeVersion", "author_extrinsicUpdate"} {
		c.notes[m] = make(chan json.RawMessage, 100_000)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.read()
	}()
	t.Cleanup(func() {
		ws.CloseNow()
		cancel()
		<-done
	})
	return c
}

func (c *client) read() {
	defer close(c.answers)
	for {
		_, b, err := c.ws.Read(c.ctx)
		if err != nil {
			return
		}
		var m message
		if err := json.Unmarshal(b, &m); err != nil {
			c.t.Errorf("answer %.100s: %v", b, err)
			return
		}
		if m.Method != "" {
			c.notes[m.Method] <- m.Params.Result
		} else {
			c.answers <- m
		}
	}
}

func (c *client) send(method string, params ...any) {
	c.t.Helper()
	c.next++
	if params == nil {
		params = []any{}
	}
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.next, "method": method, "params": params})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.ws.Write(c.ctx, websocket.MessageText, b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) answer() message {
	c.t.Helper()
	select {
	case m, ok := <-c.answers:
		if !ok {
			c.t.Fatal("connection ended")
		}
		return m
	case <-c.ctx.Done():
		c.t.Fatal("no answer")
		panic("unreachable")
	}
}

// call sends a request, waits for its answer and decodes the result into dst, if given.
func (c *client) call(dst any, method string, params ...any) {
	c.t.Helper()
	if err := c.try(dst, method, params...); err != nil {
		c.t.Fatalf("%s: %v (%v)", method, err, err.Data)
	}
}

func (c *client) try(dst any, method string, params ...any) *rpcError {
	c.t.Helper()
	c.send(method, params...)
	m := c.answer()
	if m.ID != c.next {
		c.t.Fatalf("answer %d to request %d", m.ID, c.next)
	}
	if m.Error == nil && dst != nil {
		if err := json.Unmarshal(m.Result, dst); err != nil {
			c.t.Fatalf("%s: %v in %.200s", method, err, m.Result)
		}
	}
	return m.Error
}

// note waits for a notification.
func (c *client) note(method string) json.RawMessage {
	c.t.Helper()
	select {
	case b := <-c.notes[method]:
		return b
	case <-c.ctx.Done():
		c.t.Fatalf("no notification %s", method)
		panic("unreachable")
	}
}

// keyPair derives a development account.
func keyPair(t testing.TB, s key.Scheme, uri string) *key.Pair {
	t.Helper()
	p, err := key.FromURI(s, uri)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// signer says how sign makes a transaction.
type signer struct {
	rt      runtime
	genesis [32]byte
	era     []byte
	birth   [32]byte
}

func immortal(c *Chain) signer {
	return signer{rt: runtime{spec: 1, tx: 1}, genesis: c.genesis, era: []byte{0}, birth: c.genesis}
}

func (s signer) sign(t testing.TB, p *key.Pair, nonce uint32, tip int64, call []byte) []byte {
	t.Helper()
	extra := scale.AppendCompact(append([]byte(nil), s.era...), uint64(nonce))
	extra, err := scale.AppendCompactBig(extra, big.NewInt(tip))
	if err != nil {
		t.Fatal(err)
	}
	if s.rt.metadataHash {
		extra = append(extra, 0)
	}
	x := &extrinsic{callBytes: call, extra: extra}
	sig, err := p.Sign(x.payload(s.rt, s.genesis, s.birth))
	if err != nil {
		t.Fatal(err)
	}
	who := p.Account()
	b := append([]byte{0x84, 0}, who[:]...)
	b = append(append(b, byte(sig.Scheme)), sig.Bytes()...)
	return scale.AppendVec(nil, append(append(b, extra...), call...))
}

func remark(text string) []byte { return scale.AppendStr([]byte{systemIndex, 8}, text) }

func transfer(to key.AccountID, value int64) []byte {
	b := append([]byte{balancesIndex, 0, 0}, to[:]...)
	return scale.AppendCompact(b, uint64(value))
}

func number(t testing.TB, header json.RawMessage) int {
	t.Helper()
	var h struct{ Number string }
	if err := json.Unmarshal(header, &h); err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscanf(h.Number, "0x%x", &n); err != nil {
		t.Fatal(err)
	}
	return n
}
