package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"iod/document"
	"iod/index"
	"iod/index/postgres/pgtest"
	"iod/index/storetest"
	"iod/key"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

var modified = regexp.MustCompile(`"dct:modified": \{\s+"@type": "xsd:dateTime",\s+"@value": "[^"]*"\s+\}`)

// goldenPaths are what TestGolden asks for, by the names of its files.
func goldenPaths(w *world) map[string]string {
	esc := url.QueryEscape
	return map[string]string{
		"legacy":             "/devices",
		"legacy-filter":      "/devices?filters[0][field]=data_type&filters[0][condition]==&filters[0][value]=noise&filters[1][field]=price_access&filters[1][condition]=<&filters[1][value]=3.5&limit=2&offset=0",
		"legacy-escaped":     "/devices?" + esc("filters[0][field]") + "=price_pin&" + esc("filters[0][condition]") + "=" + esc(">") + "&" + esc("filters[0][value]") + "=444",
		"legacy-address":     "/devices?address=" + w.noise.String(),
		"legacy-none":        "/devices?limit=0",
		"legacy-bad-field":   "/devices?filters[0][field]=owner&filters[0][condition]==&filters[0][value]=1",
		"legacy-bad-value":   "/devices?filters[7][field]=price_pin&filters[7][condition]==&filters[7][value]=cheap",
		"legacy-bad-address": "/devices?address=5nonsense",
		"devices":            "/api/v1/devices?document=true",
		"devices-stream":     "/api/v1/devices?data_type=wind_speed&max_price=50&unit=m%2Fs&kind=mqtt&near=40.2,44.5&within=20",
		"devices-page":       "/api/v1/devices?limit=1",
		"devices-none":       "/api/v1/devices?q=nothing",
		"devices-cheapest":   "/api/v1/devices?sort=price&limit=1",
		"devices-nearest":    "/api/v1/devices?sort=distance&near=41,44&since=2026-11-01T00:00:01Z&bbox=40,39,50,42&data_type=video&data_type=noise",
		"device":             "/api/v1/devices/" + w.weather.DID(),
		"history":            "/api/v1/devices/" + w.weather.DID() + "/history?limit=1",
		"proof":              "/api/v1/devices/" + w.weather.DID() + "/proof",
		"proof-unsigned":     "/api/v1/devices/" + w.noise.DID() + "/proof",
		"td":                 "/api/v1/devices/" + w.weather.DID() + "/td",
		"td-version1":        "/api/v1/devices/" + w.noise.DID() + "/td",
		"asyncapi":           "/api/v1/devices/" + w.weather.DID() + "/asyncapi",
		"asyncapi-version1":  "/api/v1/devices/" + w.noise.DID() + "/asyncapi",
		"td-ended":           "/api/v1/devices/" + w.gone.DID() + "/td",
		"access":             "/api/v1/devices/" + w.weather.DID() + "/access",
		"facets":             "/api/v1/facets?data_type=video",
		"map":                "/api/v1/map?zoom=5",
		"tile":               "/api/v1/tiles/1/1/0?q=weather",
		"pending":            "/api/v1/pending",
		"stats":              "/api/v1/stats",
		"bad-tile":           "/api/v1/tiles/1/2/0",
		"catalog":            "/catalog?limit=1&q=weather",
		"resolve":            "/1.0/identifiers/" + w.weather.DID(),
		"resolve-ended":      "/1.0/identifiers/" + w.gone.DID(),
		"resolve-unlisted":   "/1.0/identifiers/did:peaq:" + hexOf(w.stranger[:]),
		"resolve-bad":        "/1.0/identifiers/did:peaq:nonsense",
		"resolve-method":     "/1.0/identifiers/did:web:example.org",
		"device-unknown":     "/api/v1/devices/" + key.AccountID{1}.DID(),
		"device-bad":         "/api/v1/devices/did:peaq:nonsense",
		"set-aside":          "/api/v1/set-aside",
		"status":             "/api/v1/status",
		"healthz":            "/healthz",
		"nowhere":            "/api/v1/nothing",
		"bad-limit":          "/api/v1/devices?limit=501",
		"bad-name":           "/api/v1/devices?datatype=x",
		"bad-twice":          "/api/v1/devices?q=a&q=b",
		"bad-price":          "/api/v1/devices?min_price=1e3",
		"bad-near":           "/api/v1/devices?near=NaN,0",
		"bad-within":         "/api/v1/devices?near=1,1&within=-5",
		"bad-after":          "/api/v1/devices?after=AAAA",
		"bad-after-order":    "/api/v1/devices?sort=price&after=" + formatMark(index.Mark{Rank: 5}, index.Query{}),
		"bad-bbox":           "/api/v1/devices?bbox=0,50,10,40",
		"bad-since":          "/api/v1/devices?since=yesterday",
		"bad-sort":           "/api/v1/devices?sort=cheapest",
		"bad-sort-distance":  "/api/v1/devices?sort=distance",
		"bad-range":          "/api/v1/devices?min_price=2&max_price=1",
		"bad-kind":           "/api/v1/devices?kind=MQTT!",
		"bad-tail":           "/api/v1/status?verbose=1",
		"bad-query":          "/api/v1/devices?q=%zz",
	}
}

// The shapes of all answers are in testdata, readable and reviewed.
func TestGolden(t *testing.T) {
	w := newWorld(t)
	for name, path := range goldenPaths(w) {
		t.Run(name, func(t *testing.T) {
			res, body := w.get(t, path)
			var v any
			if err := json.Unmarshal([]byte(body), &v); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if m, ok := v.(map[string]any); ok && m["committed"] != nil {
				m["committed"] = "(now)"
			}
			pretty, err := json.MarshalIndent(v, "", "  ")
			pretty = modified.ReplaceAll(pretty, []byte(`"dct:modified": "(then)"`))
			pretty = bytes.ReplaceAll(pretty, []byte(w.url), []byte("http://index.example"))
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("GET %s\n%d %s\n%s\n", path, res.StatusCode, res.Header.Get("Content-Type"), pretty)
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s, want\n%s", got, want)
			}
		})
	}
}

// A tag lasts as long as nothing that is told changes.
func TestETag(t *testing.T) {
	w := newWorld(t)
	for path, moves := range map[string]struct{ block, device bool }{
		"/devices": {false, true}, "/api/v1/devices": {false, true}, "/api/v1/devices/" + w.weather.DID(): {false, true},
		"/catalog": {true, true}, "/api/v1/status": {true, true}, "/1.0/identifiers/" + w.noise.DID(): {false, true}, "/openapi.json": {}, "/api": {},
	} {
		tagOf := func() string {
			res, _ := w.get(t, path)
			return res.Header.Get("ETag")
		}
		tag := tagOf()
		if !strings.HasPrefix(tag, `W/"`) {
			t.Fatalf("%s has ETag %q", path, tag)
		}
		for _, given := range []string{tag, strings.TrimPrefix(tag, "W/"), `"x", ` + tag, "*"} {
			if res, body := w.get(t, path, "If-None-Match", given); res.StatusCode != http.StatusNotModified || body != "" || res.Header.Get("ETag") != tag {
				t.Errorf("%s with %s: %d %s", path, given, res.StatusCode, body)
			}
		}
		w.chain.Append()
		storetest.Fill(t, w.store, index.Options{Source: w.chain})
		if now := tagOf(); (now != tag) != moves.block {
			t.Errorf("%s after an empty block: tag %s, before %s", path, now, tag)
		}
		tag = tagOf()
		w.chain.Append(storetest.Write(w.noise, w.noise, storetest.Unsigned(w.noise, "noise", "4"), nil))
		storetest.Fill(t, w.store, index.Options{Source: w.chain})
		if now := tagOf(); (now != tag) != moves.device {
			t.Errorf("%s after a change: tag %s, before %s", path, now, tag)
		}
	}
	if res, _ := w.get(t, "/api/v1/devices?since=1h"); res.Header.Get("ETag") != "" {
		t.Error("a search that depends on the hour has an ETag")
	}
}

func TestMethods(t *testing.T) {
	w := newWorld(t)
	for method, want := range map[string]int{"POST": 405, "DELETE": 405, "OPTIONS": 204, "HEAD": 200} {
		req, _ := http.NewRequestWithContext(t.Context(), method, w.url+"/api/v1/devices", nil)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want || res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d, origin %q", method, res.StatusCode, res.Header.Get("Access-Control-Allow-Origin"))
		}
	}
	if res, _ := w.get(t, "/api/v1/devices?q="+strings.Repeat("x", 9000)); res.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("a long query: %d", res.StatusCode)
	}
}

// broken is a reader that fails, waits or panics.
type broken struct {
	index.Reader
	do func(ctx context.Context) error
}

func (b broken) State(ctx context.Context) (index.State, error) { return index.State{}, b.do(ctx) }

func TestFaults(t *testing.T) {
	var h http.Handler
	ask := func() *httptest.ResponseRecorder {
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/api/v1/status", nil))
		return r
	}
	for name, x := range map[string]struct {
		want  int
		limit time.Duration
		do    func(context.Context) error
	}{
		"panic":    {http.StatusInternalServerError, time.Hour, func(context.Context) error { panic("boom") }},
		"slow":     {http.StatusServiceUnavailable, time.Millisecond, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		"database": {http.StatusServiceUnavailable, time.Hour, func(context.Context) error { return errors.New("disk on fire at /secret/path") }},
	} {
		h = New(broken{do: x.do}, Options{Timeout: x.limit})
		r := ask()
		if r.Code != x.want || !json.Valid(r.Body.Bytes()) || r.Header().Get("Content-Type") != "application/problem+json" || strings.Contains(r.Body.String(), "secret") {
			t.Errorf("%s: %d %s, want %d", name, r.Code, r.Body, x.want)
		}
		if x.want == http.StatusServiceUnavailable && r.Header().Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
	}
}

// Costly requests wait for their turn, some of them; cheap ones don't.
func TestGate(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := New(slow{do: func() { entered <- struct{}{}; <-release }}, Options{Work: 1, Queue: 1})
	ask := func(path string) int {
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
		return r.Code
	}
	codes := make(chan int)
	go func() { codes <- ask("/api/v1/devices") }()
	<-entered
	go func() { codes <- ask("/api/v1/devices") }() // it waits, or is the one that is refused
	go func() { codes <- ask("/api/v1/devices") }()
	if code := <-codes; code != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", code)
	}
	if code := ask("/healthz"); code != http.StatusOK {
		t.Errorf("a cheap one: %d", code)
	}
	release <- struct{}{}
	if code := <-codes; code != http.StatusOK {
		t.Errorf("the first: %d", code)
	}
	select {
	case <-entered:
		release <- struct{}{}
		if code := <-codes; code != http.StatusOK {
			t.Errorf("the second: %d", code)
		}
	case code := <-codes: // its second passed
		t.Errorf("the second: %d", code)
	}
}

// slow is a reader whose searches take a while.
type slow struct {
	index.Reader
	do func()
}

func (slow) State(context.Context) (index.State, error) { return index.State{}, nil }

func (s slow) Search(context.Context, index.Query) (index.Page, error) {
	s.do()
	return index.Page{}, nil
}

func TestServeStops(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, http.NotFoundHandler(), nil) }()
	res, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestClient(t *testing.T) {
	w := newWorld(t)
	c := &Client{Base: w.url, HTTP: http.DefaultClient}
	yes := true
	p, err := c.Devices(t.Context(), Query{Verified: &yes, Document: true, DataTypes: []string{"wind_speed"}, MaxPrice: "100", Near: "40.1,44.5", Within: 100})
	if err != nil || len(p.Devices) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	f, err := p.Devices[0].Verify()
	if err != nil || f.Verdict.State != document.Verified || !f.Verdict.Vouched || len(f.Differs) != 0 {
		t.Errorf("finding %+v, %v", f, err)
	}
	var all []string
	for d, err := range c.All(t.Context(), Query{Limit: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d.DID)
	}
	if !slices.Equal(all, []string{w.weather.DID(), w.noise.DID()}) {
		t.Errorf("all pages: %v", all)
	}
	st, err := c.Status(t.Context())
	if err != nil || st.Devices.Live != 2 || *st.Block != 4 || st.Phase != "following" {
		t.Errorf("status %+v, %v", st, err)
	}
	a, err := c.Asides(t.Context(), 0, 5)
	if err != nil || len(a.SetAside) != 1 || a.SetAside[0].DID != w.weather.DID() {
		t.Errorf("set aside %+v, %v", a, err)
	}
	var problem *Problem
	if _, err := c.Device(t.Context(), key.AccountID{1}.DID()); !errors.As(err, &problem) || problem.Status != 404 {
		t.Errorf("an unknown device: %v", err)
	}
	if _, err := c.Devices(t.Context(), Query{Limit: 9999}); !errors.As(err, &problem) || problem.Parameter != "limit" {
		t.Errorf("a wrong parameter: %v", err)
	}
}

// The client believes the document, not the index.
func TestVerify(t *testing.T) {
	w := newWorld(t)
	c := &Client{Base: w.url, HTTP: http.DefaultClient}
	honest, err := c.Device(t.Context(), w.weather.DID())
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		lie   func(*Device)
		state document.State
		field string
	}{
		"none":        {func(*Device) {}, document.Verified, ""},
		"price":       {func(d *Device) { d.PriceAccess = "1" }, document.Verified, "price_access"},
		"node":        {func(d *Device) { d.Node = strings.Repeat("0", 52) }, document.Verified, "node"},
		"relays":      {func(d *Device) { d.Relays = []string{"tls://evil:1/x"} }, document.Verified, "relays"},
		"streams":     {func(d *Device) { d.Streams = nil }, document.Verified, "streams"},
		"another DID": {func(d *Device) { d.DID = w.noise.DID() }, document.Forged, "state"},
		"a byte":      {func(d *Device) { d.Document = d.Document[:len(d.Document)-2] + "00" }, document.Forged, "state"},
	} {
		t.Run(name, func(t *testing.T) {
			d := honest.Device
			x.lie(&d)
			f, err := d.Verify()
			if err != nil {
				t.Fatal(err)
			}
			if f.Verdict.State != x.state || x.field == "" && len(f.Differs) > 0 || x.field != "" && !slices.Contains(f.Differs, x.field) {
				t.Errorf("found %s, differing in %v; want %s and %q", f.Verdict.State, f.Differs, x.state, x.field)
			}
		})
	}
	for name, doc := range map[string]string{"none": "", "no hex": "0xzz", "no document": "0xdead"} {
		d := honest.Device
		d.Document = doc
		if f, err := d.Verify(); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// An index may answer anything.
func TestHostileIndex(t *testing.T) {
	var answer func(http.ResponseWriter)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w) }))
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	c := &Client{Base: srv.URL, HTTP: http.DefaultClient}
	for name, f := range map[string]func(http.ResponseWriter){
		"no JSON":     func(w http.ResponseWriter) { io.WriteString(w, "<html>") },
		"endless":     func(w http.ResponseWriter) { io.Copy(w, io.LimitReader(zeros{}, 33<<20)) },
		"another DID": func(w http.ResponseWriter) { fmt.Fprintf(w, `{"did":%q}`, key.AccountID{9}.DID()) },
		"an error":    func(w http.ResponseWriter) { w.WriteHeader(502); io.WriteString(w, "bad gateway") },
	} {
		answer = f
		if d, err := c.Device(t.Context(), key.AccountID{1}.DID()); err == nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
	for _, base := range []string{"", "ftp://x", "http://", "http://127.0.0.1:1", "http://user:secret@127.0.0.1:1"} {
		c.Base = base
		if _, err := c.Status(t.Context()); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", base, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
