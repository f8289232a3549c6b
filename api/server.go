package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"iod/api/transport"
	"iod/index"
	"iod/index/atlas"
	"iod/index/feed"
	"iod/index/growth"
)

// Options tune the server. The zero value is right for most.
type Options struct {
	Log     *slog.Logger  // nil: silent
	Timeout time.Duration // of a request; 0: 10 seconds
	// Work is how many costly requests (searches, counts, maps) are worked on at once; as many as Queue wait for a second, and more are told to
	// come back. 0: 4 for each processor, and 256.
	Work, Queue int
	// InFlight is how many requests of all kinds there may be at once, open change feeds included. 0: 4096.
	InFlight int
	// Rate is how many requests a second a client may make on average, Burst how many at once. 0: no limit. Clients of loopback are
	// not limited, unless Loopback.
	Rate     float64
	Burst    int
	Loopback bool
	Proxies  []netip.Prefix // whose X-Forwarded-For is believed
	Origins  []string       // of pages that may read; "*" alone: all; nil: all; empty: none
	// PublicURL is where clients find the server, for links: http(s)://host[/path]. Empty: by the request's Host.
	PublicURL string
	// MaxLag and MaxAge say when /readyz finds the index too far behind: by blocks, and by the time since it last moved. 0: 20 blocks, 2 minutes.
	MaxLag uint32
	MaxAge time.Duration
	// Stale is how old the index's state may be by which answers are found unchanged. 0: 50 ms; less: always read anew.
	Stale   time.Duration
	Metrics *prometheus.Registry // further metrics for /metrics; nil: none
	// Atlas counts and draws maps; nil: the routes that need it answer 503. The caller runs it.
	Atlas *atlas.Atlas
	// Feed tells of changes; nil: its route answers 503. The caller runs its hub.
	Feed *feed.Server
	// Growth counts by days; nil: its route answers 503. The caller runs it.
	Growth *growth.Growth
	// Pending tells what is not final yet; nil: its route answers 503. The caller runs it.
	Pending interface{ Changes() []index.PendingChange }
	// Pages answers what the API has no address for; nil: nothing.
	Pages http.Handler
	Now   func() time.Time // nil: time.Now
}

// historyLines is how much history comes with a device.
const historyLines = 100

type server struct {
	reader  index.Reader
	log     *slog.Logger
	gate    *transport.Gate
	states  *states
	metrics *metrics
	routes  []*route
	build   string // of the program, for ETags: another one may answer otherwise
	openAPI transport.Answer
	page    transport.Answer
	Options
}

func (o *Options) complete() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Origins == nil {
		o.Origins = []string{"*"}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	orElse(&o.Timeout, 10*time.Second)
	orElse(&o.Work, 4*runtime.GOMAXPROCS(0))
	orElse(&o.Queue, 256)
	orElse(&o.MaxLag, 20)
	orElse(&o.MaxAge, 2*time.Minute)
	orElse(&o.Stale, 50*time.Millisecond)
	orElse(&o.Burst, int(o.Rate*4))
	o.PublicURL = strings.TrimSuffix(o.PublicURL, "/")
}

func orElse[T comparable](v *T, other T) {
	var zero T
	if *v == zero {
		*v = other
	}
}

// New returns the handler of the API over an index.
func New(r index.Reader, o Options) http.Handler {
	o.complete()
	s := &server{
		reader: r, log: o.Log, Options: o, gate: transport.NewGate(o.Work, o.Queue, time.Second), build: buildID(),
		states: &states{keep: o.Stale, now: o.Now, turn: make(chan struct{}, 1)},
	}
	s.routes = s.table()
	s.metrics = newMetrics(s)
	s.openAPI, s.page = s.describe()
	mux := http.NewServeMux()
	for _, rt := range s.routes {
		mux.Handle(rt.Path, s.handler(rt))
	}
	nothing := s.handler(&route{Path: "other", Loose: true, Serve: (*server).nothing})
	if o.Pages == nil {
		mux.Handle("/", nothing)
	} else {
		for _, prefix := range []string{"/api/", "/1.0/"} {
			mux.Handle(prefix, nothing)
		}
		mux.Handle("/", named("pages", o.Pages))
	}
	limits := transport.Limits{
		Proxies: o.Proxies, Loopback: o.Loopback, InFlight: o.InFlight, Log: o.Log, Now: o.Now, Observe: s.metrics.observe,
	}
	if o.Rate > 0 {
		limits.Rate = transport.NewRate(o.Rate, o.Burst)
	}
	return transport.Guard(clean(mux), limits)
}

// Serve answers on ln until ctx ends, then lets the requests in work end and returns nil. It closes ln.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	return transport.Serve(ctx, ln, h, log)
}

// named gives what a handler answers a name in metrics.
func named(route string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		transport.SetRoute(w, route)
		h.ServeHTTP(w, r)
	})
}

// clean keeps ServeMux from answering for itself: CONNECT and * have no path, and an unclean path would be redirected in HTML.
func clean(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path
		if !strings.HasPrefix(p, "/") || strings.Contains(p, "//") || strings.Contains(p, "/./") || strings.Contains(p, "/../") ||
			strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..") {
			transport.Fail(w, r, Problem{Status: http.StatusNotFound, Detail: nowhere(p)})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func nowhere(path string) string {
	return "there is nothing at " + quoted(path) + "; what there is, stands at /api and in /openapi.json"
}

func (s *server) nothing(c *call) (reply, error) {
	return reply{}, &Problem{Status: http.StatusNotFound, Detail: nowhere(c.r.URL.Path)}
}

// base is where the server is, for links in answers.
func (s *server) base(r *http.Request) string {
	if s.PublicURL != "" {
		return s.PublicURL
	}
	u := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	if _, err := url.Parse(u.String()); err != nil || r.Host == "" || strings.ContainsAny(r.Host, "/?#@\\\"<> ") {
		u.Host = "localhost"
	}
	return u.String()
}
