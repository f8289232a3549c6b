// Package rpc speaks JSON-RPC 2.0 with one node, over WebSocket (ws, wss) or HTTP (http, https).
//
//	call          → {"jsonrpc":"2.0","id":7,"method":"chain_getHeader","params":[]}
//	answer        ← {"jsonrpc":"2.0","id":7,"result":…}   or   "error":{"code":…,"message":…,"data":…}
//	batch         → [call, call, …]                        ← [answer, answer, …] in any order
//	notification  ← {"jsonrpc":"2.0","method":"chain_newHead","params":{"subscription":"x","result":…}}
//
// Calls are pipelined: any number may be under way over one WebSocket, answers come in any order. A node is taken to be
// hostile: its frames are bounded in size, its answers in time, its notifications in number and size; one that sends what nobody
// asked for loses the connection, never our memory. A Conn does not reconnect: it ends with a reason, and Done tells.
package rpc

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"iod/keepalive"
)

// Errors of a connection; test for them with errors.Is.
var (
	ErrClosed          = errors.New("connection is closed")
	ErrTimeout         = errors.New("node did not answer in time")
	ErrProtocol        = errors.New("node breaks the protocol")
	ErrSlowReader      = errors.New("notifications came faster than they were read")
	ErrNoSubscriptions = errors.New("endpoint has no subscriptions: it is not a WebSocket")
	ErrTooLarge        = errors.New("answer is larger than the limit")
)

// Codes of errors that callers tell apart.
const (
	CodeMethodNotFound = -32601
	codeNoBatches      = -32005
	codeBatchTooBig    = -32010
	codeBatchAnswerBig = -32011
)

// Error is an error that the node answered with.
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *Error) Error() string {
	if len(e.Data) == 0 || string(e.Data) == "null" {
		return fmt.Sprintf("node answers %d: %.300s", e.Code, e.Message)
	}
	return fmt.Sprintf("node answers %d: %.300s: %.300s", e.Code, e.Message, e.Text())
}

// Text returns Data if that is a string, its JSON otherwise.
func (e *Error) Text() string {
	var s string
	if json.Unmarshal(e.Data, &s) == nil {
		return s
	}
	return string(e.Data)
}

// Options tune a connection. The zero value is right for most.
type Options struct {
	MaxAnswer int64         // bytes of one frame, decompressed; 0: 32 MiB
	Timeout   time.Duration // of any one answer, and of connecting; 0: 20 s
	KeepAlive time.Duration // of silence before a ping; 0: one minute
	// Search finds the silence before a ping instead, and learns from this connection; nil: it is always KeepAlive.
	Search   *keepalive.Search
	MaxBatch int // calls in one frame; 0: 128; 1: never batch
	// MaxQueue bounds the notifications of one subscription that wait to be read; 0: 1024. Together they may hold no more
	// than MaxAnswer bytes for each subscription.
	MaxQueue int
	// Dial replaces the network; nil: the machine's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Moment returns the time by which a certificate of a validity is judged; nil: now, by the machine's clock.
	Moment func(notBefore, notAfter time.Time) time.Time
	Roots  *x509.CertPool // with Moment: whose certificates count; nil: the machine's
}

func (o Options) withDefaults() Options {
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = 32 << 20
	}
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	if o.KeepAlive <= 0 {
		o.KeepAlive = time.Minute
	}
	if o.Search == nil {
		o.Search = keepalive.New(o.KeepAlive, o.KeepAlive)
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 128
	}
	if o.MaxQueue <= 0 {
		o.MaxQueue = 1024
	}
	if o.Dial == nil {
		// Go's own keep-alive sends a probe every 15 seconds, which costs a metered link more than everything else here.
		o.Dial = (&net.Dialer{KeepAlive: -1}).DialContext
	}
	return o
}

// Conn is a connection to one node. It is safe for concurrent use.
type Conn struct {
	o        Options
	shown    string
	t        transport
	nextID   atomic.Uint64
	maxBatch atomic.Int64
	heard    *heard
}

// transport carries frames of calls; do returns when each call has its answer or error.
type transport interface {
	do(ctx context.Context, calls []*call, batch bool) error
	close(error)
	done() <-chan struct{}
	err() error
}

// call is one request under way. answer and err are set before done is closed.
type call struct {
	id      uint64
	request []byte
	answer  json.RawMessage
	err     error
	done    chan struct{}
	sub     *Subscription // to be opened by the answer
	batch   bool
}

func (c *call) finish(answer json.RawMessage, err error) {
	c.answer, c.err = answer, err
	close(c.done)
}

// Dial connects to a node. Neither its errors nor Endpoint show what the URL has beyond scheme and host: it may be a secret.
func Dial(ctx context.Context, rawURL string, o Options) (*Conn, error) {
	o = o.withDefaults()
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		return nil, errors.New("dial node: not a URL with a host, as in wss://node.example")
	}
	c := &Conn{o: o, shown: Redact(rawURL), heard: new(heard)}
	c.maxBatch.Store(int64(o.MaxBatch))
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	switch u.Scheme {
	case "ws", "wss":
		c.t, err = dialSocket(ctx, rawURL, o, c.heard)
	case "http", "https":
		c.t = newPoster(rawURL, o, c.heard)
	default:
		err = fmt.Errorf("scheme %.20q is none of ws, wss, http, https", u.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("dial node %s: %w", c.shown, err)
	}
	return c, nil
}

// Endpoint returns scheme and host of the URL.
func (c *Conn) Endpoint() string { return c.shown }

// LastHeard returns when the node last sent anything; the zero time when it never did.
func (c *Conn) LastHeard() time.Time {
	if t := c.heard.at.Load(); t != nil {
		return *t
	}
	return time.Time{}
}

// heard is when a node last sent anything, by a clock that does not jump.
type heard struct{ at atomic.Pointer[time.Time] }

func (h *heard) now() {
	t := time.Now()
	h.at.Store(&t)
}

// ago is the time since; there was something.
func (h *heard) ago() time.Duration { return time.Since(*h.at.Load()) }

// Subscribes reports whether the connection can have subscriptions.
func (c *Conn) Subscribes() bool { _, ok := c.t.(*socket); return ok }

// BatchLimit returns how many calls go into a frame; 1 once the node refused batches.
func (c *Conn) BatchLimit() int { return int(c.maxBatch.Load()) }

// Ping asks for the least sign of life and waits for it. Over HTTP there is none to ask for.
func (c *Conn) Ping(ctx context.Context) error {
	s, ok := c.t.(*socket)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, ErrTimeout)
	defer cancel()
	if err := s.ws.Ping(ctx); err != nil {
		if cause := causeOf(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("ping: %w", err)
	}
	s.touch()
	return nil
}

// Done is closed when the connection has ended. An HTTP connection ends by Close only.
func (c *Conn) Done() <-chan struct{} { return c.t.done() }

// Err returns why the connection ended, nil before.
func (c *Conn) Err() error { return c.t.err() }

// Close ends the connection and waits for its goroutines.
func (c *Conn) Close() error {
	c.t.close(ErrClosed)
	return nil
}

// Request is one call of a batch. Result, if not nil, is a pointer that takes the answer, as in json.Unmarshal. Err is the
// call's own error.
type Request struct {
	Method string
	Params []any
	Result any
	Err    error
}

// Call makes one call and stores its answer in result, unless that is nil. An error that the node answers is an *Error.
func (c *Conn) Call(ctx context.Context, result any, method string, params ...any) error {
	r := &Request{Method: method, Params: params, Result: result}
	k, err := c.newCall(r)
	if err != nil {
		return err
	}
	if err := c.do(ctx, []*call{k}, false); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	r.take(k)
	return r.Err
}

// Batch makes calls in as few frames as the node takes, all frames at once. Its own error is that of the connection; each request
// has its own besides.
func (c *Conn) Batch(ctx context.Context, reqs ...*Request) error {
	calls := make([]*call, len(reqs))
	for i, r := range reqs {
		k, err := c.newCall(r)
		if err != nil {
			return err
		}
		calls[i] = k
	}
	if err := c.doBatch(ctx, calls); err != nil {
		return fmt.Errorf("batch of %d calls: %w", len(reqs), err)
	}
	for i, r := range reqs {
		r.take(calls[i])
	}
	return nil
}

// doBatch sends calls in frames of the current limit; those of a frame that the node refused as a batch go once more, singly.
func (c *Conn) doBatch(ctx context.Context, calls []*call) error {
	limit := c.BatchLimit()
	if limit == 1 || len(calls) == 1 {
		return c.do(ctx, calls, false)
	}
	errs := make(chan error, len(calls)/limit+1)
	n := 0
	for rest := calls; len(rest) > 0; n++ {
		chunk := rest[:min(limit, len(rest))]
		rest = rest[len(chunk):]
		go func() { errs <- c.do(ctx, chunk, true) }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	if first != nil {
		return first
	}
	return c.again(ctx, calls)
}

// again sends the calls that a refused batch left unanswered, one by one.
func (c *Conn) again(ctx context.Context, calls []*call) error {
	var left []*call
	for _, k := range calls {
		var refused *batchRefused
		if !errors.As(k.err, &refused) {
			continue
		}
		limit := max(1, int64(c.BatchLimit())/2)
		if refused.never {
			limit = 1
		}
		if len(left) == 0 {
			c.maxBatch.Store(limit)
		}
		k.err, k.answer, k.done, k.batch = nil, nil, make(chan struct{}), false
		left = append(left, k)
	}
	if len(left) == 0 {
		return nil
	}
	return c.do(ctx, left, false)
}

func (c *Conn) do(ctx context.Context, calls []*call, batch bool) error {
	tctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, ErrTimeout)
	defer cancel()
	return c.t.do(tctx, calls, batch)
}

// newCall encodes a request by hand where its parameters are plain, since most are.
func (c *Conn) newCall(r *Request) (*call, error) {
	params := []byte("[]")
	if len(r.Params) > 0 {
		b, err := json.Marshal(r.Params)
		if err != nil {
			return nil, fmt.Errorf("%s: encode parameters: %w", r.Method, err)
		}
		params = b
	}
	id := c.nextID.Add(1)
	req := make([]byte, 0, 60+len(r.Method)+len(params))
	req = fmt.Appendf(req, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":`, id, r.Method)
	req = append(append(req, params...), '}')
	return &call{id: id, request: req, done: make(chan struct{})}, nil
}

// Answer is a Result that decodes an answer by itself. What it is given is valid JSON. Large answers cost a multiple through
// encoding/json, which looks at every byte once a level.
type Answer interface {
	DecodeAnswer(answer []byte) error
}

func (r *Request) take(k *call) {
	switch {
	case k.err != nil:
		r.Err = fmt.Errorf("%s: %w", r.Method, k.err)
	case r.Result != nil:
		decode := func(b []byte) error { return json.Unmarshal(b, r.Result) }
		if a, ok := r.Result.(Answer); ok {
			decode = a.DecodeAnswer
		}
		if err := decode(k.answer); err != nil {
			r.Err = fmt.Errorf("%s: %w: answer of another type: %w", r.Method, ErrProtocol, err)
		}
	}
}

// batchRefused is the error of each call in a frame that the node did not take as a batch.
type batchRefused struct {
	never bool // the node takes no batches at all
	cause *Error
}

func (e *batchRefused) Error() string { return "batch refused: " + e.cause.Error() }

func (c *call) refuseBatch(e *Error) {
	never := e.Code != codeBatchTooBig && e.Code != codeBatchAnswerBig
	c.finish(nil, &batchRefused{never: never, cause: e})
}

// message is any frame of a node, or one item of a batch.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Error  *Error          `json:"error"`
	Params *struct {
		Subscription json.RawMessage `json:"subscription"`
		Result       json.RawMessage `json:"result"`
		Error        json.RawMessage `json:"error"`
	} `json:"params"`
}

// hasID reports whether the message answers a call that can be told.
func (m *message) hasID() bool { return len(m.ID) > 0 && string(m.ID) != "null" }

// isBatch reports whether a frame is a JSON array.
func isBatch(frame []byte) bool {
	for _, b := range frame {
		switch b {
		case ' ', '\t', '\r', '\n':
		default:
			return b == '['
		}
	}
	return false
}

// parse splits a frame into its messages, at most limit.
func parse(frame []byte, limit int) ([]message, error) {
	if !isBatch(frame) {
		var m message
		if err := json.Unmarshal(frame, &m); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		return []message{m}, nil
	}
	// Count before decoding: a frame of a million empty objects must not become a million messages.
	var raw []json.RawMessage
	if n := Items(frame, limit+1); n > limit {
		return nil, fmt.Errorf("%w: batch of more than %d answers", ErrProtocol, limit)
	}
	if err := json.Unmarshal(frame, &raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	all := make([]message, len(raw))
	for i := range raw {
		if err := json.Unmarshal(raw[i], &all[i]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
	}
	return all, nil
}

// Items counts the items of a JSON array up to limit without decoding them; an empty array counts as one item.
func Items(frame []byte, limit int) int {
	depth, items, quoted := 0, 1, false
	for i := 0; i < len(frame) && items < limit; i++ {
		switch b := frame[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '[' || b == '{':
			depth++
		case b == ']' || b == '}':
			depth--
		case b == ',' && depth == 1:
			items++
		}
	}
	return items
}

// client returns the HTTP client of a connection to a host: no redirects, no TCP keep-alive.
func (o Options) client(host string) (*http.Client, *http.Transport) {
	tr := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: o.Dial, MaxIdleConnsPerHost: 8, MaxConnsPerHost: 32,
		IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: o.Timeout, ResponseHeaderTimeout: o.Timeout,
		MaxResponseHeaderBytes: 64 << 10, TLSClientConfig: o.tls(host),
	}
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("node redirects to another address")
	}}, tr
}
