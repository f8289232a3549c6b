// Package web is the pages of the marketplace: search with a map, a device, the operator's view. The server renders them and they
// work without JavaScript; with it, the map can be moved and the list follows. Everything is embedded in the binary; the
// Content-Security-Policy lets a page load nothing from elsewhere but the tiles of a raster map, where one is configured.
//
//	GET /                    search; the parameters are those of GET /api/v1/devices, and place, the name of a place to search around
//	GET /results             the parts of / that change with the parameters, for the page's script
//	GET /d/{did}             a device; a DID, an address or 0x-hex
//	GET /card/{did}          the device as the list has it, for the page's script
//	GET /operator            how far the index is, and what it set aside; /operator/live its figures, for the page's script
//	GET /places?q=           names of places that begin so, JSON, for the page's script
//	GET /picture.svg         the base map of a part of the world, for pages without a script: box=south,west,north,east
//	GET /static/…            styles, script and map data, under names with a hash of their content
//	GET /robots.txt, /favicon.svg
//
// The handler is api.Options.Pages: the API answers what it has an address for.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"iod/index"
)

// Options say what the pages show. Reader is needed; the zero value of the others is right where it applies.
type Options struct {
	Reader   index.Reader
	Atlas    Atlas                        // counts and clusters; nil: pages without them
	Pending  func() []index.PendingChange // what is not final yet; nil: not known
	Feeds    func() int64                 // change feeds that are open; nil: not known
	Progress func() index.Progress        // of the index that this process writes; nil: it only reads
	Version  string                       // of the program
	Database string                       // what the index is kept in, without secrets
	RPC      string                       // endpoint of the chain that commands on the pages name; empty: none
	Tiles    Tiles                        // raster map under the own one; zero: none
	Log      *slog.Logger                 // nil: silent
	Now      func() time.Time             // nil: time.Now
	Timeout  time.Duration                // of a request; 0: 5 seconds
}

// Tiles names a server of raster tiles of 256 pixels in Web Mercator.
type Tiles struct {
	URL         string // with {z}, {x} and {y}
	Attribution string // as its licence wants it, plain text
}

// Check says what is wrong with the address or the attribution.
func (t Tiles) Check() error {
	_, err := t.origin()
	return err
}

// origin checks the address and returns the origin that the Content-Security-Policy must allow; empty when there are no tiles.
func (t Tiles) origin() (string, error) {
	if t == (Tiles{}) {
		return "", nil
	}
	u, err := url.Parse(t.URL)
	switch {
	case err != nil:
		return "", fmt.Errorf("map tiles: %w", err)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(u.Host, "{};,' \""):
		return "", fmt.Errorf("map tiles: %q is no address such as https://tiles.example/{z}/{x}/{y}.png", t.URL)
	case !strings.Contains(t.URL, "{z}") || !strings.Contains(t.URL, "{x}") || !strings.Contains(t.URL, "{y}"):
		return "", fmt.Errorf("map tiles: %q lacks {z}, {x} or {y}", t.URL)
	case t.Attribution == "":
		return "", errors.New("map tiles: an attribution is needed: every map has a licence that asks for one")
	}
	return u.Scheme + "://" + u.Host, nil
}

// site answers for the pages.
type site struct {
	Options
	policy string // Content-Security-Policy
	files  *files
	pages  *pages
}

// New returns the handler of the pages.
func New(o Options) (http.Handler, error) {
	origin, err := o.Tiles.origin()
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	s := &site{Options: o, policy: policy(origin), files: staticFiles()}
	if s.pages, err = parsePages(s.files); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for pattern, f := range map[string]func(context.Context, *http.Request) (*answer, error){
		"/{$}": s.search, "/results": s.results, "/d/{did}": s.device, "/card/{did}": s.card, "/operator": s.operator, "/operator/live": s.operatorLive,
		"/places": s.places, "/picture.svg": s.picture, "/robots.txt": s.robots,
	} {
		mux.Handle(pattern, s.page(f))
	}
	mux.Handle("/static/", s.page(s.static))
	mux.Handle("/favicon.svg", s.page(s.favicon))
	mux.Handle("/", s.page(func(context.Context, *http.Request) (*answer, error) { return nil, errNotFound }))
	return mux, nil
}

// policy is the Content-Security-Policy: nothing but this server, no inline script or style.
func policy(tiles string) string {
	img := "img-src 'self'"
	if tiles != "" {
		img += " " + tiles
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; " + img +
		"; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}

// Errors of pages, which have a page of their own.
var (
	errNotFound = errors.New("there is no such page")
	errMethod   = errors.New("pages can be read only")
)
