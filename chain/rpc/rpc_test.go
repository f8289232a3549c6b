package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// session is one WebSocket connection as a scripted node sees it.
type session struct {
	t  *testing.T
	ws *websocket.Conn
}

type request struct {
	ID     json.RawMessage
	Method string
	Params []json.RawMessage
}

// frame reads one frame; false when the client is gone.
func (s *session) frame() ([]byte, bool) {
	_, b, err := s.ws.Read(s.t.Context())
	return b, err == nil
}

func (s *session) request() (r request, ok bool) {
	b, ok := s.frame()
	if ok && json.Unmarshal(b, &r) != nil {
		s.t.Errorf("client sent %s", b)
	}
	return r, ok
}

func (s *session) send(format string, args ...any) {
	_ = s.ws.Write(s.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)) // the client may be gone
}

func (s *session) drain() {
	for {
		if _, ok := s.frame(); !ok {
			return
		}
	}
}

// node runs script for each connection and returns its URL.
func node(t *testing.T, script func(*session)) string {
	t.Helper()
	var wg sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wg.Add(1)
		defer wg.Done()
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return
		}
		defer func() { _ = ws.CloseNow() }()
		ws.SetReadLimit(1 << 20)
		script(&session{t, ws})
	}))
	t.Cleanup(func() { srv.Close(); wg.Wait() })
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

func dial(t *testing.T, url string, o Options) *Conn {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	c, err := Dial(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestPipelinedCallsTakeTheirOwnAnswers(t *testing.T) {
	const n = 50
	c := dial(t, node(t, func(s *session) {
		var all []request
		for range n {
			r, ok := s.request()
			if !ok {
				return
			}
			all = append(all, r)
		}
		for i := len(all) - 1; i >= 0; i-- { // the other way round
			s.send(`{"jsonrpc":"2.0","id":%s,"result":%s}`, all[i].ID, all[i].Params[0])
		}
		s.drain()
	}), Options{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var got int
			if err := c.Call(t.Context(), &got, "echo", i); err != nil || got != i {
				t.Errorf("call %d answers %d, %v", i, got, err)
			}
		})
	}
	wg.Wait()
	if c.LastHeard().IsZero() {
		t.Error("the node was heard, and LastHeard says never")
	}
}

func TestBatchIsOneFrame(t *testing.T) {
	frames := make(chan int, 4)
	c := dial(t, node(t, func(s *session) {
		for {
			b, ok := s.frame()
			if !ok {
				return
			}
			var all []request
			if json.Unmarshal(b, &all) != nil {
				t.Errorf("not a batch: %s", b)
			}
			frames <- len(all)
			out := make([]string, len(all))
			for i, r := range all {
				out[len(all)-1-i] = fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, r.ID, r.Params[0])
			}
			out[0] = strings.Replace(out[0], `"result":`, `"error":{"code":-5,"message":"no"},"ignored":`, 1)
			s.send("[%s]", strings.Join(out, ","))
		}
	}), Options{MaxBatch: 3})
	reqs, got := make([]*Request, 7), make([]int, 7)
	for i := range reqs {
		reqs[i] = &Request{Method: "m", Params: []any{i}, Result: &got[i]}
	}
	reqs = reqs[:6]
	if err := c.Batch(t.Context(), reqs...); err != nil {
		t.Fatal(err)
	}
	if a, b := <-frames, <-frames; a != 3 || b != 3 {
		t.Errorf("frames of %d and %d calls", a, b)
	}
	for i, r := range reqs {
		var e *Error
		if last := i%3 == 2; last != errors.As(r.Err, &e) || !last && got[i] != i {
			t.Errorf("request %d answers %d, %v", i, got[i], r.Err)
		}
	}
}

func TestRefusedBatchGoesSingly(t *testing.T) {
	for _, code := range []int{codeNoBatches, codeBatchTooBig, -32600} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			var batches atomic.Int32
			c := dial(t, node(t, func(s *session) {
				for {
					b, ok := s.frame()
					if !ok {
						return
					}
					if b[0] == '[' {
						batches.Add(1)
						s.send(`{"jsonrpc":"2.0","id":null,"error":{"code":%d,"message":"no batches"}}`, code)
						continue
					}
					var r request
					_ = json.Unmarshal(b, &r)
					s.send(`{"jsonrpc":"2.0","id":%s,"result":%s}`, r.ID, r.Params[0])
				}
			}), Options{MaxBatch: 8})
			var a, b int
			for range 2 {
				a, b = 0, 0
				if err := c.Batch(t.Context(), &Request{Method: "m", Params: []any{1}, Result: &a}, &Request{Method: "m", Params: []any{2}, Result: &b}); err != nil {
					t.Fatal(err)
				}
				if a != 1 || b != 2 {
					t.Fatalf("answers %d, %d", a, b)
				}
			}
			if want := map[int]int32{codeBatchTooBig: 2}[code]; batches.Load() != max(want, 1) {
				t.Errorf("%d batches were tried", batches.Load())
			}
		})
	}
}

// hostile nodes: what the first call gets, and why the connection ends.
func TestHostileNodeLosesTheConnection(t *testing.T) {
	for name, tc := range map[string]struct {
		script func(*session, request)
		want   error
	}{
		"not JSON":           {func(s *session, _ request) { s.send("{nope") }, ErrProtocol},
		"unknown id":         {func(s *session, _ request) { s.send(`{"id":99,"result":1}`) }, ErrProtocol},
		"id of another type": {func(s *session, _ request) { s.send(`{"id":{"a":1},"result":1}`) }, ErrProtocol},
		"error of a string":  {func(s *session, r request) { s.send(`{"id":%s,"error":"bad"}`, r.ID) }, ErrProtocol},
		"error without call": {func(s *session, _ request) { s.send(`{"id":null,"error":{"code":1,"message":"x"}}`) }, ErrProtocol},
		"number":             {func(s *session, _ request) { s.send(`7`) }, ErrProtocol},
		"empty object":       {func(s *session, _ request) { s.send(`{}`) }, ErrProtocol},
		"deep":               {func(s *session, _ request) { s.send("%s", strings.Repeat("[", 60000)) }, ErrProtocol},
		"a million items":    {func(s *session, _ request) { s.send("[%s0]", strings.Repeat("{},", 20000)) }, ErrProtocol},
		"huge":               {func(s *session, r request) { s.send(`{"id":%s,"result":"%s"}`, r.ID, strings.Repeat("a", 100000)) }, ErrTooLarge},
		"notifications unasked": {func(s *session, _ request) {
			for range strays + 1 {
				s.send(`{"method":"x","params":{"subscription":"1","result":1}}`)
			}
		}, ErrProtocol},
		"the same answer again and again": {func(s *session, r request) {
			s.send(`{"id":1,"result":1}`)
			for range strays + 1 {
				s.send(`{"id":1,"result":1}`)
			}
		}, ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, node(t, func(s *session) {
				r, ok := s.request()
				if ok {
					tc.script(s, r)
					s.drain()
				}
			}), Options{MaxAnswer: 64 << 10})
			_ = c.Call(t.Context(), nil, "m") // may have been answered before the fault
			select {
			case <-c.Done():
			case <-time.After(5 * time.Second):
				t.Fatal("the connection goes on")
			}
			if !errors.Is(c.Err(), tc.want) {
				t.Errorf("ended by %v, want %v", c.Err(), tc.want)
			}
			if err := c.Call(t.Context(), nil, "m"); !errors.Is(err, tc.want) {
				t.Errorf("later call: %v", err)
			}
		})
	}
}

func TestCompressionBombIsBounded(t *testing.T) {
	c := dial(t, node(t, func(s *session) {
		r, _ := s.request()
		s.send(`{"id":%s,"result":"%s"}`, r.ID, strings.Repeat("a", 8<<20))
		s.drain()
	}), Options{MaxAnswer: 1 << 20})
	if err := c.Call(t.Context(), nil, "m"); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("8 MiB in a few KiB: %v", err)
	}
}

func TestWrongTypeIsTheCallsOwnError(t *testing.T) {
	c := dial(t, node(t, func(s *session) {
		for {
			r, ok := s.request()
			if !ok {
				return
			}
			s.send(`{"id":%s,"result":"text"}`, r.ID)
		}
	}), Options{})
	var n int
	if err := c.Call(t.Context(), &n, "m"); !errors.Is(err, ErrProtocol) {
		t.Errorf("got %v", err)
	}
	var s string
	if err := c.Call(t.Context(), &s, "m"); err != nil || s != "text" {
		t.Errorf("got %q, %v", s, err)
	}
}

func TestSilentNode(t *testing.T) {
	url := node(t, func(s *session) { s.drain() })
	c := dial(t, url, Options{Timeout: 50 * time.Millisecond})
	if err := c.Call(t.Context(), nil, "m"); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Call(ctx, nil, "m"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) {
		t.Errorf("cancelled call: %v", err)
	}
}

func TestLateAnswerIsHarmless(t *testing.T) {
	release := make(chan struct{})
	c := dial(t, node(t, func(s *session) {
		first, _ := s.request()
		<-release
		s.send(`{"id":%s,"result":1}`, first.ID)
		for {
			r, ok := s.request()
			if !ok {
				return
			}
			s.send(`{"id":%s,"result":2}`, r.ID)
		}
	}), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.Call(ctx, nil, "m"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	close(release)
	var n int
	if err := c.Call(t.Context(), &n, "m"); err != nil || n != 2 {
		t.Fatalf("after a late answer: %d, %v", n, err)
	}
}

func TestSubscription(t *testing.T) {
	unsubscribed := make(chan string, 1)
	c := dial(t, node(t, func(s *session) {
		r, _ := s.request()
		s.send(`{"method":"n","params":{"subscription":"abc","result":1}}`) // before its id is known
		s.send(`{"id":%s,"result":"abc"}`, r.ID)
		s.send(`{"method":"n","params":{"subscription":"abc","result":2}}`)
		u, _ := s.request()
		unsubscribed <- u.Method + string(u.Params[0])
		s.send(`{"method":"n","params":{"subscription":"abc","result":3}}`) // was on its way
		s.send(`{"id":%s,"result":true}`, u.ID)
		s.drain()
	}), Options{})
	sub, err := c.Subscribe(t.Context(), "sub", "unsub", 1)
	if err != nil {
		t.Fatal(err)
	}
	for want := 1; want <= 2; want++ {
		if r, err := sub.Next(t.Context()); err != nil || string(r) != fmt.Sprint(want) {
			t.Fatalf("notification %d: %s, %v", want, r, err)
		}
	}
	sub.Close()
	if got := <-unsubscribed; got != `unsub"abc"` {
		t.Errorf("unsubscribed by %s", got)
	}
	if _, err := sub.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if c.Err() != nil {
		t.Errorf("connection ended: %v", c.Err())
	}
}

func TestLatestNotificationReplacesWaitingOnes(t *testing.T) {
	sent := make(chan struct{})
	c := dial(t, node(t, func(s *session) {
		r, _ := s.request()
		s.send(`{"id":%s,"result":"a"}`, r.ID)
		for i := range 100 {
			s.send(`{"method":"n","params":{"subscription":"a","result":%d}}`, i)
		}
		r, _ = s.request()
		s.send(`{"id":%s,"result":1}`, r.ID)
		close(sent)
		s.drain()
	}), Options{MaxQueue: 2})
	sub, err := c.SubscribeLatest(t.Context(), "sub", "unsub")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Call(t.Context(), nil, "barrier"); err != nil { // everything before its answer was taken
		t.Fatal(err)
	}
	<-sent
	if r, err := sub.Next(t.Context()); err != nil || string(r) != "99" {
		t.Errorf("got %s, %v", r, err)
	}
}

func TestOrphanSubscriptionIsEnded(t *testing.T) {
	release, ended := make(chan struct{}), make(chan string, 1)
	c := dial(t, node(t, func(s *session) {
		r, _ := s.request()
		<-release
		s.send(`{"id":%s,"result":7}`, r.ID)
		for range strays * 2 {
			s.send(`{"method":"n","params":{"subscription":7,"result":1}}`)
		}
		u, _ := s.request()
		ended <- u.Method + string(u.Params[0])
		s.drain()
	}), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Subscribe(ctx, "sub", "unsub"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	close(release)
	if got := <-ended; got != "unsub7" {
		t.Errorf("got %s", got)
	}
	if c.Err() != nil {
		t.Error(c.Err())
	}
}

func TestSlowReaderLosesTheConnection(t *testing.T) {
	for name, o := range map[string]Options{"count": {MaxQueue: 10}, "bytes": {MaxAnswer: 4 << 10}} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, node(t, func(s *session) {
				r, _ := s.request()
				s.send(`{"id":%s,"result":"a"}`, r.ID)
				for range 50 {
					s.send(`{"method":"n","params":{"subscription":"a","result":"%s"}}`, strings.Repeat("x", 200))
				}
				s.drain()
			}), o)
			sub, err := c.Subscribe(t.Context(), "sub", "unsub")
			if err != nil {
				t.Fatal(err)
			}
			<-c.Done()
			for err == nil {
				_, err = sub.Next(t.Context())
			}
			if !errors.Is(err, ErrSlowReader) {
				t.Errorf("ended by %v", err)
			}
		})
	}
}

func TestDeadConnectionIsNoticed(t *testing.T) {
	hold := make(chan struct{})
	c := dial(t, node(t, func(*session) { <-hold }), Options{KeepAlive: 20 * time.Millisecond, Timeout: 50 * time.Millisecond})
	defer close(hold)
	<-c.Done()
	if !errors.Is(c.Err(), ErrTimeout) {
		t.Errorf("ended by %v", c.Err())
	}
}

func TestPingKeepsAQuietConnection(t *testing.T) {
	c := dial(t, node(t, func(s *session) { s.drain() }), Options{KeepAlive: 5 * time.Millisecond})
	first := c.LastHeard()
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if c.Err() != nil {
			t.Fatal(c.Err())
		}
		if c.LastHeard().After(first) {
			tick.Stop()
			return
		}
	}
}

func TestSecretsStayOutOfErrors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close() // nobody listens there now
	for _, scheme := range []string{"ws", "http"} {
		c, err := Dial(t.Context(), scheme+"://user:hunter22@"+addr+"/v1/secretkey123?token=tok456", Options{Timeout: time.Second})
		if err == nil {
			err = c.Call(t.Context(), nil, "m")
			_ = c.Close()
		}
		if err == nil {
			t.Fatal("nobody listens, and yet it answers")
		}
		for _, secret := range []string{"hunter22", "secretkey123", "tok456", "user"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: error shows %s: %v", scheme, secret, err)
			}
		}
		if !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: error does not say why: %v", scheme, err)
		}
	}
	if got := Redact("wss://u:p@h.example:1/k?x=1"); got != "wss://h.example:1" {
		t.Errorf("redacted to %s", got)
	}
}

func TestHTTP(t *testing.T) {
	var auth atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.Store(r.Header.Get("Authorization"))
		var raw json.RawMessage
		_ = json.NewDecoder(r.Body).Decode(&raw)
		if raw[0] == '[' {
			http.Error(w, "one at a time", http.StatusBadRequest)
			return
		}
		var q request
		_ = json.Unmarshal(raw, &q)
		switch q.Method {
		case "huge":
			fmt.Fprintf(w, `{"id":%s,"result":"%s"}`, q.ID, strings.Repeat("a", 100000))
		case "other":
			fmt.Fprint(w, `{"id":12345,"result":1}`)
		case "nothing":
			fmt.Fprintf(w, `{"id":%s}`, q.ID)
		case "gone":
			http.Error(w, "gone", http.StatusGone)
		case "redirect":
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		default:
			fmt.Fprintf(w, `{"id":%s,"result":%s}`, q.ID, q.Params[0])
		}
	}))
	defer srv.Close()
	c := dial(t, strings.Replace(srv.URL, "http://", "http://me:pass@", 1), Options{MaxAnswer: 64 << 10})
	var a, b int
	if err := c.Batch(t.Context(), &Request{Method: "e", Params: []any{1}, Result: &a}, &Request{Method: "e", Params: []any{2}, Result: &b}); err != nil || a != 1 || b != 2 {
		t.Errorf("batch: %d, %d, %v", a, b, err)
	}
	if auth.Load() != "Basic bWU6cGFzcw==" {
		t.Errorf("authorization %v", auth.Load())
	}
	for method, want := range map[string]error{"huge": ErrTooLarge, "other": ErrProtocol, "nothing": ErrProtocol, "gone": nil, "redirect": nil} {
		if err := c.Call(t.Context(), nil, method); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", method, err, want)
		}
	}
	if _, err := c.Subscribe(t.Context(), "s", "u"); !errors.Is(err, ErrNoSubscriptions) {
		t.Errorf("subscribe: %v", err)
	}
	_ = c.Close()
	if err := c.Call(t.Context(), nil, "e", 1); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// seeds are frames of nodes, good and bad.
var seeds = []string{
	`{"jsonrpc":"2.0","id":1,"result":"0x00"}`, `{"id":1,"error":{"code":1010,"message":"Invalid Transaction","data":"x"}}`,
	`[{"id":1,"result":null},{"id":2,"result":{}}]`, `{"method":"n","params":{"subscription":"a","result":{}}}`,
	`{"id":null,"error":{"code":-32600,"message":"Batch"}}`, `[`, `{}`, `[[],{},"a",1]`, `{"id":18446744073709551616}`,
}

func FuzzFrame(f *testing.F) {
	if len(seeds) < 5 {
		f.Fatal("the corpus is empty")
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		s := &socket{o: Options{}.withDefaults(), heard: new(heard), out: make(chan []byte, 8), nudge: make(chan struct{}, 1), ctx: ctx, cancel: cancel,
			pending: map[uint64]*call{}, subs: map[string]*Subscription{}, orphans: map[uint64]*Subscription{}}
		sub := &Subscription{s: s, ready: make(chan struct{}, 1), ended: make(chan struct{}), newID: func() uint64 { return 9 }}
		calls := []*call{{id: 1, done: make(chan struct{})}, {id: 2, done: make(chan struct{}), sub: sub}}
		if err := s.register(calls, true); err != nil {
			t.Fatal(err)
		}
		err := s.take(frame)
		if len(s.early) > maxEarly || len(sub.queue) > s.o.MaxQueue {
			t.Error("queues grow without bound")
		}
		if err == nil && len(s.pending) == 0 && calls[0].answer == nil && calls[0].err == nil {
			t.Error("a call is neither pending nor answered")
		}
	})
}

func BenchmarkCall(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = ws.CloseNow() }()
		for {
			_, f, err := ws.Read(r.Context())
			if err != nil {
				return
			}
			var q request
			_ = json.Unmarshal(f, &q)
			if ws.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil, `{"id":%s,"result":"0x00"}`, q.ID)) != nil {
				return
			}
		}
	}))
	defer srv.Close()
	c, err := Dial(b.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		var s string
		if err := c.Call(b.Context(), &s, "m", 1); err != nil {
			b.Fatal(err)
		}
	}
}
