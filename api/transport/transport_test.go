package transport

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestRate(t *testing.T) {
	l := NewRate(10, 5)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i := range 5 {
		if ok, left, _ := l.Take(a, noon); !ok || left != 4-i {
			t.Fatalf("request %d: %v, %d left", i, ok, left)
		}
	}
	if ok, left, wait := l.Take(a, noon); ok || left != 0 || wait != 100*time.Millisecond {
		t.Errorf("one too many: %v, %d left, wait %v", ok, left, wait)
	}
	if ok, _, _ := l.Take(b, noon); !ok {
		t.Error("another client waits, too")
	}
	if ok, _, wait := l.Take(a, noon.Add(99*time.Millisecond)); ok || wait != time.Millisecond {
		t.Errorf("too early: %v, wait %v", ok, wait)
	}
	if ok, left, _ := l.Take(a, noon.Add(100*time.Millisecond)); !ok || left != 0 {
		t.Errorf("in time: %v, %d left", ok, left)
	}
	if ok, left, _ := l.Take(a, noon.Add(time.Hour)); !ok || left != 4 {
		t.Errorf("an hour later: %v, %d left", ok, left)
	}
	six := func(s string) bool { ok, _, _ := l.Take(netip.MustParseAddr(s), noon); return ok }
	for i := range 5 {
		six(fmt.Sprintf("2001:db8::%d", i))
	}
	if six("2001:db8::ffff") || !six("2001:db8:0:1::1") {
		t.Error("a host of a /64 is not counted as one")
	}
}

// Whoever comes from a million addresses finds a table that does not grow, and does not have others forgotten who keep asking.
func TestRateIsBounded(t *testing.T) {
	l := NewRate(1, 2)
	l.most = 100
	steady := netip.MustParseAddr("192.0.2.1")
	l.Take(steady, noon)
	l.Take(steady, noon)
	for i := range 10_000 {
		l.Take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), noon)
		if i%50 == 0 {
			if ok, _, _ := l.Take(steady, noon); ok {
				t.Fatalf("after %d others, a client without requests left may ask", i)
			}
		}
	}
	if n := len(l.young) + len(l.old); n > 201 {
		t.Errorf("%d clients are remembered", n)
	}
}

func TestClient(t *testing.T) {
	proxies, err := ParseProxies([]string{"127.0.0.1", "10.0.0.0/8", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:1", "", "192.0.2.1"},
		{"192.0.2.1:1", "198.51.100.7", "192.0.2.1"}, // it is no proxy of ours
		{"127.0.0.1:1", "198.51.100.7", "198.51.100.7"},
		{"127.0.0.1:1", "1.1.1.1, 198.51.100.7", "198.51.100.7"}, // what stands before is the client's own word
		{"127.0.0.1:1", "1.1.1.1, 198.51.100.7, 10.1.2.3", "198.51.100.7"},
		{"127.0.0.1:1", "", "127.0.0.1"},
		{"127.0.0.1:1", "nonsense", "127.0.0.1"},
		{"127.0.0.1:1", "198.51.100.7, nonsense, 10.1.2.3", "10.1.2.3"},
		{"[fd00::1%eth0]:1", "2001:db8::1", "2001:db8::1"},
		{"[::ffff:127.0.0.1]:1", "198.51.100.7", "198.51.100.7"},
		{"@", "1.2.3.4", "invalid IP"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = x.remote
		if x.forwarded != "" {
			r.Header.Set("X-Forwarded-For", x.forwarded)
		}
		if got := Client(r, proxies).String(); got != x.want {
			t.Errorf("%s forwarding for %q: client %s, want %s", x.remote, x.forwarded, got, x.want)
		}
	}
	if _, err := ParseProxies([]string{"localhost"}); err == nil {
		t.Error("a name is taken for a proxy")
	}
}

func TestSend(t *testing.T) {
	long := strings.Repeat("all work and no play ", 200)
	for _, x := range []struct {
		name, method, accept, match string
		a                           Answer
		status                      int
		zipped                      bool
	}{
		{"plain", "GET", "", "", Answer{Type: "text/plain", Body: []byte(long)}, 200, false},
		{"zipped", "GET", "br, gzip;q=0.5", "", Answer{Type: "application/json", Body: []byte(long)}, 200, true},
		{"any", "GET", "*", "", Answer{Type: "application/td+json", Body: []byte(long)}, 200, true},
		{"refused", "GET", "gzip;q=0, *", "", Answer{Type: "application/json", Body: []byte(long)}, 200, false},
		{"short", "GET", "gzip", "", Answer{Type: "application/json", Body: []byte("{}")}, 200, false},
		{"picture", "GET", "gzip", "", Answer{Type: "image/png", Body: []byte(long)}, 200, false},
		{"head", "HEAD", "", "", Answer{Type: "text/plain", Body: []byte(long)}, 200, false},
		{"known", "GET", "gzip", `"a", W/"b"`, Answer{Type: "text/plain", Tag: `W/"b"`, Body: []byte(long)}, 304, false},
		{"changed", "GET", "", `W/"a"`, Answer{Type: "text/plain", Tag: `W/"b"`, Body: []byte(long)}, 200, false},
		{"an error is not 304", "GET", "", `W/"b"`, Answer{Status: 410, Type: "text/plain", Tag: `W/"b"`, Body: []byte(long)}, 410, false},
	} {
		r, w := httptest.NewRequest(x.method, "/", nil), httptest.NewRecorder()
		r.Header.Set("Accept-Encoding", x.accept)
		r.Header.Set("If-None-Match", x.match)
		Send(w, r, x.a)
		body := w.Body.Bytes()
		if x.zipped {
			z, err := gzip.NewReader(w.Body)
			if err != nil || w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Content-Length") != fmt.Sprint(len(body)) {
				t.Errorf("%s: %v, %v", x.name, err, w.Header())
				continue
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Errorf("%s: %v", x.name, err)
			}
		}
		want := string(x.a.Body)
		if x.method == "HEAD" || x.status == 304 {
			want = ""
		}
		if w.Code != x.status || string(body) != want || w.Header().Get("Vary") != "Accept-Encoding" || x.status == 200 && w.Header().Get("Content-Encoding") != "" != x.zipped {
			t.Errorf("%s: %d, %d bytes, %v", x.name, w.Code, len(body), w.Header())
		}
	}
}

func TestGuard(t *testing.T) {
	var h http.Handler
	var seen []string
	limits := Limits{Rate: NewRate(1, 2), Loopback: true, Now: func() time.Time { return noon }, Observe: func(route, method string, status int, _ time.Duration) {
		seen = append(seen, fmt.Sprint(route, " ", method, " ", status))
	}}
	ask := func(method, target, remote string, body io.Reader) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest(method, target, body), httptest.NewRecorder()
		r.RemoteAddr = remote
		h.ServeHTTP(w, r)
		return w
	}
	h = Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		SetRoute(w, "/x")
		if r.URL.Path == "/panic" {
			panic("boom")
		}
		io.WriteString(w, "hello")
	}), limits)
	if w := ask("GET", "/", "192.0.2.1:1", nil); w.Code != 200 || w.Header().Get("RateLimit") != `"client";r=1;t=1` || w.Header().Get("RateLimit-Policy") != `"client";q=2;w=2` {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := ask("BREW", "/panic", "192.0.2.1:1", nil); w.Code != 500 || !json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("panic: %d %s", w.Code, w.Body)
	}
	if w := ask("GET", "/", "192.0.2.1:1", nil); w.Code != 429 || w.Header().Get("Retry-After") != "1" || w.Header().Get("Content-Type") != ProblemType {
		t.Errorf("too often: %d %v", w.Code, w.Header())
	}
	if w := ask("GET", "/?q="+strings.Repeat("x", MaxURL), "192.0.2.2:1", nil); w.Code != 414 {
		t.Errorf("a long URL: %d", w.Code)
	}
	if w := ask("POST", "/", "192.0.2.2:1", strings.NewReader(strings.Repeat("x", maxBody+1))); w.Code != 413 || w.Header().Get("Connection") != "close" {
		t.Errorf("a long body: %d", w.Code)
	}
	want := []string{"/x GET 200", "/x other 500", "other GET 429", "other GET 414", "other POST 413"}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("observed %q, want %q", seen, want)
	}
	limits.Loopback = false
	h = Guard(http.NotFoundHandler(), limits)
	for range 10 {
		if w := ask("GET", "/", "[::1]:1", nil); w.Code != 404 {
			t.Errorf("loopback: %d", w.Code)
		}
	}
}

func TestInFlight(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	h := Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside <- struct{}{}; <-leave }), Limits{InFlight: 1})
	done := make(chan struct{})
	go func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)); close(done) }()
	<-inside
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)); w.Code != 503 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("one too many: %d %v", w.Code, w.Header())
	}
	close(leave)
	<-done
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1, 1, time.Second)
		leave, ok := g.Enter(t.Context())
		if !ok {
			t.Fatal("an empty gate is closed")
		}
		began := time.Now()
		if _, ok := g.Enter(t.Context()); ok || time.Since(began) != time.Second {
			t.Errorf("a second one: %v after %v", ok, time.Since(began))
		}
		got := make(chan bool)
		go func() {
			leave, ok := g.Enter(t.Context())
			got <- ok
			if ok {
				leave()
			}
		}()
		synctest.Wait()
		if _, ok := g.Enter(t.Context()); ok {
			t.Error("more wait than may")
		}
		leave()
		if !<-got {
			t.Error("who waits does not get in")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		leave, _ = g.Enter(t.Context())
		if _, ok := g.Enter(ctx); ok {
			t.Error("who has gone away gets in")
		}
		leave()
	})
}

// A half answer must not look whole: the connection ends.
func TestPanicInTheMiddle(t *testing.T) {
	srv := httptest.NewServer(Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
		panic("boom")
	}), Limits{}))
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	res, err := http.Get(srv.URL)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		t.Errorf("the answer seems whole: %v", err)
	}
}

// A server ends although somebody does not read, and answers without an end are told.
func TestServe(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, ln, Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				return
			}
			io.WriteString(w, "begin\n")
			http.NewResponseController(w).Flush()
			<-Stopping(r.Context())
			close(told)
		}), Limits{}), nil)
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q, %v", line, err)
	}
	cancel()
	<-told
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// An answer without an end outlasts the time for reading a request.
func TestEndless(t *testing.T) {
	before := readTimeout
	readTimeout = 50 * time.Millisecond
	defer func() { readTimeout = before }()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, ln, Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			long := time.NewTimer(500 * time.Millisecond)
			defer long.Stop()
			select {
			case <-r.Context().Done():
				io.WriteString(w, "cut")
			case <-long.C:
				io.WriteString(w, "whole")
			}
		}), Limits{}), nil)
	}()
	res, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "whole" {
		t.Errorf("%q, %v", body, err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"", "gzip", "gzip;q=0", "*;q=0.1, gzip ; q=1", ",,;;==", "identity"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if takesGzip(s) && !strings.Contains(strings.ToLower(s), "gzip") && !strings.Contains(s, "*") {
			t.Errorf("%q takes gzip", s)
		}
	})
}
