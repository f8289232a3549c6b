package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"iod/index"
)

// refusing is a reader whose searches fail.
type refusing struct {
	index.Reader
	err error
}

func (refusing) State(context.Context) (index.State, error) { return index.State{}, nil }

func (r refusing) Search(context.Context, index.Query) (index.Page, error) {
	return index.Page{}, r.err
}

// A search that the store does not take is told as what it is, with advice.
func TestRefusedSearches(t *testing.T) {
	for _, x := range []struct {
		err    error
		status int
		says   []string
	}{
		{fmt.Errorf("search: %w", index.ErrTooBroad), 422, []string{typeTooBroad, "narrow it", "The search is too broad"}},
		{fmt.Errorf("%w: an odd one", index.ErrQuery), 400, []string{"an odd one"}},
		{io.ErrUnexpectedEOF, 503, []string{typeDatabase}},
	} {
		h := New(refusing{err: x.err}, Options{})
		for _, path := range []string{"/api/v1/devices", "/catalog"} {
			r := httptest.NewRecorder()
			h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
			for _, s := range x.says {
				if r.Code != x.status || !strings.Contains(r.Body.String(), s) || strings.Contains(r.Body.String(), "EOF") {
					t.Errorf("%v at %s: %d %s", x.err, path, r.Code, r.Body)
				}
			}
		}
	}
}

// Without what counts, and what tells of changes, the routes that need it say so, and all others answer.
func TestWithoutParts(t *testing.T) {
	w := newWorld(t)
	h := New(w.store, Options{})
	for path, want := range map[string]int{
		"/api/v1/facets": 503, "/api/v1/map": 503, "/api/v1/tiles/0/0/0": 503, "/api/v1/stats": 503, "/api/v1/pending": 503, "/api/v1/changes": 503, "/api/v1/devices": 200, "/metrics": 200,
	} {
		r := httptest.NewRecorder()
		if h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil)); r.Code != want || want == 503 && !strings.Contains(r.Body.String(), typeLoading) {
			t.Errorf("%s: %d %s", path, r.Code, r.Body)
		}
	}
}

// Which form the resolver answers in, by what the client takes.
func TestResolverAccept(t *testing.T) {
	w := newWorld(t)
	path := "/1.0/identifiers/" + w.weather.DID()
	for accept, want := range map[string]string{
		"":                     resolutionType,
		"*/*":                  resolutionType,
		"text/html, */*;q=0.1": resolutionType,
		"application/json":     "application/json",
		"application/ld+json":  resolutionType,
		`application/ld+json;profile="https://w3id.org/did-resolution"`: resolutionType,
		"application/did-resolution":                                    "application/did-resolution",
		"application/did+ld+json":                                       "application/did+ld+json",
		"Application/DID+JSON":                                          "application/did+json",
		"application/did":                                               "application/did",
		"text/turtle, application/did+ld+json;q=0.5":                    "application/did+ld+json",
		"application/did+ld+json;q=0, application/json":                 "application/json",
		"text/turtle":                                                   "",
		"application/did+cbor":                                          "",
		`application/ld+json;profile="https://w3id.org/did-url-dereferencing", text/plain`: "",
	} {
		res, body := w.get(t, path, "Accept", accept)
		if want == "" {
			if res.StatusCode != http.StatusNotAcceptable || !strings.Contains(body, "representationNotSupported") {
				t.Errorf("%q: %d %s", accept, res.StatusCode, body)
			}
			continue
		}
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != want || !strings.Contains(strings.Join(res.Header.Values("Vary"), ","), "Accept") {
			t.Errorf("%q: %d %v", accept, res.StatusCode, res.Header)
		}
		var whole struct {
			Document json.RawMessage `json:"didDocument"`
		}
		if err := json.Unmarshal([]byte(body), &whole); err != nil || (whole.Document != nil) == strings.HasPrefix(want+"+", "application/did+") {
			t.Errorf("%q: %s (%v)", accept, body, err)
		}
	}
	c := &Client{Base: w.url, HTTP: http.DefaultClient}
	if r, err := c.Resolve(t.Context(), w.weather.DID()); err != nil || r.Document.ID != w.weather.DID() {
		t.Errorf("client: %+v, %v", r, err)
	}
	if _, err := c.Resolve(t.Context(), "did:peaq:nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("client: %v", err)
	}
}

func TestOrigins(t *testing.T) {
	w := newWorld(t)
	for _, x := range []struct {
		allowed []string
		origin  string
		want    string
	}{
		{nil, "https://a.example", "*"}, {[]string{"*"}, "", "*"}, {[]string{}, "https://a.example", ""},
		{[]string{"https://a.example", "https://b.example"}, "https://b.example", "https://b.example"}, {[]string{"https://a.example"}, "https://a.example.evil.example", ""},
	} {
		h := New(w.store, Options{Origins: x.allowed})
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			r, req := httptest.NewRecorder(), httptest.NewRequest(method, "/api/v1/status", nil)
			req.Header.Set("Origin", x.origin)
			h.ServeHTTP(r, req)
			if got := r.Header().Get("Access-Control-Allow-Origin"); got != x.want {
				t.Errorf("%v of %q with %v: %q, want %q", method, x.origin, x.allowed, got, x.want)
			}
			if len(x.allowed) > 0 && x.allowed[0] != "*" && !strings.Contains(strings.Join(r.Header().Values("Vary"), ","), "Origin") {
				t.Errorf("%v: Vary %q", x.allowed, r.Header().Values("Vary"))
			}
		}
	}
}

// Pages have what the API has not; what is below the API's addresses stays its own.
func TestPages(t *testing.T) {
	w := newWorld(t)
	h := New(w.store, Options{Pages: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page "+r.URL.Path) })})
	for path, want := range map[string]string{
		"/": "page /", "/d/x": "page /d/x", "/operator": "page /operator", "/api/v2/x": "problem", "/api/v1/nothing": "problem", "/1.0/x": "problem", "/api": "<!doctype html>", "/healthz": "ok",
		"/api/v1/devices/x/y/z": "problem",
	} {
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
		if want == "problem" {
			if r.Code != http.StatusNotFound || r.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %d %s", path, r.Code, r.Body)
			}
		} else if r.Code != http.StatusOK || !strings.Contains(r.Body.String(), want) {
			t.Errorf("%s: %d %.200s", path, r.Code, r.Body)
		}
	}
}

// Metrics count by route and code, and hold nothing that a client wrote.
func TestMetrics(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/api/v1/devices", "/api/v1/devices?q=secret", "/api/v1/devices?limit=0", "/secret", "/api/v1/devices/secret", "/api/v1/devices/" + w.weather.DID()} {
		w.get(t, path)
	}
	res, body := w.get(t, "/metrics")
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("as %s", res.Header.Get("Content-Type"))
	}
	for _, want := range []string{
		`iod_http_requests_total{code="200",method="GET",route="/api/v1/devices"} 2`, `iod_http_requests_total{code="400",method="GET",route="/api/v1/devices"} 1`,
		`iod_http_requests_total{code="404",method="GET",route="other"} 1`, `iod_http_requests_total{code="200",method="GET",route="/api/v1/devices/{did}"} 1`,
		`iod_http_request_seconds_count{route="/api/v1/devices"} 3`, "iod_index_block 4", "iod_index_head 4", "iod_index_lag_blocks 0", "iod_index_up 1", `iod_devices{status="ended"} 1`,
		"iod_set_aside 1", "iod_changes 5", "iod_feeds 0", "iod_store_errors_total 0",
	} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("no %s in:\n%s", want, body)
		}
	}
	for _, want := range []string{"process_resident_memory_bytes ", "go_goroutines "} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(body, "secret") || strings.Contains(body, w.weather.String()) {
		t.Error("what a client wrote is in the metrics")
	}
}

// The page needs nothing but itself, and has an anchor for every kind of problem.
func TestPage(t *testing.T) {
	w := newWorld(t)
	res, body := w.get(t, "/api")
	if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") {
		t.Errorf("policy %q", csp)
	}
	for _, bad := range []string{"<script", "src=", "@import", "url(", "http://", "https://", "style="} {
		if text := strings.ReplaceAll(body, "http://127.0.0.1:8080", ""); strings.Contains(strings.ReplaceAll(text, "https://w3id.org/did-resolution", ""), bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	for _, p := range problems {
		if !strings.Contains(body, `id="`+strings.TrimPrefix(p.Type, "/api#")+`"`) {
			t.Errorf("no anchor for %s", p.Type)
		}
	}
	for _, rt := range (&server{}).table() {
		if !strings.Contains(body, `id="`+rt.ID+`"`) {
			t.Errorf("no route %s", rt.ID)
		}
	}
}
