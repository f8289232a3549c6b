package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"iod/index"
	"iod/index/postgres"
	"iod/index/postgres/pgtest"
	"iod/index/storetest"
)

// The database goes away and comes back: meanwhile every route that needs it says so, with a time to come back, and the process lives.
func TestDatabaseAway(t *testing.T) {
	pg := pgtest.New(t)
	store, err := postgres.Open(t.Context(), pg.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c := storetest.NewChain("away")
	noise := storetest.Account(t, "noise").Account()
	c.Append(storetest.Write(noise, noise, storetest.Unsigned(noise, "noise", "3"), nil))
	first := uint32(0)
	storetest.Fill(t, store, index.Options{Source: c, From: &first})
	h := New(store, Options{Stale: -1, MaxAge: time.Hour, Timeout: 2 * time.Second})
	ask := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
		return r
	}
	paths := []string{"/api/v1/devices", "/api/v1/devices/" + noise.DID(), "/api/v1/devices/" + noise.DID() + "/access", "/api/v1/set-aside", "/api/v1/status", "/devices", "/catalog",
		"/1.0/identifiers/" + noise.DID()}
	check := func(when string, want int) {
		t.Helper()
		for _, path := range append(paths, "/readyz") {
			r := ask(path)
			if r.Code != want {
				t.Errorf("%s %s: %d %s, want %d", when, path, r.Code, r.Body, want)
			}
			if want == http.StatusServiceUnavailable && path != "/readyz" && (r.Header().Get("Retry-After") == "" || !strings.Contains(r.Body.String(), typeDatabase) && !strings.Contains(r.Body.String(), typeTooBroad)) {
				t.Errorf("%s %s: %v %s", when, path, r.Header(), r.Body)
			}
		}
		if r := ask("/healthz"); r.Code != http.StatusOK {
			t.Errorf("%s /healthz: %d", when, r.Code)
		}
	}
	check("before", http.StatusOK)
	pg.Crash(t)
	check("meanwhile", http.StatusServiceUnavailable)
	if body := ask("/metrics").Body.String(); !strings.Contains(body, "\niod_index_up 0\n") || !strings.Contains(body, "\niod_store_errors_total 9\n") {
		t.Errorf("metrics don't tell of it:\n%s", body)
	}
	pg.Start(t)
	check("after", http.StatusOK)
	if body := ask("/metrics").Body.String(); !strings.Contains(body, "\niod_index_up 1\n") || !strings.Contains(body, "\niod_devices{status=\"unverified\"} 1\n") {
		t.Errorf("metrics don't tell that it is back:\n%s", body)
	}
}

// Those who open connections and say nothing, half of something, or do not read, are in nobody's way.
func TestSlowClients(t *testing.T) {
	w := newWorld(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, New(w.store, Options{}), nil) }()
	var conns []net.Conn
	for i := range 300 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		switch i % 3 {
		case 1:
			fmt.Fprint(c, "GET /api/v1/devices HT")
		case 2: // asks for much and reads nothing
			fmt.Fprint(c, strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", 200))
		}
	}
	res, err := http.Get("http://" + ln.Addr().String() + "/api/v1/devices")
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%d %s %v", res.StatusCode, body, err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	for _, c := range conns {
		c.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Requests that no client library sends.
func TestRawRequests(t *testing.T) {
	w := newWorld(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, New(w.store, Options{}), nil) }()
	for request, want := range map[string]string{
		"GET /api/v1/devices HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 64<<10) + "\r\n\r\n":                                     "431",
		"GET /api/v1/devices?q=" + strings.Repeat("y", 9<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n":                                          "414",
		"GET //api//v1/devices HTTP/1.1\r\nHost: x\r\n\r\n":                                                                             "404",
		"GET /api/v1/../v1/devices HTTP/1.1\r\nHost: x\r\n\r\n":                                                                         "404",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":                                                                                         "200", // net/http's own
		"GET /catalog HTTP/1.1\r\nHost: evil\"><script>\r\n\r\n":                                                                        "400",
		"GET /catalog HTTP/1.1\r\nHost: a/b?c\r\n\r\n":                                                                                  "400",
		"POST /api/v1/devices HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n":                                                  "413",
		"POST /api/v1/devices HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n":                                                "413",
		"GET /api/v1/devices HTTP/1.1\r\nHost: x\r\nAccept-Encoding: " + strings.Repeat("gzip;q=0,", 2000) + "\r\n\r\n":                 "200",
		"GET /api/v1/devices HTTP/1.1\r\nHost: x\r\nIf-None-Match: " + strings.Repeat(`"",`, 2000) + "\r\n\r\n":                         "200",
		"GET /1.0/identifiers/" + w.noise.DID() + " HTTP/1.1\r\nHost: x\r\nAccept: " + strings.Repeat("text/a;q=0,", 1500) + "\r\n\r\n": "406",
		"\x16\x03\x01\x00\xa5\x01": "",
	} {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, request); err != nil && !errors.Is(err, net.ErrClosed) && want != "431" {
			t.Error(err)
		}
		if want == "" {
			c.(*net.TCPConn).CloseWrite()
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if want != "" && (err != nil || !strings.Contains(line, " "+want+" ")) {
			t.Errorf("%.60q: %q (%v), want %s", request, line, err, want)
		}
		c.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A name of a host that a client made up stands in no link.
func TestBase(t *testing.T) {
	for host, want := range map[string]string{"index.example:8080": "http://index.example:8080", "": "http://localhost", "a\"b": "http://localhost", "[::1]:80": "http://[::1]:80", "x/y": "http://localhost"} {
		s := &server{}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		if got := s.base(r); got != want {
			t.Errorf("%q: %s, want %s", host, got, want)
		}
	}
	s := &server{Options: Options{PublicURL: "https://devices.example/iod"}}
	if got := s.base(httptest.NewRequest(http.MethodGet, "/", nil)); got != "https://devices.example/iod" {
		t.Errorf("public URL: %s", got)
	}
}
