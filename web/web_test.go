package web

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"iod/api"
	"iod/index"
	"iod/index/storetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if chromium.stop != nil {
		chromium.stop()
	}
	if shop.stop != nil {
		shop.stop()
	}
	endWorlds()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// clock is a time at which a part of the test's market is older than an hour.
func clock() time.Time { return storetest.Epoch.Add(75 * time.Minute) }

// open serves the shared market.
func open(t *testing.T, change func(*Options)) (*market, *httptest.Server) {
	t.Helper()
	m, a := shared(t)
	pending := []index.PendingChange{{Account: &m.named, Who: &m.harsh, At: index.Point{Block: 9_999, Extrinsic: 2}, Action: index.Overwrote, Aside: "<i>forged</i>"}}
	o := Options{Pending: func() []index.PendingChange { return pending }, Feeds: func() int64 { return 7 }, Reader: m.store, Atlas: a, Now: clock, Version: "test", RPC: "ws://127.0.0.1:9944"}
	if change != nil {
		change(&o)
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api.New(m.store, api.Options{Pages: h, Atlas: a, Now: clock}))
	t.Cleanup(srv.Close)
	return m, srv
}

// got is an answer read to its end.
type got struct {
	*http.Response
	body string
}

func get(t *testing.T, srv *httptest.Server, path string, header ...string) got {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	c := *srv.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got{res, string(body)}
}

// unbroken are the words of commands that are not to be broken when they are shown.
var unbroken = regexp.MustCompile(`<span class="w">([^<]*)</span>`)

func has(t *testing.T, p got, texts ...string) {
	t.Helper()
	body := unbroken.ReplaceAllString(p.body, "$1")
	for _, text := range texts {
		if !strings.Contains(body, text) {
			t.Errorf("%s: %q is not there", p.Request.URL, text)
		}
	}
}

func lacks(t *testing.T, p got, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(p.body, text) {
			t.Errorf("%s: %q is there", p.Request.URL, text)
		}
	}
}

var countOf = regexp.MustCompile(`<h1 id="count"[^>]*>([^<]*)</h1>`)

func count(t *testing.T, p got) string {
	t.Helper()
	m := countOf.FindStringSubmatch(p.body)
	if m == nil {
		t.Fatalf("%s tells no count", p.Request.URL)
	}
	return html.UnescapeString(m[1])
}

func TestPages(t *testing.T) {
	m, srv := open(t, nil)
	t.Run("search", func(t *testing.T) { testSearch(t, m, srv) })
	t.Run("wrong", func(t *testing.T) { testWrong(t, srv) })
	t.Run("empty", func(t *testing.T) { testEmpty(t, srv) })
	t.Run("paging", func(t *testing.T) { testPaging(t, srv) })
	t.Run("device", func(t *testing.T) { testDevice(t, m, srv) })
	t.Run("hostile", func(t *testing.T) { testHostile(t, m, srv) })
	t.Run("operator", func(t *testing.T) { testOperator(t, srv) })
	t.Run("http", func(t *testing.T) { testHTTP(t, m, srv) })
	t.Run("picture", func(t *testing.T) { testPictureSVG(t, srv) })
	t.Run("weight", func(t *testing.T) { testWeight(t, m, srv) })
}

func testSearch(t *testing.T, m *market, srv *httptest.Server) {
	all := get(t, srv, "/")
	if got, want := count(t, all), plural(devices+6, "device"); got != want {
		t.Errorf("all are counted as %q, want %q", got, want)
	}
	has(t, all, "Wind speed", "Signed by the device", "Signed by device and owner", "Signed; owner not proven", "Not signed", `class="share"`, "PEAQ")
	for path, want := range map[string]string{
		"/?q=anemometer&unit=m%2Fs&near=40.19,44.55&within=5": "3 devices",
		"/?verified=false": "1 device",
		"/?owner=" + storetest.Account(t, "owner").Account().String(): "1 device",
		"/?near=45.75,4.85&within=5&data_type=nothing":                "No devices",
		"/?q=&data_type=&unit=&verified=&unknown=1&sort=newest":       plural(devices+6, "device"),
	} {
		if got := count(t, get(t, srv, path)); got != want {
			t.Errorf("%s finds %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]string{
		"/?q=" + m.wind.DID():                 "/d/" + m.wind.DID(),
		"/?q=" + m.wind.String():              "/d/" + m.wind.DID(),
		"/?place=Lyon&kind=mqtt&bbox=0,0,1,1": "/?kind=mqtt&near=45.75,4.85&within=50",
		"/results?place=Lyon":                 "/results?near=45.75,4.85&within=50",
		"/d/" + m.wind.String():               "/d/" + m.wind.DID(),
	} {
		if p := get(t, srv, path); p.StatusCode != http.StatusSeeOther || p.Header.Get("Location") != want {
			t.Errorf("%s leads to %d %s, want %s", path, p.StatusCode, p.Header.Get("Location"), want)
		}
	}
	narrow := get(t, srv, "/?data_type=wind_speed&min_price=1&verified=true&since=720h&near=40.19,44.55&within=100&sort=distance")
	has(t, narrow, "updated within", "within 100 km of Yerevan, Armenia", `value="distance" selected`, `name="near" value="40.19,44.55"`, `value="wind_speed" checked`)
	if n := strings.Count(narrow.body, "take this filter off"); n != 5 {
		t.Errorf("%d chips, want 5", n)
	}
}

func testWrong(t *testing.T, srv *httptest.Server) {
	for path, want := range map[string]string{
		"/?min_price=1e3": "min_price", "/?bbox=1,2,3": "bbox", "/?near=NaN,0": "near", "/?after=!": "after", "/?owner=me": "owner", "/?since=yesterday": "since",
		"/?place=Atlantis": "No place named", "/?place=Yeravan": "Did you mean Yerevan?", "/?sort=nothing": "", "/?verified=perhaps": "verified",
	} {
		p := get(t, srv, path)
		if p.StatusCode != http.StatusBadRequest || !strings.Contains(p.body, "Something in this search is wrong") || strings.Contains(p.body, `class="devices"`) {
			t.Errorf("%s is answered with %d", path, p.StatusCode)
		}
		has(t, p, want)
	}
	p := get(t, srv, "/?min_price=%3Cb%3E&q=wind")
	has(t, p, `value="&lt;b&gt;"`, `aria-invalid="true"`, `value="wind"`)
}

func testEmpty(t *testing.T, srv *httptest.Server) {
	p := get(t, srv, "/?near=-48,-120&within=50&unit=m%2Fs")
	has(t, p, "Nothing within 50 km of", "The nearest that matches is", "Search as far as that", "anywhere")
	p = get(t, srv, "/?q=xyzzy&verified=true")
	has(t, p, "Nothing matches", "any text")
	has(t, get(t, srv, "/?unit=dB&data_type=wind_speed"), "any type of data", "any unit")
	p = get(t, srv, "/?q=xyzzy")
	if !strings.Contains(p.body, "any text") || strings.Contains(p.body, "signed or not") {
		t.Error("without a text there would be all, and nothing else helps")
	}
}

var nextOf = regexp.MustCompile(`<a href="([^"]*)" data-go rel="next"`)
var deviceOf = regexp.MustCompile(`<li class="device" id="d-([^"]*)"`)

func testPaging(t *testing.T, srv *httptest.Server) {
	for _, query := range []string{"/?data_type=wind_speed", "/?sort=price&kind=mqtt", "/?sort=-price&kind=rtsp", "/?near=50,10&within=2500&sort=distance"} {
		seen := map[string]bool{}
		want := count(t, get(t, srv, query))
		for path, pages := query, 0; path != "" && pages < 60; pages++ {
			p := get(t, srv, path)
			for _, m := range deviceOf.FindAllStringSubmatch(p.body, -1) {
				if seen[m[1]] {
					t.Fatalf("%s: %s comes twice", query, m[1])
				}
				seen[m[1]] = true
			}
			if got := count(t, p); got != want {
				t.Fatalf("%s counts %s, the first page %s", path, got, want)
			}
			path = ""
			if m := nextOf.FindStringSubmatch(p.body); m != nil {
				path = strings.ReplaceAll(m[1], "&amp;", "&")
			}
		}
		if got := plural(len(seen), "device"); got != want {
			t.Errorf("%s pages through %s of %s", query, got, want)
		}
	}
}

func testDevice(t *testing.T, m *market, srv *httptest.Server) {
	owner := storetest.Account(t, "owner").Account().String()
	has(t, get(t, srv, "/d/"+m.wind.DID()), "42.04", "for 30 days", "42.03995 PEAQ", "40.1949288,44.5517725", "Yerevan, Armenia", "iod subscribe "+m.wind.DID()+" wind --key me.key",
		"mosquitto_sub -h 127.0.0.1 -p 1883 -t measurements/wind -v", "ffplay -rtsp_transport tcp rtsp://127.0.0.1:8554/", "iod access grant --device "+m.wind.DID(),
		"The device&#39;s key signed it", "It is the newest that was ever signed", "The device is its own owner", "export IOD_RPC=ws://127.0.0.1:9944", "/td", "/asyncapi", "/1.0/identifiers/",
		"application/senml&#43;json", "Published a document that is believed", "stm32", "curl -s "+srv.URL+"/api/v1/devices/")
	has(t, get(t, srv, "/d/"+m.vouched.DID()), owner, "The owner vouches for it", "Its record on the chain was disturbed", "Wrote something unbelievable in its place", "another account", "/?owner="+owner)
	reader, former := storetest.Account(t, "reader").Account().String(), storetest.Account(t, "former").Account().String()
	has(t, get(t, srv, "/d/"+m.vouched.DID()), "Who has access", reader, former, "holds", "Granted by the owner on the chain")
	has(t, get(t, srv, "/d/"+m.wind.DID()), "Nobody has been granted access yet")
	has(t, get(t, srv, "/d/"+m.claimed.DID()), "Nobody is proven to decide on access")
	p := get(t, srv, "/d/"+m.claimed.DID())
	has(t, p, "The owner has not vouched", "has not signed for this device")
	if strings.Contains(p.body, "iod access grant") {
		t.Error("a command to grant is shown, though nobody is proven to be the owner")
	}
	has(t, get(t, srv, "/d/"+m.named.DID()), "A change is on its way", "9999", "&lt;i&gt;forged", "The owner gives a name, no coordinates", "data-area", `class="area"`)
	has(t, get(t, srv, "/d/"+m.gone.DID()), "This listing has ended", "ended this listing itself", "The owner rounded the coordinates", "within about 6 km")
	has(t, get(t, srv, "/d/"+m.gone.DID()), "What it shared", "no way in any more")
	lacks(t, get(t, srv, "/d/"+m.gone.DID()), "iod subscribe", "iod connect", "iod access grant", "It has no end")
	p = get(t, srv, "/d/"+m.legacy.DID())
	has(t, p, "Nobody signed it", "older marketplace")
	if strings.Contains(p.body, "iod subscribe") || strings.Contains(p.body, "iod connect") {
		t.Error("ways are shown into a device that iod refuses to connect to")
	}
	for _, path := range []string{"/d/nonsense", "/d/did:peaq:5Grw", "/card/x", "/nothing"} {
		if p := get(t, srv, path); p.StatusCode != http.StatusNotFound || !strings.Contains(p.body, "There is nothing here") {
			t.Errorf("%s is answered with %d", path, p.StatusCode)
		}
	}
	if p := get(t, srv, "/d/"+storetest.Account(t, "nobody").Account().DID()); p.StatusCode != http.StatusNotFound {
		t.Errorf("a DID without a document is answered with %d", p.StatusCode)
	} else {
		has(t, p, "No listing", "No document was ever published", "iod did show "+storetest.Account(t, "nobody").Account().DID())
	}
	p = get(t, srv, "/d/"+m.aside.DID())
	if has(t, p, "No listing", "is not believed", "malformed document", "has the control character U&#43;202E", m.aside.String(), "What it begins with"); p.StatusCode != http.StatusNotFound {
		t.Errorf("a device whose records are set aside is answered with %d", p.StatusCode)
	}
	if p := get(t, srv, "/d/"+m.wind.DID()+"?before=x"); p.StatusCode != http.StatusBadRequest {
		t.Errorf("a wrong place in the history is answered with %d", p.StatusCode)
	}
	has(t, get(t, srv, "/card/"+m.wind.DID()), `class="device"`, "42.04")
}

// testHostile looks at the source; the browser's tests look at what becomes of it.
func testHostile(t *testing.T, m *market, srv *httptest.Server) {
	for _, path := range []string{"/d/" + m.harsh.DID(), "/?q=harsh", "/", "/card/" + m.harsh.DID(), "/operator",
		"/?q=" + url.QueryEscape(`"><script>alert(1)</script>`), "/?unit=" + url.QueryEscape(`"><img src=x onerror=alert(1)>`), "/?place=" + url.QueryEscape("<script>alert(1)</script>")} {
		p := get(t, srv, path)
		for _, bad := range []string{"<script>", "<img", "onerror=alert(1)>", "</code></pre>\"", `href="javascript:`} {
			if strings.Contains(p.body, bad) {
				t.Errorf("%s holds %s", path, bad)
			}
		}
	}
	has(t, get(t, srv, "/d/"+m.harsh.DID()), "&lt;script&gt;alert(1)&lt;/script&gt;", "0.000000000000000001", "123\u202f456\u202f789\u202f012\u202f345\u202f678.123456789012345678",
		"1 topic of this stream has invisible characters", "zero⟨U&#43;200B⟩width/#", "hidden⟨U&#43;200B⟩word", "👩‍🚀 WWW", "🌡️ حرارة")
	for _, path := range []string{"/d/" + m.harsh.DID(), "/card/" + m.harsh.DID(), "/", "/?unit=" + url.QueryEscape("🌡️")} {
		if p := get(t, srv, path); strings.ContainsAny(p.body, "\u202e\u202d\u2066\u200b") {
			t.Errorf("%s: what a device says turns the text around, or hides in it", path)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/d/"+m.wind.DID(), nil)
	req.Host = "x;touch${IFS}pwned"
	if res, err := srv.Client().Do(req); err == nil {
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if strings.Contains(string(body), "pwned") {
			t.Error("a hostile Host header stands in a command")
		}
	}
}

func testOperator(t *testing.T, srv *httptest.Server) {
	p := get(t, srv, "/operator")
	has(t, p, "Feeds", ">7<", "9999-2", "&lt;i&gt;forged&lt;/i&gt;", "Set aside", "malformed document", fmt.Sprintf("%d proven, 1 not signed", devices+5), "blocks behind", "in memory, ready", `rel="next"`)
	older := get(t, srv, strings.ReplaceAll(regexp.MustCompile(`/operator\?before=\d+`).FindString(p.body), "&amp;", "&"))
	has(t, older, "Newest", "malformed document")
	has(t, get(t, srv, "/operator/live"), `id="n-block"`, `id="n-aside"`)
	if p := get(t, srv, "/operator?before=0"); p.StatusCode != http.StatusBadRequest {
		t.Errorf("a wrong id is answered with %d", p.StatusCode)
	}
}

func testHTTP(t *testing.T, m *market, srv *httptest.Server) {
	p := get(t, srv, "/")
	tag := p.Header.Get("ETag")
	csp := p.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self';", "connect-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("the policy %q lacks %s", csp, want)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(p.body, " style=") || strings.Contains(p.body, "<style") || strings.Contains(p.body, "http://") && !strings.Contains(p.body, srv.URL) {
		t.Error("the page has what its policy forbids")
	}
	if again := get(t, srv, "/", "If-None-Match", tag); again.StatusCode != http.StatusNotModified || again.body != "" {
		t.Errorf("the same page is sent again: %d, %d bytes", again.StatusCode, len(again.body))
	}
	packed := get(t, srv, "/", "Accept-Encoding", "br;q=1, gzip;q=0.5")
	z, err := gzip.NewReader(strings.NewReader(packed.body))
	if err != nil || packed.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("gzip: %v, %s", err, packed.Header.Get("Content-Encoding"))
	}
	if plain, err := io.ReadAll(z); err != nil || string(plain) != p.body {
		t.Errorf("unpacked it is another page: %d bytes, %v", len(plain), err)
	}
	if none := get(t, srv, "/", "Accept-Encoding", "gzip;q=0"); none.Header.Get("Content-Encoding") != "" {
		t.Error("gzip is sent to who does not take it")
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete, "NONSENSE"} {
		req, _ := http.NewRequestWithContext(t.Context(), method, srv.URL+"/", nil)
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") == "" {
			t.Errorf("%s is answered with %d", method, res.StatusCode)
		}
	}
	res, err := srv.Client().Head(srv.URL + "/d/" + m.wind.DID())
	if err != nil || res.StatusCode != http.StatusOK || res.ContentLength < 1000 {
		t.Errorf("HEAD: %v, %v", res, err)
	}
	for _, name := range []string{"app.css", "app.js", "world-110.bin", "world-50.bin", "places.tsv", "favicon.svg"} {
		p := get(t, srv, staticFiles().url(name))
		if p.StatusCode != http.StatusOK || !strings.Contains(p.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %s", name, p.StatusCode, p.Header.Get("Cache-Control"))
		}
	}
	for _, path := range []string{"/static/app.css", "/static/", "/static/../web.go", "/static/app.0000000000.js"} {
		if p := get(t, srv, path); p.StatusCode == http.StatusOK {
			t.Errorf("%s is there", path)
		}
	}
	has(t, get(t, srv, "/robots.txt"), "Allow: /d/", "Disallow: /?")
	has(t, get(t, srv, "/places?q=yer"), "Yerevan, Armenia")
}

func testPictureSVG(t *testing.T, srv *httptest.Server) {
	link := regexp.MustCompile(`href="(/picture.svg[^"]*)"`).FindStringSubmatch(get(t, srv, "/?near=40.19,44.55").body)
	if link == nil {
		t.Fatal("a page has no picture for those without a script")
	}
	p := get(t, srv, strings.ReplaceAll(link[1], "&amp;", "&"))
	has(t, p, "<svg", "</svg>", "prefers-color-scheme")
	for _, bad := range []string{"", "?x=NaN&y=0&world=500&size=100,100", "?x=0&y=0&world=1e300&size=100,100", "?x=0&y=0&world=500&size=99999,99999", "?x=0&y=0&world=-1&size=100,100"} {
		if p := get(t, srv, "/picture.svg"+bad); p.StatusCode != http.StatusBadRequest {
			t.Errorf("%q is answered with %d", bad, p.StatusCode)
		}
	}
}

// testWeight: the first page with all that it needs to be seen weighs at most 40 kB on the wire, the map's data 250 kB, and each further
// page 12 kB.
func testWeight(t *testing.T, m *market, srv *httptest.Server) {
	weigh := func(paths ...string) (sum int) {
		for _, path := range paths {
			sum += len(get(t, srv, path, "Accept-Encoding", "gzip").body)
		}
		return sum
	}
	f := staticFiles()
	first, data := weigh("/", f.url("app.css"), f.url("app.js"), "/favicon.svg"), weigh(f.url("world-110.bin"), f.url("world-50.bin"), f.url("places.tsv"))
	t.Logf("first page %d bytes, the map's data %d", first, data)
	if first > 40_000 || data > 250_000 {
		t.Errorf("the first page weighs %d bytes, the map's data %d", first, data)
	}
	for _, path := range []string{"/?data_type=wind_speed&verified=true", "/results?kind=mqtt", "/d/" + m.wind.DID(), "/d/" + m.vouched.DID(), "/d/" + m.aside.DID(), "/operator", "/nothing"} {
		if n := weigh(path); n > 12_000 {
			t.Errorf("%s weighs %d bytes", path, n)
		}
	}
}

func TestTiles(t *testing.T) {
	m, srv := open(t, func(o *Options) {
		o.Tiles = Tiles{URL: "https://tiles.example:8443/{z}/{x}/{y}.png?key=1", Attribution: "© Somebody & others"}
	})
	p := get(t, srv, "/d/"+m.wind.DID())
	if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "img-src 'self' https://tiles.example:8443;") {
		t.Errorf("the policy is %q", csp)
	}
	has(t, p, "© Somebody &amp; others", "https://tiles.example:8443/{z}/{x}/{y}.png?key=1")
	for _, bad := range []Tiles{{URL: "https://x/{z}/{x}", Attribution: "a"}, {URL: "https://x/{z}/{x}/{y}"}, {Attribution: "a"}, {URL: "ftp://x/{z}/{x}/{y}", Attribution: "a"},
		{URL: "https://{z};script-src *{x}{y}/", Attribution: "a"}, {URL: "https://u:p@x/{z}/{x}/{y}", Attribution: "a"}} {
		if _, err := New(Options{Tiles: bad}); err == nil {
			t.Errorf("tiles %+v are taken", bad)
		}
	}
}

// faulty is a store that fails as it is told.
type faulty struct {
	index.Reader
	err error
}

func (f *faulty) Search(context.Context, index.Query) (index.Page, error) { return index.Page{}, f.err }
func (f *faulty) State(ctx context.Context) (index.State, error) {
	if f.err != nil && !errors.Is(f.err, index.ErrTooBroad) {
		return index.State{}, f.err
	}
	return f.Reader.State(ctx)
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		want   string
	}{
		{fmt.Errorf("sqlite: %w", index.ErrTooBroad), 503, "That search is too broad"},
		{fmt.Errorf("sqlite: %w", context.DeadlineExceeded), 503, "That search is too broad"},
		{errors.New("disk /var/lib/secret is full"), 500, "Something went wrong here"},
	} {
		_, srv := open(t, func(o *Options) { o.Reader = &faulty{o.Reader, c.err}; o.Atlas = nil })
		p := get(t, srv, "/?q=wind")
		if p.StatusCode != c.status || p.Header.Get("Cache-Control") != "no-store" || strings.Contains(p.body, "secret") {
			t.Errorf("%v: %d, %s", c.err, p.StatusCode, p.Header.Get("Cache-Control"))
		}
		has(t, p, c.want)
	}
}

// TestWithoutAtlas: pages are there while nothing counts yet.
func TestWithoutAtlas(t *testing.T) {
	m, srv := open(t, func(o *Options) { o.Atlas = nil })
	if got := count(t, get(t, srv, "/")); got != "20+ devices" {
		t.Errorf("without counts there are %q", got)
	}
	has(t, get(t, srv, "/"), "The map appears when", `value="mqtt"`)
	has(t, get(t, srv, "/?near=-48,-120&within=50"), "The nearest that matches is", "anywhere")
	has(t, get(t, srv, "/d/"+m.wind.DID()), "42.04")
}

func TestEmptyIndex(t *testing.T) {
	_, srv := open(t, func(o *Options) {
		s := newStore(t, t.TempDir())
		t.Cleanup(func() { s.Close() })
		o.Reader, o.Atlas = s, nil
	})
	has(t, get(t, srv, "/"), "still reading the chain", "No devices")
	has(t, get(t, srv, "/operator"), "nothing has been taken in yet", "Nothing has been set aside")
}
