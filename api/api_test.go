package api_test

import (
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
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"iod/api"
	"iod/document"
	"iod/index"
	"iod/index/sqlite"
	"iod/index/storetest"
	"iod/key"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server over an index of a small chain.
type world struct {
	store *sqlite.Store
	chain *storetest.Chain
	url   string
	weather,
	noise key.AccountID
}

func newWorld(t testing.TB) *world {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{store: s, chain: storetest.NewChain("api")}
	weather, noise, gone := storetest.Account(t, "weather"), storetest.Account(t, "noise"), storetest.Account(t, "gone")
	stranger := storetest.Account(t, "stranger").Account()
	owner := storetest.Account(t, "owner")
	w.weather, w.noise = weather.Account(), noise.Account()
	d := storetest.Weather(weather, 1000)
	ownerID := owner.Account()
	d.Owner = &ownerID
	if d.Vouch, err = document.SignVouch(owner, weather.Account()); err != nil {
		t.Fatal(err)
	}
	c := w.chain
	c.Append(storetest.Write(w.noise, w.noise, storetest.Unsigned(w.noise, "noise", "3"), nil))
	c.Append()
	c.Append(storetest.Write(w.weather, w.weather, storetest.Sign(t, weather, d), nil), storetest.Write(gone.Account(), gone.Account(), storetest.Sign(t, gone, storetest.Weather(gone, 1)), nil))
	c.Append(storetest.Write(stranger, w.weather, []byte{0xde, 0xad}, nil), storetest.Erase(gone.Account(), gone.Account()))
	first := uint32(0)
	storetest.Fill(t, s, index.Options{Source: c, From: &first})
	srv := httptest.NewServer(api.New(s, api.Options{}))
	t.Cleanup(srv.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	w.url = srv.URL
	return w
}

func (w *world) get(t testing.TB, path string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// The shapes of all answers are in testdata, readable and reviewed.
func TestGolden(t *testing.T) {
	w := newWorld(t)
	esc := url.QueryEscape
	for name, path := range map[string]string{
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
		"device":             "/api/v1/devices/" + w.weather.DID(),
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
		"bad-query":          "/api/v1/devices?q=%zz",
	} {
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

// Whatever stands in whichever parameter: an answer, never 500, and every listing still there.
func TestInjection(t *testing.T) {
	w := newWorld(t)
	asked := 0
	for _, evil := range storetest.Injections {
		paths := []string{"/api/v1/devices/" + url.PathEscape(evil), "/" + url.PathEscape(evil), "/devices?" + url.QueryEscape(evil) + "=1"}
		for _, name := range []string{"q", "data_type", "kind", "unit", "min_price", "max_price", "owner", "verified", "near", "within", "limit", "after", "document", evil} {
			paths = append(paths, "/api/v1/devices?"+url.Values{name: {evil}}.Encode())
		}
		for _, name := range []string{"before", "limit"} {
			paths = append(paths, "/api/v1/set-aside?"+url.Values{name: {evil}}.Encode())
		}
		for _, name := range []string{"address", "limit", "offset", "filters[0][field]", "filters[" + evil + "][field]"} {
			paths = append(paths, "/devices?"+url.Values{name: {evil}}.Encode())
		}
		for _, part := range []string{"field", "condition", "value"} {
			for _, field := range []string{"data_type", "location", "price_pin"} {
				v := url.Values{"filters[0][field]": {field}, "filters[0][condition]": {"="}, "filters[0][value]": {"1"}}
				v.Set("filters[0]["+part+"]", evil)
				paths = append(paths, "/devices?"+v.Encode())
			}
		}
		for _, path := range paths {
			asked++
			if res, body := w.get(t, path); res.StatusCode >= 500 || !json.Valid([]byte(body)) && res.StatusCode != http.StatusMovedPermanently {
				t.Errorf("%s: %d %s", path, res.StatusCode, body)
			}
		}
	}
	if asked < 500 {
		t.Errorf("only %d requests", asked)
	}
	if st, err := w.store.State(t.Context()); err != nil || st.Live != 2 {
		t.Errorf("after all: %+v, %v", st, err)
	}
}

func TestETag(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/devices", "/api/v1/devices", "/api/v1/devices/" + w.weather.DID()} {
		res, _ := w.get(t, path)
		tag := res.Header.Get("ETag")
		if tag == "" {
			t.Fatalf("%s has no ETag", path)
		}
		if res, body := w.get(t, path, "If-None-Match", tag); res.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s with its tag: %d %s", path, res.StatusCode, body)
		}
		w.chain.Append()
		storetest.Fill(t, w.store, index.Options{Source: w.chain})
		if res, _ := w.get(t, path, "If-None-Match", tag); res.StatusCode != http.StatusOK || res.Header.Get("ETag") == tag {
			t.Errorf("%s after another block: %d, tag %s", path, res.StatusCode, tag)
		}
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
	entered, release := make(chan struct{}), make(chan struct{})
	h := api.New(broken{do: func(ctx context.Context) error {
		entered <- struct{}{}
		<-release
		return errors.New("disk on fire at /secret/path")
	}}, api.Options{MaxInFlight: 1})
	done := make(chan *httptest.ResponseRecorder)
	ask := func() *httptest.ResponseRecorder {
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/api/v1/status", nil))
		return r
	}
	go func() { done <- ask() }()
	<-entered
	if r := ask(); r.Code != http.StatusServiceUnavailable || r.Header().Get("Retry-After") == "" {
		t.Errorf("one too many: %d", r.Code)
	}
	close(release)
	if r := <-done; r.Code != http.StatusInternalServerError || strings.Contains(r.Body.String(), "secret") {
		t.Errorf("a broken store: %d %s", r.Code, r.Body)
	}
	for want, do := range map[int]func(context.Context) error{
		http.StatusInternalServerError: func(context.Context) error { panic("boom") },
		http.StatusServiceUnavailable:  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		h = api.New(broken{do: do}, api.Options{Timeout: 1})
		if r := ask(); r.Code != want || !json.Valid(r.Body.Bytes()) {
			t.Errorf("%d %s, want %d", r.Code, r.Body, want)
		}
	}
}

func TestServeStops(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- api.Serve(ctx, ln, http.NotFoundHandler(), nil) }()
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
	c := &api.Client{Base: w.url, HTTP: http.DefaultClient}
	yes := true
	p, err := c.Devices(t.Context(), api.Query{Verified: &yes, Document: true, DataType: "wind_speed", MaxPrice: "100", Near: "40.1,44.5", Within: 100})
	if err != nil || len(p.Devices) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	f, err := p.Devices[0].Verify()
	if err != nil || f.Verdict.State != document.Verified || !f.Verdict.Vouched || len(f.Differs) != 0 {
		t.Errorf("finding %+v, %v", f, err)
	}
	var all []string
	for d, err := range c.All(t.Context(), api.Query{Limit: 1}) {
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
	var problem *api.Problem
	if _, err := c.Device(t.Context(), key.AccountID{1}.DID()); !errors.As(err, &problem) || problem.Status != 404 {
		t.Errorf("an unknown device: %v", err)
	}
	if _, err := c.Devices(t.Context(), api.Query{Limit: 9999}); !errors.As(err, &problem) || problem.Parameter != "limit" {
		t.Errorf("a wrong parameter: %v", err)
	}
}

// The client believes the document, not the index.
func TestVerify(t *testing.T) {
	w := newWorld(t)
	c := &api.Client{Base: w.url, HTTP: http.DefaultClient}
	honest, err := c.Device(t.Context(), w.weather.DID())
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		lie   func(*api.Device)
		state document.State
		field string
	}{
		"none":        {func(*api.Device) {}, document.Verified, ""},
		"price":       {func(d *api.Device) { d.PriceAccess = "1" }, document.Verified, "price_access"},
		"node":        {func(d *api.Device) { d.Node = strings.Repeat("0", 52) }, document.Verified, "node"},
		"relays":      {func(d *api.Device) { d.Relays = []string{"tls://evil:1/x"} }, document.Verified, "relays"},
		"streams":     {func(d *api.Device) { d.Streams = nil }, document.Verified, "streams"},
		"another DID": {func(d *api.Device) { d.DID = w.noise.DID() }, document.Forged, "state"},
		"a byte":      {func(d *api.Device) { d.Document = d.Document[:len(d.Document)-2] + "00" }, document.Forged, "state"},
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
	c := &api.Client{Base: srv.URL, HTTP: http.DefaultClient}
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
