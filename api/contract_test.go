package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"iod/index"
	"iod/index/storetest"
)

// contract is the API document as its tests use it: closed, so that a member which nobody described is found.
type contract struct {
	t      *testing.T
	routes []*route
	doc    any
	comp   *jsonschema.Compiler
	cache  map[string]*jsonschema.Schema
}

func newContract(t *testing.T) *contract {
	t.Helper()
	c := &contract{t: t, routes: (&server{}).table(), cache: map[string]*jsonschema.Schema{}}
	text, err := json.Marshal(openAPI(c.routes, "/", true))
	if err != nil {
		t.Fatal(err)
	}
	if c.doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	c.comp = jsonschema.NewCompiler()
	c.comp.DefaultDraft(jsonschema.Draft2020)
	c.comp.AssertFormat()
	if err := c.comp.AddResource("mem:///openapi.json", c.doc); err != nil {
		t.Fatal(err)
	}
	return c
}

// check validates a body against what the document says of a route's answers.
func (c *contract) check(rt *route, status int, media string, body []byte) error {
	if name, _, isText := strings.Cut(media, ";"); isText && strings.HasPrefix(name, "text/") {
		media = name
	}
	esc := strings.NewReplacer("~", "~0", "/", "~1")
	at := "/paths/" + esc.Replace(rt.Path) + "/get/responses/" + strconv.Itoa(status)
	if status == http.StatusNotModified {
		return nil
	}
	at += "/content/" + esc.Replace(media)
	node, ok := lookup(c.doc, at).(map[string]any)
	if !ok {
		return fmt.Errorf("the document does not know status %d with %s", status, media)
	}
	if node["schema"] == nil {
		return nil
	}
	s := c.cache[at]
	if s == nil {
		var err error
		u := url.URL{Scheme: "mem", Path: "/openapi.json", Fragment: at + "/schema"}
		if s, err = c.comp.Compile(u.String()); err != nil {
			return err
		}
		c.cache[at] = s
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

func lookup(v any, pointer string) any {
	for _, part := range strings.Split(pointer, "/")[1:] {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return v
}

// ask asks for a path and validates the answer, whatever it is.
func (c *contract) ask(w *world, rt *route, path string, header ...string) (int, []byte) {
	c.t.Helper()
	res, body := w.get(c.t, path, header...)
	if err := c.check(rt, res.StatusCode, res.Header.Get("Content-Type"), []byte(body)); err != nil {
		c.t.Errorf("%s: %d %.300s\n%v", path, res.StatusCode, body, err)
	}
	return res.StatusCode, []byte(body)
}

// values are good and bad values of each parameter. A parameter without an entry here fails the test.
func parameterValues(w *world) map[string]struct{ good, bad []string } {
	mark := formatMark(index.Mark{Rank: 1 << 62}, index.Query{})
	type v = struct{ good, bad []string }
	return map[string]v{
		"q":                     {[]string{"weather", "wi", "nothing at all", "Ünïcödé 日本"}, []string{strings.Repeat("x", 600)}},
		"data_type":             {[]string{"wind_speed", "", "noise", "<script>"}, []string{strings.Repeat("x", 600)}},
		"kind":                  {[]string{"mqtt", "rtsp", "carrier-pigeon"}, []string{"MQTT", "a b", "'"}},
		"unit":                  {[]string{"m/s", "°C"}, []string{strings.Repeat("x", 600)}},
		"min_price":             {[]string{"0", "42.03995", "000.5"}, []string{"-1", "1e3", "1,5", strings.Repeat("9", 1000), "0x10", "NaN"}},
		"max_price":             {[]string{"0", "1000000"}, []string{"cheap", " 1", "1."}},
		"owner":                 {[]string{w.weather.String(), w.weather.DID(), hexOf(w.weather[:])}, []string{"5nonsense", "did:web:x", "0x12"}},
		"verified":              {[]string{"true", "false"}, []string{"yes", "1", ""}},
		"since":                 {[]string{"24h", "7d", "2026-11-01T00:00:00Z", "2026-11-01T02:00:00+02:00"}, []string{"yesterday", "-1h", "999999w", "2026-13-01T00:00:00Z"}},
		"bbox":                  {[]string{"-180,-90,180,90", "170,-10,-170,10", "44,40,45,41"}, []string{"1,2,3", "0,50,10,40", "NaN,0,1,1", "-541,0,0,0", "0,0,0,91", "a,b,c,d"}},
		"near":                  {[]string{"40.2,44.5", "-90,180", "0, 0"}, []string{"NaN,0", "91,0", "0,181", "1", "1,2,3", "x,y"}},
		"within":                {nil, []string{"0", "-5", "20041", "NaN", "Inf", "far"}},
		"sort":                  {[]string{"newest", "price", "-price"}, []string{"cheapest", "", "distance"}},
		"limit":                 {[]string{"1", "500"}, []string{"0", "501", "-1", "lots", "1.5", "99999999999999999999"}},
		"after":                 {[]string{mark}, []string{"AAAA", mark[1:], mark + "A", "!", strings.Repeat("A", 600)}},
		"document":              {[]string{"true", "false"}, []string{"1", "TRUE"}},
		"before":                {[]string{"1", "1000000"}, []string{"0", "-1", "x", "9999999999999999999"}},
		"did":                   {[]string{w.weather.DID(), w.weather.String(), hexOf(w.noise[:])}, []string{"did:peaq:nonsense", "x", "0x00"}},
		"address":               {[]string{w.weather.String()}, []string{"5nonsense"}},
		"offset":                {[]string{"0", "5"}, []string{"-1", "99999999"}},
		"zoom":                  {[]string{"0", "24"}, []string{"-1", "25", "far"}},
		"top":                   {[]string{"1", "200"}, []string{"0", "201"}},
		"days":                  {[]string{"1", "3660"}, []string{"0", "3661"}},
		"z":                     {[]string{"0", "24"}, []string{"25", "-1", "z"}},
		"x":                     {[]string{"0", "1"}, []string{"2", "-1", "x"}},
		"y":                     {[]string{"0", "1"}, []string{"2", "-1", "y"}},
		"stream":                {[]string{"wind", "none"}, []string{strings.Repeat("x", 600)}},
		"account":               {[]string{w.noise.DID()}, []string{"5nonsense"}},
		"current":               {[]string{"true", "false"}, []string{"now"}},
		"filters[0][field]":     {nil, []string{"owner", "data_type"}},
		"filters[0][condition]": {nil, []string{"=", "~"}},
		"filters[0][value]":     {nil, []string{"x"}},
	}
}

// Every route, every parameter: what is answered is what the document says.
func TestContract(t *testing.T) {
	w, c := newWorld(t), newContract(t)
	values := parameterValues(w)
	asked := 0
	for _, rt := range c.routes {
		if rt.Stream { // what it answers has tests of its own
			for _, f := range rt.Fields {
				bad := values[f.about().Name].bad
				if f.about().Name == "after" {
					bad = []string{"x", "-1", "1-zz"}
				}
				for _, b := range bad {
					asked++
					c.checkBad(w, rt, rt.path(w), f.about(), b)
				}
			}
			continue
		}
		path := rt.path(w)
		if status, _ := c.ask(w, rt, path); status != http.StatusOK && rt.ID != "getReady" {
			t.Errorf("%s: %d", path, status)
		}
		c.checkMethods(w, rt, path)
		for _, f := range rt.Fields {
			p := f.about()
			v, ok := values[p.Name]
			if !ok {
				t.Errorf("%s of %s has no values to be tested with", p.Name, rt.Path)
			}
			for _, good := range v.good {
				asked++
				if status, body := c.ask(w, rt, with(rt, path, p, good)); status != http.StatusOK && !(rt.ID == "resolveDID" && !strings.HasPrefix(good, "did:")) {
					t.Errorf("%s=%q of %s: %d %s", p.Name, good, rt.Path, status, body)
				}
			}
			for _, bad := range v.bad {
				asked++
				c.checkBad(w, rt, path, p, bad)
			}
		}
		if !rt.Loose {
			c.checkUnknown(w, rt, path)
		}
	}
	if asked < 250 {
		t.Errorf("only %d parameters were tried", asked)
	}
}

// path is the address of a route with its path parameters filled in.
func (rt *route) path(w *world) string {
	return strings.NewReplacer("{did}", w.weather.DID(), "{z}", "1", "{x}", "1", "{y}", "0").Replace(rt.Path)
}

// with is a route's address with a parameter.
func with(rt *route, path string, p *spec, value string) string {
	if p.Path {
		return strings.NewReplacer("{"+p.Name+"}", url.PathEscape(value), "{z}", "1", "{x}", "0", "{y}", "0").Replace(rt.Path)
	}
	return path + "?" + url.Values{p.Name: {value}}.Encode()
}

func (c *contract) checkBad(w *world, rt *route, path string, p *spec, bad string) {
	status, body := c.ask(w, rt, with(rt, path, p, bad))
	if rt.ID == "resolveDID" {
		if status != http.StatusBadRequest || !bytes.Contains(body, []byte(`"error":"invalidDid"`)) {
			c.t.Errorf("%q: %d %s", bad, status, body)
		}
		return
	}
	if rt.Loose && p.Name == "limit" && slices.Contains([]string{"0", "501"}, bad) { // there they are right
		return
	}
	var problem Problem
	if err := json.Unmarshal(body, &problem); err != nil || status != http.StatusBadRequest || !strings.HasPrefix(problem.Parameter, strings.TrimSuffix(p.Name, "[field]")[:min(7, len(strings.TrimSuffix(p.Name, "[field]")))]) ||
		problem.Detail == "" || problem.Status != status {
		c.t.Errorf("%s=%.60q of %s: %d %s", p.Name, bad, rt.Path, status, body)
	}
}

func (c *contract) checkUnknown(w *world, rt *route, path string) {
	var status int
	var body []byte
	if len(rt.Fields) == 0 { // 400 is not among its answers in the document, but it is strict all the same
		res, text := w.get(c.t, path+"?nonsense=1")
		status, body = res.StatusCode, []byte(text)
	} else {
		status, body = c.ask(w, rt, path+"?nonsense=1")
	}
	var problem Problem
	if err := json.Unmarshal(body, &problem); err != nil || status != http.StatusBadRequest || problem.Parameter != "nonsense" {
		c.t.Errorf("an unknown parameter of %s: %d %s", rt.Path, status, body)
	}
}

// checkMethods compares HEAD with GET, and asks what else there is.
func (c *contract) checkMethods(w *world, rt *route, path string) {
	do := func(method string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(c.t.Context(), method, w.url+path, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "identity")
		req.Header.Set("Origin", "https://elsewhere.example")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			c.t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			c.t.Fatal(err)
		}
		return res, string(body)
	}
	get, body := do(http.MethodGet)
	head, none := do(http.MethodHead)
	if none != "" || head.StatusCode != get.StatusCode || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") || head.Header.Get("ETag") != get.Header.Get("ETag") ||
		rt.ID != "getMetrics" && head.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
		c.t.Errorf("HEAD %s: %d %v, and GET has %d %v", path, head.StatusCode, head.Header, get.StatusCode, get.Header)
	}
	if get.Header.Get("Access-Control-Allow-Origin") != "*" || get.Header.Get("X-Content-Type-Options") != "nosniff" || get.Header.Get("Cache-Control") == "" && rt.ID != "getMetrics" {
		c.t.Errorf("%s: header %v", path, get.Header)
	}
	if pre, _ := do(http.MethodOptions); pre.StatusCode != http.StatusNoContent || pre.Header.Get("Access-Control-Allow-Methods") != allowed || pre.Header.Get("Allow") != allowed {
		c.t.Errorf("OPTIONS %s: %d %v", path, pre.StatusCode, pre.Header)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, "PROPFIND"} {
		if res, text := do(method); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != allowed || res.Header.Get("Content-Type") != "application/problem+json" {
			c.t.Errorf("%s %s: %d %s", method, path, res.StatusCode, text)
		}
	}
}

// Whatever stands in whichever parameter of whichever route: an answer of the document, never a fault, and every listing still there.
func TestInjection(t *testing.T) {
	w, c := newWorld(t), newContract(t)
	asked := 0
	for _, evil := range storetest.Injections {
		for _, rt := range c.routes {
			if rt.Stream || rt.ID == "getReady" {
				continue
			}
			for _, f := range rt.Fields {
				if p := f.about(); !p.Path || evil != "" && evil != "." && evil != ".." && !strings.Contains(evil, "/") {
					asked++
					if status, body := c.ask(w, rt, with(rt, rt.path(w), p, evil)); status >= 500 && status != http.StatusNotImplemented {
						t.Errorf("%s=%q of %s: %d %s", p.Name, evil, rt.Path, status, body)
					}
				}
			}
			res, body := w.get(t, rt.path(w)+"?"+url.Values{evil: {evil}}.Encode())
			if res.StatusCode >= 500 || !json.Valid([]byte(body)) {
				t.Errorf("%q as a name of %s: %d %s", evil, rt.Path, res.StatusCode, body)
			}
		}
		for _, part := range []string{"field", "condition", "value"} {
			for _, field := range []string{"data_type", "location", "price_pin"} {
				v := url.Values{"filters[0][field]": {field}, "filters[0][condition]": {"="}, "filters[0][value]": {"1"}, "filters[" + evil + "][field]": {"x"}}
				v.Set("filters[0]["+part+"]", evil)
				asked++
				if res, body := w.get(t, "/devices?"+v.Encode()); res.StatusCode >= 500 || !json.Valid([]byte(body)) {
					t.Errorf("%v: %d %s", v, res.StatusCode, body)
				}
			}
		}
		for _, path := range []string{"/" + url.PathEscape(evil), "/api/v1/" + url.PathEscape(evil), "/api/v1/devices/" + w.noise.DID() + "/" + url.PathEscape(evil)} {
			if res, body := w.get(t, path); res.StatusCode >= 500 || !json.Valid([]byte(body)) {
				t.Errorf("%s: %d %s", path, res.StatusCode, body)
			}
		}
	}
	if asked < 1000 {
		t.Errorf("only %d requests", asked)
	}
	if st, err := w.store.State(t.Context()); err != nil || st.Live != 2 {
		t.Errorf("after all: %+v, %v", st, err)
	}
}
