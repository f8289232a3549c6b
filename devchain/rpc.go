package devchain

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// rpcError is the error of a JSON-RPC answer.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func (e *rpcError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

func badParams(format string, args ...any) *rpcError {
	return &rpcError{Code: -32602, Message: "Invalid params: " + fmt.Sprintf(format, args...)}
}

// request is one call of a client.
type request struct {
	chain  *Chain
	conn   *conn // nil for HTTP, which has no subscriptions
	method string
	params []json.RawMessage
	after  []func() // to be done once the answer is on its way
}

// handler answers a request.
type handler func(r *request) (any, error)

type incoming struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

type outgoing struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  any             `json:"result,omitempty"`
	Error   *rpcError       `json:"error,omitempty"`
}

var null = json.RawMessage("null")

// isSubmission guesses from the bytes whether a message is about to check signatures.
func isSubmission(msg []byte) bool { return bytes.Contains(msg, []byte(`"author_submit`)) }

// handle answers a message: a request, or a batch of them. The reply is nil for notifications; after is to be run once the
// reply is on its way.
func (s *server) handle(k *conn, msg []byte) (reply []byte, after []func()) {
	msg = bytes.TrimLeft(msg, " \t\r\n")
	if len(msg) == 0 || msg[0] != '[' {
		out, after := s.one(k, msg)
		if out == nil {
			return nil, after
		}
		return encodeReply(out), after
	}
	var batch []json.RawMessage
	if err := json.Unmarshal(msg, &batch); err != nil {
		return encodeReply(refusal(-32700, "Parse error")), nil
	}
	if len(batch) == 0 || len(batch) > maxBatchRequests {
		return encodeReply(refusal(-32600, "Invalid request: batch of "+strconv.Itoa(len(batch))+" requests")), nil
	}
	return s.batch(k, batch)
}

// batch answers the requests of a batch, submissions beside each other.
func (s *server) batch(k *conn, batch []json.RawMessage) ([]byte, []func()) {
	outs, afters := make([]*outgoing, len(batch)), make([][]func(), len(batch))
	var work sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, msg := range batch {
		if !isSubmission(msg) {
			outs[i], afters[i] = s.one(k, msg)
			continue
		}
		slots <- struct{}{}
		work.Add(1)
		go func() {
			defer work.Done()
			outs[i], afters[i] = s.one(k, msg)
			<-slots
		}()
	}
	work.Wait()
	var replies []json.RawMessage
	var after []func()
	for i := range outs {
		after = append(after, afters[i]...)
		if outs[i] != nil {
			replies = append(replies, encodeReply(outs[i]))
		}
	}
	if len(replies) == 0 {
		return nil, after
	}
	b, err := json.Marshal(replies)
	if err != nil {
		return encodeReply(refusal(-32603, "Internal error")), after
	}
	return b, after
}

func refusal(code int, message string) *outgoing {
	return &outgoing{Version: "2.0", ID: null, Error: &rpcError{Code: code, Message: message}}
}

func encodeReply(out *outgoing) []byte {
	if out.Error == nil && out.Result == nil {
		out.Result = null
	}
	b, err := json.Marshal(out)
	if err != nil {
		b, _ = json.Marshal(refusal(-32603, "Internal error"))
	}
	return b
}

// one answers one request; nil for a notification.
func (s *server) one(k *conn, msg []byte) (*outgoing, []func()) {
	var in incoming
	if err := json.Unmarshal(msg, &in); err != nil {
		return refusal(-32700, "Parse error"), nil
	}
	if in.Version != "2.0" || in.Method == "" {
		return refusal(-32600, "Invalid request"), nil
	}
	if len(in.ID) > 0 && (in.ID[0] == '{' || in.ID[0] == '[') || len(in.ID) > 256 {
		return refusal(-32600, "Invalid request: id is neither a number nor a string"), nil
	}
	r := &request{chain: s.chain, conn: k, method: in.Method}
	result, err := s.call(r, in.Params)
	if len(in.ID) == 0 {
		return nil, r.after
	}
	out := &outgoing{Version: "2.0", ID: in.ID, Result: result}
	if err != nil {
		out.Result = nil
		if !errors.As(err, &out.Error) {
			out.Error = &rpcError{Code: -32603, Message: err.Error()}
		}
	}
	return out, r.after
}

func (s *server) call(r *request, params json.RawMessage) (any, error) {
	h := methods()[r.method]
	if h == nil {
		return nil, &rpcError{Code: -32601, Message: "Method not found"}
	}
	switch params = bytes.TrimSpace(params); {
	case len(params) == 0 || string(params) == "null":
	case params[0] == '[':
		if err := json.Unmarshal(params, &r.params); err != nil {
			return nil, badParams("%v", err)
		}
	case params[0] == '{' && strings.HasPrefix(r.method, "dev_"):
		r.params = []json.RawMessage{params}
	default:
		return nil, badParams("parameters are not a list")
	}
	return h(r)
}

// arg decodes parameter i into dst and reports whether it is there and not null.
func (r *request) arg(i int, dst any) (bool, error) {
	if i >= len(r.params) || string(r.params[i]) == "null" {
		return false, nil
	}
	if err := json.Unmarshal(r.params[i], dst); err != nil {
		return false, badParams("parameter %d: %v", i, err)
	}
	return true, nil
}

// bytes decodes the 0x-hex parameter i.
func (r *request) bytes(i int) ([]byte, error) {
	var s string
	if ok, err := r.arg(i, &s); !ok || err != nil {
		return nil, orMissing(err, i)
	}
	return parseHex(s)
}

func orMissing(err error, i int) error {
	if err != nil {
		return err
	}
	return badParams("parameter %d is missing", i)
}

func parseHex(s string) ([]byte, error) {
	digits, ok := strings.CutPrefix(s, "0x")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil {
		return nil, badParams("value is not 0x-hex")
	}
	return b, nil
}

func hexNumber(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

// at runs f with the block that the 0x-hex hash in parameter i names, the head by default, under the chain's lock.
func (r *request) at(i int, f func(b *block) (any, error)) (any, error) {
	id, given, err := r.hash(i)
	if err != nil {
		return nil, err
	}
	c := r.chain
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !given {
		return f(c.led.head())
	}
	b := c.led.byHash[id]
	if b == nil {
		return nil, &rpcError{Code: 4003, Message: "Client error: UnknownBlock: no block " + hexHash(id)}
	}
	return f(b)
}

func (r *request) hash(i int) (id [32]byte, given bool, err error) {
	var s string
	if ok, err := r.arg(i, &s); !ok || err != nil {
		return id, false, err
	}
	b, err := parseHex(s)
	if err != nil || len(b) != 32 {
		return id, false, badParams("parameter %d is not a block hash", i)
	}
	return [32]byte(b), true, nil
}

// subscription is a stream of notifications on a connection. Until its id is on the way to the client they are kept.
type subscription struct {
	id     string
	conn   *conn
	method string // of the notifications

	mu    sync.Mutex
	live  bool
	ended bool
	kept  [][]byte
}

var errNoStream = &rpcError{Code: -32601, Message: "Subscriptions need a WebSocket"}

// subscribe makes a subscription whose notifications are called method. It is live once the answer is on its way.
func (r *request) subscribe(method string) (*subscription, error) {
	k := r.conn
	if k == nil {
		return nil, errNoStream
	}
	s := k.server
	s.mu.Lock()
	s.ids++
	sub := &subscription{id: "sub" + strconv.FormatUint(s.ids, 36), conn: k, method: method}
	s.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.subs) >= maxSubscriptions {
		return nil, &rpcError{Code: -32006, Message: "Too many subscriptions on the connection"}
	}
	k.subs[sub.id] = sub
	r.after = append(r.after, sub.start)
	return sub, nil
}

func (s *subscription) send(result any) {
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "method": s.method,
		"params": map[string]any{"subscription": s.id, "result": result}})
	if err != nil {
		return // results are made of strings and numbers
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
	case s.live:
		s.conn.out.put(b)
	default:
		s.kept = append(s.kept, b)
	}
}

func (s *subscription) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = true
	for _, b := range s.kept {
		s.conn.out.put(b)
	}
	s.kept = nil
}

// end silences a subscription that others may still send to.
func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.kept = true, nil
}

// forget ends a subscription that the connection knows.
func (k *conn) forget(id string) bool {
	k.mu.Lock()
	sub := k.subs[id]
	delete(k.subs, id)
	k.mu.Unlock()
	if sub == nil {
		return false
	}
	sub.end()
	c := k.server.chain
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.hub.all, sub)
	return true
}

func (k *conn) unsubscribeAll() {
	k.mu.Lock()
	subs := k.subs
	k.subs = map[string]*subscription{}
	k.mu.Unlock()
	c := k.server.chain
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range subs {
		s.end()
		delete(c.hub.all, s)
	}
}
